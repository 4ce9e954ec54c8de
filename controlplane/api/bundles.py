"""Routes of bundles: the sizes that replicas may have."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from controlplane.api.call import ListCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import NewPage, Page, envelope
from controlplane.wire.bundles import BundleFormatted

router: Final = APIRouter(tags=["bundles"], responses=RESPONSES)


class BundleQuery(NewPage):
    """Query of the bundle list."""

    use_cases: list[str] = Field(
        default_factory=list, description="Repeated: bundles for one of these. Default: all."
    )


@router.get("/mlops/compute/bundles", response_model=Page[BundleFormatted])
async def list_bundles(call: ListCall, query: Annotated[BundleQuery, Query()]) -> dict[str, Any]:
    """The sizes that replicas may have, in the order of the catalogue (`api.bundles_file`)."""
    wanted = set(query.use_cases)
    found = [b for b in call.services.bundles if not wanted or wanted & set(b.use_cases)]
    return envelope(
        call.request,
        [BundleFormatted.of(b) for b in found[query.offset : query.offset + query.limit]],
        total=len(found),
        offset=query.offset,
        limit=query.limit,
    )
