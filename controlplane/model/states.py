"""States of replicas, protons and workloads, and how the lower make up the higher.

    replica phase  means                                                     gateway
    -------------  --------------------------------------------------------  -------
    pending        accepted, nothing runs yet (no place for it, back-off)     no
    provisioning   it has its place (volumes, secrets), nothing runs yet      no
    launching      the process runs, its start-up or readiness is not proven  no
    ready          its readiness check passed                                 routes
    unready        it was ready, its readiness check fails now                no
    restarting     it ended and is started again in the same place            no
    interrupted    it had to make room for something more important           no
    lost           nobody knows: its node is silent                           no
    draining       chosen for removal: serves what it has, gets nothing new   finishes
    stopping       asked to end (SIGTERM), grace period running               no
    failed         ended or never came up; `message` says why                 no

Which phase a pod is in is `pods.phase_of`; processes are told by their reconciler.

Worst state wins: a proton shows the state of its worst replica, and a replica that of its worst
container; a workload shows its active proton. Severity, worst first, is `SEVERITY` (the contract
leaves the order open). The first line that holds is a proton's state:

    state                        when
    ---------------------------  ----------------------------------------------------------------
    stopping                     stop was asked, a replica is alive
    terminated                   stop was asked, none is, and the proton was replaced: for good
    stopped                      stop was asked, none is
    errored                      the autoscaler gave up: sticky until a stop and a start, or a
                                 replacement, which makes a new proton
    submitted                    nothing was decided yet
    suspended                    no replica is wanted, none stays
    interrupted                  replicas are wanted, the last one had to make room
    provisioning                 replicas are wanted, none stays
    that of the worst replica    `_STATE_OF_PHASE`; a running candidate is `warming`, one that was
                                 replaced `draining`
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class ReplicaPhase(StrEnum):
    """Where one replica is in its life; the module docstring is the table."""

    PENDING = "pending"
    PROVISIONING = "provisioning"
    LAUNCHING = "launching"
    READY = "ready"
    UNREADY = "unready"
    RESTARTING = "restarting"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


class ProtonState(StrEnum):
    """State of one proton, in the contract's words."""

    UNKNOWN = "unknown"
    SUBMITTED = "submitted"
    PROVISIONING = "provisioning"
    LAUNCHING = "launching"
    INITIALIZING = "initializing"
    """A replica restarts in its place."""
    RUNNING = "running"
    SUSPENDED = "suspended"
    """At zero replicas, to be woken by a request."""
    INTERRUPTED = "interrupted"
    """A replica had to make room; it comes back when there is room again."""
    WARMING = "warming"
    """A candidate that runs and is not the active proton yet."""
    DRAINING = "draining"
    """It was replaced: it runs on and gets nothing new."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERRORED = "errored"
    TERMINATED = "terminated"
    """It was replaced or cancelled, and has ended."""


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
    """What a user may do with a shared entity. Declared from most to least."""

    OWNER = "OWNER"
    USER = "USER"
    CONSUMER = "CONSUMER"


EVERYBODY: Final = "000000000000000000000000"
"""In place of a user's id: all users. An installation is one organisation; this is its id."""


def effective_roles(roles: Mapping[str, AccessRole], creator_id: str) -> Mapping[str, AccessRole]:
    """Who has which role on an entity: as shared; its creator alone where nobody shared it yet."""
    return roles or {creator_id: AccessRole.OWNER}


INVOKING_ROLES: Final = frozenset({AccessRole.OWNER, AccessRole.USER, AccessRole.CONSUMER})
"""Roles that may call the invoke URL: all of them today; kept as a set because roles will grow."""

ROUTABLE: Final = frozenset({ReplicaPhase.READY})
ALIVE: Final = frozenset(ReplicaPhase) - {
    ReplicaPhase.PENDING,
    ReplicaPhase.INTERRUPTED,
    ReplicaPhase.FAILED,
}
"""Phases in which a process or pod exists, or may exist."""

LEAVING: Final = frozenset({ReplicaPhase.DRAINING, ReplicaPhase.STOPPING})

SEVERITY: Final[tuple[ProtonState, ...]] = (
    ProtonState.ERRORED,
    ProtonState.UNKNOWN,
    ProtonState.INTERRUPTED,
    ProtonState.SUBMITTED,
    ProtonState.PROVISIONING,
    ProtonState.INITIALIZING,
    ProtonState.LAUNCHING,
    ProtonState.RUNNING,
)
"""Worst first. A replica that leaves does not worsen a proton that stays."""

_STATE_OF_PHASE: Final[dict[ReplicaPhase, ProtonState]] = {
    ReplicaPhase.PENDING: ProtonState.SUBMITTED,
    ReplicaPhase.PROVISIONING: ProtonState.PROVISIONING,
    ReplicaPhase.LAUNCHING: ProtonState.LAUNCHING,
    ReplicaPhase.READY: ProtonState.RUNNING,
    ReplicaPhase.UNREADY: ProtonState.LAUNCHING,
    ReplicaPhase.RESTARTING: ProtonState.INITIALIZING,
    ReplicaPhase.INTERRUPTED: ProtonState.INTERRUPTED,
    ReplicaPhase.LOST: ProtonState.UNKNOWN,
    ReplicaPhase.FAILED: ProtonState.ERRORED,
}

_RUNNING_AS: Final[dict[ProtonRole | None, ProtonState]] = {
    ProtonRole.CANDIDATE: ProtonState.WARMING,
    ProtonRole.DRAINING: ProtonState.DRAINING,
}
"""What a proton is called that runs without being the active one."""


def proton_state(
    *,
    desired: Desired,
    wanted_replicas: int | None,
    phases: Iterable[ReplicaPhase],
    errored: bool,
    interrupted: bool = False,
    role: ProtonRole | None = ProtonRole.ACTIVE,
) -> ProtonState:
    """State of a proton from what was asked and what its replicas do: the docstring's table.

    Args:
        desired: Running or stopped, as the owner asked.
        wanted_replicas: The autoscaler's last decision; None before the first one.
        phases: Phases of all replicas of the proton.
        errored: The autoscaler gave up on the proton until somebody acts (crash loop, nothing
            to run, never ready). Sticky until a stop and start, or the autoscaler's next start.
        interrupted: Its replicas had to make room for something more important.
        role: The proton's place in its workload.
    """
    present = list(phases)
    if desired is Desired.STOPPED:
        return _stopped(present, role)
    if errored:
        return ProtonState.ERRORED
    if wanted_replicas is None:
        return ProtonState.SUBMITTED
    staying = [phase for phase in present if phase not in LEAVING]
    if not staying:
        if not wanted_replicas:
            return ProtonState.SUSPENDED
        return ProtonState.INTERRUPTED if interrupted else ProtonState.PROVISIONING
    found = {_STATE_OF_PHASE[phase] for phase in staying}
    worst = next(state for state in SEVERITY if state in found)
    return _RUNNING_AS.get(role, worst) if worst is ProtonState.RUNNING else worst


def _stopped(phases: Iterable[ReplicaPhase], role: ProtonRole | None) -> ProtonState:
    if any(phase in ALIVE for phase in phases):
        return ProtonState.STOPPING
    return ProtonState.STOPPED if role is ProtonRole.ACTIVE else ProtonState.TERMINATED
