"""`tidegate explain`: why a workload has the replicas it has."""

from datetime import datetime
from typing import Annotated

import typer

from controlplane.cli import options
from controlplane.cli.client import connect
from controlplane.cli.decisions import decision_from_json
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import print_json, say
from controlplane.model.explain import headline, render


def explain(
    workload: options.Workload,
    *,
    history: Annotated[
        int,
        typer.Option(
            "--history", min=1, max=1000, help="Decisions to show, newest first. Default: 1."
        ),
    ] = 1,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Say why a workload has the replicas it has: every step and number of the last decision.

    With --history N, earlier decisions follow, one line each.
    """
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        items = list(api.pages(f"workloads/{found['id']}/decisions", limit=history))
    if not items:
        raise CliError(
            f"nothing was decided about {found['name']!r} yet",
            hint="The autoscaler decides within a second: does it run? `tidegate up` says so.",
            code=ExitCode.NOT_FOUND,
        )
    if as_json:
        print_json(items)
        return
    decisions = [decision_from_json(item) for item in items]
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None  # noqa: S101 - astimezone always sets one
    say(render(decisions[0], workload_name=found["name"], zone=zone))
    if decisions[1:]:
        say()
        say("before:")
        for decision in decisions[1:]:
            say(f"  {headline(decision, zone=zone)}")
