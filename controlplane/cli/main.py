"""The `tidegate` command: its sub-commands, and how an error becomes a message and an exit code."""

import sys
from typing import Annotated

import typer

from controlplane import __version__
from controlplane.cli import config, demo, login, token, top, up, workload, artifact, invoke, explain
from controlplane.cli.errors import CliError
from controlplane.cli.output import print_error

app = typer.Typer(
    name="tidegate",
    help="Stable invoke URLs for HTTP services, and as many replicas as their traffic needs.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 timed out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Stable invoke URLs for HTTP services, and as many replicas as their traffic needs."""


app.command("up")(up.up)
app.command("config")(config.config)


def main() -> None:
    """Entry point of the command."""
    try:
        app()
    except CliError as exc:
        print_error(exc)
        sys.exit(int(exc.code))
    except KeyboardInterrupt:
        sys.exit(130)


