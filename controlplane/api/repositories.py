"""Routes of artifact repositories: they open and fill with their artifacts, none is created."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.artifacts import users_of
from controlplane.api.call import ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import Page, Sorting, has_tag, matches, name_key, page_of
from controlplane.api.queries import RepositoryQuery
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import repositories as rules
from controlplane.lifecycle.plans import Held, Plan
from controlplane.lifecycle.tags import tag_repository
from controlplane.model.artifacts import Artifact, Repository
from controlplane.wire.artifacts import RepositoryFormatted
from controlplane.wire.tags import RepositoryPatch, wanted_tags

router: Final = APIRouter(tags=["artifact repositories"], responses=RESPONSES)


@router.get("", response_model=Page[RepositoryFormatted])
async def list_repositories(
    call: ListCall, query: Annotated[RepositoryQuery, Query()]
) -> dict[str, Any]:
    """The caller's repositories."""
    found = [
        repository
        for repository in call.services.mirror.all(Repository).values()
        if repository.deleted_at is None
        and access.role_on(call.user, repository) is not None
        and (not query.ids or repository.id in query.ids)
        and query.type in {None, repository.type}
        and query.created_by in {None, repository.creator_id}
        and has_tag(repository.tags, names=query.tag_keys, values=query.tag_values)
        and matches(query.search, name=repository.name, description="", record_id=repository.id)
    ]
    return await page_of(call, query, found, sorting=_SORTING, view=Views(call).repository)


@router.get("/{repository_id}", response_model=RepositoryFormatted)
async def get_repository(call: PlainCall, repository_id: str) -> RepositoryFormatted:
    """One repository; `ETag` is its version for `If-Match`."""
    held = call.repository(repository_id, access.ANYONE)
    call.tag(held.version)
    return Views(call).repository(held.record)


@router.patch("/{repository_id}", response_model=RepositoryFormatted)
async def edit_repository(
    call: PlainCall, repository_id: str, body: RepositoryPatch
) -> RepositoryFormatted:
    """Give a repository other tags. An extension."""

    def plan() -> Plan[Repository]:
        held = call.repository(repository_id)
        call.check_if_match(held)
        wanted = wanted_tags(body.tags)
        if wanted is None:
            return Plan(subject=held.record)
        return tag_repository(held, wanted, stamp=call.stamp())

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).repository(outcome.record)


@router.delete("/{repository_id}", status_code=204)
async def delete_repository(call: PlainCall, repository_id: str) -> None:
    """Delete a repository with its drafts; 409 if it holds locked artifacts, or some in use."""
    services = call.services

    def plan() -> Plan[Repository]:
        held = call.repository(repository_id)
        call.check_if_match(held)
        inside = [
            Held(artifact, services.mirror.version(Artifact, artifact.id))
            for artifact in services.artifacts[repository_id].values()
            if artifact.deleted_at is None
        ]
        for artifact in inside:  # a repository's roles are not those of what is in it
            access.require(call.user, artifact.record, access.OWNERS)
        users = users_of(services, [artifact.record.id for artifact in inside])
        return rules.delete_repository(
            held,
            artifacts=inside,
            in_use={artifact_id for artifact_id, ids in users.items() if ids},
            stamp=call.stamp(),
        )

    await carry_out(call, plan)


_SORTING: Final = Sorting[Repository](
    keys={
        "name": lambda r: name_key(r.name),
        "createdAt": lambda r: r.created_at,
        "updatedAt": lambda r: r.updated_at,
    }
)
