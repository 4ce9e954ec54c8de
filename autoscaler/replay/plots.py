"""A comparison as a picture. Needs matplotlib, the `demo` extra."""

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from autoscaler.replay.comparison import Comparison
from autoscaler.replay.drawing import clock, time_ticks
from autoscaler.replay.outcome import Row
from autoscaler.replay.report import QUANTILES, coarser, so_far

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#b91c1c", "#0e7490")
_POINTS: Final = 800
_DPI: Final = 110

_SHARED: Final[Mapping[str, Callable[[list[Row]], Sequence[float | None]]]] = {
    "most queued": lambda rows: [float(row.max_queued) for row in rows],
    "cold so far": lambda rows: so_far(rows, lambda row: row.cold),
    "503, 504 so far": lambda rows: so_far(rows, lambda row: row.refused),
}
"""Panels that all scalers share, by name."""


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def comparison_png(comparison: Comparison) -> bytes:
    """Demand, replicas, queue, failures and waiting over time, as a PNG file's content."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    from matplotlib.lines import Line2D  # noqa: PLC0415 - an extra
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra

    count = len(comparison.outcomes)
    panels = 4 + count + len(QUANTILES)
    figure = Figure(figsize=(11, 1 + 1.4 * panels), layout="constrained")
    FigureCanvasAgg(figure)
    demand, *others = figure.subplots(panels, 1, sharex=True)
    _steps(demand, comparison, lambda rows: [_rate(row) for row in rows], only=0)
    demand.set_ylabel("requests / s")
    # One each: steps of several scalers on top of each other cannot be told apart.
    replicas, others = others[:count], others[count:]
    for index, axes in enumerate(replicas):
        _steps(axes, comparison, lambda rows: [float(r.ready) for r in rows], only=index)
        _steps(
            axes, comparison, lambda rows: [float(r.wanted) for r in rows], only=index, dashed=True
        )
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        axes.set_ylabel(f"replicas of\n{comparison.outcomes[index].scaler}")
    highest = max(axes.get_ylim()[1] for axes in replicas)
    panel = iter(others)
    for name, value in _SHARED.items():
        axes = next(panel)
        _steps(axes, comparison, value)
        axes.set_ylabel(name)
    for q in QUANTILES:
        axes = next(panel)
        _steps(axes, comparison, _waited(q))
        axes.set_ylabel(f"wait p{q * 100:g}, s")
    end_s = max(outcome.duration_s for outcome in comparison.outcomes)
    ticks = time_ticks(end_s)
    for axes in (demand, *replicas, *others):
        axes.set_xlim(0, end_s)
        axes.set_ylim(0, highest if axes in replicas else None)
        axes.grid(visible=True, axis="y", color="#e5e7eb")
        axes.spines[["top", "right"]].set_visible(False)
    others[-1].set_xticks(ticks, [clock(at_s) for at_s in ticks])
    figure.suptitle(f"Simulation of {comparison.trace.name}, seed {comparison.seed}", fontsize=13)
    # Below everything: within a panel it would cover what it explains.
    wanted = Line2D([], [], color="#4b5563", ls="--", lw=1.0, label="wanted")
    figure.legend(
        handles=[*others[0].get_lines(), wanted],
        loc="outside lower center",
        ncols=count + 1,
        fontsize=9,
    )
    buffer = io.BytesIO()
    # No date inside: the same comparison makes the same file.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": "tidegate"})
    return buffer.getvalue()


def _waited(q: float) -> Callable[[list[Row]], list[float | None]]:
    return lambda rows: [row.waited_s(q) for row in rows]


def _rate(row: Row) -> float:
    return row.arrivals / row.length_s if row.length_s else 0.0


def _steps(
    axes: "Axes",
    comparison: Comparison,
    values_of: Callable[[list[Row]], Sequence[float | None]],
    *,
    dashed: bool = False,
    only: int | None = None,
) -> None:
    for index, outcome in enumerate(comparison.outcomes):
        if only is not None and index != only:
            continue
        rows = coarser(outcome.timeline.rows, _POINTS)
        values = values_of(rows)
        axes.step(
            [row.at_s for row in rows],
            [float("nan") if v is None else v for v in values],
            where="post",
            color=COLOURS[index % len(COLOURS)],
            ls="--" if dashed else "-",
            lw=1.0 if dashed else 1.4,
            label=outcome.scaler,
        )
