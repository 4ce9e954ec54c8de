"""Routes of sharedRoles: of workloads and artifacts in both families, and of repositories."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import NewPage, OldPage, Page, cut, envelope
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle.access import Entity
from controlplane.lifecycle.plans import Held, Plan
from controlplane.lifecycle.sharing import Grant, resolve, share
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.people import User
from controlplane.model.states import EVERYBODY, AccessRole, effective_roles
from controlplane.model.workloads import Workload
from controlplane.wire.sharing import SharedRole, SharedRolesInput

router: Final = APIRouter(tags=["sharing"], responses=RESPONSES)

Roles = Page[SharedRole]


@router.get("/workloads/{workload_id}/sharedRoles", response_model=Roles)
async def list_workload_roles(
    call: ListCall, workload_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """Who has which role on a workload, the strongest first."""
    return _list(call, call.workload(workload_id, access.READERS), query)


@router.get("/console/workloads/{workload_id}/sharedRoles", response_model=Roles)
async def list_console_workload_roles(
    call: ListCall, workload_id: str, query: Annotated[OldPage, Query()]
) -> dict[str, Any]:
    """Who has which role on a workload, the strongest first."""
    return _list(call, call.workload(workload_id, access.READERS), query)


@router.get("/artifacts/{artifact_id}/sharedRoles", response_model=Roles)
async def list_artifact_roles(
    call: ListCall, artifact_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """Who has which role on an artifact, the strongest first."""
    return _list(call, call.artifact(artifact_id, access.READERS), query)


@router.get("/registry/artifacts/{artifact_id}/sharedRoles", response_model=Roles)
async def list_registry_artifact_roles(
    call: ListCall, artifact_id: str, query: Annotated[OldPage, Query()]
) -> dict[str, Any]:
    """Who has which role on an artifact, the strongest first."""
    return _list(call, call.artifact(artifact_id, access.READERS), query)


@router.get("/artifactRepositories/{repository_id}/sharedRoles", response_model=Roles)
async def list_repository_roles(
    call: ListCall, repository_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """Who has which role on a repository, the strongest first."""
    return _list(call, call.repository(repository_id, access.READERS), query)


@router.patch("/workloads/{workload_id}/sharedRoles", status_code=204)
@router.patch("/console/workloads/{workload_id}/sharedRoles", status_code=204)
async def share_workload(call: PlainCall, workload_id: str, body: SharedRolesInput) -> None:
    """Replace the list of roles on a workload. Every gateway follows within a second."""

    def plan() -> Plan[Workload]:
        held = call.workload(workload_id, access.OWNERS)
        return share(_unchanged(call, held), _wanted(call, body), stamp=call.stamp())

    await carry_out(call, plan, insist=True)


@router.patch("/artifacts/{artifact_id}/sharedRoles", status_code=204)
@router.patch("/registry/artifacts/{artifact_id}/sharedRoles", status_code=204)
async def share_artifact(call: PlainCall, artifact_id: str, body: SharedRolesInput) -> None:
    """Replace the list of roles on an artifact: a USER may run it, a CONSUMER knows that it is."""

    def plan() -> Plan[Artifact]:
        held = call.artifact(artifact_id, access.OWNERS)
        return share(_unchanged(call, held), _wanted(call, body), stamp=call.stamp())

    await carry_out(call, plan, insist=True)


@router.patch("/artifactRepositories/{repository_id}/sharedRoles", status_code=204)
async def share_repository(call: PlainCall, repository_id: str, body: SharedRolesInput) -> None:
    """Replace the list of roles on a repository; its artifacts have their own."""

    def plan() -> Plan[Repository]:
        held = call.repository(repository_id, access.OWNERS)
        return share(_unchanged(call, held), _wanted(call, body), stamp=call.stamp())

    await carry_out(call, plan, insist=True)


def _unchanged(call: Call, held: Held[Any]) -> Held[Any]:
    call.check_if_match(held)
    return held


def _wanted(call: Call, body: SharedRolesInput) -> dict[str, AccessRole]:
    grants = [
        Grant(
            everybody=entry.share_recipient_type == "organization",
            user_id=entry.id,
            username=entry.username,
            role=None if entry.role == "NO_ROLE" else AccessRole(entry.role),
        )
        for entry in body.roles
    ]
    return resolve(grants, call.services.mirror.all(User).values())


def _list(call: Call, held: Held[Entity], query: NewPage | OldPage) -> dict[str, Any]:
    call.tag(held.version)
    entity = held.record
    strength = list(AccessRole)
    found = sorted(
        (
            _shown(call, recipient, role)
            for recipient, role in effective_roles(entity.roles, entity.creator_id).items()
        ),
        key=lambda entry: (strength.index(entry.role), entry.name, entry.id),
    )
    page = cut(found, offset=query.offset, limit=query.limit)
    return envelope(call.request, page, total=len(found), offset=query.offset, limit=query.limit)


def _shown(call: Call, recipient: str, role: AccessRole) -> SharedRole:
    if recipient == EVERYBODY:
        return SharedRole(
            id=recipient, name="Everybody", role=role, share_recipient_type="organization"
        )
    user = call.services.mirror.get(User, recipient)
    name = recipient if user is None else user.username
    return SharedRole(id=recipient, name=name, role=role, share_recipient_type="user")
