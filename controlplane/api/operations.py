"""Routes that act on workloads: start, stop, settings."""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter

from controlplane.api.call import Call, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.present import limits, present
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import workloads as rules
from controlplane.lifecycle.plans import Plan
from controlplane.lifecycle.rules import effective_runtime
from controlplane.model.artifacts import Artifact
from controlplane.model.workloads import Runtime, Workload
from controlplane.wire.base import timestamp
from controlplane.wire.runtime import OldRuntimeShape, RuntimeShape, runtime_shape
from controlplane.wire.workloads import (
    Empty,
    Operation,
    SettingsChange,
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

    return await _operate(call, plan, done="is starting", before="is running or starting already")


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
    return SettingsFormatted(runtime=_runtime(call, held.record))


@router.patch("/{workload_id}/settings", status_code=202, response_model=SettingsChange)
async def change_settings(call: PlainCall, workload_id: str, body: SettingsInput) -> SettingsChange:
    """Give a workload another runtime, whole.

    Replica counts, autoscaling and concurrency limits of a running workload change in place, no
    replica restarts. A stopped workload takes any change, and starts with it.
    """
    wanted: Runtime = body.runtime.to_model()

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        call.check_if_match(now.workload)
        return rules.change_settings(
            now,
            wanted,
            others=call.services.live_workloads(),
            limits=limits(call),
            stamp=call.stamp(),
        )

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    workload = outcome.record
    when = timestamp(workload.updated_at)
    protons = [] if workload.active_proton_id is None else [workload.active_proton_id]
    return SettingsChange(
        id=call.services.ids.new(),
        name=workload.name,
        workload_id=workload.id,
        user_id=call.user.id,
        candidate_artifact_id=workload.artifact_id,
        candidate_proton_ids=protons,
        previous_proton_ids=None,
        runtime=_runtime(call, workload),
        status="completed",
        strategy="rolling",
        message=None,
        switched_at=when,
        created_at=when,
        updated_at=when,
    )


async def _operate(
    call: Call, plan: Callable[[], Plan[Workload]], *, done: str, before: str
) -> Operation:
    outcome = await carry_out(call, plan)
    if not outcome.changed:
        call.set_status(200)
    workload_id = outcome.record.id
    path = call.request.url.path.rpartition("/")[0]
    return Operation(
        status=f"Workload {workload_id} {done if outcome.changed else before}.",
        workload_id=workload_id,
        track_via=str(call.request.url.replace(path=f"{path}/", query="")),
    )


def _runtime(call: Call, workload: Workload) -> OldRuntimeShape | RuntimeShape:
    artifact = call.services.mirror.get(Artifact, workload.artifact_id)
    runtime = workload.runtime
    if artifact is not None:
        runtime = effective_runtime(runtime, artifact.spec)
    return runtime_shape(runtime, call.family)
