"""Routes of what decisions would have been: shadow policies and forecasts (an extension)."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall
from controlplane.api.errors import RESPONSES
from controlplane.api.journals import journal_page, proton_asked_for
from controlplane.api.pages import NewPage, OldPage, Page
from controlplane.model.shadows import ShadowEntry, ShadowKind, journal_name
from controlplane.wire.journals import ShadowFormatted

common: Final = APIRouter(tags=["protons"], responses=RESPONSES)
"""Routes that both families have alike: none."""
new: Final = APIRouter(tags=["protons"], responses=RESPONSES)
old: Final = APIRouter(tags=["protons"], responses=RESPONSES)


class NewShadowQuery(NewPage):
    """Query of shadows' decisions in the new family."""

    kind: ShadowKind = ShadowKind.POLICY
    proton_id: str | None = None


class OldShadowQuery(OldPage):
    """Query of shadows' decisions in the old family."""

    kind: ShadowKind = ShadowKind.POLICY
    proton_id: str | None = None


@new.get("/{workload_id}/shadowDecisions", response_model=Page[ShadowFormatted])
async def list_shadow_decisions(
    call: ListCall, workload_id: str, query: Annotated[NewShadowQuery, Query()]
) -> dict[str, Any]:
    """What a shadow would decide, of the active proton or `protonId` (an extension)."""
    return await _decisions(call, workload_id, query)


@old.get("/{workload_id}/shadowDecisions", response_model=Page[ShadowFormatted])
async def list_console_shadow_decisions(
    call: ListCall, workload_id: str, query: Annotated[OldShadowQuery, Query()]
) -> dict[str, Any]:
    """What a shadow would decide, of the active proton or `protonId` (an extension)."""
    return await _decisions(call, workload_id, query)


async def _decisions(
    call: Call, workload_id: str, query: NewShadowQuery | OldShadowQuery
) -> dict[str, Any]:
    proton_id = proton_asked_for(call, workload_id, query.proton_id)
    name = None if proton_id is None else journal_name(query.kind, proton_id)
    return await journal_page(call, name, query, ShadowEntry, ShadowFormatted.of)
