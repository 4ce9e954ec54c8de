"""Routes that act on workloads: start, stop, settings."""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter

from controlplane.api.call import Call, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.present import limits, one_at_a_time, present
from controlplane.api.replacements import formatted
from controlplane.api.sights import ready_replicas
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access, candidates
from controlplane.lifecycle import workloads as rules
from controlplane.lifecycle.plans import Plan
from controlplane.model.workloads import Runtime, Workload
from controlplane.wire.replacements import ReplacementFormatted
from controlplane.wire.workloads import (
    Empty,
    Operation,
    SettingsFormatted,
    SettingsInput,
)

router: Final = APIRouter(tags=["workloads"], responses=RESPONSES)


@router.post(
    "/{workload_id}/start",
    status_code=202,
    response_model=Operation,
    responses={200: {"model": Operation, "description": "It runs already."}},
)
async def start_workload(call: PlainCall, workload_id: str, body: Empty | None = None) -> Operation:
    """Start a stopped workload, with its artifact as it is now."""

    def plan() -> Plan[Workload]:
        return rules.start_workload(
            present(call, workload_id),
            others=call.services.live_workloads(),
            limits=limits(call),
            stamp=call.stamp(),
        )

    async with one_at_a_time(call):
        return await _operate(
            call, plan, done="is starting", before="is running or starting already"
        )


@router.post(
    "/{workload_id}/stop",
    status_code=202,
    response_model=Operation,
    responses={200: {"model": Operation, "description": "It is stopped already."}},
)
async def stop_workload(call: PlainCall, workload_id: str, body: Empty | None = None) -> Operation:
    """Stop a workload: requests under way are finished, its identity and URL stay."""

    def plan() -> Plan[Workload]:
        return rules.stop_workload(present(call, workload_id), stamp=call.stamp())

    return await _operate(call, plan, done="is stopping", before="is stopped or stopping already")


@router.get("/{workload_id}/settings", response_model=SettingsFormatted)
async def get_settings(call: PlainCall, workload_id: str) -> SettingsFormatted:
    """How a workload runs."""
    held = call.workload(workload_id, access.READERS)
    call.tag(held.version)
    return SettingsFormatted(
        runtime=Views(call).runtime(held.record), replacement=Views(call).replacement(held.record)
    )


@router.patch("/{workload_id}/settings", status_code=202, response_model=ReplacementFormatted)
async def change_settings(
    call: PlainCall, workload_id: str, body: SettingsInput
) -> ReplacementFormatted:
    """Give a workload another runtime, whole.

    The answer is a replacement. Where only replica counts, autoscaling and concurrency limits
    differ it is completed already: they change in place, no replica restarts. Anything else, and
    settings that do not differ at all, have a new proton take over from the old one. A stopped
    workload starts with the new settings.
    """
    wanted: Runtime = body.runtime.to_model()

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        call.check_if_match(now.workload)
        return candidates.change_settings(
            now,
            wanted,
            active_ready=ready_replicas(call.services, now.workload.record),
            others=call.services.live_workloads(),
            limits=limits(call),
            stamp=call.stamp(),
        )

    async with one_at_a_time(call):
        outcome = await carry_out(call, plan, insist=True)
    call.tag(outcome.version)
    return formatted(call, outcome.record)


async def _operate(
    call: Call, plan: Callable[[], Plan[Workload]], *, done: str, before: str
) -> Operation:
    outcome = await carry_out(call, plan, insist=True)
    if not outcome.changed:
        call.set_status(200)
    workload_id = outcome.record.id
    path = call.request.url.path.rpartition("/")[0]
    return Operation(
        status=f"Workload {workload_id} {done if outcome.changed else before}.",
        workload_id=workload_id,
        track_via=str(call.request.url.replace(path=f"{path}/", query="")),
    )
