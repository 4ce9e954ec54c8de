"""What a comparison comes to, as numbers with names: for the table, JSON, the page and tests."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import accumulate
from typing import Any, Final

from autoscaler.replay.comparison import Comparison
from autoscaler.replay.outcome import DELAYED_S, Outcome, Row
from autoscaler.replay.world import World

QUANTILES: Final = (0.5, 0.95, 0.99)

COLUMNS: Final[dict[str, str]] = {
    "scaler": "scaler",
    "replica_hours": "replica-hours",
    "gpu_hours": "GPU-hours",
    "price": "price",
    "delayed": f"delayed > {DELAYED_S * 1000:g} ms",
    "delayed_percent": "delayed %",
    "wait_p50_s": "wait p50 s",
    "wait_p95_s": "wait p95 s",
    "wait_p99_s": "wait p99 s",
    "wait_mean_s": "wait mean s",
    "cold": "cold",
    "queue_full": "503",
    "timed_out": "504",
    "cut": "cut",
    "max_ready": "most ready",
    "idle_percent": "idle %",
    "changes": "changes",
    "flaps": "flaps",
}
"""Keys of a summary and their names in tables."""


def summary(outcome: Outcome, world: World) -> dict[str, Any]:
    """One scaler's run in numbers.

    Returns:
        `price` and `gpu_hours` are None where they are not known; a waiting time is None when no
        request was served.
    """
    hours = outcome.replica_hours
    waits = {f"wait_p{q * 100:g}_s": _rounded(outcome.waited_s(q)) for q in QUANTILES}
    idle = outcome.idle_seconds / outcome.ready_seconds if outcome.ready_seconds else 0.0
    return {
        "scaler": outcome.scaler,
        "duration_s": round(outcome.duration_s, 3),
        "requests": outcome.requests,
        "answered": outcome.answered,
        "replica_hours": round(hours, 4),
        "gpu_hours": round(hours * world.gpus, 4) if world.gpus else None,
        "price": None if world.price_per_hour is None else round(hours * world.price_per_hour, 4),
        "currency": None if world.price_per_hour is None else world.currency,
        "delayed": outcome.delayed,
        "delayed_percent": _percent(outcome.delayed, outcome.requests),
        **waits,
        "wait_mean_s": _rounded(outcome.mean_wait_s),
        "cold": outcome.cold,
        "queue_full": outcome.queue_full,
        "timed_out": outcome.timed_out,
        "cut": outcome.cut,
        "failed_percent": _percent(outcome.failed, outcome.requests),
        "starts": outcome.starts,
        "stops": outcome.stops,
        "max_ready": outcome.max_ready,
        "mean_ready": round(outcome.ready_seconds / outcome.duration_s, 3)
        if outcome.duration_s
        else 0.0,
        "idle_percent": round(100 * idle, 1),
        "changes": outcome.changes,
        "flaps": outcome.flaps,
        "looks": outcome.looks,
    }


def shown_columns(summaries: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The columns of which any scaler knows something."""
    return {
        key: name
        for key, name in COLUMNS.items()
        if any(summary[key] is not None for summary in summaries)
    }


def as_json(comparison: Comparison, *, command: str) -> dict[str, Any]:
    """All of it, with the timelines."""
    return {
        "trace": comparison.trace.name,
        "format": comparison.trace.format,
        "seed": comparison.seed,
        "command": command,
        "delayed_beyond_s": DELAYED_S,
        "scalers": [
            {
                **summary(outcome, comparison.world),
                "timeline": [timeline_row(row) for row in outcome.timeline.rows],
            }
            for outcome in comparison.outcomes
        ],
    }


def timeline_row(row: Row) -> dict[str, Any]:
    """One row of a timeline."""
    return {
        "at_s": round(row.at_s, 3),
        "length_s": round(row.length_s, 3),
        "arrivals": row.arrivals,
        "demand": round(row.demand, 3),
        "wanted": row.wanted,
        "ready": row.ready,
        "running": row.running,
        "max_queued": row.max_queued,
        "cold": row.cold,
        "refused": row.refused,
        **{f"wait_p{q * 100:g}_s": _rounded(row.waited_s(q)) for q in QUANTILES},
    }


def so_far(rows: Sequence[Row], value: Callable[[Row], int]) -> list[float]:
    """A count of every row and all before it: what charts show of things that happen seldom."""
    return [float(total) for total in accumulate(map(value, rows))]


def coarser(rows: Sequence[Row], most: int) -> list[Row]:
    """The same timeline in at most so many rows."""
    size = -(-len(rows) // most) if rows else 1
    found = []
    for start in range(0, len(rows), size):
        first = deepcopy(rows[start])
        for later in rows[start + 1 : start + size]:
            first.add(later)
        found.append(first)
    return found


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 3) if whole else 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
