"""Routes of image builds. This deployment builds no images: there are none, and none begin."""

from typing import Annotated, Any, Final, NoReturn

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from controlplane.api.call import ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import NewPage, Page, envelope
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import UnfitError
from controlplane.wire.artifacts import BuildFormatted, BuildInput

router: Final = APIRouter(tags=["builds"], responses=RESPONSES)

NO_BUILDS: Final = (
    "This deployment builds no images: build yours elsewhere, push it to a registry, and name it in"
    " imageUri."
)


@router.get("/{artifact_id}/builds", response_model=Page[BuildFormatted])
async def list_builds(
    call: ListCall, artifact_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """An artifact's image builds: none, as this deployment builds no images."""
    call.artifact(artifact_id, access.READERS)
    return envelope(call.request, [], total=0, offset=query.offset, limit=query.limit)


@router.post("/{artifact_id}/builds", status_code=202, response_model=dict[str, list[str]])
async def start_build(
    call: PlainCall, artifact_id: str, body: BuildInput | None = None
) -> NoReturn:
    """Refused with 422: this deployment builds no images."""
    call.artifact(artifact_id)
    raise UnfitError(NO_BUILDS)


@router.get("/{artifact_id}/builds/{build_id}", response_model=BuildFormatted)
async def get_build(call: PlainCall, artifact_id: str, build_id: str) -> NoReturn:
    """Refused with 422: this deployment builds no images."""
    call.artifact(artifact_id, access.READERS)
    raise UnfitError(NO_BUILDS)


@router.delete("/{artifact_id}/builds/{build_id}", status_code=204, response_model=None)
async def cancel_build(call: PlainCall, artifact_id: str, build_id: str) -> NoReturn:
    """Refused with 422: this deployment builds no images."""
    call.artifact(artifact_id)
    raise UnfitError(NO_BUILDS)


@router.get(
    "/{artifact_id}/builds/{build_id}/logs",
    response_class=PlainTextResponse,
    response_model=None,
)
async def get_build_logs(call: PlainCall, artifact_id: str, build_id: str) -> NoReturn:
    """Refused with 422: this deployment builds no images."""
    call.artifact(artifact_id, access.READERS)
    raise UnfitError(NO_BUILDS)
