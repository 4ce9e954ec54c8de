"""What clients ask of the telemetry file. Functions of a reading connection, see `Archive.read`."""

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from controlplane.telemetry.levels import bounds_of

MAX_POINTS: Final = 100_000
"""Points of metrics looked at for one answer, newest first."""
MAX_READ_BYTES: Final = 32 * 1024 * 1024
"""What an answer about metrics may keep of the rows it reads; the rest is not looked at."""
MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Records on one page, as they are stored: a line alone may have 64 KiB. One fits always."""


class Found(NamedTuple):
    """One page."""

    rows: list[sqlite3.Row]
    more: bool
    """Whether something follows the last row: the page was full, in rows or in bytes."""
    before: tuple[int, int] | None = None
    """Offset and limit of the page that ends where this one begins; None: this is the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which records: from `start_ns` on, before `end_ns`; None: open."""

    workload_id: str
    start_ns: int | None = None
    end_ns: int | None = None

    def where(self, time: str = "time_ns") -> tuple[list[str], list[Any]]:
        """Conditions and their arguments."""
        conditions: list[str] = ["workload = ?"]
        arguments: list[Any] = [self.workload_id]
        for value, operator in ((self.start_ns, ">="), (self.end_ns, "<")):
            if value is not None:
                conditions.append(f"{time} {operator} ?")
                arguments.append(value)
        return conditions, arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Filters of log lines; all of them must hold."""

    window: Window
    severity: int = 0
    """The least."""
    levels: Sequence[str] = ()
    """Words of which each must be the line's level."""
    includes: Sequence[str] = ()
    """Every one is in the message or the stack trace; upper and lower case differ."""
    excludes: Sequence[str] = ()
    trace_id: str | None = None
    span_id: str | None = None
    attributes: Sequence[tuple[str, str]] = ()
    """Names and values of attributes, of the record or of its resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceQuery:
    """Filters of traces; durations are nanoseconds."""

    window: Window
    errors: bool | None = None
    """True: with a span in error; False: without."""
    root_names: Sequence[str] = ()
    min_trace_ns: int | None = None
    min_span_ns: int | None = None
    max_span_ns: int | None = None
    """A span of the trace is that long."""
    tools: Sequence[str] = ()
    """A span has one of these as `gen_ai.tool.name`."""
    generative: bool = False
    """A span has an attribute that begins with `gen_ai.`."""
    none: bool = False
    """Nothing fits: a filter asks for what is not known here."""
    attributes: Sequence[tuple[str, str]] = ()
    by_duration: bool = False
    ascending: bool = False


def find_logs(db: sqlite3.Connection, query: LogQuery, *, offset: int, limit: int) -> Found:
    """Rows of the table `logs`, newest first: at most `limit` and `MAX_PAGE_BYTES`."""
    conditions, arguments = query.window.where()
    if query.severity:
        conditions.append("severity >= ?")
        arguments.append(query.severity)
    for level in query.levels:
        conditions.append("severity BETWEEN ? AND ?")
        arguments += bounds_of(level)
    for column, value in (("trace_id", query.trace_id), ("span_id", query.span_id)):
        if value is not None:
            conditions.append(f"{column} = ?")
            arguments.append(value)
    if query.trace_id is not None:
        conditions.append("trace_id <> ''")  # lets the index of traces be used
    for texts, wanted in ((query.includes, ">"), (query.excludes, "=")):
        for text in texts:
            conditions.append(f"instr(message || coalesce(stacktrace, ''), ?) {wanted} 0")
            arguments.append(text)
    _add_attributes(query.attributes, conditions, arguments)
    select = (
        f"SELECT * FROM logs WHERE {' AND '.join(conditions)} "  # noqa: S608 - only names of ours
        "ORDER BY time_ns DESC, id DESC"
    )
    return _page(db, select, arguments, offset=offset, limit=limit)


def find_traces(db: sqlite3.Connection, query: TraceQuery, *, offset: int, limit: int) -> Found:
    """Rows of the table `traces`, newest first where the query says nothing else."""
    if query.none:
        return Found([], more=False)
    conditions, arguments = query.window.where("start_ns")
    if query.errors is not None:
        conditions.append("errors > 0" if query.errors else "errors = 0")
    if query.root_names:
        conditions.append(f"root_name IN ({', '.join('?' * len(query.root_names))})")
        arguments += query.root_names
    if query.min_trace_ns is not None:
        conditions.append("end_ns - start_ns >= ?")
        arguments.append(query.min_trace_ns)
    inner, inner_arguments = _span_conditions(query)
    if inner:
        conditions.append(
            "EXISTS (SELECT 1 FROM spans WHERE spans.workload = traces.workload "  # noqa: S608
            f"AND spans.trace_id = traces.trace_id AND {' AND '.join(inner)})"
        )
        arguments += inner_arguments
    column = "end_ns - start_ns" if query.by_duration else "start_ns"
    direction = "ASC" if query.ascending else "DESC"
    select = (
        "SELECT *, length(root_name) + length(root_service) AS size FROM traces "  # noqa: S608
        f"WHERE {' AND '.join(conditions)} ORDER BY {column} {direction}, trace_id"
    )
    return _page(db, select, arguments, offset=offset, limit=limit)


def find_trace(db: sqlite3.Connection, workload_id: str, trace_id: str) -> sqlite3.Row | None:
    """One row of the table `traces`."""
    found: sqlite3.Row | None = db.execute(
        "SELECT * FROM traces WHERE workload = ? AND trace_id = ?", (workload_id, trace_id)
    ).fetchone()
    return found


def find_spans(
    db: sqlite3.Connection, workload_id: str, trace_id: str, *, offset: int, limit: int
) -> Found:
    """Rows of the table `spans` of one trace, earliest first: as many as of `find_logs`."""
    select = (
        "SELECT * FROM spans WHERE workload = ? AND trace_id = ? "
        "ORDER BY time_ns, duration_ns DESC, id"
    )
    return _page(db, select, [workload_id, trace_id], offset=offset, limit=limit)


def _page(
    db: sqlite3.Connection, select: str, arguments: Sequence[Any], *, offset: int, limit: int
) -> Found:
    """What fits of the rows from the offset on, and where the page before begins."""
    rows = db.execute(f"{select} LIMIT ? OFFSET ?", [*arguments, limit + 1, offset])
    page, more = _fitting(rows, limit)
    return Found(page, more, _before(db, select, arguments, offset=offset, limit=limit))


def _before(
    db: sqlite3.Connection, select: str, arguments: Sequence[Any], *, offset: int, limit: int
) -> tuple[int, int] | None:
    """See `Found.before`: a page is as long as its bytes allow, so rows are measured backwards."""
    if offset == 0:
        return None
    start = max(0, offset - limit)
    sizes = db.execute(
        f"SELECT size FROM ({select} LIMIT ? OFFSET ?)",  # noqa: S608 - of this module's own
        [*arguments, offset - start, start],
    ).fetchall()
    fitting, more = _fitting(reversed(sizes), limit)
    if not more:
        return start, offset - start
    return start + len(sizes) - len(fitting), len(fitting)


def _fitting(rows: Iterable[sqlite3.Row], limit: int) -> tuple[list[sqlite3.Row], bool]:
    """The first rows that are one page together, and whether there was another."""
    page: list[sqlite3.Row] = []
    kept_bytes = 0
    for row in rows:
        kept_bytes += row["size"]
        if len(page) == limit or (page and kept_bytes > MAX_PAGE_BYTES):
            return page, True
        page.append(row)
    return page, False


def metric_names(db: sqlite3.Connection, workload_id: str) -> list[sqlite3.Row]:
    """Name, type, unit and description of every metric, by name; ends at `MAX_READ_BYTES`."""
    found: list[sqlite3.Row] = []
    kept_bytes = 0
    for row in db.execute(
        "SELECT name, type, unit, description, max(time_ns) AS time_ns FROM points "
        "WHERE workload = ? GROUP BY name ORDER BY name",
        (workload_id,),
    ):
        kept_bytes += len(row["name"]) + len(row["unit"]) + len(row["description"])
        if kept_bytes > MAX_READ_BYTES:
            break
        found.append(row)
    return found


@dataclass(slots=True, kw_only=True)
class MetricValue:
    """One metric over a window, all its series together."""

    name: str
    type: str
    unit: str
    aggregation: str
    """`sum` (counters: how much they grew), `average` (gauges), `histogram` (mean observation)."""
    value: float | None
    """Over the window."""
    current: float | None
    """From the newest point of each series."""
    bounds: list[float]
    counts: list[int]
    """Of a histogram: its buckets, newest points."""


@dataclass(slots=True)
class _Point:
    """What is kept of a point in memory."""

    start_ns: int
    value: float | None
    count: int | None


@dataclass(slots=True)
class _Series:
    newest: sqlite3.Row
    points: list[_Point] = field(default_factory=list)
    """Newest first."""


def metric_values(db: sqlite3.Connection, window: Window) -> list[MetricValue]:
    """Every metric's value over a window, by name."""
    conditions, arguments = window.where()
    found = db.execute(
        "SELECT name, type, unit, delta, start_ns, value, count, bounds, counts, attributes,"  # noqa: S608
        f" resource, size FROM points WHERE {' AND '.join(conditions)} "
        "ORDER BY time_ns DESC LIMIT ?",
        [*arguments, MAX_POINTS],
    )
    series: dict[str, dict[tuple[str, str], _Series]] = defaultdict(dict)
    kept_bytes = 0
    for row in found:
        name, key = row["name"], (row["attributes"], row["resource"])
        if key not in series.get(name, {}):
            kept_bytes += row["size"]
            if kept_bytes > MAX_READ_BYTES:
                break
            series[name][key] = _Series(row)
        series[name][key].points.append(_Point(row["start_ns"], row["value"], row["count"]))
    return [_value(name, list(told.values()), window) for name, told in sorted(series.items())]


