"""Kubernetes' horizontal pod autoscaler (HPA) as a model: replica arithmetic and behaviour. Pure.

Made from kubernetes/kubernetes `pkg/controller/podautoscaler`:

    what                                           file
    ---------------------------------------------  -------------------------------------------
    usage to replicas, unready and missing pods    replica_calculator.go
    stabilisation, scaling policies, bounds        horizontal.go
    sync 15 s, tolerance 0.1, stabilisation 300 s  config/v1alpha1/defaults.go
    policies: max(4 pods, 100 %) / 15 s up,        pkg/apis/autoscaling/v2/defaults.go
    100 % / 15 s down
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SYNC_S: Final = 15.0
METRICS_S: Final = 15.0
"""How often the metrics pipeline looks at the pods (metrics-server's resolution)."""
TOLERANCE: Final = 0.1
DOWN_STABILISATION_S: Final = 300.0


def plain_replicas(
    current: int,
    usage: Sequence[float | None],
    target: float,
    *,
    unready: int = 0,
    tolerance: float = TOLERANCE,
) -> int:
    """Replicas for a metric of the pods (`Pods`), or for CPU with `target` in the same unit.

    Args:
        current: Replicas asked for.
        usage: One per ready pod; None: its metric is missing.
        target: Mean usage that a pod should have.
        unready: Pods that do not count yet: they are 0 when growing, and absent when shrinking.
        tolerance: No change within this share of the target.

    Returns:
        The count; `current` when no pod has a metric.
    """
    return _replicas(current, usage, target, request=target, unready=unready, tolerance=tolerance)


def resource_replicas(
    current: int,
    usage: Sequence[float | None],
    target_percent: float,
    *,
    request: float = 1000.0,
    unready: int = 0,
    tolerance: float = TOLERANCE,
) -> int:
    """Replicas for a utilisation of the pods' requests: missing pods count as 100 % of it.

    Args:
        current: Replicas asked for.
        usage: One per ready pod, in the request's unit; None: its metric is missing.
        target_percent: Mean utilisation that the pods should have.
        request: What each pod requests.
        unready: As for `plain_replicas`.
        tolerance: As for `plain_replicas`.
    """
    return _replicas(
        current,
        usage,
        request * target_percent / 100,
        request=request,
        unready=unready,
        tolerance=tolerance,
    )


def _replicas(
    current: int,
    usage: Sequence[float | None],
    target: float,
    *,
    request: float,
    unready: int,
    tolerance: float,
) -> int:
    known = [value for value in usage if value is not None]
    if not known:
        return current
    missing = len(usage) - len(known)
    ratio = sum(known) / len(known) / target
    growing = unready > 0 and ratio > 1
    if not growing and not missing:
        return current if abs(1 - ratio) <= tolerance else _ceil(ratio * len(known))
    filled = [*known, *([request if ratio < 1 else 0.0] * missing)]
    filled += [0.0] * (unready if growing else 0)
    again = sum(filled) / len(filled) / target
    if abs(1 - again) <= tolerance or (ratio < 1 < again) or (again < 1 < ratio):
        return current
    wanted = _ceil(again * len(filled))
    turned = (again < 1 and wanted > current) or (again > 1 and wanted < current)
    return current if turned else wanted


def external_replicas(
    current: int, value: float, target: float, *, tolerance: float = TOLERANCE
) -> int:
    """Replicas for a number from elsewhere with an `AverageValue` target.

    Args:
        current: Replicas asked for; at least 1.
        value: The number, over all pods.
        target: What one pod should have of it.
        tolerance: No change within this share of the target.
    """
    ratio = value / (target * current)
    return current if abs(1 - ratio) <= tolerance else _ceil(value / target)


def _ceil(value: float) -> int:
    # Go's milli-integers have no 3.0000000000000004.
    return math.ceil(round(value, 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class HpaSettings:
    """Bounds and behaviour, with the defaults of `autoscaling/v2`."""

    target: float
    min_replicas: int = 1
    max_replicas: int = 100
    sync_s: float = SYNC_S
    tolerance: float = TOLERANCE
    up_pods: int = 4
    up_percent: float = 100.0
    down_percent: float = 100.0
    period_s: float = 15.0
    """Of all three policies."""
    up_stabilisation_s: float = 0.0
    down_stabilisation_s: float = DOWN_STABILISATION_S


def delay_of(given_s: float | None) -> float:
    """The stabilisation of shrinking, where nobody says otherwise the default."""
    return DOWN_STABILISATION_S if given_s is None else given_s


_Stamped = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HpaState:
    """Recent recommendations, and recent changes of the count, by time."""

    wishes: _Stamped = ()
    ups: _Stamped = ()
    downs: _Stamped = ()


def settle(
    settings: HpaSettings, state: HpaState, *, current: int, wanted: int, now_s: float
) -> tuple[int, HpaState]:
    """From a recommendation to the count: stabilise, limit by the policies, bound.

    Args:
        settings: Bounds and behaviour.
        state: What the last sync left.
        current: Replicas asked for. At 0 the HPA is switched off; out of bounds it is bounded.
        wanted: From one of the functions above.
        now_s: Monotonic clock.
    """
    if current == 0:
        return 0, state
    wishes = state.wishes or ((now_s, current),)
    if not settings.min_replicas <= current <= settings.max_replicas:
        count = max(settings.min_replicas, min(current, settings.max_replicas))
    else:
        stable = _stable(settings, wishes, current, wanted, now_s)
        count = _limited(settings, state, current, stable, now_s)
    keep_s = now_s - max(settings.up_stabilisation_s, settings.down_stabilisation_s)
    wishes = (*((t, n) for t, n in wishes if t >= keep_s), (now_s, wanted))
    ups, downs = state.ups, state.downs
    cut_s = now_s - settings.period_s
    if count > current:
        ups = (*((t, n) for t, n in ups if t > cut_s), (now_s, count - current))
    elif count < current:
        downs = (*((t, n) for t, n in downs if t > cut_s), (now_s, current - count))
    return count, HpaState(wishes=wishes, ups=ups, downs=downs)


def _stable(
    settings: HpaSettings, wishes: _Stamped, current: int, wanted: int, now_s: float
) -> int:
    up_s = now_s - settings.up_stabilisation_s
    down_s = now_s - settings.down_stabilisation_s
    low = min(wanted, *(n for t, n in wishes if t > up_s), wanted)
    high = max(wanted, *(n for t, n in wishes if t > down_s), wanted)
    return min(max(current, low), high)


def _limited(
    settings: HpaSettings, state: HpaState, current: int, wanted: int, now_s: float
) -> int:
    since_s = now_s - settings.period_s
    start = current
    start -= sum(n for t, n in state.ups if t > since_s)
    start += sum(n for t, n in state.downs if t > since_s)
    if wanted > current:
        most = max(start + settings.up_pods, math.ceil(start * (1 + settings.up_percent / 100)))
        return min(wanted, max(current, most), settings.max_replicas)
    if wanted < current:
        least = math.floor(start * (1 - settings.down_percent / 100))
        return max(wanted, min(current, least), settings.min_replicas)
    return wanted
