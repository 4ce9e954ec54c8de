"""What holds for every replacement: what is known of it, what it occupies, what it needs.

How it goes on is in `replacements`, how it begins in `candidates`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from controlplane.lifecycle.plans import Held, Remove, Stamp
from controlplane.lifecycle.weights import Judgement
from controlplane.model.events import EventType
from controlplane.model.schedules import bounds_at, spans_of
from controlplane.model.states import ReplacementStatus
from controlplane.model.workloads import Event, GroupRuntime, Proton, Replacement, Workload

_ENDED: Final = frozenset({ReplacementStatus.COMPLETED, ReplacementStatus.ERRORED})

NONE_ACTIVE: Final = "There is no active replacement for this workload."
"""The contract's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of one proton."""

    state: str = "unknown"
    ready: int = 0
    """Replicas that serve."""
    wanted: int | None = None
    """The autoscaler's last decision; None before the first."""
    errored: bool = False
    """The autoscaler has given it up."""
    message: str = ""
    """What is wrong, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A workload with a replacement, and the protons that it is about."""

    workload: Held[Workload]
    replacement: Replacement
    candidate: Held[Proton] | None
    previous: Held[Proton] | None
    """The active proton before the switch, the old one after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known now besides the records."""

    sights: Mapping[str, Sight] = field(default_factory=dict)
    """By proton."""
    acknowledged: int | None = None
    """The lowest store revision among the gateway workers' reports; None: nobody reports."""
    queued: Mapping[str, int] = field(default_factory=dict)
    """Requests that wait in gateways, by proton."""
    judgement: Judgement | None = None
    """How the candidate compares since its weight step began; None: not measured yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The installation's settings that matter here, in seconds."""

    candidate_s: float
    """How long a candidate may take to be ready."""
    drain_s: float
    """How long requests of a proton that leaves may wait in gateways."""
    window_s: float
    """How long the autoscaler needs to know a proton's load."""
    draft_ttl_s: float = 0.0
    """What a switch gives a workload that expires."""


def is_under_way(replacement: Replacement | None) -> bool:
    """Whether a replacement has not ended."""
    return replacement is not None and replacement.status not in _ENDED


def artifacts_in_use(workload: Workload) -> set[str]:
    """The artifacts that a workload runs, or may run again when its replacement is cancelled."""
    found = {workload.artifact_id}
    replacement = workload.replacement
    if replacement is not None and is_under_way(replacement):
        found.add(replacement.candidate_artifact_id)
        if replacement.previous_artifact_id is not None:
            found.add(replacement.previous_artifact_id)
    return found


def enough(group: GroupRuntime, *, active_ready: int, share: float = 1.0, now_s: float) -> int:
    """Replicas that a candidate needs to take a share of the present load.

    Args:
        group: The candidate's own counts, bounds and schedules.
        active_ready: Replicas that serve the load now.
        share: Of the load, above 0 to 1.
        now_s: Epoch seconds: a schedule's bounds hold at its times.
    """
    auto = group.autoscaling
    if auto is not None and auto.enabled and auto.policies:
        spans = [span for schedule in auto.schedules for span in spans_of(schedule, at=now_s)]
        # Nothing is started early for a schedule that is about to begin: the autoscaler does that.
        low, high = bounds_at(
            spans, low=auto.min_replicas, high=auto.max_replicas, at=now_s, lead_s=0.0
        )
    else:
        low = high = group.replica_count or 1
    return max(1, min(high, max(low, math.ceil(active_ready * share))))


def details(
    replacement: Replacement, sights: Mapping[str, Sight] | None = None
) -> dict[str, object]:
    """What an event says about a replacement."""
    statuses = {
        proton_id: {
            "state": sight.state,
            "readyReplicas": sight.ready,
            "message": sight.message or None,
        }
        for proton_id, sight in (sights or {}).items()
    }
    candidate = replacement.candidate_proton_id
    return {
        "replacementId": replacement.id,
        "artifactId": replacement.candidate_artifact_id,
        "message": replacement.message,
        "protonStatuses": statuses or None,
        "candidateProtonIds": [] if candidate is None else [candidate],
    }


def end_at_once(
    workload: Workload, beside: Sequence[Held[Proton]], *, why: str, stamp: Stamp
) -> tuple[Workload, tuple[Remove, ...], tuple[Replacement, ...]]:
    """What becomes of a replacement when its workload is stopped or deleted: it is over.

    Args:
        workload: As it will be otherwise.
        beside: Its protons besides the active one.
        why: What ends it, such as "the workload was stopped".
        stamp: Who, when.

    Returns:
        The workload without it, the protons that go, and the entry of the history. A failure stays
        shown, whether it has ended before or its candidate was just being cleaned up.
    """
    removed = tuple(Remove(kind=Proton, id=p.record.id, expected=p.version) for p in beside)
    replacement = workload.replacement
    if replacement is None or replacement.status is ReplacementStatus.ERRORED:
        return workload, removed, ()
    freed = msgspec.structs.replace(workload, replacement=None)
    if replacement.status is ReplacementStatus.COMPLETED:
        return freed, removed, ()
    switched = replacement.status is ReplacementStatus.SWITCHING
    decided = switched or replacement.status is ReplacementStatus.CLEANING_UP
    ended = msgspec.structs.replace(
        replacement,
        status=ReplacementStatus.COMPLETED if switched else ReplacementStatus.ERRORED,
        status_at=stamp.now_s,
        updated_at=stamp.now_s,
        ended_at=stamp.now_s,
        deleted_at=replacement.deleted_at if decided else stamp.now_s,
        message=replacement.message if decided else f"Cancelled: {why}.",
    )
    if ended.status is ReplacementStatus.ERRORED and ended.deleted_at is None:
        return msgspec.structs.replace(workload, replacement=ended), removed, (ended,)
    return freed, removed, (ended,)


def endings(
    before: Replacement | None, ended: Sequence[Replacement], *, stamp: Stamp
) -> tuple[Event, ...]:
    """What the journal says of a replacement that `end_at_once` has ended.

    Args:
        before: As it was; one whose cancel was told already has no second event.
        ended: The entry of the history.
        stamp: Who, when.
    """
    told = []
    for replacement in ended:
        kind = EventType.REPLACEMENT_CANCELLED
        if replacement.status is ReplacementStatus.COMPLETED:
            kind = EventType.REPLACEMENT_COMPLETED
        elif replacement.deleted_at is None:
            kind = EventType.REPLACEMENT_ERRORED
        elif before is not None and before.deleted_at is not None:
            continue
        told.append(stamp.event(replacement.workload_id, kind, **details(replacement)))
    return tuple(told)
