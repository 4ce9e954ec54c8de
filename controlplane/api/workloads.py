"""Routes of workloads: create, list, get, edit, delete. Start, stop, settings: `operations`."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.artifacts import plan_artifact
from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import (
    Page,
    Sorting,
    has_tag,
    importance_rank,
    matches,
    name_key,
    page_of,
    status_rank,
)
from controlplane.api.present import limits, one_at_a_time, present
from controlplane.api.queries import (
    NewWorkloadQuery,
    OldWorkloadQuery,
    WorkloadFilters,
    WorkloadQuery,
)
from controlplane.api.summaries import add_statistics
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import workloads as rules
from controlplane.lifecycle.plans import Held, Plan
from controlplane.model.artifacts import Artifact
from controlplane.model.traffic import NOTHING_SET
from controlplane.model.workloads import Proton, Runtime, Workload
from controlplane.wire.base import maybe
from controlplane.wire.families import states_called, stored_artifact_status
from controlplane.wire.tags import wanted_tags
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
    return await _list(call, query)


@old.get("", response_model=Page[WorkloadFormatted])
async def list_console_workloads(
    call: ListCall, query: Annotated[OldWorkloadQuery, Query()]
) -> dict[str, Any]:
    """Workloads on which the caller has a role."""
    return await _list(call, query)


@common.get("/{workload_id}", response_model=WorkloadFormatted)
async def get_workload(call: PlainCall, workload_id: str) -> WorkloadFormatted:
    """One workload; `statusDetails.message` says what to do when something is wrong."""
    held = call.workload(workload_id, access.ANYONE)
    call.tag(held.version)
    answer = Views(call).workload(held.record)
    await add_statistics(call, [answer])
    return answer


@common.patch("/{workload_id}", response_model=WorkloadFormatted)
async def edit_workload(
    call: PlainCall, workload_id: str, body: WorkloadPatch
) -> WorkloadFormatted:
    """Change name, description, importance, tags or traffic settings; nothing restarts."""

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        call.check_if_match(now.workload)
        edit = rules.WorkloadEdit(
            name=body.name,
            description=body.description,
            importance=body.importance,
            traffic=maybe(body.traffic, TrafficInput.to_model),
            tags=wanted_tags(body.tags),
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
    async with one_at_a_time(call):
        outcome = await carry_out(call, lambda: _plan(call, body))
    call.tag(outcome.version)
    return Views(call).workload(outcome.record)


def _plan(call: Call, body: WorkloadInput) -> Plan[Workload]:
    first: Plan[Artifact] | None = None
    if body.artifact is not None:
        first = plan_artifact(call, body.artifact, "artifact")
        artifact = Held(first.subject, 0)
    else:
        artifact = call.artifact(body.artifact_id or "", access.READERS)
    made = rules.create_workload(
        rules.WorkloadContent(
            name=body.name,
            description=body.description or "",
            importance=body.importance,
            runtime=Runtime() if body.runtime is None else body.runtime.to_model(),
            traffic=NOTHING_SET if body.traffic is None else body.traffic.to_model(),
            tags=wanted_tags(body.tags) or {},
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


async def _list(call: Call, query: WorkloadQuery) -> dict[str, Any]:
    views = Views(call)
    sorting = Sorting[Workload](
        keys={
            "name": lambda w: name_key(w.name),
            "createdAt": lambda w: w.created_at,
            "updatedAt": lambda w: w.updated_at,
            "status": lambda w: status_rank(views.workload_state(w)),
            "importance": lambda w: importance_rank(w.importance),
        }
    )
    page = await page_of(
        call, query, find_workloads(call, query), sorting=sorting, view=views.workload
    )
    await add_statistics(call, page["data"], request_stats=query.service_stats)
    return page


def find_workloads(call: Call, query: WorkloadFilters) -> list[Workload]:
    """The workloads on which the caller has a role and that fit, in no order."""
    user, tests = call.user, _tests(call, query)
    return [
        workload
        for workload in call.services.mirror.all(Workload).values()
        if workload.deleted_at is None
        and (user.admin or access.role_on(user, workload) is not None)
        and (not tests or all(test(workload) for test in tests))
    ]


def _tests(call: Call, query: WorkloadFilters) -> list[Callable[[Workload], bool]]:
    """What a workload must pass, of what the query says: most say little, of thousands."""
    tests: list[Callable[[Workload], bool]] = []
    if query.ids:
        ids = frozenset(query.ids)
        tests.append(lambda w: w.id in ids)
    if query.importance:
        tests.append(lambda w: w.importance in query.importance)
    if query.artifact_id is not None:
        tests.append(lambda w: w.artifact_id == query.artifact_id)
    if query.created_by is not None:
        tests.append(lambda w: w.creator_id == query.created_by)
    if enclaves := {*query.enclave, *query.enclaves}:
        tests.append(lambda w: not enclaves.isdisjoint(w.runtime.enclaves or ()))
    if query.tag_keys or query.tag_values:
        tests.append(lambda w: has_tag(w.tags, names=query.tag_keys, values=query.tag_values))
    if query.search:
        tests.append(
            lambda w: matches(query.search, name=w.name, description=w.description, record_id=w.id)
        )
    if query.artifact_status or query.repository_id or query.type:
        fitting = _fitting_artifacts(call, query)
        tests.append(lambda w: w.artifact_id in fitting)
    if query.status:
        views, states = Views(call), states_called(query.status, call.family)
        tests.append(lambda w: views.workload_state(w) in states)
    return tests


def _fitting_artifacts(call: Call, query: WorkloadFilters) -> frozenset[str]:
    statuses = {stored_artifact_status(status) for status in query.artifact_status}
    return frozenset(
        artifact.id
        for artifact in call.services.mirror.all(Artifact).values()
        if (not statuses or artifact.status in statuses)
        and query.repository_id in {None, artifact.repository_id}
        and query.type in {None, artifact.type}
    )
