"""How many replicas each scaling policy wishes, before damping and bounds.

    metric                   wish                                             floor
    -----------------------  -----------------------------------------------  -----
    httpRequestsConcurrency  ceil(mean load / target), two windows            0
    httpRequestsInFlight     the same                                         1
    httpRequestsPerHour      ceil(requests in the last 60 min / target)       1
    cpuAverageUtilization    ceil(ready * mean CPU / target), with tolerance  1

The two windows are Knative's (pkg/autoscaler/scaling/autoscaler.go): the stable one sizes, the
panic one answers bursts. CPU follows the HPA (pkg/controller/podautoscaler/replica_calculator.go).

Two things differ from Knative, both about requests that wait in the gateway:

* Waiting holds the count up, but raises it only as far as it is believed. While replicas start,
  the queue grows by all that arrives, and a wish taken from it grows without end, though the
  replicas on their way may be enough. So a request raises the wish for at most `belief_s` of its
  waiting (the time that its service takes, at least 1 s), and beyond that only keeps what was
  asked for: `max(ceil(demand / target), min(ceil(load / target), current))`.
* Whenever requests wait now, the panic wish is at least what serves the present demand. The
  gateway queues only when the ready replicas are full, so this is a burst by definition, and six
  seconds of averaging would only make it wait.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autoscaler.core.windows import LoadView

CONCURRENCY: Final = "httpRequestsConcurrency"
IN_FLIGHT: Final = "httpRequestsInFlight"
PER_HOUR: Final = "httpRequestsPerHour"
CPU: Final = "cpuAverageUtilization"

MAY_REACH_ZERO: Final = frozenset({CONCURRENCY})
"""Metrics that requests held in the gateway can raise again from zero replicas, and that say so
in their contract."""

MIN_TARGET: Final = 0.01
"""A target of 0 is allowed by the contract; Knative's smallest is this."""

MIN_HOUR_COVERAGE_S: Final = 300.0
"""A proton's hour is extrapolated from at least this long, or its first request would count as
hundreds."""

_HOUR_S: Final = 3600.0
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one policy wishes."""

    metric: str
    stable: int | None
    """Replicas in the long run; None: no data, so no opinion."""
    panic: int | None = None
    """Replicas to be had at once; None where the metric has no short window."""
    may_shrink: bool = True
    """False: the data is too thin to take anything away."""
    note: str
    """The arithmetic."""

    @property
    def floor(self) -> int:
        """The least that this metric allows."""
        return 0 if self.metric in MAY_REACH_ZERO else 1


def ceil_ratio(value: float, target: float) -> int:
    """`ceil(value / target)`; a thousandth of a replica is noise of the clocks, not load."""
    return math.ceil(round(value / max(MIN_TARGET, target), 3))


def load_wish(metric: str, target: float, load: LoadView | None, *, current: int) -> Wish:
    """Size for concurrency.

    Args:
        metric: `httpRequestsConcurrency` or `httpRequestsInFlight`.
        target: Requests in flight per replica.
        load: None when no gateway worker spoke lately.
        current: The present wish, which includes the replicas that are still starting.
    """
    if load is None:
        return Wish(metric=metric, stable=None, note="no gateway worker has reported")
    waiting = load.load if load.queued else 0
    wanting = load.demand_now if load.queued else 0.0
    stable = _held(load.demand_stable, load.mean_stable, target, current)
    panic = _held(max(load.demand_panic, wanting), max(load.mean_panic, waiting), target, current)
    note = f"ceil({load.mean_stable:.4g} / {target:g}) = {stable}"
    if panic != stable:
        short = f"{load.queued} waiting" if load.queued else f"{load.mean_panic:.4g} lately"
        note += f", {panic} for {short}"
    return Wish(
        metric=metric,
        stable=stable,
        panic=panic,
        may_shrink=load.coverage_ratio >= 1,
        note=note,
    )


def _held(demand: float, load: float, target: float, current: int) -> int:
    # Believed demand raises; full load, waiting and all, only holds.
    return max(ceil_ratio(demand, target), min(ceil_ratio(load, target), current))


def hourly_rate(starts_by_minute: Mapping[int, int], *, at: float, created_at: float) -> float:
    """Requests per hour from minute buckets.

    The last 60 minutes exactly: of the oldest minute as much as the present one still lacks.
    A proton younger than an hour is extrapolated from its age.

    Args:
        starts_by_minute: Epoch minute to requests started in it.
        at: Now, epoch seconds.
        created_at: When the proton was made, epoch seconds.
    """
    minute, into_s = divmod(at, _MINUTE_S)
    present = int(minute)
    recent = sum(n for m, n in starts_by_minute.items() if present - 60 < m <= present)
    oldest = starts_by_minute.get(present - 60, 0) * (1 - into_s / _MINUTE_S)
    covered_s = min(_HOUR_S, max(MIN_HOUR_COVERAGE_S, at - created_at))
    return (recent + oldest) * _HOUR_S / covered_s


def hourly_wish(target: float, per_hour: float | None) -> Wish:
    """Size for requests per hour and replica.

    Args:
        target: Requests per hour and replica.
        per_hour: From `hourly_rate`; None when the store has not answered yet.
    """
    if per_hour is None:
        return Wish(metric=PER_HOUR, stable=None, note="the hourly count is not known")
    stable = ceil_ratio(per_hour, target)
    return Wish(
        metric=PER_HOUR, stable=stable, note=f"ceil({per_hour:.4g} / {target:g}) = {stable}"
    )


def cpu_wish(
    target: float,
    percents: Sequence[float | None],
    *,
    pending: int,
    current: int,
    tolerance: float,
) -> Wish:
    """Size for mean CPU use, as the HPA does.

    Within the tolerance nothing changes. Replicas that are not measured count as fully used when
    that argues against shrinking, and as idle when it argues against growing; starting replicas
    count as idle when growing. If that turns the direction around, nothing changes.

    Args:
        target: Percent of the CPU request.
        percents: One per ready replica; None where it has not been measured yet.
        pending: Replicas asked for that do not serve yet.
        current: The present wish.
        tolerance: Share of the target within which nothing changes.
    """
    known = [p for p in percents if p is not None]
    if not known:
        return Wish(metric=CPU, stable=None, note="no ready replica has been measured")
    goal = max(MIN_TARGET, target)
    missing = len(percents) - len(known)
    mean = sum(known) / len(known)
    if mean > goal:
        count, total = len(percents) + pending, sum(known)
    else:
        count, total = len(percents), sum(known) + 100.0 * missing
    ratio = total / count / goal
    if abs(1 - ratio) <= tolerance or (ratio > 1) != (mean > goal):
        stable = current
    elif ratio > 1:
        stable = max(current, ceil_ratio(total, goal))
    else:
        stable = min(current, ceil_ratio(total, goal))
    note = f"ceil({count} x {ratio * goal:.3g}% / {target:g}%) = {stable}"
    if stable == current:
        note = f"{mean:.3g}% of {target:g}% over {count}: keep {current}"
    return Wish(metric=CPU, stable=stable, note=note)
