"""The `tidegate` command: its sub-commands, and how an error becomes a message and an exit code."""

import sys
from typing import Annotated

import typer

from controlplane import __version__
from controlplane.cli import artifact, credential, replays, token, user, workload
from controlplane.cli.audit import audit
from controlplane.cli.config import config
from controlplane.cli.demo import demo
from controlplane.cli.errors import CliError
from controlplane.cli.explain import explain
from controlplane.cli.invoke import invoke
from controlplane.cli.knee import knee
from controlplane.cli.login import login
from controlplane.cli.logs import logs
from controlplane.cli.output import print_error
from controlplane.cli.replay import replay
from controlplane.cli.roll import roll
from controlplane.cli.size import size
from controlplane.cli.stats import stats
from controlplane.cli.top import top
from controlplane.cli.traces import traces
from controlplane.cli.up import up

app = typer.Typer(
    name="tidegate",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 timed out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
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


app.command("up")(up)
app.command("roll")(roll)
app.command("demo")(demo)
app.command("config")(config)
app.command("login")(login)
app.add_typer(token.app, name="token")
app.add_typer(user.app, name="user")
app.add_typer(workload.app, name="workload")
app.add_typer(artifact.app, name="artifact")
app.add_typer(credential.app, name="credential")
app.command("invoke")(invoke)
app.command("explain")(explain)
app.command("stats")(stats)
app.command("logs")(logs)
app.command("traces")(traces)
app.command("top")(top)
app.command("audit")(audit)
app.command("size")(size)
replays.add_to(app)
app.command("knee")(knee)
app.command("replay")(replay)


def main() -> None:
    """Entry point of the command."""
    try:
        app()
    except CliError as exc:
        print_error(exc)
        sys.exit(int(exc.code))
    except KeyboardInterrupt:
        sys.exit(130)
