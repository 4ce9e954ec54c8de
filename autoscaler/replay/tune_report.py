"""What tuning found: as a table's rows, JSON, a picture and a page."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from autoscaler.replay.drawing import nice_ceiling, shown
from autoscaler.replay.tune import Advice, Content, Tried

KNOB_NAMES: Final = {
    "target": "target",
    "scaleDownDelaySeconds": "down\ndelay s",
    "maxScaleDownRate": "down\nrate",
    "panicWindowRatio": "panic\nwindow",
    "panicThreshold": "panic\nat",
    "scaleUpDelaySeconds": "up\ndelay s",
    "toleranceRatio": "tolerance",
    "cooldownPeriodMinutes": "cooldown\nmin",
}
"""Settings as the table's columns call them."""

_RESULTS: Final = (
    "replica\nhours",
    "mean\nwait s",
    "wait\np95 s",
    "delayed",
    "cold",
    "failed",
    "starts",
)

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 900, 420, 70, 46, 16, 16
_STYLE: Final = """
:root { color-scheme: light dark; --fg: #111827; --bg: #fff; --soft: #4b5563; --line: #e5e7eb;
  --c0: #1d4ed8; --c1: #c2410c }
@media (prefers-color-scheme: dark) { :root { --fg: #e5e7eb; --bg: #0f172a; --soft: #9ca3af;
  --line: #334155; --c0: #60a5fa; --c1: #fb923c } }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: var(--fg);
  background: var(--bg); font: 16px/1.5 system-ui, sans-serif }
.soft { color: var(--soft) } svg { width: 100%; height: auto } text { fill: var(--soft);
  font: 12px system-ui, sans-serif } code, pre { overflow-wrap: anywhere; white-space: pre-wrap }
table { border-collapse: collapse; width: 100% } .wide { overflow-x: auto }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left } tr.best { font-weight: 600 }
"""


def named(tried: Tried) -> str:
    """The settings in words."""
    values = ", ".join(f"{name} {value:g}" for name, value in tried.values.items())
    return values or "as it is"


def columns(tried: Sequence[Tried]) -> tuple[str, ...]:
    """Heads of the table: every setting that was moved, then what came of it."""
    return (*(title for _, title in _moved(tried)), *_RESULTS)


def rows(shown_ones: Sequence[Tried], tried: Sequence[Tried]) -> list[tuple[str, ...]]:
    """Lines of the table; a setting that is as in the given policy is a dot."""
    return [
        (
            *(f"{one.values[key]:g}" if key in one.values else "." for key, _ in _moved(tried)),
            *_results(one),
        )
        for one in shown_ones
    ]


def _moved(tried: Sequence[Tried]) -> list[tuple[str, str]]:
    moved = {name for one in tried for name in one.values}
    return [(key, title) for key, title in KNOB_NAMES.items() if key in moved]


def _results(one: Tried) -> tuple[str, ...]:
    result = one.result
    return (
        shown(one.hours),
        shown(one.wait_s),
        "-" if result["wait_p95_s"] is None else shown(result["wait_p95_s"]),
        f"{result['delayed']:,}",
        f"{one.cold:,}",
        f"{result['failed']:,}",
        f"{result['starts']:,}",
    )


def as_json(
    tried: Sequence[Tried], advice: Advice, policy: Content, *, trace: str, seed: int, command: str
) -> dict[str, Any]:
    """Everything that was tried, the front by its places in it, and the recommended policy."""
    place = {id(one): index for index, one in enumerate(tried)}
    return {
        "trace": trace,
        "seed": seed,
        "command": command,
        "tried": [_plain(one) for one in tried],
        "front": [place[id(one)] for one in advice.front],
        "recommended": place[id(advice.best)],
        "why": list(advice.why),
        "policy": policy,
    }


def _plain(one: Tried) -> Mapping[str, Any]:
    return {"values": dict(one.values), "mean_wait_s": round(one.wait_s, 6), **one.result}


def png(tried: Sequence[Tried], advice: Advice, *, title: str) -> bytes:
    """Waiting and cold starts against replica-hours, as a PNG file's content."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    waiting, cold = figure.subplots(1, 2, sharex=True)
    for axes, cost, name in (
        (waiting, 0, "mean wait, s"),
        (cold, 1, "requests that met no ready replica"),
    ):
        axes.scatter(
            [one.hours for one in tried], [one.costs[cost] for one in tried], s=14, color="#9ca3af"
        )
        axes.plot(
            [one.hours for one in advice.front],
            [one.costs[cost] for one in advice.front],
            "o",
            ms=5,
            color="#1d4ed8",
            label="front",
        )
        for one, mark, label in (
            (advice.best, "*", "recommended"),
            (tried[0], "x", "as it is"),
        ):
            axes.plot(one.hours, one.costs[cost], mark, ms=12, color="#c2410c", label=label)
        axes.set_xlabel("replica-hours")
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": "tidegate"})
    return buffer.getvalue()


def page(tried: Sequence[Tried], advice: Advice, policy: str, *, title: str, command: str) -> str:
    """One HTML page that needs nothing else.

    Args:
        tried: The policy as it is first.
        advice: What to take.
        policy: The recommended policy file.
        title: Above.
        command: The command line that makes it again.
    """
    listed = (tried[0], *(one for one in advice.front if one is not tried[0]))
    lines = "".join(
        f"<tr{' class=best' if one is advice.best else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for one, cells in zip(listed, rows(listed, tried), strict=True)
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in columns(tried))
    why = "".join(f"<li>{escape(reason)}</li>" for reason in advice.why)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head>
<body><h1>{escape(title)}</h1>
<p class="soft">Made by <code>{escape(command)}</code></p>
<h2>Recommended</h2><ul>{why}</ul><pre>{escape(policy)}</pre>
<h2>Mean waiting against replica-hours</h2>
{_scatter(tried, advice)}
<p class="soft">Grey: all that was tried. Blue: the front, better than all others in waiting, cold
starts or replica-hours. Orange: recommended (large), and the policy as it is (ring). A failed
request counts as having waited 300 s.</p>
<h2>The front, cheapest first</h2>
<div class="wide"><table><tr>{head}</tr>{lines}</table></div>
<p class="soft">The first line is the policy as it is; a dot: as it has it.</p>
</body></html>
"""


def _scatter(tried: Sequence[Tried], advice: Advice) -> str:
    far = nice_ceiling(max(one.hours for one in tried))
    high = nice_ceiling(max(one.wait_s for one in tried))

    def spot(one: Tried, radius: float, style: str) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * one.hours / far
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * one.wait_s / high
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" style="{style}">'
            f"<title>{escape(named(one))}: {shown(one.hours)} replica-hours, mean wait"
            f" {shown(one.wait_s)} s</title></circle>"
        )

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        ' aria-label="mean waiting against replica-hours">',
    ]
    for i in range(5):
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * i / 4
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * i / 4
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" style="stroke:var(--line)"/>'
            f'<text text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">'
            f"{shown(high * i / 4)} s</text>"
            f'<text text-anchor="middle" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}">'
            f"{shown(far * i / 4)}</text>"
        )
    parts.append(
        f'<text text-anchor="middle" x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}">replica-hours</text>'
    )
    parts += [spot(one, 3, "fill:var(--soft);opacity:.45") for one in tried]
    parts += [spot(one, 4.5, "fill:var(--c0)") for one in advice.front]
    parts.append(spot(tried[0], 7, "fill:none;stroke:var(--c1);stroke-width:2"))
    parts.append(spot(advice.best, 8, "fill:var(--c1)"))
    return "".join([*parts, "</svg>"])
