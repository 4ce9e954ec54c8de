"""Workloads on drafts live for a while; what was deleted is kept for a while.

artifact  lifetime of a workload on it
--------  ------------------------------------------------------------------------------
draft     `api.draft_ttl_s` from its creation or its last start, then it is removed as by
          DELETE; half an hour before, its journal says so
locked    for ever, from the moment of locking, whether by promote or by PATCH
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from controlplane.lifecycle.artifacts import DRAFT
from controlplane.lifecycle.plans import Held, Plan, Save, Stamp
from controlplane.lifecycle.underway import end_at_once, endings
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.events import EventType
from controlplane.model.states import Desired
from controlplane.model.workloads import Deployment, Proton, Workload

WARNING_S: Final = 1800.0
"""How long before the end the journal says that it comes."""

Deletable = Workload | Artifact | Repository | Deployment
"""What is deleted softly, and purged later."""


def expiry(artifact: Artifact, *, ttl_s: float, now_s: float) -> float | None:
    """When a workload that starts now on an artifact is removed; None: never."""
    return now_s + ttl_s if artifact.status == DRAFT and ttl_s else None


def expires_at(workload: Workload, artifact: Artifact | None) -> float | None:
    """When a workload is removed: a locked artifact ends the countdown, however it was locked."""
    if artifact is None or artifact.status != DRAFT:
        return None
    return workload.expires_at


def expire(
    workload: Held[Workload],
    artifact: Artifact | None,
    *,
    protons: Sequence[Held[Proton]],
    stamp: Stamp,
) -> Plan[Workload]:
    """What has to be done about a live workload's lifetime now; no writes: nothing."""
    record = workload.record
    end = expires_at(record, artifact)
    if end is None or stamp.now_s < end - WARNING_S:
        return Plan(subject=record)
    if stamp.now_s >= end:
        return remove_workload(
            workload, protons=protons, kind=EventType.WORKLOAD_EXPIRED, stamp=stamp, expiredAt=end
        )
    if record.expiry_told:
        return Plan(subject=record)
    told = msgspec.structs.replace(record, expiry_told=True)
    event = stamp.event(
        record.id,
        EventType.WORKLOAD_EXPIRING,
        expiresInSeconds=round(end - stamp.now_s),
        message="Stop and start it for another term, or promote it to keep it.",
    )
    return Plan(
        subject=told, writes=(Save(record=told, expected=workload.version),), events=(event,)
    )


def remove_workload(
    workload: Held[Workload],
    *,
    protons: Sequence[Held[Proton]],
    kind: EventType,
    stamp: Stamp,
    **details: object,
) -> Plan[Workload]:
    """Soft delete: the URL stops at once, replicas drain and end, the artifact stays.

    A replacement that is under way ends with it: the history says how far it came.

    Args:
        workload: The one to remove.
        protons: All of its protons.
        kind: What the journal calls it.
        stamp: Who, when.
        details: What the journal says besides.
    """
    record = workload.record
    ended, removed, history = end_at_once(
        record, protons, why="the workload was removed", stamp=stamp
    )
    gone = msgspec.structs.replace(
        ended,
        desired=Desired.STOPPED,
        active_proton_id=None,
        replacement=None,
        deleted_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(
        subject=gone,
        writes=(Save(record=gone, expected=workload.version), *removed),
        events=(
            *endings(record.replacement, history, stamp=stamp),
            stamp.event(gone.id, kind, **details),
        ),
        history=history,
    )


def is_purgeable(record: Deletable, *, retention_s: float, now_s: float) -> bool:
    """Whether nobody can need a deleted record any more."""
    return bool(
        retention_s and record.deleted_at is not None and now_s >= record.deleted_at + retention_s
    )
