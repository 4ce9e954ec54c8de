"""The comparison as a page and a picture. Pure."""

from collections.abc import Sequence
from typing import Final

from autoscaler.replay.drawing import HEIGHT, WIDTH, Line, chart
from loadtests.fidelity.agreement import Measure
from loadtests.fidelity.runs import Observed

PICTURE: Final = "results/fidelity.svg"

_STYLE: Final = """
.grid { stroke: #e5e7eb; fill: none } .line { fill: none; stroke-width: 1.8 }
text { fill: #4b5563; font: 12px system-ui, sans-serif }
text.title { fill: #111827; font-size: 14px; font-weight: 600 }
svg { --c0: #1d4ed8; --c1: #c2410c }
"""


def page(
    runs: Sequence[Sequence[Measure]], *, seconds: float, start_up_s: float, machine: str
) -> str:
    """The page.

    Args:
        runs: What was compared, per run; the last one is shown, all are held against the bounds.
        seconds: The demo's length.
        start_up_s: What the simulator was told in the last run.
        machine: Where the real run was.
    """
    rows = []
    for same in zip(*runs, strict=True):
        m, farthest = same[-1], max(same, key=lambda m: m.distance - m.bound)
        outside = "" if all(m.holds for m in same) else "**outside**"
        rows.append(
            f"| {m.name} | {m.real:.4g} | {m.simulated:.4g} | {m.distance:.3g} |"
            f" {farthest.distance:.3g} | {farthest.bound:.3g} | {outside} |"
        )
    return "\n".join(
        [
            "# The simulator against reality",
            "",
            "<!-- Made by `python -m loadtests.fidelity --render`; edits are lost. -->",
            "",
            f"The traffic of `tidegate demo --seconds {seconds:g}` on a real one-machine system"
            " (processes, sockets, store), and the same trace in the simulator, with the same"
            f" policy and settings. The simulator is told one measured thing: that a replica takes"
            f" {start_up_s:.2f} s to start, which is how long the first request waited."
            f" {len(runs)} run{'s' * (len(runs) != 1)}, the last one shown.",
            "",
            f"![Replicas and waiting requests, real and simulated]({PICTURE})",
            "",
            "| measure | real | simulated | apart | at most, all runs | bound | |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "Replica-seconds are apart by a share of the larger; wanted and ready by the mean"
            " distance over time. `loadtests/fidelity/agreement.py` says why the bounds are what"
            " they are; the test suite holds them.",
            "",
            f"{machine}.",
            "",
        ]
    )


def picture(real: Observed, simulated: Observed) -> str:
    """Both runs as one SVG file."""
    end_s = real.at_s[-1]
    panels = [
        ("Replicas wanted", real.wanted, simulated.wanted),
        ("Replicas ready", real.ready, simulated.ready),
        ("Requests waiting in the gateways", real.queued, simulated.queued),
    ]
    height = len(panels) * HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}">',
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="64" y="18"><tspan fill="#1d4ed8" font-weight="600">real</tspan>'
        '<tspan dx="14" fill="#c2410c" font-weight="600">simulated</tspan></text>',
    ]
    for index, (title, ours, theirs) in enumerate(panels):
        drawn = chart(
            title,
            [
                Line(name="real", colour=0, at_s=real.at_s, values=[*map(float, ours)]),
                Line(name="simulated", colour=1, at_s=simulated.at_s, values=[*map(float, theirs)]),
            ],
            end_s=end_s,
        )
        inner = drawn.replace("<svg ", f'<svg y="{24 + index * HEIGHT}" height="{HEIGHT}" ', 1)
        parts.append(inner)
    return "\n".join([*parts, "</svg>", ""])
