"""Commands about traffic traces: they are the autoscaler's, and run in a process of its code.

The command line and the autoscaler know nothing of each other, so `tidegate simulate ARGS...`
becomes `python -m autoscaler.replay simulate ARGS...` in this same process, `--help` included.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

import typer

from controlplane.cli.datadir import running
from controlplane.cli.errors import CliError
from controlplane.cli.settings import data_directory, load_settings
from controlplane.model.settings import env_name

COMMANDS: Final[dict[str, str]] = {
    "simulate": "Run a traffic trace through a scaling policy, and through models of other"
    " autoscalers.",
    "generate": "Make a synthetic traffic trace: seeded, the same for the same seed.",
    "tune": "Try settings on a traffic trace and recommend one.",
    "record": "Record the traffic of a running system: how many requests came when, and how long"
    " they took.",
}
"""Names, and what `tidegate --help` says of them: the first sentence of the command itself."""

READS_STORE: Final = frozenset({"record"})
"""Commands that read the store of the running installation."""

_STORE_URL: Final = env_name("store", "url")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for name, summary in COMMANDS.items():
        app.command(
            name,
            help=summary,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )(_passed_on(name))


def _passed_on(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        if name in READS_STORE:
            _name_store(_data_dir(context.args))
        arguments = [sys.executable, "-m", "autoscaler.replay", name, *context.args]
        os.execv(sys.executable, arguments)  # noqa: S606 - our own module, arguments as they came

    return command


def _data_dir(arguments: Sequence[str]) -> str | None:
    """The data directory that the arguments name: they are not parsed here, but passed on."""
    for i, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--data-dir":
            return value or "".join(arguments[i + 1 : i + 2]) or None
    return None


def _name_store(data_dir: str | None) -> None:
    """Tell the command where the store of the running `tidegate up` is, if one runs.

    Args:
        data_dir: The one that was named; it wins over a store in the settings.

    Raises:
        CliError: Nothing runs on the one that was named.
    """
    if data_dir is None and os.environ.get(_STORE_URL):
        return
    settings, _ = load_settings(named={"up.data_dir": data_dir})
    directory = data_directory(settings)
    info = running(directory)
    if info is None and data_dir is not None:
        raise CliError(
            f"no `tidegate up` runs on {directory}",
            hint="Start it, or name the store: --store URL.",
        )
    if info is not None and (settings.store.url is None or data_dir is not None):
        os.environ[_STORE_URL] = info.store_url
