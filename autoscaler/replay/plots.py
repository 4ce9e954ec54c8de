"""A comparison as a picture. Needs matplotlib, the `demo` extra."""

import importlib.util
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from autoscaler.replay.comparison import Comparison
from autoscaler.replay.drawing import clock, time_ticks
from autoscaler.replay.outcome import Row
from autoscaler.replay.report import coarser

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#b91c1c", "#0e7490")
_POINTS: Final = 800
_DPI: Final = 130


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def comparison_png(comparison: Comparison) -> bytes:
    """Demand, replicas, queue and waiting over time, as a PNG file's content."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    demand, replicas, queue, waiting = figure.subplots(
        4, 1, sharex=True, height_ratios=(1, 1.4, 1, 1)
    )
    _steps(demand, comparison, _rate, only_first=True)
    demand.set_ylabel("requests / s")
    _steps(replicas, comparison, lambda row: float(row.wanted), dashed=True, only_first=True)
    _steps(replicas, comparison, lambda row: float(row.ready))
    replicas.set_ylabel("replicas")
    replicas.legend(loc="upper left", fontsize=8)
    _steps(queue, comparison, lambda row: float(row.max_queued))
    queue.set_ylabel("most queued")
    _steps(waiting, comparison, lambda row: row.waited_s(0.95))
    waiting.set_ylabel("wait p95, s")
    end_s = max(outcome.duration_s for outcome in comparison.outcomes)
    ticks = time_ticks(end_s)
    for axes in (demand, replicas, queue, waiting):
        axes.set_xlim(0, end_s)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, axis="y", color="#e5e7eb")
        axes.spines[["top", "right"]].set_visible(False)
    waiting.set_xticks(ticks, [clock(at_s) for at_s in ticks])
    figure.suptitle(f"Simulation of {comparison.trace.name}, seed {comparison.seed}", fontsize=13)
    buffer = io.BytesIO()
    # No date inside: the same comparison makes the same file.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": "tidegate"})
    return buffer.getvalue()


def _rate(row: Row) -> float:
    return row.arrivals / row.length_s if row.length_s else 0.0


def _steps(
    axes: "Axes",
    comparison: Comparison,
    value: Callable[[Row], float | None],
    *,
    dashed: bool = False,
    only_first: bool = False,
) -> None:
    outcomes = comparison.outcomes[:1] if only_first else comparison.outcomes
    for index, outcome in enumerate(outcomes):
        rows = coarser(outcome.timeline.rows, _POINTS)
        values = [value(row) for row in rows]
        axes.step(
            [row.at_s for row in rows],
            [float("nan") if v is None else v for v in values],
            where="post",
            color=COLOURS[index % len(COLOURS)],
            ls="--" if dashed else "-",
            lw=1.0 if dashed else 1.4,
            label=f"{outcome.scaler}, wanted" if dashed else outcome.scaler,
        )
