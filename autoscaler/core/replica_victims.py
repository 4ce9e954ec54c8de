"""Which replicas go when there are too many, and which stay after all when there are too few."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controlplane.model.states import ReplicaPhase

_DISPENSABLE: Final[dict[ReplicaPhase, int]] = {
    ReplicaPhase.FAILED: 0,
    ReplicaPhase.LOST: 1,
    ReplicaPhase.INTERRUPTED: 1,
    ReplicaPhase.PENDING: 1,
    ReplicaPhase.PROVISIONING: 2,
    ReplicaPhase.LAUNCHING: 2,
    ReplicaPhase.RESTARTING: 3,
    ReplicaPhase.UNREADY: 3,
    ReplicaPhase.READY: 4,
}
"""Lowest goes first: what serves nobody before what may serve somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What matters about a replica for the choice."""

    id: str
    phase: ReplicaPhase
    load: int
    """Requests in flight over all gateways."""
    created_at: float


def choose_victims(candidates: Iterable[Candidate], count: int) -> list[str]:
    """The replicas to remove: useless first, then the idlest, then the youngest.

    The youngest goes before the old because its caches are the coldest.

    Args:
        candidates: Replicas that are not leaving already; those that are get ignored.
        count: How many must go; all of them when fewer are there.

    Returns:
        Ids in the order of removal.
    """
    present = [c for c in candidates if c.phase in _DISPENSABLE]
    present.sort(key=lambda c: (_DISPENSABLE[c.phase], c.load, -c.created_at, c.id))
    return [c.id for c in present[: max(count, 0)]]


def choose_returning(candidates: Iterable[Candidate], count: int) -> list[str]:
    """The draining replicas to keep after all: the busiest first, then the oldest.

    Args:
        candidates: Any replicas; only the draining ones count. One that was already asked to
            end is `stopping` and cannot come back.
        count: How many are wanted; all of them when fewer are there.
    """
    present = [c for c in candidates if c.phase is ReplicaPhase.DRAINING]
    present.sort(key=lambda c: (-c.load, c.created_at, c.id))
    return [c.id for c in present[: max(count, 0)]]
