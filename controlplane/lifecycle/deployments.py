"""Plans for deployments, v2.41's wrapper of a workload with an invoke URL of its own."""

from dataclasses import dataclass

import msgspec

from controlplane.lifecycle.plans import Held, Plan, Save, Stamp, UnfitError
from controlplane.model.artifacts import Artifact
from controlplane.model.events import EventType
from controlplane.model.states import Importance
from controlplane.model.workloads import Deployment, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentContent:
    """What an owner says about a new deployment."""

    name: str
    description: str = ""
    importance: Importance = Importance.LOW


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentEdit:
    """A change of metadata; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    importance: Importance | None = None


def create_deployment(
    content: DeploymentContent, *, workload: Held[Workload], artifact: Artifact, stamp: Stamp
) -> Plan[Deployment]:
    """A deployment of a workload.

    The workload is written back unchanged, so that deleting it at the same moment conflicts.

    Raises:
        UnfitError: The workload runs a draft, which may not go to production.
    """
    if artifact.status == "draft":
        raise UnfitError(
            f"Workload {workload.record.id} runs the draft artifact {artifact.id}:"
            " lock (register) the artifact before you deploy it."
        )
    deployment = Deployment(
        id=stamp.new_id(),
        name=content.name,
        description=content.description,
        importance=content.importance,
        workload_id=workload.record.id,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(
        subject=deployment,
        writes=(
            Save(record=deployment, expected=0),
            Save(record=workload.record, expected=workload.version),
        ),
        events=(
            stamp.event(
                deployment.workload_id, EventType.DEPLOYMENT_CREATED, deploymentId=deployment.id
            ),
        ),
    )


def edit_deployment(
    held: Held[Deployment], edit: DeploymentEdit, *, stamp: Stamp
) -> Plan[Deployment]:
    """New name, description or importance."""
    deployment = held.record
    changes = {
        name: value
        for name in ("name", "description", "importance")
        if (value := getattr(edit, name)) is not None and value != getattr(deployment, name)
    }
    if not changes:
        return Plan(subject=deployment)
    edited = msgspec.structs.replace(deployment, **changes, updated_at=stamp.now_s)
    return Plan(
        subject=edited,
        writes=(Save(record=edited, expected=held.version),),
        events=(
            stamp.event(
                edited.workload_id,
                EventType.DEPLOYMENT_UPDATED,
                deploymentId=edited.id,
                changes=changes,
            ),
        ),
    )


def delete_deployment(held: Held[Deployment], *, stamp: Stamp) -> Plan[Deployment]:
    """Soft delete: its URL stops, the workload runs on."""
    gone = msgspec.structs.replace(held.record, deleted_at=stamp.now_s, updated_at=stamp.now_s)
    return Plan(
        subject=gone,
        writes=(Save(record=gone, expected=held.version),),
        events=(stamp.event(gone.workload_id, EventType.DEPLOYMENT_DELETED, deploymentId=gone.id),),
    )
