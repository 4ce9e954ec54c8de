"""How a replacement begins: by another artifact, or by other settings.

    workload is   another artifact                        other settings
    ------------  --------------------------------------  ----------------------------------------
    running       a candidate proton beside the active    only counts, autoscaling, concurrency
                  one                                     limits differ: changed in place
                                                          anything else, or nothing: a candidate
    errored       a candidate, likewise                   a candidate: nobody starts replicas of
                                                          the given-up proton any more
    stopped       starts with it                          starts with them
    stopping      refused: wait                           refused: wait
    replaced now  refused: wait, or cancel                refused: wait, or cancel

Settings that do not change are a fresh start of all replicas: that is how an edited draft takes
effect, so an edited draft is never changed in place. Where nothing has to be rolled the
replacement is completed at once, and in the history as any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from controlplane.lifecycle.artifacts import LOCKED
from controlplane.lifecycle.plans import Held, Plan, RuleError, Save, Stamp, StateError, UnfitError
from controlplane.lifecycle.rules import (
    InferenceError,
    Limits,
    check_metrics,
    check_replicas,
    check_runtime,
    check_startable,
    effective_runtime,
    only_scaling_differs,
)
from controlplane.lifecycle.underway import details, enough, is_under_way
from controlplane.lifecycle.workloads import Present, claim, new_proton, run_again
from controlplane.model.artifacts import Artifact
from controlplane.model.events import EventType
from controlplane.model.states import Desired, ProtonRole, ProtonState, ReplacementStatus
from controlplane.model.workloads import Proton, Replacement, ReplacementConfig, Runtime, Workload

PATH = "/api/v2/workloads/{id}/replacement"


class MismatchError(RuleError):
    """A draft cannot take a locked artifact's place, nor the other way round."""

    status = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall run instead, and how to get there."""

    artifact: Held[Artifact]
    runtime: Runtime | None = None
    """None: as the workload's is."""
    config: ReplacementConfig = field(default_factory=ReplacementConfig)


def begin_replacement(
    present: Present,
    wanted: Wanted,
    *,
    active_ready: int,
    others: Sequence[Workload],
    limits: Limits,
    stamp: Stamp,
) -> Plan[Workload]:
    """Put another artifact behind a workload.

    Args:
        present: The workload as it is.
        wanted: What its owner asks for.
        active_ready: Replicas that serve it now.
        others: All live workloads.
        limits: The installation's.
        stamp: Who, when.

    Raises:
        MismatchError: One artifact is a draft, the other one locked.
        UnfitError: The same locked artifact, or one that cannot run.
        StateError: A replacement is under way, or the workload is stopping.
        ForbiddenError: A limit would be broken.
    """
    workload, artifact = present.workload.record, wanted.artifact.record
    _check_ready(present)
    old = present.artifact.record
    if artifact.status != old.status:
        raise MismatchError(
            f"Artifact status mismatch: workload {workload.id} runs artifact {old.id}, which is"
            f" {old.status}, and artifact {artifact.id} is {artifact.status}. Promote the workload"
            " to go from draft to locked, or take an artifact of the same status."
        )
    if artifact.status == LOCKED and artifact.id == old.id:
        raise UnfitError(
            f"Artifact {artifact.id} is locked and behind workload {workload.id} already: take"
            " another one, or change the settings to have its replicas started anew."
        )
    return _begin(
        present,
        wanted,
        origin="artifact",
        active_ready=active_ready,
        others=others,
        limits=limits,
        stamp=stamp,
    )


def change_settings(
    present: Present,
    runtime: Runtime,
    *,
    active_ready: int,
    others: Sequence[Workload],
    limits: Limits,
    stamp: Stamp,
) -> Plan[Workload]:
    """Give a workload another runtime, whole; arguments and errors as `begin_replacement`."""
    _check_ready(present)
    if present.proton is not None and present.workload.record.desired is Desired.RUNNING:
        proton = present.proton.record
        check_runtime(proton.spec, runtime)
        check_metrics(present.artifact.record, runtime)
        check_replicas(runtime, limits)
        effective = _sized_as(proton.runtime, effective_runtime(runtime, proton.spec, limits.offer))
        if (
            effective != proton.runtime
            and present.state is not ProtonState.ERRORED
            and only_scaling_differs(proton.runtime, effective)
            and proton.spec == present.artifact.record.spec
        ):
            return _in_place(present, present.proton, runtime, effective, stamp=stamp)
    return _begin(
        present,
        Wanted(artifact=present.artifact, runtime=runtime),
        origin="settings",
        active_ready=active_ready,
        others=others,
        limits=limits,
        stamp=stamp,
    )


def _check_ready(present: Present) -> None:
    workload = present.workload.record
    if present.state is ProtonState.STOPPING:
        raise StateError(f"Workload {workload.id} is still stopping: wait for stopped.")
    replacement = workload.replacement
    if replacement is not None and is_under_way(replacement):
        raise StateError(
            f"Replacement {replacement.id} of workload {workload.id} is under way"
            f" ({replacement.status}): wait for its end, or cancel it with"
            f" DELETE {PATH.format(id=workload.id)}."
        )


