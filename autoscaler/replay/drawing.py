"""Line charts as SVG that fits light and dark pages: colours come from the page's style. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 1000
HEIGHT: Final = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 26, 24
_TICKS: Final = 4
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: a value per stretch of time."""

    name: str
    colour: int
    """Index of the page's `--c0`, `--c1`, ..."""
    at_s: Sequence[float]
    values: Sequence[float | None]
    """None: nothing is known there, and the line has a gap."""
    dashed: bool = False
    filled: bool = False


def chart(title: str, lines: Sequence[Line], *, end_s: float, highest: float = 0.0) -> str:
    """A chart with steps, an axis of time below and one of values on the left.

    Args:
        title: Above it.
        lines: Drawn in order.
        end_s: The end of the time axis.
        highest: What the axis of values must reach at least: for charts to be compared.
    """
    values = (v for line in lines for v in line.values if v is not None)
    top = nice_ceiling(max([highest, *values]))
    end_s = end_s or 1.0
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="{_LEFT}" y="15">{escape(title)}</text>',
    ]
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="tick" text-anchor="end" x="{_LEFT - 6}" y="{y + 4:.1f}">'
            f"{shown(value)}</text>"
        )
    parts += [
        f'<text class="tick" text-anchor="middle" x="{_x(at_s, end_s):.1f}" y="{HEIGHT - 6}">'
        f"{clock(at_s)}</text>"
        for at_s in time_ticks(end_s)
    ]
    for line in lines:
        parts += _drawn(line, top=top, end_s=end_s)
    return "".join([*parts, "</svg>"])


def time_ticks(end_s: float, *, most: int = 9) -> list[float]:
    """Round moments on the axis of time."""
    step_s = next((s for s in _STEPS_S if end_s / s < most), None)
    if step_s is None:
        step_s = math.ceil(end_s / most / _DAY_S) * int(_DAY_S)
    return [float(at_s) for at_s in range(0, int(end_s) + 1, step_s)]


def clock(at_s: float) -> str:
    """A moment of the trace as people read it: `45s`, `12m`, `3h`, `2d`."""
    if at_s and at_s % _DAY_S == 0:
        return f"{at_s / _DAY_S:g}d"
    if at_s >= _HOUR_S and at_s % _MINUTE_S == 0:
        hours, rest = divmod(at_s, _HOUR_S)
        return f"{hours:g}h" if not rest else f"{hours:g}h{rest / _MINUTE_S:02.0f}"
    if at_s >= _MINUTE_S:
        minutes, rest = divmod(at_s, _MINUTE_S)
        return f"{minutes:g}m" if not rest else f"{minutes:g}m{rest:02.0f}"
    return f"{at_s:g}s"


def nice_ceiling(value: float) -> float:
    """The axis' end: 1, 2, 4, 5 or 8 times a power of ten, at least the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= value)


def shown(value: float) -> str:
    """A number in a chart or table: at most four figures that matter."""
    if value and abs(value) >= 1000:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _drawn(line: Line, *, top: float, end_s: float) -> list[str]:
    path: list[str] = []
    pen_down = False
    for index, (at_s, value) in enumerate(zip(line.at_s, line.values, strict=True)):
        if value is None:
            pen_down = False
            continue
        until_s = line.at_s[index + 1] if index + 1 < len(line.at_s) else end_s
        x, y = _x(at_s, end_s), _y(value, top)
        path.append(f"V{y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}")
        path.append(f"H{_x(until_s, end_s):.1f}")
        pen_down = True
    if not path:
        return []
    drawn = "".join(path)
    style = f"stroke:var(--c{line.colour})"
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    parts = []
    if line.filled:
        base = _y(0, top)
        area = f"{drawn}V{base:.1f}H{_LEFT}Z"
        parts.append(f'<path class="area" style="fill:var(--c{line.colour})" d="{area}"/>')
    parts.append(
        f'<path class="line" style="{style}"{dashes} d="{drawn}">'
        f"<title>{escape(line.name)}</title></path>"
    )
    return parts


def _x(at_s: float, end_s: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(1.0, at_s / end_s)


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top