def _value(name: str, series: list[_Series], window: Window) -> MetricValue:
    newest = [one.newest for one in series]
    kind = newest[0]["type"]
    known = [row["value"] for row in newest if row["value"] is not None]
    bounds: list[float] = []
    counts: list[int] = []
    value: float | None
    current: float | None
    if kind == "counter":
        grown = [_growth(one, window.start_ns or 0) for one in series]
        aggregation, value, current = "sum", sum(grown), sum(known)
    elif kind in {"histogram", "summary"}:
        aggregation, value = "histogram", _mean_observation([p for s in series for p in s.points])
        current = _mean_observation([s.points[0] for s in series])
        bounds, counts = _buckets(newest)
    else:
        every = [p.value for s in series for p in s.points if p.value is not None]
        aggregation, value, current = "average", _mean(every), _mean(known)
    return MetricValue(
        name=name,
        type=kind,
        unit=newest[0]["unit"],
        aggregation=aggregation,
        value=_finite(value),
        current=_finite(current),
        bounds=bounds,
        counts=counts,
    )


def _growth(series: _Series, start_ns: int) -> float:
    """How much a counter grew over its points; a restart begins at 0 again."""
    values = [p.value for p in reversed(series.points) if p.value is not None]
    if series.newest["delta"]:
        return sum(values)
    if series.points[-1].start_ns >= start_ns:  # it began within the window: at 0
        values.insert(0, 0.0)
    steps = pairwise(values)
    return sum(after - before if after >= before else after for before, after in steps)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _mean_observation(points: list[_Point]) -> float | None:
    observed = sum(point.count or 0 for point in points)
    total = sum(point.value or 0.0 for point in points)
    return total / observed if observed else None


