"""The fronts as one picture: a panel per scenario, a line per contender. Plain SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from loadtests.charts import decades, ticks
from loadtests.scaling.contenders import CONTENDERS
from loadtests.scaling.verdicts import Point, points

COLUMNS: Final = 2
_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 30, 40
_HEAD: Final = 64

STYLES: Final[Mapping[str, str]] = {
    "tidegate": "stroke:#0b5394;stroke-width:2.4",
    "knative": "stroke:#e69138;stroke-dasharray:6 3",
    "knative-patient": "stroke:#b45f06",
    "hpa": "stroke:#6aa84f",
    "hpa-cpu": "stroke:#38761d",
    "keda": "stroke:#a64d79",
}


def chart(result: Mapping[str, Any]) -> str:
    """The picture of a result; of several seeds the first."""
    seed = str(result["seeds"][0])
    panels = [
        _panel(name, seeds[seed], x=(i % COLUMNS) * _WIDTH, y=_HEAD + (i // COLUMNS) * _HEIGHT)
        for i, (name, seeds) in enumerate(result["scenarios"].items())
    ]
    width = COLUMNS * _WIDTH
    height = _HEAD + -(-len(panels) // COLUMNS) * _HEIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            _text(
                14,
                18,
                "Delayed requests (logarithmic) against replica-hours: lower and left is better",
            ),
            *_legend(),
            *panels,
            "</svg>",
            "",
        ]
    )


def _legend() -> list[str]:
    parts = []
    for i, contender in enumerate(CONTENDERS):
        x, y = 14 + (i % 4) * 225, 34 + (i // 4) * 17
        style = STYLES[contender.name]
        parts.append(f'<path d="M{x} {y}h24" style="fill:none;stroke-width:1.6;{style}"/>')
        parts.append(_text(x + 30, y + 4, contender.name))
    return parts


def _panel(name: str, runs: Mapping[str, Sequence[Mapping[str, Any]]], *, x: int, y: int) -> str:
    fronts = {contender: points(of) for contender, of in runs.items()}
    shown = [point for line in fronts.values() for point in line]
    across = ticks(max(hours for hours, _ in shown))
    # Logarithmic: the fronts are compared by ratios. Nothing delayed is drawn as one request.
    up = decades(1.0, max(2.0, *(delayed for _, delayed in shown)))

    def place(point: Point) -> tuple[float, float]:
        inner_x, inner_y = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return (
            x + _LEFT + inner_x * point[0] / across[-1],
            y + _HEIGHT - _BOTTOM - inner_y * math.log(max(1.0, point[1])) / math.log(up[-1]),
        )

    parts = [_text(x + _LEFT, y + 18, name, bold=True)]
    for mark in up:
        left, level = place((0.0, mark))
        parts.append(f'<path d="M{left:.1f} {level:.1f}H{x + _WIDTH - _RIGHT}" stroke="#e0e0e0"/>')
        parts.append(_text(left - 6, level + 4, f"{mark:,.0f}", anchor="end"))
    for mark in across:
        mark_x, base = place((mark, 1.0))
        parts.append(_text(mark_x, base + 16, f"{mark:g}", anchor="middle"))
    middle_x, base = place((across[-1] / 2, 1.0))
    parts.append(_text(middle_x, base + 32, "replica-hours", anchor="middle"))
    for contender, line in fronts.items():
        style = f"fill:none;stroke-width:1.6;{STYLES[contender]}"
        spots = [place(point) for point in line]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in spots)
        parts.append(f'<polyline points="{path}" style="{style}"/>')
        parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.4" style="{style};stroke-dasharray:none"/>'
            for px, py in spots
        ]
    return "\n".join(parts)


def _text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'
