"""Protons and the snapshot of their replicas."""

from typing import Final, Self

from pydantic import Field

from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica
from controlplane.wire.base import Shape, maybe_timestamp, timestamp
from controlplane.wire.people import UserShape
from controlplane.wire.runtime import OldRuntimeShape, RuntimeShape
from controlplane.wire.workloads import Condition, StatusDetails


class ProtonFormatted(Shape):
    """One proton."""

    id: str
    name: str
    status: str
    status_details: StatusDetails | None
    role: str | None
    weight: int
    artifact_id: str
    workload_id: str
    runtime: OldRuntimeShape | RuntimeShape
    endpoint: str
    running_since: str | None
    deployed_images: dict[str, str]
    creator: UserShape | None
    created_at: str
    updated_at: str


class OverallStatus(Shape):
    """The proton in one sentence."""

    state: str
    summary: str
    last_updated: str | None


class LastState(Shape):
    """How a container that was started again had ended."""

    status: str
    reason: str | None
    exit_code: int | None
    message: str | None
    started_at: str | None
    finished_at: str | None


class ContainerStatus(Shape):
    """What one container of a replica does."""

    name: str
    status: str
    ready: bool
    restart_count: int
    started_at: str | None
    image: str | None
    reason: str | None = Field(description="Why it is not ready, in one word.")
    exit_code: int | None
    message: str | None
    last_state: LastState | None


class ReplicaStatus(Shape):
    """What one replica does. `phase` is our own, finer word for `status`."""

    id: str
    name: str
    status: str
    phase: str
    address: str | None
    node_address: str | None
    bundle: str | None = Field(
        description="Which of the named bundles it has; null: nothing was chosen. Our extension."
    )
    bundle_reason: str | None = Field(
        description="Why it has none of the earlier ones; null: it has the first. Our extension."
    )
    started_at: str | None
    conditions: list[Condition]
    containers: list[ContainerStatus]

    @classmethod
    def of(cls, replica: Replica, *, container: str, image: str | None) -> Self:
        """The answer's form of a replica whose primary container is `container`."""
        ready = replica.phase in {ReplicaPhase.READY, ReplicaPhase.DRAINING}
        address = None
        if replica.host is not None and replica.port is not None:
            address = f"{replica.host}:{replica.port}"
        return cls(
            id=replica.id,
            name=f"replica-{replica.id}",
            status=_POD_STATUS[replica.phase],
            phase=replica.phase,
            address=address,
            node_address=replica.node,
            bundle=replica.bundle,
            bundle_reason=replica.bundle_reason or None,
            started_at=maybe_timestamp(replica.started_at),
            conditions=[
                Condition(
                    type="Ready",
                    value=ready,
                    last_transition_time=timestamp(
                        replica.ready_at
                        if ready and replica.ready_at is not None
                        else replica.created_at
                    ),
                    reason=replica.phase,
                    message=replica.message or None,
                )
            ],
            containers=[
                ContainerStatus(
                    name=container,
                    status=_CONTAINER_STATUS[replica.phase],
                    ready=ready,
                    restart_count=replica.restart_count,
                    started_at=maybe_timestamp(replica.started_at),
                    image=image,
                    reason=None if ready else replica.phase,
                    exit_code=replica.exit_code,
                    message=replica.message or None,
                    last_state=_last_state(replica),
                )
            ],
        )


def _last_state(replica: Replica) -> LastState | None:
    if not replica.restart_count or replica.exit_code is None:
        return None
    return LastState(
        status="terminated",
        reason="Error" if replica.exit_code else "Completed",
        exit_code=replica.exit_code,
        message=None,
        started_at=None,
        finished_at=None,
    )


class StatusSnapshot(Shape):
    """All replicas of a proton at one moment."""

    overall_status: OverallStatus
    replicas: list[ReplicaStatus]
    log_tail: list[str] | None


_POD_STATUS: Final[dict[ReplicaPhase, str]] = {
    ReplicaPhase.PENDING: "pending",
    ReplicaPhase.PROVISIONING: "pending",
    ReplicaPhase.LAUNCHING: "pending",
    ReplicaPhase.RESTARTING: "running",
    ReplicaPhase.INTERRUPTED: "failed",
    ReplicaPhase.LOST: "unknown",
    ReplicaPhase.READY: "running",
    ReplicaPhase.UNREADY: "running",
    ReplicaPhase.DRAINING: "running",
    ReplicaPhase.STOPPING: "running",
    ReplicaPhase.FAILED: "failed",
}
_CONTAINER_STATUS: Final[dict[ReplicaPhase, str]] = {
    **dict.fromkeys(ReplicaPhase, "running"),
    ReplicaPhase.PENDING: "waiting",
    ReplicaPhase.PROVISIONING: "waiting",
    ReplicaPhase.RESTARTING: "waiting",
    ReplicaPhase.INTERRUPTED: "terminated",
    ReplicaPhase.LOST: "unknown",
    ReplicaPhase.FAILED: "terminated",
}
