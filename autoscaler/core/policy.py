"""How many replicas each scaling policy wishes, before damping and bounds.

    metric                   wish                                             floor
    -----------------------  -----------------------------------------------  -----
    httpRequestsConcurrency  ceil(mean load / target), two windows            0
    httpRequestsInFlight     the same                                         1
    httpRequestsPerHour      ceil(requests in the last 60 min / target)       1
    cpuAverageUtilization    ceil(ready * mean CPU / target), with tolerance  1
    any other                from the replicas' own pages, see `scraped`      1

The two windows are Knative's (pkg/autoscaler/scaling/autoscaler.go): the stable one sizes, the
panic one answers bursts. CPU follows the HPA (pkg/controller/podautoscaler/replica_calculator.go).

Three things differ from Knative, the first two about requests that wait in the gateway:

* Waiting holds the count up, but raises it only as far as it is believed. While replicas start,
  the queue grows by all that arrives, and a wish taken from it grows without end, though the
  replicas on their way may be enough. So a request raises the wish for at most `belief_s` of its
  waiting (the time that its service takes, at least 1 s), and beyond that only keeps what was
  asked for: `max(ceil(demand / target), min(ceil(load / target), current))`.
* Whenever requests wait now, the panic wish is at least what serves the present demand. The
  gateway queues only when the ready replicas are full, so this is a burst by definition, and six
  seconds of averaging would only make it wait.
* While nothing waits, a panic wish needs a tenth more than what is asked for can take. The mean of
  six seconds trembles, and at one replica next to its target a single request more is "twice the
  ready replicas": the count would jump and fall back every stable window. What is really more,
  the long window finds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from autoscaler.core.notes import Note
from autoscaler.core.steps import LoadView

CONCURRENCY: Final = "httpRequestsConcurrency"
IN_FLIGHT: Final = "httpRequestsInFlight"
PER_HOUR: Final = "httpRequestsPerHour"
CPU: Final = "cpuAverageUtilization"

LOAD_METRICS: Final = frozenset({CONCURRENCY, IN_FLIGHT})
"""What counts requests that wait or run."""

GATEWAY_METRICS: Final = frozenset({CONCURRENCY, IN_FLIGHT, PER_HOUR})
"""What the gateways count."""

MAY_REACH_ZERO: Final = frozenset({CONCURRENCY})
"""Metrics that requests held in the gateway can raise again from zero replicas, and that say so
in their contract."""

MIN_TARGET: Final = 0.01
"""A target of 0 is allowed by the contract; Knative's smallest is this."""

MIN_HOUR_COVERAGE_S: Final = 300.0
"""A proton's hour is extrapolated from at least this long, or its first request would count as
hundreds."""

LEAST_GOAL: Final = 1e-9
"""Metrics of replicas have units of their own, which may be tiny; zero is none."""

NOISE: Final = 0.0005
"""Less of a replica than this is noise of the clocks, not load."""

SHORT_NOISE_RATIO: Final = 0.1
"""The short window says nothing that the long one does not, within this of what is asked for and
while nothing waits: else a load just below the target flaps (tests: `test_properties`)."""

_HOUR_S: Final = 3600.0
_MINUTE_S: Final = 60.0


class Wish:
    """What one policy wishes."""

    __slots__ = ("metric", "note", "panic", "stable")

    def __init__(
        self, *, metric: str, stable: int | None, panic: int | None = None, note: Note
    ) -> None:
        self.metric = metric
        self.stable = stable
        """Replicas in the long run; None: no data, so no opinion."""
        self.panic = panic
        """Replicas to be had at once; None where the metric has no short window."""
        self.note = note
        """The arithmetic."""

    @property
    def floor(self) -> int:
        """The least that this metric allows."""
        return 0 if self.metric in MAY_REACH_ZERO else 1


def ceil_ratio(value: float, target: float) -> int:
    """`ceil(value / target)`, but for the noise of the clocks."""
    return math.ceil(value / max(MIN_TARGET, target) - NOISE)


