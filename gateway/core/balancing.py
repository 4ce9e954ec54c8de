"""Which proton by weight, which of its endpoints by load, and how much each may take."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from controlplane.model.workloads import GroupRuntime

_CONCURRENCY_METRICS: Final = frozenset({"httpRequestsConcurrency", "httpRequestsInFlight"})
_LIMIT_PER_TARGET: Final = 2.0
"""Where nobody states a limit: twice the concurrency target. Up to the target all is well, above
it the autoscaler acts, and beyond twice the target a request is better off in the gateway's queue,
where the next replica can take it, than behind others in a busy one."""


class Loaded(Protocol):
    """What balancing needs to know of an endpoint."""

    in_flight: int
    limit: int


class Weighted(Protocol):
    """What the split needs to know of a proton."""

    weight: int


E = TypeVar("E", bound=Loaded)
W = TypeVar("W", bound=Weighted)


def least_of_two(endpoints: Sequence[E], random: Callable[[], float]) -> E | None:
    """The less loaded of two random endpoints, if it is under its limit.

    Two choices come close to the best and cost the same for any number of endpoints
    (Mitzenmacher, The Power of Two Choices, 2001). When both are full the others are asked in
    turn: a free slot anywhere beats waiting.

    Args:
        endpoints: Ready ones.
        random: Uniform on [0, 1).

    Returns:
        An endpoint with a free slot, or None when all are full or there is none.
    """
    count = len(endpoints)
    if count == 1:
        only = endpoints[0]
        return only if only.in_flight < only.limit else None
    if not count:
        return None
    first = int(random() * count)
    second = int(random() * (count - 1))
    if second >= first:
        second += 1
    one, other = endpoints[first], endpoints[second]
    best = other if other.in_flight < one.in_flight else one
    if best.in_flight < best.limit:
        return best
    free = [endpoint for endpoint in endpoints if endpoint.in_flight < endpoint.limit]
    return min(free, key=lambda endpoint: endpoint.in_flight) if free else None


def by_weight(protons: Sequence[W], random: Callable[[], float]) -> W | None:
    """One proton, each as often as its weight; None when all weights are 0."""
    if len(protons) == 1:
        return protons[0] if protons[0].weight > 0 else None
    total = sum(proton.weight for proton in protons)
    if total <= 0:
        return None
    at = random() * total
    for proton in protons:
        at -= proton.weight
        if at < 0:
            return proton
    return next(proton for proton in reversed(protons) if proton.weight > 0)


def replica_limit(group: GroupRuntime, *, default: int) -> int:
    """Most requests in flight per replica, over all workers: at least 1.

    Args:
        group: How the workload runs: its own limit, else twice its concurrency target.
        default: Where neither is stated.
    """
    if group.concurrency_limit is not None:
        return group.concurrency_limit
    if group.autoscaling is not None and group.autoscaling.enabled:
        targets = [
            policy.target
            for policy in group.autoscaling.policies
            if policy.metric in _CONCURRENCY_METRICS and policy.target > 0
        ]
        if targets:
            return max(1, round(min(targets) * _LIMIT_PER_TARGET))
    return default


def share_of_limit(limit: int, workers: int) -> int:
    """One worker's share of a replica's limit: at least 1, so no worker is shut out.

    The shares add up to at most `limit + workers - 1`.
    """
    return max(1, -(-limit // max(workers, 1)))
