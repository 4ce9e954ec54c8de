"""Routes of artifacts: `/artifacts`, and `/registry/artifacts` in the old family."""

from collections.abc import Callable, Collection
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.credentials import check_environment
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import Page, Sorting, has_tag, matches, name_key, page_of
from controlplane.api.queries import ArtifactQuery, NewArtifactQuery, OldArtifactQuery
from controlplane.api.services import Services
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import artifacts as rules
from controlplane.lifecycle.plans import Held, Plan
from controlplane.lifecycle.underway import artifacts_in_use
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.workloads import Proton
from controlplane.wire.artifacts import (
    ArtifactFormatted,
    ArtifactInput,
    ArtifactPatch,
    CloneInput,
)
from controlplane.wire.families import stored_artifact_status
from controlplane.wire.tags import wanted_tags

common: Final = APIRouter(tags=["artifacts"], responses=RESPONSES)
"""Routes that both families have alike."""
new: Final = APIRouter(tags=["artifacts"], responses=RESPONSES)
old: Final = APIRouter(tags=["artifacts"], responses=RESPONSES)


@common.post("", status_code=201, response_model=ArtifactFormatted)
async def create_artifact(call: PlainCall, body: ArtifactInput) -> ArtifactFormatted:
    """Create a draft artifact, in a repository of its own unless one is given."""
    return await _answer(call, lambda: plan_artifact(call, body))


@new.get("", response_model=Page[ArtifactFormatted])
async def list_artifacts(
    call: ListCall, query: Annotated[NewArtifactQuery, Query()]
) -> dict[str, Any]:
    """The caller's artifacts."""
    return await _list(call, query)


@old.get("", response_model=Page[ArtifactFormatted])
async def list_registry_artifacts(
    call: ListCall, query: Annotated[OldArtifactQuery, Query()]
) -> dict[str, Any]:
    """The caller's artifacts."""
    return await _list(call, query)


@common.get("/{artifact_id}", response_model=ArtifactFormatted)
async def get_artifact(call: PlainCall, artifact_id: str) -> ArtifactFormatted:
    """One artifact; `ETag` is its version for `If-Match`."""
    held = call.artifact(artifact_id, access.ANYONE)
    call.tag(held.version)
    return Views(call).artifact(held.record)


@common.put("/{artifact_id}", response_model=ArtifactFormatted)
async def replace_artifact(
    call: PlainCall, artifact_id: str, body: ArtifactInput
) -> ArtifactFormatted:
    """Replace a draft's whole content. What runs keeps its copy until the next start."""

    def plan() -> Plan[Artifact]:
        held = call.artifact(artifact_id)
        call.check_if_match(held)
        here = held.record.repository_id
        home = body.artifact_repository_id or here
        content = _content(body)
        check_environment(call, content.spec, "spec")
        return rules.replace_artifact(
            held,
            content,
            repository=_home(call, home, stays=home == here),
            stamp=call.stamp(),
            permits=call.permits(),
        )

    return await _answer(call, plan)


@common.patch("/{artifact_id}", response_model=ArtifactFormatted)
async def edit_artifact(
    call: PlainCall, artifact_id: str, body: ArtifactPatch
) -> ArtifactFormatted:
    """Change a draft, or lock it for ever with `status`: `locked` or `registered`.

    `spec.containerGroups` is replaced as a whole. Workloads on the artifact expire no more when it
    is locked.
    """

    def plan() -> Plan[Artifact]:
        held = call.artifact(artifact_id)
        call.check_if_match(held)
        home = held.record.repository_id
        spec = None if body.spec is None else body.spec.to_model(held.record.spec)
        if spec is not None:
            check_environment(call, spec, "spec")
        return rules.edit_artifact(
            held,
            rules.ArtifactEdit(
                name=body.name,
                description=body.description,
                tags=wanted_tags(body.tags),
                spec=spec,
                status=None if body.status is None else stored_artifact_status(body.status),
            ),
            repository=None if home is None else call.services.held(Repository, home),
            stamp=call.stamp(),
            permits=call.permits(),
        )

    return await _answer(call, plan)


