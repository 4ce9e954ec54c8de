"""Routes of artifacts: `/artifacts`, and `/registry/artifacts` in the old family."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import (
    ArtifactQuery,
    NewArtifactQuery,
    OldArtifactQuery,
    Page,
    cut,
    envelope,
    matches,
    ordered,
)
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import artifacts as rules
from controlplane.lifecycle.plans import Held, Plan
from controlplane.model.artifacts import Artifact, Repository
from controlplane.wire.artifacts import ArtifactFormatted, ArtifactInput, ArtifactPatch
from controlplane.wire.families import stored_artifact_status

common: Final = APIRouter(tags=["artifacts"], responses=RESPONSES)
"""Routes that both families have alike."""
new: Final = APIRouter(tags=["artifacts"], responses=RESPONSES)
old: Final = APIRouter(tags=["artifacts"], responses=RESPONSES)


@common.post("", status_code=201, response_model=ArtifactFormatted)
async def create_artifact(call: PlainCall, body: ArtifactInput) -> ArtifactFormatted:
    """Create a draft artifact, in a repository of its own unless one is given."""
    outcome = await carry_out(call, lambda: plan_artifact(call, body))
    call.tag(outcome.version)
    return Views(call).artifact(outcome.record)


@new.get("", response_model=Page[ArtifactFormatted])
async def list_artifacts(
    call: ListCall, query: Annotated[NewArtifactQuery, Query()]
) -> dict[str, Any]:
    """The caller's artifacts."""
    return _list(call, query)


@old.get("", response_model=Page[ArtifactFormatted])
async def list_registry_artifacts(
    call: ListCall, query: Annotated[OldArtifactQuery, Query()]
) -> dict[str, Any]:
    """The caller's artifacts."""
    return _list(call, query)


@common.get("/{artifact_id}", response_model=ArtifactFormatted)
async def get_artifact(call: PlainCall, artifact_id: str) -> ArtifactFormatted:
    """One artifact; `ETag` is its version for `If-Match`."""
    held = call.artifact(artifact_id)
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
        home = body.artifact_repository_id or held.record.repository_id
        return rules.replace_artifact(
            held,
            _content(body),
            repository=None if home is None else call.repository(home).record,
            stamp=call.stamp(),
        )

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).artifact(outcome.record)


@common.patch("/{artifact_id}", response_model=ArtifactFormatted)
async def edit_artifact(
    call: PlainCall, artifact_id: str, body: ArtifactPatch
) -> ArtifactFormatted:
    """Change a draft, or lock it for ever with `status`: `locked` or `registered`."""

    def plan() -> Plan[Artifact]:
        held = call.artifact(artifact_id)
        call.check_if_match(held)
        home = held.record.repository_id
        return rules.edit_artifact(
            held,
            rules.ArtifactEdit(
                name=body.name,
                description=body.description,
                spec=None if body.spec is None else body.spec.to_model(held.record.spec),
                status=None if body.status is None else stored_artifact_status(body.status),
            ),
            repository=None if home is None else call.services.held(Repository, home),
            stamp=call.stamp(),
        )

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).artifact(outcome.record)


@common.delete("/{artifact_id}", status_code=204)
async def delete_artifact(call: PlainCall, artifact_id: str) -> None:
    """Delete a draft that no workload uses."""

    def plan() -> Plan[Artifact]:
        held = call.artifact(artifact_id)
        call.check_if_match(held)
        users = call.services.workloads[artifact_id].values()
        return rules.delete_artifact(
            held, users=[w for w in users if w.deleted_at is None], stamp=call.stamp()
        )

    await carry_out(call, plan)


def plan_artifact(call: Call, body: ArtifactInput) -> Plan[Artifact]:
    """The writes that create an artifact; workloads with an inline artifact use it too."""
    repository: Held[Repository] | None = None
    if body.artifact_repository_id is not None:
        repository = call.repository(body.artifact_repository_id)
    return rules.create_artifact(_content(body), repository=repository, stamp=call.stamp())


def _content(body: ArtifactInput) -> rules.ArtifactContent:
    return rules.ArtifactContent(
        name=body.name,
        description=body.description,
        type=body.type,
        spec=body.spec.to_model(),
    )


def _list(call: Call, query: ArtifactQuery) -> dict[str, Any]:
    statuses = {stored_artifact_status(status) for status in query.status}
    wanted = [
        artifact
        for artifact in call.services.mirror.all(Artifact).values()
        if artifact.deleted_at is None
        and access.role_on(call.user, artifact) is not None
        and (not query.ids or artifact.id in query.ids)
        and (not statuses or artifact.status in statuses)
        and query.type in {None, artifact.type}
        and query.repository_id in {None, artifact.repository_id}
        and query.created_by in {None, artifact.creator_id}
        and matches(
            query.search,
            name=artifact.name,
            description=artifact.description,
            record_id=artifact.id,
        )
    ]
    found = ordered(wanted, query.order_by, keys=_key, record_id=lambda a: a.id)
    views = Views(call)
    page = cut(found, offset=query.offset, limit=query.limit)
    return envelope(
        call.request,
        [views.artifact(artifact) for artifact in page],
        total=len(found),
        offset=query.offset,
        limit=query.limit,
    )


def _key(artifact: Artifact, field: str) -> str | float:
    if field == "name":
        return artifact.name.casefold()
    if field == "status":
        return artifact.status
    return artifact.updated_at if field == "updatedAt" else artifact.created_at
