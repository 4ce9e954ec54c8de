"""`tidegate replay`: fetches a recorded decision and has the autoscaler's code make it again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli import options
from controlplane.cli.client import Api, ApiError, Json, connect
from controlplane.cli.errors import CliError, ExitCode

_NOT_FOUND = 404


def replay(
    *,
    decision: Annotated[
        str | None, typer.Option("--decision", metavar="ID", help="Id of the decision.")
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            "--workload",
            metavar="WORKLOAD",
            help="Name or id of its workload. Default: all workloads are searched.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Read the record from here instead of the API: what GET"
            " .../workloads/{id}/decisions/{decisionId} answered. `-`: standard input.",
        ),
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Make a recorded decision again, offline, and say whether it comes out bit for bit the same.

    A record carries all that it was made from. Exit code 1: it came out otherwise, and how.
    """
    if (decision is None) == (file is None):
        raise CliError(
            "give either --decision ID or --file FILE",
            hint="`tidegate explain WORKLOAD --history 20` shows the ids.",
            code=ExitCode.USAGE,
        )
    arguments = ["--json"] if as_json else []
    record: bytes | None = None
    if decision is not None:
        with connect(url=url, token=token) as api:
            record = json.dumps(fetch_decision(api, decision, workload)).encode()
    arguments.append("-" if record is not None else str(file))
    command = [sys.executable, "-m", "autoscaler.replay", "replay", *arguments]
    ended = subprocess.run(command, input=record, check=False)  # noqa: S603 - our own module
    raise typer.Exit(ended.returncode)


def fetch_decision(api: Api, decision_id: str, workload: str | None) -> Json:
    """One decision of a workload, or of whichever has it.

    Raises:
        CliError: None has it.
    """
    if workload is not None:
        searched = [api.find("workloads", workload)["id"]]
    else:
        searched = [item["id"] for item in api.pages("workloads")]
    for workload_id in searched:
        try:
            found: Json = api.call("GET", f"workloads/{workload_id}/decisions/{decision_id}")
        except ApiError as exc:
            if exc.status != _NOT_FOUND:
                raise
        else:
            return found
    raise CliError(
        f"there is no decision {decision_id!r}",
        hint="Only the last `autoscaler.decision_history` of each proton are kept, and only while"
        " it is there.",
        code=ExitCode.NOT_FOUND,
    )
