"""`tidegate stats`: what the gateways have counted of a workload's requests."""

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

import typer

from controlplane.cli import options
from controlplane.cli.client import Json, connect
from controlplane.cli.output import print_json, print_table, say
from controlplane.cli.since import parse_since

_ROWS = (
    ("requests", "totalRequests", ""),
    ("per minute", "requestsPerMinute", ""),
    ("under way, mean", "concurrentRequests", ""),
    ("response time", "responseTime", " ms"),
    ("slow requests", "slowRequests", ""),
    ("server errors", "serverErrors", ""),
    ("user errors", "userErrors", ""),
    ("error rate", "totalErrorRate", None),
)
"""Label, the API's name, and unit; None: a share, shown as percent."""


def stats(
    workload: options.Workload,
    *,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One number over time instead: totalRequests, requestsPerMinute, requestsOverN, "
            "concurrentRequests, responseTime, totalErrorRate.",
        ),
    ] = None,
    resolution: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="With --metric, of its buckets: PT1M, PT5M, PT1H, P1D, P7D, P1M.",
        ),
    ] = "P1D",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="From then on: `90s`, `15m`, `2h`, `3d`, or a time. Default: as far as they go.",
        ),
    ] = None,
    proton: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this proton. Default: the active one.")
    ] = None,
    quantile: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Which response time; 0.5 is the median."),
    ] = 0.5,
    slow: Annotated[
        float,
        typer.Option(metavar="MS", min=0.0, help="Slow is longer than this."),
    ] = 2000.0,
    reset: Annotated[
        bool,
        typer.Option("--reset", help="Forget them; with --since, --proton, --metric: only these."),
    ] = False,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Say how many requests a workload had, how fast they were answered, and how many failed."""
    query: dict[str, str | int] = {}
    if proton is not None:
        query["protonId"] = proton
    if since is not None:
        query["startTime"] = parse_since(since, now=datetime.now().astimezone()).isoformat()
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        path = f"workloads/{found['id']}/stats"
        if reset:
            only: dict[str, str | int] = {} if metric is None else {"metricName": metric}
            api.call("DELETE", path, query=query | only)
            say(f"{found['name']}  statistics reset")
            return
        query |= {"responseTimeQuantile": str(quantile), "slowRequestsThreshold": str(slow)}
        if metric is not None:
            query["resolution"] = resolution
            answer = api.call("GET", f"{path}/{quote(metric, safe='')}", query=query)
        else:
            answer = api.call("GET", path, query=query)
    if as_json:
        print_json(answer)
    elif metric is not None:
        rows = [(_local(bucket["period"]["start"]), _value(bucket)) for bucket in answer["buckets"]]
        print_table(("FROM", metric), rows)
    else:
        say(f"{found['name']}  {_period(answer['period'])}")
        metrics = answer["metrics"]
        print_table(("WHAT", "VALUE"), [(label, _shown(metrics[k], u)) for label, k, u in _ROWS])


def _shown(value: float, unit: str | None) -> str:
    return f"{value:.2%}" if unit is None else f"{value}{unit}"


def _value(bucket: Json) -> object:
    return "-" if bucket["value"] is None else bucket["value"]


def _period(period: Json) -> str:
    return f"from {_local(period['start'])} to {_local(period['end'])}"


def _local(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