def _finite(value: float | None) -> float | None:
    """A sum of finite values may be endless, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def _buckets(newest: list[sqlite3.Row]) -> tuple[list[float], list[int]]:
    """Buckets of all series that have the same bounds as the first that has any."""
    bounds: list[float] | None = None
    alike: list[list[int]] = []
    for row in newest:
        mine, counts = json.loads(row["bounds"]), json.loads(row["counts"])
        if not isinstance(mine, list) or not isinstance(counts, list):
            continue  # too long to be kept
        if None in mine or len(counts) != len(mine) + 1:
            continue  # none, or from a version that kept what does not fit
        bounds = mine if bounds is None else bounds
        if mine == bounds:
            alike.append(counts)
    return bounds or [], [sum(column) for column in zip(*alike, strict=True)]


def _span_conditions(query: TraceQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    arguments: list[Any] = []
    for value, operator in ((query.min_span_ns, ">="), (query.max_span_ns, "<=")):
        if value is not None:
            conditions.append(f"duration_ns {operator} ?")
            arguments.append(value)
    if query.tools:
        marks = ", ".join("?" * len(query.tools))
        conditions.append(
            "EXISTS (SELECT 1 FROM json_each(spans.attributes) AS t"  # noqa: S608 - only marks
            f" WHERE t.key = 'gen_ai.tool.name' AND t.value IN ({marks}))"
        )
        arguments += query.tools
    if query.generative:
        conditions.append(
            "EXISTS (SELECT 1 FROM json_each(spans.attributes) AS g WHERE g.key GLOB 'gen_ai.*')"
        )
    _add_attributes(query.attributes, conditions, arguments)
    return conditions, arguments


def _add_attributes(
    wanted: Sequence[tuple[str, str]], conditions: list[str], arguments: list[Any]
) -> None:
    for name, value in wanted:
        conditions.append(
            "(EXISTS (SELECT 1 FROM json_each(attributes) AS a WHERE a.key = ? AND a.value = ?)"
            " OR EXISTS (SELECT 1 FROM json_each(resource) AS r WHERE r.key = ? AND r.value = ?))"
        )
        arguments += [name, value, name, value]
