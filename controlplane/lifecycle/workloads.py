"""Plans for workloads: create, start, stop, edit, change settings, delete.

    state       start             stop              settings            delete
    ----------  ----------------  ----------------  ------------------  --------------
    running     already done      stops             scaling in place    drains, removes
    errored     refused: stop it  stops             scaling in place    removes
    stopping    refused: wait     already done      refused: wait       removes
    stopped     new proton        already done      new proton          removes

`running` stands for every state on the way up and for `suspended`: the owner wants it to run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from controlplane.lifecycle.plans import Held, Plan, Remove, Save, Stamp, StateError
from controlplane.lifecycle.rules import (
    Limits,
    check_replicas,
    check_runtime,
    check_startable,
    effective_runtime,
    only_scaling_differs,
)
from controlplane.model.artifacts import Artifact
from controlplane.model.states import AccessRole, Desired, Importance, ProtonRole, ProtonState
from controlplane.model.traffic import NOTHING_SET, Traffic
from controlplane.model.workloads import Deployment, Proton, Runtime, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadContent:
    """What an owner says about a new workload."""

    name: str | None
    """None: the artifact's."""
    description: str = ""
    importance: Importance = Importance.LOW
    runtime: Runtime
    traffic: Traffic = NOTHING_SET
    use_case_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEdit:
    """A change of metadata; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    importance: Importance | None = None
    traffic: Traffic | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is known about one workload when a request for it arrives."""

    workload: Held[Workload]
    proton: Held[Proton] | None
    """The active one."""
    artifact: Held[Artifact]
    state: ProtonState


