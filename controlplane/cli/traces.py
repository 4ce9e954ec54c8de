"""`tidegate traces`: a workload's traces, and one of them with its spans and log lines."""

from datetime import datetime
from typing import Annotated, Final

import httpx2
import typer

from controlplane.cli import options
from controlplane.cli.client import Api, Json, connect
from controlplane.cli.logs import fetch
from controlplane.cli.output import print_json, print_table, say, warn
from controlplane.cli.since import parse_since

HEADERS: Final = ["TRACE", "BEGAN", "MS", "SPANS", "ERRORS", "ROOT"]
_MAX_LINES: Final = 1000
_MAX_SPANS: Final = 1000


def traces(
    workload: options.Workload,
    trace: Annotated[
        str | None, typer.Argument(metavar="[TRACE]", help="Show this one, with its spans.")
    ] = None,
    *,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=100, help="Newest traces to list.")
    ] = 20,
    errors: Annotated[bool, typer.Option("--errors", help="Only those with an error.")] = False,
    slowest: Annotated[
        bool, typer.Option("--slowest", help="The slowest, not the newest.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not older: `90s`, `15m`, `2h`, `3d`, or a time."),
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List a workload's traces, or show one: the gateway's span, the application's, log lines.

    Requests that come with a sampled `traceparent` are traced, and a share of the others
    (`gateway.trace_sample_ratio`). The application's own spans need OpenTelemetry in it; where to
    send them is in its environment.
    """
    query: dict[str, str | int] = {"limit": limit}
    if errors:
        query["status"] = "error"
    if slowest:
        query["sortBy"] = "duration"
    if since is not None:
        query["startTime"] = parse_since(since, now=datetime.now().astimezone()).isoformat()
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        base = f"otel/workload/{found['id']}"
        if trace is not None:
            _show(api, base, trace, as_json=as_json)
            return
        items = api.call("GET", f"{base}/traces/", query=query)["data"]
    if as_json:
        print_json(items)
        return
    if not items:
        warn(f"there are no such traces of {found['name']}")
        return
    print_table(HEADERS, [_row(item) for item in items])


def _show(api: Api, base: str, trace: str, *, as_json: bool) -> None:
    found = read_trace(api, f"{base}/traces/{trace}/")
    lines = fetch(api, f"{base}/logs/", {"traceId": trace}, limit=_MAX_LINES)
    if as_json:
        print_json(found | {"logs": lines})
        return
    say(f"{found['traceId']}  {_ms(found['duration'])} ms, {found['spanCount']} spans")
    for depth, span in tree(found["spans"]):
        after = _ms(span["startTime"] - found["timestamp"])
        mark = "  error" if span["statusCode"] == "error" else ""
        name = f"{'  ' * depth}{span['name']}"
        say(
            f"  +{after:>9} ms  {_ms(span['duration']):>9} ms  {name} ({span['serviceName']}){mark}"
        )
    for line in lines:
        say(f"  {line['timestamp']}  {line['level']:8}  {line['message']}")


def read_trace(api: Api, path: str) -> Json:
    """A trace with its first spans, which may come on several pages."""
    found: Json = api.call("GET", path, query={"limit": _MAX_SPANS})
    page = found
    while page["next"] and len(found["spans"]) < _MAX_SPANS:
        page = api.call("GET", path, query=dict(httpx2.URL(page["next"]).params))
        found["spans"] += page["spans"]
    if page["next"]:
        warn(f"only the first {len(found['spans'])} of {found['totalCount']} spans are shown")
    return found


def tree(spans: list[Json]) -> list[tuple[int, Json]]:
    """Spans below their parents, with their depth; siblings in the order given.

    A span whose parent is not there is a root.
    """
    present = {span["spanId"] for span in spans}
    children: dict[str | None, list[Json]] = {}
    for span in spans:
        parent = span["parentSpanId"]
        children.setdefault(parent if parent in present else None, []).append(span)
    found: list[tuple[int, Json]] = []
    todo = [(0, span) for span in reversed(children.pop(None, []))]
    while todo:
        depth, span = todo.pop()
        found.append((depth, span))
        below = children.pop(span["spanId"], [])
        todo += [(depth + 1, child) for child in reversed(below)]
    # Spans that name each other as parents hang on no root.
    found += [(0, span) for rest in children.values() for span in rest]
    return found


def _row(item: Json) -> list[object]:
    began = datetime.fromtimestamp(item["timestamp"] / 1e9).astimezone()
    return [
        item["traceId"],
        f"{began:%Y-%m-%d %H:%M:%S}",
        _ms(item["duration"]),
        item["spansCount"],
        item["errorSpansCount"] or "-",
        f"{item['rootSpanName']} ({item['rootServiceName']})",
    ]


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.1f}"
