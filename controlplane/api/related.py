"""Route of what a workload is connected with: `GET /workloads/{id}/related`."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from fastapi import APIRouter

from controlplane.api.call import Call, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.views import Views
from controlplane.lifecycle import access
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.workloads import Deployment, Workload
from controlplane.wire.families import artifact_status
from controlplane.wire.related import Related, RelatedList

R = TypeVar("R", Deployment, Workload)

router: Final = APIRouter(tags=["workloads"], responses=RESPONSES)


@router.get("/{workload_id}/related", response_model=RelatedList)
async def list_related(call: PlainCall, workload_id: str) -> RelatedList:
    """A workload's artifact and its repository, its deployments, other workloads on the artifact.

    Only what the caller has a role on.
    """
    workload = call.workload(workload_id, access.READERS).record
    found = [*_artifact(call, workload), *_beside(call, workload)]
    return RelatedList(count=len(found), data=found)


def _artifact(call: Call, workload: Workload) -> Iterator[Related]:
    artifact = call.services.mirror.get(Artifact, workload.artifact_id)
    if artifact is None:
        return
    if access.role_on(call.user, artifact) is not None:
        yield Related(
            id=artifact.id,
            type="artifact",
            name=artifact.name,
            status=artifact_status(artifact.status, call.family),
        )
    home = call.services.mirror.get(Repository, artifact.repository_id or "")
    if home is not None and access.role_on(call.user, home) is not None:
        yield Related(id=home.id, type="artifactRepository", name=home.name, status=None)


def _beside(call: Call, workload: Workload) -> Iterator[Related]:
    views = Views(call)
    for deployment in _oldest_first(call.services.deployments[workload.id].values()):
        yield Related(
            id=deployment.id,
            type="deployment",
            name=deployment.name,
            status=views.workload_word(views.deployment_state(deployment)),
        )
    for other in _oldest_first(call.services.workloads[workload.artifact_id].values()):
        if other.id != workload.id and access.role_on(call.user, other) is not None:
            yield Related(
                id=other.id,
                type="workload",
                name=other.name,
                status=views.workload_word(views.workload_state(other)),
            )


def _oldest_first(records: Iterable[R]) -> list[R]:
    live = [record for record in records if record.deleted_at is None]
    return sorted(live, key=lambda record: (record.created_at, record.id))
