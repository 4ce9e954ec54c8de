"""What each policy would have to see to wish one replica more, or to let one go.

The arithmetic is that of `policy` and `scraped`, solved for the measured number: just beyond what
is said the policy wishes what is said. Growing takes any policy, shrinking takes all that are in
the way.

    metric              up, from n to m                         down, from n to n - 1
    ------------------  --------------------------------------  ---------------------------------
    requests in flight  `2 more in flight`                      `9 fewer in flight`
    requests per hour   `120 more requests an hour`             `80 fewer requests an hour`
    CPU, pages          `CPU above 77% (now 61%)`               `CPU below 46.7% (now 61%)`
"""

import math
from collections.abc import Sequence

from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.policy import (
    CPU,
    LEAST_GOAL,
    LOAD_METRICS,
    MIN_TARGET,
    NOISE,
    PER_HOUR,
    ceil_ratio,
)
from autoscaler.core.scraped import SHARES
from controlplane.model.workloads import ScalingPolicy


def ways_up(scaling: Scaling, seen: Observation, replicas: int) -> list[tuple[str, int]]:
    """What would add replicas, and how many there would be then; of policies that have data.

    Args:
        scaling: The policies.
        seen: What they saw.
        replicas: The count now, at least 1.
    """
    found = []
    load = seen.load
    targets = scaling.load_targets()
    if targets and load is not None:
        most = 1.0 + scaling.settings.tolerance_ratio
        more = min(math.floor(replicas * t * most - load.load) + 1 for t in targets)
        if more > 0:
            count = max(ceil_ratio(load.load + more, t) for t in targets)
            found.append((f"{more} more in flight", max(replicas + 1, count)))
    for policy in scaling.policies:
        if policy.metric == PER_HOUR and seen.per_hour is not None:
            limit = _hourly(
                policy, replicas, max(NOISE, replicas * scaling.settings.tolerance_ratio)
            )
            more = math.floor(limit - seen.per_hour) + 1
            if more > 0:
                count = ceil_ratio(seen.per_hour + more, policy.target)
                found.append((f"{more} more requests an hour", count))
        elif policy.metric not in LOAD_METRICS and policy.metric != PER_HOUR:
            found += _used_more(policy, scaling, seen, replicas)
    return found


def ways_down(scaling: Scaling, seen: Observation, replicas: int) -> list[str]:
    """All that would have to happen for one replica less, of policies that have data.

    Args:
        scaling: The policies.
        seen: What they saw.
        replicas: The count now, at least 2.
    """
    found = []
    load = seen.load
    targets = scaling.load_targets()
    if targets and load is not None:
        fewer = max(math.ceil(load.load - (replicas - 1) * t) for t in targets)
        tolerance = scaling.settings.tolerance_ratio
        if tolerance:
            least = replicas * (1.0 - tolerance)
            fewer = max(fewer, *(math.floor(load.load - t * least) + 1 for t in targets))
        if fewer > 0:
            found.append(f"{fewer} fewer in flight")
    for policy in scaling.policies:
        if policy.metric == PER_HOUR and seen.per_hour is not None:
            limit = _hourly(policy, replicas - 1, NOISE)
            fewer = math.ceil(seen.per_hour - limit)
            if scaling.settings.tolerance_ratio:
                limit = _hourly(policy, replicas, -replicas * scaling.settings.tolerance_ratio)
                fewer = max(fewer, math.floor(seen.per_hour - limit) + 1)
            if fewer > 0:
                found.append(f"{fewer} fewer requests an hour")
        elif policy.metric not in LOAD_METRICS and policy.metric != PER_HOUR:
            found += _used_less(policy, scaling, seen, replicas)
    return found


def unknown(scaling: Scaling, seen: Observation) -> list[str]:
    """Metrics of policies that have no data, but for load: while there are any, nothing shrinks."""
    names = []
    for policy in scaling.policies:
        if policy.metric == PER_HOUR:
            known = seen.per_hour is not None
        elif policy.metric in LOAD_METRICS:
            known = True
        else:
            known = any(value is not None for value in _values(policy.metric, seen))
        if not known:
            names.append(policy.metric)
    return names


def _hourly(policy: ScalingPolicy, replicas: int, more: float) -> float:
    return (replicas + more) * max(MIN_TARGET, policy.target)


def _used_more(
    policy: ScalingPolicy, scaling: Scaling, seen: Observation, replicas: int
) -> list[tuple[str, int]]:
    values, target, unit = _measured(policy, seen)
    known = [value for value in values if value is not None]
    if not known:
        return []
    mean = sum(known) / len(known)
    tolerance = scaling.settings.cpu_tolerance_ratio
    # Starting replicas, and those that are not measured, count as idle.
    sum_limit = max((len(values) + seen.coming) * (1.0 + tolerance), replicas + NOISE)
    limit = target * sum_limit / len(known)
    if mean > limit:
        return []
    count = max(replicas + 1, math.floor(sum_limit) + 1)
    return [(f"{_name(policy.metric)} above {limit:.3g}{unit} (now {mean:.3g}{unit})", count)]


def _used_less(
    policy: ScalingPolicy, scaling: Scaling, seen: Observation, replicas: int
) -> list[str]:
    values, target, unit = _measured(policy, seen)
    known = [value for value in values if value is not None]
    if not known:
        return []
    mean = sum(known) / len(known)
    tolerance = scaling.settings.cpu_tolerance_ratio
    missing = len(values) - len(known)
    # Whoever is not measured counts as fully used, of pages as being on the target.
    unmeasured = 100.0 if policy.metric == CPU else target
    sum_limit = target * min(len(values) * (1.0 - tolerance), replicas - 1)
    limit = (sum_limit - unmeasured * missing) / len(known)
    if mean < limit:
        return []
    if limit <= 0:
        return [f"{_name(policy.metric)} of {missing} more measured"]
    return [f"{_name(policy.metric)} below {limit:.3g}{unit} (now {mean:.3g}{unit})"]


def _values(metric: str, seen: Observation) -> Sequence[float | None]:
    return seen.cpu_percent if metric == CPU else seen.scraped.get(metric, ())


def _measured(policy: ScalingPolicy, seen: Observation) -> tuple[list[float | None], float, str]:
    """Values, target and their unit, as `scraped_wish` takes them."""
    values = [None if v is None else max(0.0, v) for v in _values(policy.metric, seen)]
    target = policy.target
    if policy.metric == CPU:
        return values, max(LEAST_GOAL, target), "%"
    if policy.metric not in SHARES:
        return values, max(LEAST_GOAL, target), ""
    target = 100.0 * target if target <= 1 else target
    percents = [None if v is None else 100.0 * v for v in values]
    return percents, max(LEAST_GOAL, target), "%"


def _name(metric: str) -> str:
    return "CPU" if metric == CPU else metric
