"""A run's results as one HTML file that needs nothing else. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

from loadtests.recording import PARTS, Recorder, requests_of, together
from loadtests.report import QUANTILES, Report, State
from loadtests.results_plots import kind_order, plots

_FULL_RATIO = 0.9
_LATE_MS = 100.0
"""People notice it, timers do not."""


def page(report: Report) -> str:
    """The whole page."""
    recorder = report.recorder
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test of {escape(report.url)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Load test</h1>
<p>{escape(report.url)}, {escape(report.began)}</p>
{_verdict(report)}
{_facts(recorder, report)}
{"".join(plots(report))}
<h2>Requests</h2>
{_requests(recorder)}
<h2>Errors</h2>
{_errors(recorder)}
<h2>Parameters</h2>
{_table(["option", "value"], [(k, str(v)) for k, v in report.options.items()], text=2)}
<h2>Versions</h2>
{_table(["what", "version"], report.versions.items(), text=2)}
<p>{escape(_HOW[report.is_open])} Failed requests are among the response times. FIRST and GAP are
parts of a stream (time to the first piece, between two pieces), OPEN and ECHO of a WebSocket
(handshake, round trip); they are no requests of their own. Quantiles are exact to 1 %.</p>
</body>
</html>
"""


_HOW = {
    True: "Open loop: response times count from the moment a request was due, so waiting for a "
    "free user is part of them; lateness says how much of it.",
    False: "Closed loop: a user sends its next request after its last answer. While the service "
    "is slow fewer requests are sent, and those that would have waited are not measured "
    "(coordinated omission): high quantiles are too good. --shape rate measures them.",
}


def _verdict(report: Report) -> str:
    recorder = report.recorder
    total = requests_of(recorder.kinds)
    planned = "" if report.planned_s is None else f" of {report.planned_s:g}"
    words = {
        State.FINISHED: f"Finished after {recorder.last_s:.1f} s.",
        State.INTERRUPTED: f"Interrupted after {recorder.length_s}{planned} s: the numbers are "
        "true, but not of the whole test.",
        State.RUNNING: f"Running, {recorder.length_s}{planned} s so far. If no load test runs any "
        "more, this one was killed, and this is what it knew last.",
    }
    problems = []
    if total.failed:
        problems.append(f"{total.failed:,} of {total.count:,} requests failed.")
    if report.state != State.RUNNING and recorder.unfinished:
        problems.append(f"{recorder.unfinished:,} requests were still unanswered at the end.")
    if not total.count:
        problems.append("No request has ended.")
    if report.busy_ratio > _FULL_RATIO:
        problems.append("The load generator's core was full: its times are not the service's.")
    late_ms = together(recorder.lateness.values()).quantile(0.99)
    if late_ms is not None and late_ms > _LATE_MS:
        problems.append("Requests went out late: all users were busy, or the load generator was.")
    good = report.state != State.INTERRUPTED and not problems
    text = " ".join([words[report.state], *problems])
    return f'<p class="verdict {"good" if good else "bad"}">{escape(text)}</p>'


def _facts(recorder: Recorder, report: Report) -> str:
    total = requests_of(recorder.kinds)
    facts = [
        ("requests sent", f"{recorder.started:,}"),
        ("failed", f"{total.failed:,}"),
        ("unanswered", f"{recorder.unfinished:,}"),
        ("requests/s", f"{total.count / recorder.last_s:,.1f}" if total.count else "-"),
    ]
    if sum(kind not in PARTS for kind, _ in recorder.kinds) == 1:
        # Of a stream and a small answer together, a quantile says nothing.
        facts += [(f"{q} ms", _ms(total.durations.quantile(v))) for q, v in QUANTILES.items()]
        facts.append(("longest ms", _ms(total.durations.max_ms)))
    facts.append(("load generator's core", f"{report.busy_ratio:.0%}"))
    if report.is_open:
        late = together(recorder.lateness.values()).quantile(0.99)
        facts.append(("lateness, p99 ms", _ms(late)))
    cold = together(recorder.cold.values())
    if cold.count:
        facts.append(("held for a cold start", f"{cold.count:,}"))
        facts.append(("longest hold ms", _ms(cold.max_ms)))
    cells = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in facts
    )
    return f'<div class="facts">{cells}</div>'


def _requests(recorder: Recorder) -> str:
    headers = ["type", "name", "count", "failed", "mean ms", *(f"{q} ms" for q in QUANTILES), "max"]
    kinds = sorted(recorder.kinds.items(), key=lambda item: kind_order(item[0]))
    rows = [
        [
            *kind,
            f"{cell.count:,}",
            f"{cell.failed:,}",
            _ms(cell.durations.mean_ms),
            *(_ms(cell.durations.quantile(q)) for q in QUANTILES.values()),
            _ms(cell.durations.max_ms),
        ]
        for kind, cell in kinds
    ]
    return _table(headers, rows, text=2)


def _errors(recorder: Recorder) -> str:
    rows = [
        [code, *kind, f"{times:,}"]
        for kind, cell in sorted(recorder.kinds.items())
        for code, times in cell.errors.most_common()
    ]
    return _table(["code", "type", "name", "times"], rows, text=3) if rows else "<p>None.</p>"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, text: int) -> str:
    """A table whose first `text` columns are words and the others numbers."""

    def cells(values: Sequence[str], tag: str) -> str:
        kinds = ["" if index < text else ' class="n"' for index in range(len(values))]
        return "".join(
            f"<{tag}{kind}>{escape(value)}</{tag}>"
            for kind, value in zip(kinds, values, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{cells(headers, "th")}</tr>{body}</table></div>'


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_STYLE = """
:root { color-scheme: light dark; --fg: #111827; --bg: #ffffff; --soft: #6b7280; --line: #e5e7eb;
  --good: #15803d; --bad: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --fg: #e5e7eb; --bg: #0f172a; --soft: #94a3b8;
  --line: #334155; --good: #4ade80; --bad: #f87171 } }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: var(--fg);
  background: var(--bg); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
.verdict { font-size: 1.2rem } .good { color: var(--good) } .bad { color: var(--bad) }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0 }
.facts div { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem }
.facts b { display: block; font-size: 1.3rem; font-weight: 600 } .facts span { color: var(--soft) }
figure { margin: 2rem 0 } figcaption { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }
.legend span { margin-right: 1rem; color: var(--soft) }
.legend i { display: inline-block; width: 1.1em; height: .25em; margin-right: .4em;
  vertical-align: middle }
svg { width: 100%; height: auto } svg text { fill: var(--soft); font-size: 12px }
svg .grid { stroke: var(--line) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto }
"""