def _begin(
    present: Present,
    wanted: Wanted,
    *,
    origin: str,
    active_ready: int,
    others: Sequence[Workload],
    limits: Limits,
    stamp: Stamp,
) -> Plan[Workload]:
    workload, version = present.workload
    artifact = wanted.artifact.record
    runtime = workload.runtime if wanted.runtime is None else wanted.runtime
    try:
        check_startable(artifact, runtime, limits=limits, others=others, workload_id=workload.id)
    except InferenceError as exc:
        if present.proton is None or workload.desired is Desired.STOPPED:
            raise
        return _unsized(present, wanted, runtime, str(exc), origin=origin, stamp=stamp)
    if present.proton is None or workload.desired is Desired.STOPPED:
        return _start(present, wanted, runtime, origin=origin, limits=limits, stamp=stamp)
    candidate_id = stamp.new_id()
    proton = new_proton(
        msgspec.structs.replace(workload, active_proton_id=candidate_id, runtime=runtime),
        artifact,
        limits=limits,
        stamp=stamp,
    )
    group = proton.runtime.group()
    first = wanted.config.steps[0].percent / 100 if wanted.config.steps else 1.0
    candidate = msgspec.structs.replace(
        proton,
        role=ProtonRole.CANDIDATE,
        weight=0,
        least_replicas=enough(group, active_ready=active_ready, share=first, now_s=stamp.now_s),
    )
    replacement = msgspec.structs.replace(
        _replacement(
            present, wanted, _sized_as(proton.runtime, runtime), origin=origin, stamp=stamp
        ),
        candidate_proton_id=candidate_id,
    )
    changed = msgspec.structs.replace(workload, replacement=replacement, updated_at=stamp.now_s)
    return Plan(
        subject=changed,
        writes=(
            Save(record=changed, expected=version),
            Save(record=candidate, expected=0),
            *claim(wanted.artifact),
        ),
        events=(stamp.event(workload.id, EventType.REPLACEMENT_STARTED, **details(replacement)),),
    )


def _start(
    present: Present,
    wanted: Wanted,
    runtime: Runtime,
    *,
    origin: str,
    limits: Limits,
    stamp: Stamp,
) -> Plan[Workload]:
    """A workload that does not run has nothing to roll over: it starts with what is wanted."""
    kind = EventType.SETTINGS_CHANGED if origin == "settings" else EventType.WORKLOAD_STARTED
    sizes = effective_runtime(runtime, wanted.artifact.record.spec, limits.offer)
    begun = _replacement(present, wanted, _sized_as(sizes, runtime), origin=origin, stamp=stamp)
    plan = run_again(
        replace(present, artifact=wanted.artifact), runtime, limits=limits, kind=kind, stamp=stamp
    )
    return _completed(
        plan, begun, stamp=stamp, message="Nothing ran: the workload was started with it."
    )


def _unsized(
    present: Present, wanted: Wanted, runtime: Runtime, message: str, *, origin: str, stamp: Stamp
) -> Plan[Workload]:
    """No bundle fits what a running workload shall become: the contract has the replacement fail.

    Nothing else changes; the old proton serves on with the old settings.
    """
    workload, version = present.workload
    failed = msgspec.structs.replace(
        _replacement(present, wanted, runtime, origin=origin, stamp=stamp),
        status=ReplacementStatus.ERRORED,
        ended_at=stamp.now_s,
        message=message,
    )
    shown = msgspec.structs.replace(workload, replacement=failed, updated_at=stamp.now_s)
    return Plan(
        subject=shown,
        writes=(Save(record=shown, expected=version),),
        events=(stamp.event(workload.id, EventType.REPLACEMENT_ERRORED, **details(failed)),),
        history=(failed,),
    )


def _in_place(
    present: Present, held: Held[Proton], runtime: Runtime, effective: Runtime, *, stamp: Stamp
) -> Plan[Workload]:
    workload, version = present.workload
    running = msgspec.structs.replace(held.record, runtime=effective, updated_at=stamp.now_s)
    changed = msgspec.structs.replace(workload, runtime=runtime, updated_at=stamp.now_s)
    begun = _replacement(
        present,
        Wanted(artifact=present.artifact),
        _sized_as(effective, runtime),
        origin="settings",
        stamp=stamp,
    )
    plan = Plan(
        subject=changed,
        writes=(
            Save(record=changed, expected=version),
            Save(record=running, expected=held.version),
        ),
        events=(stamp.event(workload.id, EventType.SETTINGS_CHANGED, protonId=running.id),),
    )
    return _completed(
        plan, begun, stamp=stamp, message="Only scaling differs: changed in place, no restart."
    )


def _sized_as(sizes: Runtime, runtime: Runtime) -> Runtime:
    """A runtime at the sizes of another one, whatever the catalogue says by now."""
    if not runtime.container_groups:
        return runtime
    group = msgspec.structs.replace(runtime.group(), bundles=sizes.group().bundles)
    return msgspec.structs.replace(runtime, container_groups=(group,))


def _replacement(
    present: Present, wanted: Wanted, runtime: Runtime, *, origin: str, stamp: Stamp
) -> Replacement:
    workload = present.workload.record
    return Replacement(
        id=stamp.new_id(),
        workload_id=workload.id,
        name=workload.name,
        user_id=stamp.actor_id,
        origin=origin,
        status_at=stamp.now_s,
        candidate_artifact_id=wanted.artifact.record.id,
        previous_artifact_id=workload.artifact_id,
        previous_proton_id=workload.active_proton_id,
        config=wanted.config,
        runtime=runtime,
        previous_runtime=workload.runtime,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )


def _completed(
    plan: Plan[Workload], replacement: Replacement, *, stamp: Stamp, message: str
) -> Plan[Workload]:
    """A plan whose workload shows a replacement that is over already."""
    ended = msgspec.structs.replace(
        replacement,
        status=ReplacementStatus.COMPLETED,
        candidate_proton_id=plan.subject.active_proton_id,
        ready_at=stamp.now_s,
        switched_at=stamp.now_s,
        ended_at=stamp.now_s,
        message=message,
    )
    shown = msgspec.structs.replace(plan.subject, replacement=ended)
    writes = tuple(
        replace(write, record=shown)
        if isinstance(write, Save) and write.record is plan.subject
        else write
        for write in plan.writes
    )
    return replace(plan, subject=shown, writes=writes, history=(*plan.history, ended))