def create_workload(
    content: WorkloadContent,
    *,
    artifact: Held[Artifact],
    others: Sequence[Workload],
    limits: Limits,
    stamp: Stamp,
) -> Plan[Workload]:
    """A new workload that runs at once.

    Args:
        content: What the owner asked for.
        artifact: What to run. At version 0 it is part of the same commit and not written here.
        others: All live workloads.
        limits: The installation's.
        stamp: Who, when.

    Raises:
        RuleError: See `check_startable`.
    """
    what = artifact.record
    check_startable(what, content.runtime, limits=limits, others=others)
    workload = Workload(
        id=stamp.new_id(),
        name=content.name or what.name,
        description=content.description,
        importance=content.importance,
        artifact_id=what.id,
        runtime=content.runtime,
        traffic=content.traffic,
        active_proton_id=stamp.new_id(),
        roles={stamp.actor_id: AccessRole.OWNER},
        use_case_id=content.use_case_id,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    proton = _new_proton(workload, what, stamp=stamp)
    return Plan(
        subject=workload,
        writes=(
            Save(record=workload, expected=0),
            Save(record=proton, expected=0),
            *_claim(artifact),
        ),
        events=(
            stamp.event(workload.id, "Workload Created", artifactId=what.id, protonId=proton.id),
        ),
    )


def start_workload(
    present: Present, *, others: Sequence[Workload], limits: Limits, stamp: Stamp
) -> Plan[Workload]:
    """Run again what was stopped, with the artifact as it is now.

    Returns:
        A plan without writes when it runs or is on its way.

    Raises:
        StateError: It is still stopping, or errored: a stop clears that.
        RuleError: See `check_startable`.
    """
    workload = present.workload.record
    if present.state is ProtonState.STOPPING:
        raise StateError(f"Workload {workload.id} is still stopping: wait for stopped, then start.")
    if present.state is ProtonState.ERRORED:
        raise StateError(f"Workload {workload.id} is errored: stop it first, then start it.")
    if workload.desired is Desired.RUNNING:
        return Plan(subject=workload)
    check_startable(
        present.artifact.record,
        workload.runtime,
        limits=limits,
        others=others,
        workload_id=workload.id,
    )
    return _run_again(present, workload.runtime, kind="Workload Started", stamp=stamp)


def stop_workload(present: Present, *, stamp: Stamp) -> Plan[Workload]:
    """End all replicas, keep the identity.

    Returns:
        A plan without writes when it is stopped or on its way.
    """
    workload, version = present.workload
    if workload.desired is Desired.STOPPED:
        return Plan(subject=workload)
    stopped = msgspec.structs.replace(workload, desired=Desired.STOPPED, updated_at=stamp.now_s)
    writes: list[Save | Remove] = [Save(record=stopped, expected=version)]
    details: dict[str, object] = {}
    if present.proton is not None:
        proton = msgspec.structs.replace(
            present.proton.record, desired=Desired.STOPPED, updated_at=stamp.now_s
        )
        writes.append(Save(record=proton, expected=present.proton.version))
        details["protonId"] = proton.id
    return Plan(
        subject=stopped,
        writes=tuple(writes),
        events=(stamp.event(workload.id, "Workload Stopped", **details),),
    )


def edit_workload(present: Present, edit: WorkloadEdit, *, stamp: Stamp) -> Plan[Workload]:
    """New metadata. Nothing restarts; importance and traffic settings count at once."""
    workload, version = present.workload
    changes = {
        name: value
        for name in ("name", "description", "importance", "traffic")
        if (value := getattr(edit, name)) is not None and value != getattr(workload, name)
    }
    if not changes:
        return Plan(subject=workload)
    edited = msgspec.structs.replace(workload, **changes, updated_at=stamp.now_s)
    writes: list[Save | Remove] = [Save(record=edited, expected=version)]
    if present.proton is not None and "importance" in changes:
        proton = msgspec.structs.replace(
            present.proton.record, importance=edited.importance, updated_at=stamp.now_s
        )
        writes.append(Save(record=proton, expected=present.proton.version))
    return Plan(
        subject=edited,
        writes=tuple(writes),
        events=(stamp.event(workload.id, "Workload Updated", changes=changes),),
    )


def change_settings(
    present: Present,
    runtime: Runtime,
    *,
    others: Sequence[Workload],
    limits: Limits,
    stamp: Stamp,
) -> Plan[Workload]:
    """Another runtime: in place where only scaling differs, as a start where it is stopped.

    Raises:
        StateError: It is stopping; or it runs and the change needs other replicas than it has.
        RuleError: See `check_startable`.
    """
    workload, version = present.workload
    if present.state is ProtonState.STOPPING:
        raise StateError(f"Workload {workload.id} is still stopping: wait for stopped.")
    if workload.desired is Desired.STOPPED or present.proton is None:
        check_startable(
            present.artifact.record,
            runtime,
            limits=limits,
            others=others,
            workload_id=workload.id,
        )
        return _run_again(present, runtime, kind="Settings Changed", stamp=stamp)
    proton = present.proton.record
    check_runtime(proton.spec, runtime)
    check_replicas(runtime, limits)
    effective = effective_runtime(runtime, proton.spec)
    if not only_scaling_differs(proton.runtime, effective):
        raise StateError(
            f"Workload {workload.id} runs: only replicaCount, autoscaling and"
            " concurrencyLimitPerReplica can change now. Stop it to change sizes."
        )
    changed = msgspec.structs.replace(workload, runtime=runtime, updated_at=stamp.now_s)
    running = msgspec.structs.replace(proton, runtime=effective, updated_at=stamp.now_s)
    return Plan(
        subject=changed,
        writes=(
            Save(record=changed, expected=version),
            Save(record=running, expected=present.proton.version),
        ),
        events=(stamp.event(workload.id, "Settings Changed", protonId=proton.id),),
    )


def delete_workload(
    present: Present,
    *,
    protons: Sequence[Held[Proton]],
    deployments: Sequence[Deployment],
    stamp: Stamp,
) -> Plan[Workload]:
    """Soft delete: the URL stops at once, replicas drain and end, the artifact stays.

    Raises:
        StateError: Deployments stand on it; their ids are named.
    """
    workload, version = present.workload
    if deployments:
        ids = ", ".join(sorted(deployment.id for deployment in deployments))
        raise StateError(f"Workload {workload.id} has deployments {ids}: delete them first.")
    gone = msgspec.structs.replace(
        workload,
        desired=Desired.STOPPED,
        active_proton_id=None,
        deleted_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(
        subject=gone,
        writes=(
            Save(record=gone, expected=version),
            *(Remove(kind=Proton, id=p.record.id, expected=p.version) for p in protons),
        ),
        events=(stamp.event(workload.id, "Workload Deleted"),),
    )


def _run_again(present: Present, runtime: Runtime, *, kind: str, stamp: Stamp) -> Plan[Workload]:
    workload, version = present.workload
    started = msgspec.structs.replace(
        workload,
        runtime=runtime,
        desired=Desired.RUNNING,
        active_proton_id=stamp.new_id(),
        updated_at=stamp.now_s,
    )
    proton = _new_proton(started, present.artifact.record, stamp=stamp)
    writes: list[Save | Remove] = [
        Save(record=started, expected=version),
        Save(record=proton, expected=0),
        *_claim(present.artifact),
    ]
    if present.proton is not None:
        old = present.proton
        writes.append(Remove(kind=Proton, id=old.record.id, expected=old.version))
    return Plan(
        subject=started,
        writes=tuple(writes),
        events=(
            stamp.event(
                workload.id, kind, artifactId=present.artifact.record.id, protonId=proton.id
            ),
        ),
    )


def _new_proton(workload: Workload, artifact: Artifact, *, stamp: Stamp) -> Proton:
    return Proton(
        id=workload.active_proton_id or stamp.new_id(),
        workload_id=workload.id,
        artifact_id=artifact.id,
        name=workload.name,
        role=ProtonRole.ACTIVE,
        spec=artifact.spec,
        runtime=effective_runtime(workload.runtime, artifact.spec),
        importance=workload.importance,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )


def _claim(artifact: Held[Artifact]) -> tuple[Save, ...]:
    """Write a draft back unchanged: of two starts on one draft at once, one must fail.

    Locked artifacts change no more and may back any number of workloads, and one at version 0
    is created by the same commit.
    """
    if artifact.version == 0 or artifact.record.status != "draft":
        return ()
    return (Save(record=artifact.record, expected=artifact.version),)
