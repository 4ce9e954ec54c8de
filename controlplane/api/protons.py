"""Routes of protons, and of what the journals say about them and their workload."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.journals import journal_page, proton_asked_for
from controlplane.api.pages import NewPage, OldPage, Page, cut, envelope
from controlplane.api.views import Views
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import NotFoundError
from controlplane.model.decisions import Decision
from controlplane.model.workloads import Event
from controlplane.store.decisions import find_decision
from controlplane.wire.journals import DecisionFormatted, DecisionRecord, EventFormatted
from controlplane.wire.protons import ProtonFormatted, StatusSnapshot

common: Final = APIRouter(tags=["protons"], responses=RESPONSES)
"""Routes that both families have alike."""
new: Final = APIRouter(tags=["protons"], responses=RESPONSES)
old: Final = APIRouter(tags=["protons"], responses=RESPONSES)


class NewDecisionQuery(NewPage):
    """Query of the decisions in the new family."""

    proton_id: str | None = None


class OldDecisionQuery(OldPage):
    """Query of the decisions in the old family."""

    proton_id: str | None = None


@new.get("/{workload_id}/protons", response_model=Page[ProtonFormatted])
async def list_protons(
    call: ListCall, workload_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """A workload's protons, oldest first."""
    return _protons(call, workload_id, query)


@old.get("/{workload_id}/protons", response_model=Page[ProtonFormatted])
async def list_console_protons(
    call: ListCall, workload_id: str, query: Annotated[OldPage, Query()]
) -> dict[str, Any]:
    """A workload's protons, oldest first."""
    return _protons(call, workload_id, query)


@common.get("/{workload_id}/protons/{proton_id}", response_model=ProtonFormatted)
async def get_proton(call: PlainCall, workload_id: str, proton_id: str) -> ProtonFormatted:
    """One proton."""
    return Views(call).proton(call.proton(workload_id, proton_id))


@common.get(
    "/{workload_id}/protons/{proton_id}/statusDetails",
    response_model=StatusSnapshot,
    responses={204: {"description": "Nothing was decided or reported yet."}},
)
async def get_status_details(
    call: PlainCall, workload_id: str, proton_id: str
) -> StatusSnapshot | Response:
    """What every replica of a proton does now, and the end of its log where it failed."""
    snapshot = Views(call).snapshot(call.proton(workload_id, proton_id))
    return Response(status_code=204) if snapshot is None else snapshot


@new.get("/{workload_id}/events", response_model=Page[EventFormatted])
async def list_events(
    call: ListCall, workload_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """What happened to a workload, newest first."""
    return await _events(call, workload_id, query)


@old.get("/{workload_id}/events", response_model=Page[EventFormatted])
async def list_console_events(
    call: ListCall, workload_id: str, query: Annotated[OldPage, Query()]
) -> dict[str, Any]:
    """What happened to a workload, newest first."""
    return await _events(call, workload_id, query)


@new.get("/{workload_id}/decisions", response_model=Page[DecisionFormatted])
async def list_decisions(
    call: ListCall, workload_id: str, query: Annotated[NewDecisionQuery, Query()]
) -> dict[str, Any]:
    """Scaling decisions of the active proton, or of `protonId`, newest first (an extension)."""
    return await _decisions(call, workload_id, query)


@old.get("/{workload_id}/decisions", response_model=Page[DecisionFormatted])
async def list_console_decisions(
    call: ListCall, workload_id: str, query: Annotated[OldDecisionQuery, Query()]
) -> dict[str, Any]:
    """Scaling decisions of the active proton, or of `protonId`, newest first (an extension)."""
    return await _decisions(call, workload_id, query)


@common.get("/{workload_id}/decisions/{decision_id}", response_model=DecisionRecord)
async def get_decision(call: PlainCall, workload_id: str, decision_id: str) -> DecisionRecord:
    """One scaling decision of any of the workload's protons, with its basis (an extension)."""
    workload = call.workload(workload_id, access.READERS).record
    # The active proton's first: it is whom people ask about.
    ids = sorted(call.services.protons[workload_id], key=lambda p: p != workload.active_proton_id)
    for proton_id in ids:
        decision = await find_decision(call.services.store, proton_id, decision_id)
        if decision is not None:
            return DecisionRecord.of(decision, call.name_of)
    raise NotFoundError(
        f"Workload {workload_id} has no decision {decision_id}. Decisions are kept up to"
        " `autoscaler.decision_history` per proton, and go with their proton."
    )


def _protons(call: Call, workload_id: str, query: NewPage | OldPage) -> dict[str, Any]:
    call.workload(workload_id, access.READERS)
    found = sorted(call.services.protons[workload_id].values(), key=lambda p: (p.created_at, p.id))
    views = Views(call)
    return envelope(
        call.request,
        [views.proton(p) for p in cut(found, offset=query.offset, limit=query.limit)],
        total=len(found),
        offset=query.offset,
        limit=query.limit,
    )


async def _events(call: Call, workload_id: str, query: NewPage | OldPage) -> dict[str, Any]:
    call.workload(workload_id, access.READERS)
    return await journal_page(
        call,
        f"events:{workload_id}",
        query,
        Event,
        lambda event: EventFormatted.of(event, call.name_of),
    )


async def _decisions(
    call: Call, workload_id: str, query: NewDecisionQuery | OldDecisionQuery
) -> dict[str, Any]:
    proton_id = proton_asked_for(call, workload_id, query.proton_id)
    name = None if proton_id is None else f"decisions:{proton_id}"
    return await journal_page(
        call,
        name,
        query,
        Decision,
        lambda decision: DecisionFormatted.of(decision, call.name_of),
    )
