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
    """Requests in flight over all gateways, streams included."""
    streams: int = 0
    """Open tunnels among them: they do not end in a drain, but are cut at its deadline."""
    active_streams: int = 0
    """Of those, the ones that have moved bytes lately."""
    created_at: float
    young: bool = False
    """It has not run for the proton's `min_run_time_s`."""


def choose_victims(candidates: Iterable[Candidate], count: int) -> list[str]:
    """The replicas to remove: useless first, then where least is broken, the idlest, the youngest.

    Requests end while a replica drains, tunnels do not: a replica with nothing but requests goes
    before one that keeps a silent WebSocket open, and that one before one whose WebSocket is in
    use. The youngest goes before the old because its caches are the coldest; but one that has not
    run for its least time goes last, since others can go in its place.

    Args:
        candidates: Replicas that are not leaving already; those that are get ignored.
        count: How many must go; all of them when fewer are there.

    Returns:
        Ids in the order of removal.
    """
    present = [c for c in candidates if c.phase in _DISPENSABLE]
    present.sort(
        key=lambda c: (
            *(c.young, _DISPENSABLE[c.phase], c.active_streams, c.streams, c.load),
            *(-c.created_at, c.id),
        )
    )
    return [c.id for c in present[: max(count, 0)]]


def choose_returning(candidates: Iterable[Candidate], count: int) -> list[str]:
    """The draining replicas to keep after all: the opposite order, most to be broken first.

    Args:
        candidates: Any replicas; only the draining ones count. One that was already asked to
            end is `stopping` and cannot come back.
        count: How many are wanted; all of them when fewer are there.
    """
    present = [c for c in candidates if c.phase is ReplicaPhase.DRAINING]
    present.sort(key=lambda c: (-c.active_streams, -c.streams, -c.load, c.created_at, c.id))
    return [c.id for c in present[: max(count, 0)]]
