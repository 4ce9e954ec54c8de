"""Which replicas run too short a time to be taken away.

a replica                                              its time counts from
-----------------------------------------------------  ----------------------
that serves, or has served                             when it became ready
that is about to: provisioning, launching              when it was made
that does not run, or runs in vain (crashing, lost,    it has none: it may go
displaced, without a place), or leaves anyway

A start in the future is of a clock that has been set back since: how long it lies ahead says
nothing, and nobody waits for it.
"""

from collections.abc import Iterable
from typing import Final

from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica

_RUNNING: Final = frozenset(
    {
        ReplicaPhase.PROVISIONING,
        ReplicaPhase.LAUNCHING,
        ReplicaPhase.READY,
        ReplicaPhase.UNREADY,
    }
)


def is_young(replica: Replica, *, at: float, min_run_s: float) -> bool:
    """Whether a replica should run on for the sake of its start.

    Args:
        replica: Its record.
        at: Epoch seconds.
        min_run_s: How long a replica runs at least; 0: none is young.
    """
    if min_run_s <= 0 or replica.phase not in _RUNNING:
        return False
    since = replica.created_at if replica.ready_at is None else replica.ready_at
    return 0 <= at - since < min_run_s


def young_among(replicas: Iterable[Replica], *, at: float, min_run_s: float) -> int:
    """How many replicas should run on for the sake of their start."""
    if min_run_s <= 0:
        return 0
    return sum(is_young(replica, at=at, min_run_s=min_run_s) for replica in replicas)
