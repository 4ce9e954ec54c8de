"""The demo's report as one HTML file that needs nothing else. Pure."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

from controlplane.demo.report import (
    Story,
    cold_start_s,
    final_replicas,
    max_ready,
    milliseconds,
    phase_summary,
    problems,
    quantile,
    timed_changes,
)
from controlplane.model.explain import REASONS

_STYLE = """
:root { color-scheme: light dark; --fg: #111827; --bg: #ffffff; --soft: #6b7280; --line: #e5e7eb;
  --good: #15803d; --bad: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --fg: #e5e7eb; --bg: #0f172a; --soft: #94a3b8;
  --line: #334155; --good: #4ade80; --bad: #f87171 } }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: var(--fg);
  background: var(--bg); font: 16px/1.5 system-ui, sans-serif }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
.verdict { font-size: 1.2rem; margin-top: .3rem } .good { color: var(--good) }
.bad { color: var(--bad) }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0 }
.facts div { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem }
.facts b { display: block; font-size: 1.4rem; font-weight: 600 } .facts span { color: var(--soft) }
img { width: 100%; height: auto; background: #fff; border-radius: .5rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto }
"""


def page(story: Story, png: bytes) -> str:
    """The whole page.

    Args:
        story: What was seen.
        png: The timeline, embedded.
    """
    image = base64.b64encode(png).decode("ascii")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidegate demo</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Tidegate demo</h1>
{_verdict(problems(story))}
{_facts(story)}
<h2>Timeline</h2>
<img alt="Requests per second, load, replicas and response times over time"
 src="data:image/png;base64,{image}">
<h2>Phases</h2>
{_phases(story)}
<h2>Decisions that changed the number of replicas</h2>
{_decisions(story)}
<p>Response times count from the moment a request was meant to be sent, to the last byte of its
answer. Load is what is in flight and what waits in the gateways.</p>
</body>
</html>
"""


def _verdict(found: Sequence[str]) -> str:
    if not found:
        return (
            '<p class="verdict good">Every request was answered; replicas rose with the traffic '
            "and went back to zero.</p>"
        )
    items = "".join(f"<li>{escape(problem)}</li>" for problem in found)
    return f'<div class="verdict bad">Not as it should be:<ul>{items}</ul></div>'


def _facts(story: Story) -> str:
    seconds = [outcome.seconds for outcome in story.outcomes if not outcome.failed]
    facts = [
        ("requests sent", f"{story.sent:,}"),
        ("failed", f"{story.sent - len(seconds):,}"),
        ("started, as the gateways count", f"{story.started:,}"),
        ("first request's wait", f"{_shown(cold_start_s(story))} s"),
        ("most replicas ready", str(max_ready(story))),
        ("replicas at the end", str(final_replicas(story))),
        ("median response time", f"{_shown(milliseconds(quantile(seconds, 0.5)))} ms"),
        ("95th percentile", f"{_shown(milliseconds(quantile(seconds, 0.95)))} ms"),
    ]
    cells = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in facts
    )
    return f'<div class="facts">{cells}</div>'


def _phases(story: Story) -> str:
    headers = ["phase", "from s", "to s", "requests", "failed", "p50 ms", "p95 ms"]
    headers += ["most queued", "most ready"]
    keys = ["name", "start_s", "end_s", "requests", "failed", "p50_ms", "p95_ms", "max_queued"]
    keys += ["max_ready_replicas"]
    lines = [phase_summary(story, phase) for phase in story.phases]
    return _table(headers, ([_shown(line[key]) for key in keys] for line in lines), text=1)


def _decisions(story: Story) -> str:
    rows = [
        [
            decision.reason.value,
            REASONS[decision.reason],
            f"{at_s:.1f}",
            str(decision.previous_replicas),
            str(decision.replicas),
        ]
        for at_s, decision in timed_changes(story)
    ]
    return _table(["reason", "in words", "at s", "from", "to"], rows, text=2)


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


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
