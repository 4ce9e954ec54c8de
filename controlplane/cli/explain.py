"""`tidegate explain`: why a workload has the replicas it has."""

from datetime import datetime
from typing import Annotated

import typer

from controlplane.cli import options
from controlplane.cli.client import Api, Json, connect
from controlplane.cli.decisions import decision_from_json
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import print_json, say
from controlplane.cli.replay import fetch_decision
from controlplane.cli.shadows import render_shadows
from controlplane.model.explain import headline, render
from controlplane.model.shadows import ShadowKind


def explain(
    workload: options.Workload,
    *,
    history: Annotated[
        int,
        typer.Option(
            "--history", min=1, max=1000, help="Decisions to show, newest first. Default: 1."
        ),
    ] = 1,
    shadow: Annotated[
        ShadowKind | None,
        typer.Option(
            "--shadow",
            help="What its shadow policies, or its forecast, would have done, and both accounts."
            " Default: what was done.",
        ),
    ] = None,
    decision: Annotated[
        str | None,
        typer.Option("--decision", metavar="ID", help="Explain this one. Default: the last."),
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Say why a workload has the replicas it has: every step and number of the last decision.

    With --history N, earlier decisions follow, one line each, with their ids; --decision ID
    explains one of them, and `tidegate replay --decision ID` makes it again.
    """
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        if decision is not None:
            items = [fetch_decision(api, decision, found["id"])]
        else:
            items = _last(api, found, shadow, history)
    if as_json:
        print_json(items if decision is None else items[0])
        return
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None  # noqa: S101 - astimezone always sets one
    if shadow is not None and decision is None:
        say(render_shadows(items, workload_name=found["name"], zone=zone))
        return
    decisions = [decision_from_json(item) for item in items]
    say(render(decisions[0], workload_name=found["name"], zone=zone, names=names_of(items[0])))
    say(f"id:    {decisions[0].id}")
    if decisions[1:]:
        say()
        say("before:")
        for earlier in decisions[1:]:
            say(f"  {headline(earlier, zone=zone)}  {earlier.id}")


def names_of(item: Json) -> dict[str, str]:
    """Names of the workloads that a decision's grant speaks of, as far as the caller may know."""
    grant = item.get("grant")
    if grant is None:
        return {}
    told = {holder["workloadId"]: holder.get("workloadName") for holder in grant["holders"]}
    told[grant["gaveWayTo"]] = grant.get("gaveWayToName")
    return {workload_id: name for workload_id, name in told.items() if name is not None}


def _last(api: Api, found: Json, shadow: ShadowKind | None, count: int) -> list[Json]:
    """The last decisions about a workload, or those of a shadow of it.

    Raises:
        CliError: There are none.
    """
    route = f"workloads/{found['id']}/"
    route += "decisions" if shadow is None else "shadowDecisions"
    query: dict[str, str | int] | None = None if shadow is None else {"kind": shadow.value}
    items = list(api.pages(route, query=query, limit=count))
    if not items and shadow is not None:
        raise CliError(
            f"{found['name']!r} has no {shadow.value} shadow",
            hint="It begins when `shadow` or `forecast` of its group's `autoscaling` is set.",
            code=ExitCode.NOT_FOUND,
        )
    if not items:
        raise CliError(
            f"nothing was decided about {found['name']!r} yet",
            hint="The autoscaler decides within a second: does it run? `tidegate up` says so.",
            code=ExitCode.NOT_FOUND,
        )
    return items
