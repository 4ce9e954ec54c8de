"""Routes of artifact repositories: read only, they open and fill with their artifacts."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import Page, RepositoryQuery, cut, envelope, matches, ordered
from controlplane.api.views import Views
from controlplane.lifecycle import access
from controlplane.model.artifacts import Repository
from controlplane.wire.artifacts import RepositoryFormatted

router: Final = APIRouter(tags=["artifact repositories"], responses=RESPONSES)


@router.get("", response_model=Page[RepositoryFormatted])
async def list_repositories(
    call: ListCall, query: Annotated[RepositoryQuery, Query()]
) -> dict[str, Any]:
    """The caller's repositories."""
    wanted = [
        repository
        for repository in call.services.mirror.all(Repository).values()
        if repository.deleted_at is None
        and access.role_on(call.user, repository) is not None
        and (not query.ids or repository.id in query.ids)
        and query.type in {None, repository.type}
        and query.created_by in {None, repository.creator_id}
        and matches(query.search, name=repository.name, description="", record_id=repository.id)
    ]
    found = ordered(wanted, query.order_by, keys=_key, record_id=lambda r: r.id)
    views = Views(call)
    page = cut(found, offset=query.offset, limit=query.limit)
    return envelope(
        call.request,
        [views.repository(repository) for repository in page],
        total=len(found),
        offset=query.offset,
        limit=query.limit,
    )


@router.get("/{repository_id}", response_model=RepositoryFormatted)
async def get_repository(call: PlainCall, repository_id: str) -> RepositoryFormatted:
    """One repository."""
    return Views(call).repository(call.repository(repository_id).record)


def _key(repository: Repository, field: str) -> str | float:
    if field == "name":
        return repository.name.casefold()
    return repository.updated_at if field == "updatedAt" else repository.created_at
