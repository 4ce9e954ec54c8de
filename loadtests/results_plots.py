"""The plots of a run's page. Pure."""

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil

from loadtests.charts import Series, line_chart
from loadtests.recording import PARTS, Cell, Kind, Recorder, requests_of, together
from loadtests.report import QUANTILES, Report

_MOST_POINTS = 240


def plots(report: Report) -> Iterator[str]:
    """One after the other, as HTML."""
    recorder = report.recorder
    end_s = recorder.length_s
    width = max(1, ceil(end_s / _MOST_POINTS))
    bins = [range(start, min(start + width, end_s)) for start in range(0, end_s, width)]
    kinds = [(_middle(part), recorder.by_kind(part), len(part)) for part in bins]
    totals = [(at, requests_of(cells), n) for at, cells, n in kinds]

    def chart(title: str, series: Sequence[Series], *, is_log: bool = False) -> str:
        return line_chart(title, series, end_s=end_s, is_log=is_log)

    yield chart(
        "Requests that ended, per second",
        [
            Series("all", [(at, cell.count / n) for at, cell, n in totals]),
            Series("failed", [(at, cell.failed / n) for at, cell, n in totals]),
        ],
    )
    for kind in sorted(recorder.kinds, key=kind_order):
        lines = [
            Series(name, [(at, _quantile(cells.get(kind), q)) for at, cells, _ in kinds])
            for name, q in QUANTILES.items()
        ]
        yield chart(f"{kind[0]} {kind[1]}: time, ms", lines, is_log=True)
    codes = [code for code, _ in requests_of(recorder.kinds).errors.most_common(8)]
    if codes:
        yield chart(
            "Errors per second, by code",
            [
                Series(code, [(at, cell.errors[code] / n) for at, cell, n in totals])
                for code in codes
            ],
        )
    if report.is_open:
        yield chart("Sent later than due, ms", _late(recorder, bins))
    yield chart(
        "Users",
        [Series("users", [(at, float(n)) for at, n in sorted(recorder.users.items())], True)],
    )
    yield _replicas(report)


def kind_order(kind: Kind) -> tuple[bool, Kind]:
    """Requests first, then their parts."""
    return kind[0] in PARTS, kind


def _quantile(cell: Cell | None, q: float) -> float | None:
    return None if cell is None else cell.durations.quantile(q)


def _late(recorder: Recorder, bins: Sequence[range]) -> list[Series]:
    parts = [
        (_middle(part), together(recorder.lateness[s] for s in part if s in recorder.lateness))
        for part in bins
    ]
    return [
        Series(name, [(at, durations.quantile(q)) for at, durations in parts])
        for name, q in {"p50": 0.5, "p99": 0.99}.items()
    ]


def _replicas(report: Report) -> str:
    samples = report.recorder.replicas
    if not samples:
        why = report.replica_problem or "the API was not asked yet"
        return f"<p>No replicas are shown: {escape(why)}.</p>"
    wanted = [(s.at_s, None if s.wanted is None else float(s.wanted)) for s in samples]
    series = [
        Series("ready", [(s.at_s, float(s.ready)) for s in samples], is_step=True),
        Series("wanted", wanted, is_step=True),
    ]
    chart = line_chart("Replicas", series, end_s=report.recorder.length_s)
    problem = report.replica_problem
    return chart + (f"<p>Not all the time: {escape(problem)}.</p>" if problem else "")


def _middle(part: range) -> float:
    return part.start + len(part) / 2
