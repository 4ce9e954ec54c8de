"""Routes of workloads: create, list, get, edit, delete. Start, stop, settings: `operations`."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.artifacts import plan_artifact
from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import (
    NewWorkloadQuery,
    OldWorkloadQuery,
    Page,
    WorkloadQuery,
    cut,
    envelope,
    importance_rank,
    matches,
    ordered,
    status_rank,
)
from controlplane.api.present import limits, present
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import workloads as rules
from controlplane.lifecycle.plans import Held, Plan
from controlplane.model.artifacts import Artifact
from controlplane.model.traffic import NOTHING_SET
from controlplane.model.workloads import Proton, Runtime, Workload
from controlplane.wire.base import maybe
from controlplane.wire.families import stored_artifact_status
from controlplane.wire.traffic import TrafficInput
from controlplane.wire.workloads import (
    OldWorkloadInput,
    WorkloadFormatted,
    WorkloadInput,
    WorkloadPatch,
)

common: Final = APIRouter(tags=["workloads"], responses=RESPONSES)
"""Routes that both families have alike."""
new: Final = APIRouter(tags=["workloads"], responses=RESPONSES)
old: Final = APIRouter(tags=["workloads"], responses=RESPONSES)


@new.post("", status_code=201, response_model=WorkloadFormatted)
async def create_workload(call: PlainCall, body: WorkloadInput) -> WorkloadFormatted:
    """Create a workload, with an inline artifact or one that exists; it starts at once."""
    return await _create(call, body)


@old.post("", status_code=201, response_model=WorkloadFormatted)
async def create_console_workload(call: PlainCall, body: OldWorkloadInput) -> WorkloadFormatted:
    """Create a workload; without a name it takes its artifact's."""
    return await _create(call, body)


@new.get("", response_model=Page[WorkloadFormatted])
async def list_workloads(
    call: ListCall, query: Annotated[NewWorkloadQuery, Query()]
) -> dict[str, Any]:
    """Workloads on which the caller has a role."""
    return _list(call, query)


@old.get("", response_model=Page[WorkloadFormatted])
async def list_console_workloads(
    call: ListCall, query: Annotated[OldWorkloadQuery, Query()]
) -> dict[str, Any]:
    """Workloads on which the caller has a role."""
    return _list(call, query)


@common.get("/{workload_id}", response_model=WorkloadFormatted)
async def get_workload(call: PlainCall, workload_id: str) -> WorkloadFormatted:
    """One workload; `statusDetails.message` says what to do when something is wrong."""
    held = call.workload(workload_id, access.ANYONE)
    call.tag(held.version)
    return Views(call).workload(held.record)


@common.patch("/{workload_id}", response_model=WorkloadFormatted)
async def edit_workload(
    call: PlainCall, workload_id: str, body: WorkloadPatch
) -> WorkloadFormatted:
    """Change name, description, importance or traffic settings; nothing restarts."""

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        call.check_if_match(now.workload)
        edit = rules.WorkloadEdit(
            name=body.name,
            description=body.description,
            importance=body.importance,
            traffic=maybe(body.traffic, TrafficInput.to_model),
        )
        return rules.edit_workload(now, edit, stamp=call.stamp())

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).workload(outcome.record)


@common.delete("/{workload_id}", status_code=204)
async def delete_workload(call: PlainCall, workload_id: str) -> None:
    """Delete a workload: its URL stops at once, requests under way are finished."""
    services = call.services

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        call.check_if_match(now.workload)
        protons = services.protons[workload_id].values()
        deployments = services.deployments[workload_id].values()
        return rules.delete_workload(
            now,
            protons=[Held(p, services.mirror.version(Proton, p.id)) for p in protons],
            deployments=[d for d in deployments if d.deleted_at is None],
            stamp=call.stamp(),
        )

    await carry_out(call, plan)


async def _create(call: Call, body: WorkloadInput) -> WorkloadFormatted:
    outcome = await carry_out(call, lambda: _plan(call, body))
    call.tag(outcome.version)
    return Views(call).workload(outcome.record)


def _plan(call: Call, body: WorkloadInput) -> Plan[Workload]:
    first: Plan[Artifact] | None = None
    if body.artifact is not None:
        first = plan_artifact(call, body.artifact)
        artifact = Held(first.subject, 0)
    else:
        artifact = call.artifact(body.artifact_id or "")
    made = rules.create_workload(
        rules.WorkloadContent(
            name=body.name,
            description=body.description or "",
            importance=body.importance,
            runtime=Runtime() if body.runtime is None else body.runtime.to_model(),
            traffic=NOTHING_SET if body.traffic is None else body.traffic.to_model(),
            use_case_id=body.use_case_id,
        ),
        artifact=artifact,
        others=call.services.live_workloads(),
        limits=limits(call),
        stamp=call.stamp(),
    )
    if first is None:
        return made
    return Plan(
        subject=made.subject,
        writes=(*first.writes, *made.writes),
        events=(*first.events, *made.events),
    )


def _list(call: Call, query: WorkloadQuery) -> dict[str, Any]:
    views = Views(call)
    found = ordered(
        [
            workload
            for workload in call.services.live_workloads()
            if access.role_on(call.user, workload) is not None
            and _fits(workload, query)
            and _artifact_fits(call, workload, query)
            and (not query.status or _word(views, workload) in query.status)
        ],
        query.order_by,
        keys=lambda workload, field: _key(views, workload, field),
        record_id=lambda workload: workload.id,
    )
    page = cut(found, offset=query.offset, limit=query.limit)
    return envelope(
        call.request,
        [views.workload(workload) for workload in page],
        total=len(found),
        offset=query.offset,
        limit=query.limit,
    )


def _fits(workload: Workload, query: WorkloadQuery) -> bool:
    return (
        (not query.ids or workload.id in query.ids)
        and (not query.importance or workload.importance in query.importance)
        and query.artifact_id in {None, workload.artifact_id}
        and query.created_by in {None, workload.creator_id}
        and matches(
            query.search,
            name=workload.name,
            description=workload.description,
            record_id=workload.id,
        )
    )


def _artifact_fits(call: Call, workload: Workload, query: WorkloadQuery) -> bool:
    statuses = {stored_artifact_status(status) for status in query.artifact_status}
    if not (statuses or query.repository_id or query.type):
        return True
    artifact = call.services.mirror.get(Artifact, workload.artifact_id)
    return (
        artifact is not None
        and (not statuses or artifact.status in statuses)
        and query.repository_id in {None, artifact.repository_id}
        and query.type in {None, artifact.type}
    )


def _word(views: Views, workload: Workload) -> str:
    return views.workload_word(views.workload_status(workload).state)


def _key(views: Views, workload: Workload, field: str) -> str | float:
    match field:
        case "name":
            return workload.name.casefold()
        case "status":
            return status_rank(views.workload_status(workload).state)
        case "importance":
            return importance_rank(workload.importance)
        case "updatedAt":
            return workload.updated_at
        case _:
            return workload.created_at
