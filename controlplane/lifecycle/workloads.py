"""Plans for workloads: create, start, stop, edit, delete. Another artifact, settings: `candidates`.

    state       start             stop              delete
    ----------  ----------------  ----------------  ---------------
    running     already done      stops             drains, removes
    errored     refused: stop it  stops             removes
    stopping    refused: wait     already done      removes
    stopped     new proton        already done      removes

`running` stands for every state on the way up and for `suspended`: the owner wants it to run. A
stop ends a replacement that is under way, too: before its switch it counts as cancelled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from controlplane.lifecycle.expiry import expiry, remove_workload
from controlplane.lifecycle.plans import Held, Plan, Remove, Save, Stamp, StateError
from controlplane.lifecycle.rules import Limits, check_startable, effective_runtime
from controlplane.lifecycle.tags import tagged
from controlplane.lifecycle.underway import end_at_once, endings
from controlplane.model.artifacts import Artifact
from controlplane.model.events import EventType
from controlplane.model.states import (
    AccessRole,
    Desired,
    Importance,
    ProtonRole,
    ProtonState,
)
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
    tags: Mapping[str, str] = field(default_factory=dict)
    """Name to value."""
    use_case_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEdit:
    """A change of metadata; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    importance: Importance | None = None
    traffic: Traffic | None = None
    tags: Mapping[str, str] | None = None
    """Name to value: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is known about one workload when a request for it arrives."""

    workload: Held[Workload]
    proton: Held[Proton] | None
    """The active one."""
    artifact: Held[Artifact]
    state: ProtonState
    beside: Sequence[Held[Proton]] = ()
    """Its other protons: a candidate, or an old one that is kept."""


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
        tags=tagged((), content.tags, new_id=stamp.new_id),
        expires_at=expiry(what, ttl_s=limits.draft_ttl_s, now_s=stamp.now_s),
        use_case_id=content.use_case_id,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    proton = new_proton(workload, what, limits=limits, stamp=stamp)
    return Plan(
        subject=workload,
        writes=(
            Save(record=workload, expected=0),
            Save(record=proton, expected=0),
            *claim(artifact),
        ),
        events=(
            stamp.event(
                workload.id, EventType.WORKLOAD_CREATED, artifactId=what.id, protonId=proton.id
            ),
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
    return run_again(
        present, workload.runtime, limits=limits, kind=EventType.WORKLOAD_STARTED, stamp=stamp
    )


def stop_workload(present: Present, *, stamp: Stamp) -> Plan[Workload]:
    """End all replicas, keep the identity.

    Returns:
        A plan without writes when it is stopped or on its way.
    """
    workload, version = present.workload
    if workload.desired is Desired.STOPPED:
        return Plan(subject=workload)
    stopped, removed, history = end_at_once(
        msgspec.structs.replace(workload, desired=Desired.STOPPED, updated_at=stamp.now_s),
        present.beside,
        why="the workload was stopped",
        stamp=stamp,
    )
    writes: list[Save | Remove] = [Save(record=stopped, expected=version), *removed]
    details: dict[str, object] = {}
    if present.proton is not None:
        proton = msgspec.structs.replace(
            present.proton.record, desired=Desired.STOPPED, updated_at=stamp.now_s
        )
        writes.append(Save(record=proton, expected=present.proton.version))
        details["protonId"] = proton.id
    ended = endings(workload.replacement, history, stamp=stamp)
    return Plan(
        subject=stopped,
        writes=tuple(writes),
        events=(*ended, stamp.event(workload.id, EventType.WORKLOAD_STOPPED, **details)),
        history=history,
    )


def edit_workload(present: Present, edit: WorkloadEdit, *, stamp: Stamp) -> Plan[Workload]:
    """New metadata. Nothing restarts; importance and traffic settings count at once."""
    workload, version = present.workload
    wanted: dict[str, object] = {
        name: getattr(edit, name) for name in ("name", "description", "importance", "traffic")
    }
    if edit.tags is not None:
        wanted["tags"] = tagged(workload.tags, edit.tags, new_id=stamp.new_id)
    changes = {
        name: value
        for name, value in wanted.items()
        if value is not None and value != getattr(workload, name)
    }
    if not changes:
        return Plan(subject=workload)
    edited = msgspec.structs.replace(workload, **changes, updated_at=stamp.now_s)
    writes: list[Save | Remove] = [Save(record=edited, expected=version)]
    if "importance" in changes:
        active = () if present.proton is None else (present.proton,)
        for held in (*active, *present.beside):
            proton = msgspec.structs.replace(
                held.record, importance=edited.importance, updated_at=stamp.now_s
            )
            writes.append(Save(record=proton, expected=held.version))
    return Plan(
        subject=edited,
        writes=tuple(writes),
        events=(stamp.event(workload.id, EventType.WORKLOAD_UPDATED, changes=changes),),
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
    workload = present.workload.record
    if deployments:
        ids = ", ".join(sorted(deployment.id for deployment in deployments))
        raise StateError(f"Workload {workload.id} has deployments {ids}: delete them first.")
    return remove_workload(
        present.workload, protons=protons, kind=EventType.WORKLOAD_DELETED, stamp=stamp
    )


def run_again(
    present: Present, runtime: Runtime, *, limits: Limits, kind: EventType, stamp: Stamp
) -> Plan[Workload]:
    """A plan for a start with an artifact and a runtime: a new proton, without the old one."""
    workload, version = present.workload
    started = msgspec.structs.replace(
        workload,
        artifact_id=present.artifact.record.id,
        runtime=runtime,
        desired=Desired.RUNNING,
        active_proton_id=stamp.new_id(),
        expires_at=expiry(present.artifact.record, ttl_s=limits.draft_ttl_s, now_s=stamp.now_s),
        expiry_told=False,
        updated_at=stamp.now_s,
    )
    proton = new_proton(started, present.artifact.record, limits=limits, stamp=stamp)
    writes: list[Save | Remove] = [
        Save(record=started, expected=version),
        Save(record=proton, expected=0),
        *claim(present.artifact),
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


def new_proton(workload: Workload, artifact: Artifact, *, limits: Limits, stamp: Stamp) -> Proton:
    """A proton of a workload, with the artifact as it is now."""
    return Proton(
        id=workload.active_proton_id or stamp.new_id(),
        workload_id=workload.id,
        artifact_id=artifact.id,
        name=workload.name,
        role=ProtonRole.ACTIVE,
        spec=artifact.spec,
        runtime=effective_runtime(workload.runtime, artifact.spec, limits.offer),
        importance=workload.importance,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )


def claim(artifact: Held[Artifact]) -> tuple[Save, ...]:
    """Write a draft back unchanged: of two starts on one draft at once, one must fail.

    Locked artifacts change no more and may back any number of workloads, and one at version 0
    is created by the same commit.
    """
    if artifact.version == 0 or artifact.record.status != "draft":
        return ()
    return (Save(record=artifact.record, expected=artifact.version),)
