"""Line charts over time as SVG text, to stand inside an HTML page. Pure; no library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

WIDTH, HEIGHT = 960, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 10, 34
_COLOURS = ("#2563eb", "#ea580c", "#16a34a", "#dc2626", "#9333ea", "#0891b2", "#a16207", "#db2777")

Point = tuple[float, float | None]
"""Seconds since the beginning, and a value; None: a gap in the line."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line."""

    name: str
    points: Sequence[Point]
    is_step: bool = False
    """The value holds until the next point, as a count of replicas does."""


def ticks(top: float, *, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least `top`, at even distances."""
    if top <= 0 or not math.isfinite(top):
        return [0.0, 1.0]
    rough = top / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    return [index * step for index in range(math.ceil(top / step * (1 - 1e-9)) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten from at most `low` to at least `high`, both above 0."""
    first = math.floor(math.log10(low) + 1e-9)
    last = max(math.ceil(math.log10(high) - 1e-9), first + 1)
    return [10.0**power for power in range(first, last + 1)]


def line_chart(title: str, series: Sequence[Series], *, end_s: float, is_log: bool = False) -> str:
    """A chart of several lines with a legend.

    Args:
        title: What is drawn, with its unit.
        series: The lines; those without a value are only in the legend.
        end_s: Right end of the time axis, which begins at 0.
        is_log: A logarithmic axis; values of 0 and below are gaps.
    """
    values = [y for one in series for _, y in one.points if y is not None and (y > 0 or not is_log)]
    if is_log:
        marks = decades(min(values), max(values)) if values else [1.0, 10.0]
    else:
        marks = ticks(max(values, default=0.0))
    scale = _Scale(end_s=max(end_s, 1.0), low=marks[0], high=marks[-1], is_log=is_log)
    drawn = [_grid(marks, scale)]
    for index, one in enumerate(series):
        colour = _COLOURS[index % len(_COLOURS)]
        drawn += [
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>'
            for points in _pieces(one, scale)
        ]
    legend = "".join(
        f'<span><i style="background:{_COLOURS[index % len(_COLOURS)]}"></i>{escape(one.name)}'
        "</span>"
        for index, one in enumerate(series)
    )
    return (
        f'<figure><figcaption><b>{escape(title)}</b><span class="legend">{legend}</span>'
        f'</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(drawn)}</svg></figure>'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """From values to places."""

    end_s: float
    low: float
    high: float
    is_log: bool

    def x(self, at_s: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * at_s / self.end_s

    def y(self, value: float) -> float:
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = (math.log10(v) for v in (value, low, high))
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    def has(self, value: float | None) -> bool:
        return value is not None and (value > 0 or not self.is_log)


def _pieces(series: Series, scale: _Scale) -> list[str]:
    """The line's unbroken pieces; one alone gets a little length, to be seen at all."""
    found = []
    for there, group in groupby(series.points, lambda point: scale.has(point[1])):
        if not there:
            continue
        places = [(scale.x(x), scale.y(y)) for x, y in group if y is not None]
        if series.is_step:
            steps = (((x, before), (x, y)) for (_, before), (x, y) in pairwise(places))
            places = [places[0], *(place for step in steps for place in step)]
        if len(places) == 1:
            places.append((places[0][0] + 2, places[0][1]))
        found.append(" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
    return found


def _grid(marks: Sequence[float], scale: _Scale) -> str:
    parts = []
    for mark in marks:
        y = scale.y(mark)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mark:,g}</text>'
        )
    parts += [
        f'<text x="{scale.x(mark):.1f}" y="{HEIGHT - _BOTTOM + 18}" '
        f'text-anchor="middle">{mark:g} s</text>'
        for mark in ticks(scale.end_s, most=10)
        if mark <= scale.end_s
    ]
    return "".join(parts)
