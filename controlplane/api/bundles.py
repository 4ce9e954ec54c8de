"""Routes of bundles. Replicas are processes of one machine: there are no sizes to choose from."""

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

    use_cases: list[str] = Field(default_factory=list, description="What they may be used for.")


@router.get("/mlops/compute/bundles", response_model=Page[BundleFormatted])
async def list_bundles(call: ListCall, query: Annotated[BundleQuery, Query()]) -> dict[str, Any]:
    """The bundles that replicas can run on: none, as there is no catalogue of them here."""
    return envelope(call.request, [], total=0, offset=query.offset, limit=query.limit)
