"""`tidegate logs`: log lines of a workload, from the API or from the files on this machine."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final

import httpx2
import typer

from controlplane.cli import options
from controlplane.cli.client import Api, Json, connect
from controlplane.cli.errors import CliError
from controlplane.cli.local_logs import print_files
from controlplane.cli.output import print_json_line, say, warn
from controlplane.cli.settings import load_settings
from controlplane.cli.since import parse_since

POLL_S: Final = 1.0
PAGE: Final = 1000
LATE_S: Final = 10.0
"""Lines may reach the API this much later than others; following looks back so far."""
REMEMBERED: Final = 20_000
_SHORT_ID: Final = 8

LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def logs(
    workload: options.Workload,
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on printing, new replicas included.")
    ] = False,
    lines: Annotated[
        int,
        typer.Option("-n", "--lines", min=0, help="Last lines; with --local, of each replica."),
    ] = 100,
    level: Annotated[
        str, typer.Option(metavar="LEVEL", help=f"The least: {', '.join(LEVELS)}.")
    ] = "debug",
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not older: `90s`, `15m`, `2h`, `3d`, or a time."),
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only lines that hold this text.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="ID", help="Only lines of this trace.")
    ] = None,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Begin every line with its replica's id.")
    ] = False,
    ended: Annotated[
        bool,
        typer.Option(
            "--ended", help="With --local: also replicas that have ended, as far as kept."
        ),
    ] = False,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Read the files on this machine, as they are. Also without a token, and with"
            " --data-dir or --store.",
        ),
    ] = False,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    data_dir: options.DataDirectory = None,
    store: options.StoreUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """Print a workload's log: what its replicas wrote, and what they sent by OpenTelemetry.

    The API keeps lines of replicas that have ended, too. --local reads the files of the replicas
    instead, where `tidegate up` runs.
    """
    query: dict[str, str | int] = {"level": _level(level)}
    if since is not None:
        query["startTime"] = parse_since(since, now=datetime.now().astimezone()).isoformat()
    if search is not None:
        query["includes"] = search
    if trace is not None:
        query["traceId"] = trace
    api = None
    if not (local or data_dir or store):
        api = _api(url, token)
    if api is None:
        if len(query) > 1 or level != "debug" or as_json:
            raise CliError(
                "--level, --since, --search, --trace and --json need the API",
                hint="Give a token with --token, TIDEGATE_TOKEN or `tidegate login`.",
            )
        settings, _ = load_settings(named={"up.data_dir": data_dir, "store.url": store})
        print_files(settings, workload, follow=follow, lines=lines, prefix=prefix, ended=ended)
        return
    with api:
        found = api.find("workloads", workload)
        path = f"otel/workload/{found['id']}/logs/"
        printer = _Printer(prefix=prefix, as_json=as_json)
        shown = fetch(api, path, query, limit=lines)
        printer.print(shown)
        if not shown and not follow:
            warn(f"there are no such log lines of {found['name']}")
        while follow:
            time.sleep(POLL_S)
            printer.print(fetch(api, path, query | printer.from_here(), limit=None))


def fetch(api: Api, path: str, query: dict[str, str | int], *, limit: int | None) -> list[Json]:
    """The newest entries of a list, oldest first.

    Args:
        api: Whom to ask.
        path: A route that answers newest first, with links.
        query: Filters.
        limit: Most entries; None: all.
    """
    found: list[Json] = []
    asked: dict[str, str | int] | None = query
    while asked is not None and (limit is None or len(found) < limit):
        size = PAGE if limit is None else min(PAGE, limit - len(found))
        page = api.call("GET", path, query=asked | {"limit": size})
        found += page["data"]
        asked = dict(httpx2.URL(page["next"]).params) if page["next"] else None
    return found[::-1]


class _Printer:
    """Prints entries once each: polls overlap, because lines may come late."""

    def __init__(self, *, prefix: bool, as_json: bool) -> None:
        self._prefix = prefix
        self._as_json = as_json
        self._newest: datetime | None = None
        self._seen: set[tuple[str, ...]] = set()
        self._order: deque[tuple[str, ...]] = deque()

    def from_here(self) -> dict[str, str | int]:
        """The filter for what may be new."""
        if self._newest is None:
            return {}
        return {"startTime": (self._newest - timedelta(seconds=LATE_S)).isoformat()}

    def print(self, entries: list[Json]) -> None:
        """Print those that were not printed yet."""
        for entry in self._fresh(entries):
            if self._as_json:
                print_json_line(entry)
            else:
                say(self._line(entry))

    def _fresh(self, entries: list[Json]) -> Iterator[Json]:
        for entry in entries:
            replica = str(entry["resource"].get("replica_id", ""))
            key = (entry["timestamp"], entry["level"], entry["message"], replica)
            if key in self._seen:
                continue
            self._seen.add(key)
            self._order.append(key)
            if len(self._order) > REMEMBERED:
                self._seen.discard(self._order.popleft())
            at = datetime.fromisoformat(entry["timestamp"])
            self._newest = at if self._newest is None else max(self._newest, at)
            yield entry

    def _line(self, entry: Json) -> str:
        at = datetime.fromisoformat(entry["timestamp"]).astimezone()
        # The last digits tell replicas apart: ids begin with their time.
        replica = str(entry["resource"].get("replica_id", ""))[-_SHORT_ID:]
        mark = f"{replica:{_SHORT_ID}}  " if self._prefix else ""
        text = f"{mark}{at:%H:%M:%S}.{at.microsecond // 1000:03}  {entry['level']:8}  "
        stack = entry["stacktrace"]
        return f"{text}{entry['message']}" + (f"\n{stack}" if stack else "")


def _api(url: str | None, token: str | None) -> Api | None:
    """The API; None where none is known and none was named."""
    try:
        return connect(url=url, token=token)
    except CliError:
        if url or token:
            raise
        return None


def _level(text: str) -> str:
    level = {"warn": "warning"}.get(text.lower(), text.lower())
    if level not in LEVELS:
        raise CliError(f"{text!r} is no level", hint=f"Levels are: {', '.join(LEVELS)}.")
    return level
