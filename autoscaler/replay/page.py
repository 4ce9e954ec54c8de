"""A comparison as one HTML file that needs nothing else. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import Any, Final

from autoscaler.replay.comparison import Comparison
from autoscaler.replay.drawing import Line, chart, clock, shown
from autoscaler.replay.outcome import Outcome, Row
from autoscaler.replay.report import QUANTILES, coarser, shown_columns, so_far, summary

POINTS: Final = 600
"""Points of a line."""
TABLE_ROWS: Final = 120
"""Rows of the data table per scaler."""

_STYLE: Final = """
:root { color-scheme: light dark; --fg: #111827; --bg: #ffffff; --soft: #4b5563; --line: #e5e7eb;
  --c0: #1d4ed8; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #b91c1c; --c5: #0e7490;
  --grey: #9ca3af }
@media (prefers-color-scheme: dark) { :root { --fg: #e5e7eb; --bg: #0f172a; --soft: #9ca3af;
  --line: #334155; --c0: #60a5fa; --c1: #fb923c; --c2: #4ade80; --c3: #c084fc; --c4: #f87171;
  --c5: #22d3ee } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--fg);
  background: var(--bg); font: 16px/1.5 system-ui, sans-serif }
h1 { margin-bottom: 0 } h2 { margin-top: 2.2rem } code { overflow-wrap: anywhere }
.soft { color: var(--soft) }
svg { width: 100%; height: auto; margin: .4rem 0 } .grid { stroke: var(--line); fill: none }
.line { fill: none; stroke-width: 1.6 } .area { opacity: .15 }
text { fill: var(--soft); font: 12px system-ui, sans-serif }
text.title { fill: var(--fg); font-size: 14px; font-weight: 600 }
.key span { display: inline-block; margin-right: 1.2rem }
.key i { display: inline-block; width: 1.4rem; height: .25rem; margin-right: .4rem;
  vertical-align: middle }
table { border-collapse: collapse; width: 100% }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap }
th { vertical-align: bottom; white-space: normal }
th:first-child, td:first-child { text-align: left }
.wide { overflow-x: auto } summary { cursor: pointer; margin: .6rem 0 }
"""

_ROW_NAMES: Final = {
    "at": "at",
    "arrivals": "arrivals",
    "demand": "mean load",
    "wanted": "wanted",
    "ready": "ready",
    "max_queued": "most queued",
    "cold": "cold",
    "refused": "503, 504",
    "wait_p50": "wait p50 s",
    "wait_p95": "wait p95 s",
    "wait_p99": "wait p99 s",
}


def page(comparison: Comparison, *, command: str) -> str:
    """The whole page.

    Args:
        comparison: What was found.
        command: The command line that makes it again.
    """
    outcomes = comparison.outcomes
    summaries = [summary(outcome, comparison.world) for outcome in outcomes]
    title = f"Simulation of {comparison.trace.name}"
    first = summaries[0]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="soft">{first["requests"]:,} requests in {clock(round(first["duration_s"]))},
seed {comparison.seed}. Made by <code>{escape(command)}</code></p>
<h2>Totals</h2>
{_totals(summaries)}
<p class="soft">Waiting is from a request's arrival until a replica works on it. Cold: had to wait
because no replica was ready. 503: queue full. 504: waited too long. Cut: lost with a replica whose
drain took too long. Replica-hours count from a replica's start to its end.</p>
<h2>Over time</h2>
{_key(outcomes)}
{_charts(outcomes)}
<h2>Data</h2>
{_data(outcomes)}
</body>
</html>
"""


def _totals(summaries: Sequence[dict[str, Any]]) -> str:
    columns = shown_columns(summaries)
    rows = [[cell(one[key]) for key in columns] for one in summaries]
    return _table(list(columns.values()), rows)


def cell(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return shown(value) if isinstance(value, float) else str(value)


def _key(outcomes: Sequence[Outcome]) -> str:
    items = "".join(
        f'<span><i style="background:var(--c{index % 6})"></i>{escape(outcome.scaler)}</span>'
        for index, outcome in enumerate(outcomes)
    )
    return f'<p class="key">{items}</p>'


def _charts(outcomes: Sequence[Outcome]) -> str:
    end_s = max(outcome.duration_s for outcome in outcomes)
    timelines = [coarser(outcome.timeline.rows, POINTS) for outcome in outcomes]

    def lines(value: Callable[[Row], float | None], **how: bool) -> list[Line]:
        return [
            Line(
                name=outcome.scaler,
                colour=index % 6,
                at_s=[row.at_s for row in rows],
                values=[value(row) for row in rows],
                **how,
            )
            for index, (outcome, rows) in enumerate(zip(outcomes, timelines, strict=True))
        ]

    def totals(value: Callable[[Row], int]) -> list[Line]:
        return [
            replace(line, values=so_far(rows, value))
            for line, rows in zip(lines(lambda row: 0.0), timelines, strict=True)
        ]

    demand = lines(lambda row: row.arrivals / row.length_s if row.length_s else 0.0, filled=True)
    wanted = lines(lambda row: float(row.wanted), dashed=True)
    ready = lines(lambda row: float(row.ready), filled=True)
    most = max((v for line in [*wanted, *ready] for v in line.values if v is not None), default=0.0)
    charts = [
        chart("Requests per second", demand[:1], end_s=end_s),
        chart("Load: requests in flight and waiting, mean", lines(lambda r: r.demand), end_s=end_s),
        # One each: steps of several scalers on top of each other cannot be told apart.
        *(
            chart(
                f"Replicas of {line.name}: ready; dashed: wanted",
                [line, dashes],
                end_s=end_s,
                highest=most,
            )
            for line, dashes in zip(ready, wanted, strict=True)
        ),
        chart(
            "Most requests waiting in the gateway",
            lines(lambda row: float(row.max_queued)),
            end_s=end_s,
        ),
        chart(
            "Cold so far: requests for which none was ready", totals(lambda r: r.cold), end_s=end_s
        ),
        chart("Answered 503 or 504 so far", totals(lambda r: r.refused), end_s=end_s),
        *(
            chart(
                f"Waiting time, {q * 100:g} % of requests waited less, seconds",
                lines(_waited(q)),
                end_s=end_s,
            )
            for q in QUANTILES
        ),
    ]
    return "\n".join(charts)


def _waited(q: float) -> Callable[[Row], float | None]:
    return lambda row: row.waited_s(q)


def _data(outcomes: Sequence[Outcome]) -> str:
    parts = []
    for outcome in outcomes:
        rows = [
            [
                clock(round(row.at_s)),
                cell(row.arrivals),
                cell(row.demand),
                cell(row.wanted),
                cell(row.ready),
                cell(row.max_queued),
                cell(row.cold),
                cell(row.refused),
                *(cell(row.waited_s(q)) for q in QUANTILES),
            ]
            for row in coarser(outcome.timeline.rows, TABLE_ROWS)
        ]
        table = _table(list(_ROW_NAMES.values()), rows)
        parts.append(
            f"<details><summary>{escape(outcome.scaler)}: {len(rows)} stretches</summary>"
            f"{table}</details>"
        )
    return "\n".join(parts)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
