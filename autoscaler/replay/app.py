"""What all commands of `python -m autoscaler.replay` share: the list of them, and their errors.

    add a command   write `autoscaler/replay/<name>_command.py` with one function, and name it in
                    `__main__`; then in `controlplane.cli.replays.COMMANDS`, so that `tidegate`
                    passes it on; then `python -m tests.docs.render`

The modules with commands import what is heavy inside their functions.
"""

import sys

import typer

from autoscaler.replay.errors import ReplayError

app = typer.Typer(
    name="tidegate",
    help="Traffic traces: make, record, and run them through the autoscaler's own code.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _root() -> None:
    """Traffic traces: make, record, and run them through the autoscaler's own code."""


def main() -> None:
    """Run one command; `tidegate` runs this for those that it passes on."""
    try:
        app(prog_name="tidegate")
    except ReplayError as exc:
        sys.stderr.write(f"error: {exc.message}\n")
        if exc.hint:
            sys.stderr.write(f"{exc.hint}\n")
        sys.exit(exc.code)
    except KeyboardInterrupt:
        sys.exit(130)
