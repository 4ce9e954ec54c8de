"""States of replicas, protons and workloads, and how the lower make up the higher.

    replica phase  means                                                     gateway
    -------------  --------------------------------------------------------  -------
    pending        accepted, nothing runs yet (no capacity, back-off)         no
    launching      the process runs, its start-up or readiness is not proven  no
    ready          its readiness check passed                                 routes
    unready        it was ready, its readiness check fails now                no
    draining       chosen for removal: serves what it has, gets nothing new   finishes
    stopping       asked to end (SIGTERM), grace period running               no
    failed         ended or never came up; `message` says why                 no

Worst state wins: a proton shows the state of its worst replica, a workload that of its active
proton. Severity, worst first, is `SEVERITY` (the contract leaves the order open).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class ReplicaPhase(StrEnum):
    """Where one replica is in its life; the module docstring is the table."""

    PENDING = "pending"
    LAUNCHING = "launching"
    READY = "ready"
    UNREADY = "unready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


class ProtonState(StrEnum):
    """State of one proton, in the contract's words."""

    UNKNOWN = "unknown"
    SUBMITTED = "submitted"
    PROVISIONING = "provisioning"
    LAUNCHING = "launching"
    RUNNING = "running"
    SUSPENDED = "suspended"
    WARMING = "warming"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERRORED = "errored"
    TERMINATED = "terminated"


class Desired(StrEnum):
    """What the owner asked of a workload or proton."""

    RUNNING = "running"
    STOPPED = "stopped"


class ProtonRole(StrEnum):
    """A proton's place in its workload; None on the record once it only drains."""

    ACTIVE = "active"
    CANDIDATE = "candidate"
    DRAINING = "draining"


class ReplacementStatus(StrEnum):
    """How far a replacement is, in the contract's words."""

    SUBMITTED = "submitted"
    """Accepted; the candidate has no replica yet."""
    INITIALIZING = "initializing"
    """The candidate's replicas start."""
    AWAITING_PROMOTION = "awaiting_promotion"
    """The candidate is ready: it warms up, or takes its weight steps."""
    SWITCHING = "switching"
    """The candidate is the active proton; the old one is kept, or drains."""
    CLEANING_UP = "cleaning_up"
    """Cancelled or failed: the candidate is being removed."""
    COMPLETED = "completed"
    ERRORED = "errored"


class Importance(StrEnum):
    """Who goes first when there is not enough for all. Declared from least to most important."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    CRITICAL = "critical"


IMPORTANCE_ORDER: Final[tuple[Importance, ...]] = tuple(Importance)
"""Ascending: least important first, as the API's `orderBy=importance` sorts."""


class AccessRole(StrEnum):
    """What a user may do with a shared entity."""

    OWNER = "OWNER"
    USER = "USER"
    CONSUMER = "CONSUMER"


EVERYBODY: Final = "000000000000000000000000"
"""In place of a user's id: all users. An installation is one organisation; this is its id."""

INVOKING_ROLES: Final = frozenset({AccessRole.OWNER, AccessRole.USER, AccessRole.CONSUMER})
"""Roles that may call the invoke URL: all of them today; kept as a set because roles will grow."""

ROUTABLE: Final = frozenset({ReplicaPhase.READY})
ALIVE: Final = frozenset(
    {
        ReplicaPhase.LAUNCHING,
        ReplicaPhase.READY,
        ReplicaPhase.UNREADY,
        ReplicaPhase.DRAINING,
        ReplicaPhase.STOPPING,
    }
)
"""Phases in which a process or pod exists."""

LEAVING: Final = frozenset({ReplicaPhase.DRAINING, ReplicaPhase.STOPPING})

SEVERITY: Final[tuple[ProtonState, ...]] = (
    ProtonState.ERRORED,
    ProtonState.UNKNOWN,
    ProtonState.SUBMITTED,
    ProtonState.PROVISIONING,
    ProtonState.LAUNCHING,
    ProtonState.RUNNING,
)
"""Worst first. A replica that leaves does not worsen a proton that stays."""

_STATE_OF_PHASE: Final[dict[ReplicaPhase, ProtonState]] = {
    ReplicaPhase.PENDING: ProtonState.SUBMITTED,
    ReplicaPhase.LAUNCHING: ProtonState.LAUNCHING,
    ReplicaPhase.READY: ProtonState.RUNNING,
    ReplicaPhase.UNREADY: ProtonState.LAUNCHING,
    ReplicaPhase.FAILED: ProtonState.ERRORED,
}


def proton_state(
    *,
    desired: Desired,
    wanted_replicas: int | None,
    phases: Iterable[ReplicaPhase],
    errored: bool,
) -> ProtonState:
    """State of a proton from what was asked and what its replicas do.

    Args:
        desired: Running or stopped, as the owner asked.
        wanted_replicas: The autoscaler's last decision; None before the first one.
        phases: Phases of all replicas of the proton.
        errored: The autoscaler gave up on the proton until somebody acts (crash loop, nothing
            to run, never ready). Sticky until a stop and start, or the autoscaler's next start.

    Returns:
        `stopped`/`stopping` when stop was asked, `errored` when sticky, `suspended` at zero
        wanted replicas (the contract leaves it open: we decide `suspended`), else the worst
        state among the replicas that stay.
    """
    present = list(phases)
    if desired is Desired.STOPPED:
        alive = any(phase in ALIVE for phase in present)
        return ProtonState.STOPPING if alive else ProtonState.STOPPED
    if errored:
        return ProtonState.ERRORED
    if wanted_replicas is None:
        return ProtonState.SUBMITTED
    staying = [phase for phase in present if phase not in LEAVING]
    if wanted_replicas == 0 and not staying:
        return ProtonState.SUSPENDED
    if not staying:
        return ProtonState.PROVISIONING
    found = {_STATE_OF_PHASE[phase] for phase in staying}
    return next(state for state in SEVERITY if state in found)