def load_wish(
    metric: str, target: float, load: LoadView | None, *, current: int, tolerance: float = 0.0
) -> Wish:
    """Size for concurrency.

    Args:
        metric: `httpRequestsConcurrency` or `httpRequestsInFlight`.
        target: Requests in flight per replica.
        load: None when no gateway worker spoke lately.
        current: The present wish, which includes the replicas that are still starting.
        tolerance: Share of the target within which nothing changes, unless requests wait.
    """
    if load is None:
        return Wish(metric=metric, stable=None, note="no gateway worker has reported")
    waiting = load.load if load.queued else 0
    wanting = load.demand_now if load.queued else 0.0
    stable = _held(load.demand_stable, load.mean_stable, target, current)
    panic = _held(max(load.demand_panic, wanting), max(load.mean_panic, waiting), target, current)
    note: Note = ("ceil(%.4g / %g) = %d", load.mean_stable, target, stable)
    if current < panic and not load.queued:
        # A mean of six seconds trembles. At one replica that is enough to want twice as many.
        goal = target * current
        if _near(load.demand_panic, load.mean_panic, goal, SHORT_NOISE_RATIO):
            panic = current
    if tolerance and current:
        goal = target * current
        if _near(load.demand_stable, load.mean_stable, goal, tolerance) and stable != current:
            stable = max(current, stable) if load.queued else current
            note = ("%.4g is within %g of %d x %g", load.mean_stable, tolerance, current, target)
            note = (f"{note[0]}: %d", *note[1:], stable)
        if _near(load.demand_panic, load.mean_panic, goal, tolerance):
            panic = max(current, panic) if load.queued else current
    if panic != stable:
        short = ("%d waiting", load.queued) if load.queued else ("%.4g lately", load.mean_panic)
        note = (f"{note[0]}, %d for {short[0]}", *note[1:], panic, short[1])
    return Wish(
        metric=metric,
        stable=stable,
        panic=panic,
        note=note,
    )


def _near(demand: float, load: float, goal: float, tolerance: float) -> bool:
    # What raises and what holds, as `_held` takes them, against what the present wish can take.
    goal = max(MIN_TARGET, goal)
    return abs(1 - max(demand, min(load, goal)) / goal) <= tolerance


def _held(demand: float, load: float, target: float, current: int) -> int:
    # Believed demand raises; full load, waiting and all, only holds.
    wish = ceil_ratio(demand, target)
    return wish if wish >= current else max(wish, min(ceil_ratio(load, target), current))


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


def hourly_wish(
    target: float, per_hour: float | None, *, current: int = 0, tolerance: float = 0.0
) -> Wish:
    """Size for requests per hour and replica.

    Args:
        target: Requests per hour and replica.
        per_hour: From `hourly_rate`; None when the store has not answered yet.
        current: The present wish.
        tolerance: Share of the target within which nothing changes.
    """
    if per_hour is None:
        return Wish(metric=PER_HOUR, stable=None, note="the hourly count is not known")
    stable = ceil_ratio(per_hour, target)
    if tolerance and current and _near(per_hour, per_hour, target * current, tolerance):
        note: Note = ("%.4g is within %g of %d x %g", per_hour, tolerance, current, target)
        return Wish(metric=PER_HOUR, stable=current, note=note)
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
    return utilisation_wish(
        CPU,
        target,
        percents,
        pending=pending,
        current=current,
        tolerance=tolerance,
        unmeasured=100.0,
        unit="%",
    )


def utilisation_wish(
    metric: str,
    target: float,
    values: Sequence[float | None],
    *,
    pending: int,
    current: int,
    tolerance: float,
    unmeasured: float,
    unit: str,
) -> Wish:
    """Size for the mean of something measured in each replica: what `cpu_wish` says, in general.

    Args:
        metric: As the policy names it.
        target: Per replica.
        values: One per ready replica; None where it is not known.
        pending: Replicas asked for that do not serve yet.
        current: The present wish.
        tolerance: Share of the target within which nothing changes.
        unmeasured: What a replica that is not measured counts against shrinking.
        unit: For the note.
    """
    known = [max(0.0, value) for value in values if value is not None]
    if not known:
        return Wish(metric=metric, stable=None, note="no ready replica has been measured")
    goal = max(LEAST_GOAL, target)
    missing = len(values) - len(known)
    mean = sum(known) / len(known)
    if mean > goal:
        count, total = len(values) + pending, sum(known)
    else:
        count, total = len(values), sum(known) + unmeasured * missing
    ratio = total / count / goal
    if abs(1 - ratio) <= tolerance or (ratio > 1) != (mean > goal):
        stable = current
    elif ratio > 1:
        stable = max(current, math.ceil(total / goal - NOISE))
    else:
        stable = min(current, math.ceil(total / goal - NOISE))
    note: Note = ("ceil(%d x %.3g%s / %g%s) = %d", count, ratio * goal, unit, target, unit, stable)
    if stable == current:
        note = ("%.3g%s of %g%s over %d: keep %d", mean, unit, target, unit, count, current)
    return Wish(metric=metric, stable=stable, note=note)
