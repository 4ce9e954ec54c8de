"""The demo's timeline as a picture. Needs matplotlib, the `demo` extra."""

import importlib.util
import io
from typing import TYPE_CHECKING

from controlplane.demo.report import Story

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#2563eb", "#ea580c", "#16a34a", "#dc2626", "#6b7280"
_SHADES = ("#f8fafc", "#eef2f7")
_DPI = 130


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def timeline_png(story: Story) -> bytes:
    """Requests, load, replicas and response times over time, as a PNG file's content.

    Slow the first time on a machine: matplotlib looks for its fonts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    rate, load, replicas, times = figure.subplots(
        4, 1, sharex=True, height_ratios=(1, 1.2, 1.2, 1.4)
    )
    _rate(rate, story)
    _load(load, story)
    _replicas(replicas, story)
    _response_times(times, story)
    for axes in (rate, load, replicas, times):
        _decorate(axes, story)
    for phase in story.phases:
        rate.annotate(
            phase.name,
            ((phase.start_s + min(phase.end_s, _end_s(story))) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            color=_GREY,
            fontsize=9,
        )
    times.set_xlabel("seconds")
    figure.suptitle("One workload: from zero, over a burst, back to zero", fontsize=13)
    buffer = io.BytesIO()
    # No date inside: the same story makes the same file.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": "tidegate"})
    return buffer.getvalue()


def _rate(axes: "Axes", story: Story) -> None:
    axes.plot([r.at_s for r in story.rows], [r.rate_per_s for r in story.rows], color=_BLUE)
    axes.set_ylabel("requests / s")


def _load(axes: "Axes", story: Story) -> None:
    at = [row.at_s for row in story.rows]
    flying = [row.in_flight for row in story.rows]
    queued = [row.queued for row in story.rows]
    axes.stackplot(
        at, flying, queued, labels=["in flight", "queued"], colors=[_BLUE, _ORANGE], alpha=0.7
    )
    axes.set_ylabel("load")
    axes.legend(loc="upper left", fontsize=8)


def _replicas(axes: "Axes", story: Story) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra

    at = [row.at_s for row in story.rows]
    axes.step(
        at, [row.wanted for row in story.rows], where="post", color=_GREY, ls="--", label="wanted"
    )
    axes.step(
        at, [row.ready for row in story.rows], where="post", color=_GREEN, lw=2, label="ready"
    )
    axes.set_ylabel("replicas")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", fontsize=8)


def _response_times(axes: "Axes", story: Story) -> None:
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415 - an extra

    for failed, colour, label in ((False, _BLUE, "answered"), (True, _RED, "failed")):
        chosen = [o for o in story.outcomes if o.failed is failed]
        if chosen:
            axes.scatter(
                [story.offset_s(o) for o in chosen],
                [max(o.seconds, 1e-4) * 1000 for o in chosen],
                s=8,
                color=colour,
                alpha=0.5,
                linewidths=0,
                label=label,
            )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("response time, ms")
    if story.outcomes:
        axes.legend(loc="upper right", fontsize=8)


def _decorate(axes: "Axes", story: Story) -> None:
    for index, phase in enumerate(story.phases):
        axes.axvspan(phase.start_s, phase.end_s, color=_SHADES[index % 2], zorder=-1)
    axes.set_xlim(0, _end_s(story))
    axes.grid(visible=True, axis="y", color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)


def _end_s(story: Story) -> float:
    """The last sample; the quiet phase ends early when nothing runs any more."""
    return max([story.phases[-1].start_s, *(row.at_s for row in story.rows)])