@common.post("/{artifact_id}/clone", response_model=ArtifactFormatted)
async def clone_artifact(call: PlainCall, artifact_id: str, body: CloneInput) -> ArtifactFormatted:
    """Make a new draft of an artifact, locked or not, in the same repository."""

    def plan() -> Plan[Artifact]:
        original = call.artifact(artifact_id, access.READERS).record
        if original.repository_id is not None:
            call.repository(original.repository_id)
        check_environment(call, original.spec)
        return rules.clone_artifact(original, body.name, stamp=call.stamp(), permits=call.permits())

    return await _answer(call, plan)


@common.delete("/{artifact_id}", status_code=204)
async def delete_artifact(call: PlainCall, artifact_id: str) -> None:
    """Delete a draft that no workload uses."""

    def plan() -> Plan[Artifact]:
        held = call.artifact(artifact_id)
        call.check_if_match(held)
        return rules.delete_artifact(
            held, users=users_of(call.services, [artifact_id])[artifact_id], stamp=call.stamp()
        )

    await carry_out(call, plan)


def plan_artifact(call: Call, body: ArtifactInput, *where: str) -> Plan[Artifact]:
    """The writes that create an artifact; workloads with an inline artifact use it too.

    `where` is the way to the artifact in the request's body.
    """
    content = _content(body)
    check_environment(call, content.spec, *where, "spec")
    repository: Held[Repository] | None = None
    if body.artifact_repository_id is not None:
        repository = call.repository(body.artifact_repository_id)
    return rules.create_artifact(
        content, repository=repository, stamp=call.stamp(), permits=call.permits()
    )


def users_of(services: Services, artifact_ids: Collection[str]) -> dict[str, set[str]]:
    """Ids of the live workloads that run an artifact, are to run it, or have a proton of it."""
    users: dict[str, set[str]] = {artifact_id: set() for artifact_id in artifact_ids}
    for workload in services.live_workloads():
        if workload.artifact_id in users or workload.replacement is not None:
            for artifact_id in users.keys() & artifacts_in_use(workload):
                users[artifact_id].add(workload.id)
    for proton in services.mirror.all(Proton).values():
        if proton.artifact_id in users:
            users[proton.artifact_id].add(proton.workload_id)
    return users


async def _answer(call: Call, plan: Callable[[], Plan[Artifact]]) -> ArtifactFormatted:
    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).artifact(outcome.record)


def _home(call: Call, repository_id: str | None, *, stays: bool) -> Repository | None:
    """Where an artifact shall live: another repository than its own must be the caller's."""
    if repository_id is None:
        return None
    if stays:
        return call.services.mirror.get(Repository, repository_id)
    return call.repository(repository_id).record


def _content(body: ArtifactInput) -> rules.ArtifactContent:
    return rules.ArtifactContent(
        name=body.name,
        description=body.description,
        type=body.type,
        spec=body.spec.to_model(),
        tags=wanted_tags(body.tags),
    )


async def _list(call: Call, query: ArtifactQuery) -> dict[str, Any]:
    statuses = {stored_artifact_status(status) for status in query.status}
    found = [
        artifact
        for artifact in call.services.mirror.all(Artifact).values()
        if artifact.deleted_at is None
        and access.role_on(call.user, artifact) is not None
        and (not query.ids or artifact.id in query.ids)
        and (not statuses or artifact.status in statuses)
        and query.type in {None, artifact.type}
        and query.repository_id in {None, artifact.repository_id}
        and query.created_by in {None, artifact.creator_id}
        and has_tag(artifact.tags, names=query.tag_keys, values=query.tag_values)
        and matches(
            query.search,
            name=artifact.name,
            description=artifact.description,
            record_id=artifact.id,
        )
    ]
    return await page_of(call, query, found, sorting=_SORTING, view=Views(call).artifact)


_SORTING: Final = Sorting[Artifact](
    keys={
        "name": lambda a: name_key(a.name),
        "createdAt": lambda a: a.created_at,
        "updatedAt": lambda a: a.updated_at,
        "status": lambda a: a.status,
    }
)
