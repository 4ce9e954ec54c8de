"""What a proton or workload is said to do, from what its replicas do."""

from collections.abc import Collection
from dataclasses import dataclass

from controlplane.model.states import Desired, ProtonState, ReplicaPhase, proton_state
from controlplane.model.workloads import Proton, Replica, Scale, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """State of a proton or workload, and why."""

    state: ProtonState
    message: str = ""
    """What is wrong and what to do about it; empty when nothing is."""
    log_tail: tuple[str, ...] = ()
    reason: str | None = None
    """The last scaling decision's reason."""
    wanted_replicas: int | None = None
    granted_replicas: int | None = None
    """What capacity arbitration left of it; None: all."""
    ready_replicas: int = 0
    running_since: float | None = None
    updated_at: float | None = None
    known: bool = True
    """False before anything was decided or reported: there are no details to show."""


def proton_status(proton: Proton, *, scale: Scale | None, replicas: Collection[Replica]) -> Status:
    """Status of one proton.

    Args:
        proton: What its owner asked for.
        scale: The autoscaler's last word on it; None before the first.
        replicas: All of its replicas.

    Returns:
        The worst state of the replicas that stay; the autoscaler's message, or where it has
        none, that of a replica in trouble. A stopped proton has no trouble to tell of.
    """
    state = proton_state(
        desired=proton.desired,
        wanted_replicas=None if scale is None else scale.wanted_replicas,
        phases=[replica.shown_phase() for replica in replicas],
        errored=scale is not None and scale.errored,
        interrupted=scale is not None and scale.interrupted,
        role=proton.role,
    )
    ready = [r for r in replicas if r.phase is ReplicaPhase.READY]
    starts = [r.ready_at for r in ready if r.ready_at is not None]
    message = ""
    log_tail: tuple[str, ...] = ()
    if proton.desired is Desired.RUNNING:
        messages = [r.message for r in replicas if r.message]
        if scale is not None:
            message, log_tail = scale.message, scale.log_tail
        message = message or next(iter(messages), "")
    moments = [r.started_at or r.created_at for r in replicas]
    if scale is not None:
        moments.append(scale.updated_at)
    return Status(
        state=state,
        message=message,
        log_tail=log_tail,
        reason=None if scale is None else scale.reason,
        wanted_replicas=None if scale is None else scale.wanted_replicas,
        granted_replicas=None if scale is None else scale.granted_replicas,
        ready_replicas=len(ready),
        running_since=min(starts, default=None),
        updated_at=max(moments, default=None),
        known=scale is not None or bool(replicas),
    )


def workload_status(workload: Workload, active: Status | None) -> Status:
    """Status of a workload: that of its active proton, or of none."""
    if active is not None:
        return active
    stopped = workload.desired is Desired.STOPPED
    return Status(
        state=ProtonState.STOPPED if stopped else ProtonState.UNKNOWN,
        known=False,
    )
