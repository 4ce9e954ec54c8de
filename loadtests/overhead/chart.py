"""The result as one picture: a panel per case, a bar per proxy. Plain SVG."""

from collections.abc import Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from loadtests.overhead.ours import NAME
from loadtests.overhead.report import number

Json = Mapping[str, Any]

COLUMNS: Final = 3
PANEL_WIDTH: Final = 320
LABEL_WIDTH: Final = 78
BAR_WIDTH: Final = 180
"""Of the longest bar in a panel."""
ROW_HEIGHT: Final = 20
TITLE_HEIGHT: Final = 34
GAP: Final = 24
TOP: Final = 80

OURS: Final = ("#0b5394", "#6fa8dc")
"""User and system time of ours."""
OTHERS: Final = ("#7f7f7f", "#c9c9c9")
"""The same of the others."""


def chart(result: Json) -> str:
    """The picture of a result."""
    cases = result["cases"]
    panels = []
    top = TOP
    for first in range(0, len(cases), COLUMNS):
        line = cases[first : first + COLUMNS]
        panels += [_panel(case, GAP + i * PANEL_WIDTH, top) for i, case in enumerate(line)]
        top += TITLE_HEIGHT + max(len(case["results"]) for case in line) * ROW_HEIGHT + GAP
    width = COLUMNS * PANEL_WIDTH + GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" '
            f'viewBox="0 0 {width} {top}" font-family="system-ui, sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            _legend(),
            *panels,
            "</svg>",
            "",
        ]
    )


def _legend() -> str:
    keys = [(OURS[0], "user time, ours"), (OURS[1], "system time, ours")]
    keys += [(OTHERS[0], "user time, others"), (OTHERS[1], "system time, others")]
    parts = [_text(GAP, 24, "What a proxy spends: shorter is better", bold=True)]
    for index, (colour, words) in enumerate(keys):
        x = GAP + index * 150
        parts += [_bar(x, 36, 12, colour, height=12), _text(x + 18, 46, words)]
    return "\n".join(parts)


def _panel(case: Json, x: int, y: int) -> str:
    field = "growth_bytes" if case["memory"] else "cpu_us"
    unit = "bytes of memory" if case["memory"] else "us of CPU"
    longest = max(1.0, *(found[field]["median"] for found in case["results"]))
    parts = [
        _text(x, y, case["label"], bold=True),
        _text(x, y + 15, f"{unit} per {case['unit']}"),
    ]
    for index, found in enumerate(case["results"]):
        top = y + TITLE_HEIGHT + index * ROW_HEIGHT - 12
        ours = found["name"] == NAME
        colours = OURS if ours else OTHERS
        spread = found[field]
        whole = BAR_WIDTH * max(0.0, spread["median"]) / longest
        user = 0.0 if case["memory"] else BAR_WIDTH * found["user_us"]["median"] / longest
        start = x + LABEL_WIDTH
        title = f"{found['name']} {found['version']}: {spread['low']:.1f}..{spread['high']:.1f}"
        parts += [
            _text(start - 6, top + 12, found["name"], anchor="end", bold=ours),
            f"<g><title>{escape(title)}</title>",
            _bar(start, top, whole, colours[1]),
            _bar(start, top, min(user, whole), colours[0]),
            "</g>",
            _text(start + whole + 5, top + 12, number(spread["median"]), bold=ours),
        ]
    return "\n".join(parts)


def _bar(x: float, y: float, width: float, colour: str, *, height: int = ROW_HEIGHT - 4) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" fill="#1f1f1f"{weight}>'
        f"{escape(words)}</text>"
    )
