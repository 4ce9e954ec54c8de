"""What others see of decisions: Scale records, the journal of decisions, a workload's events.

Decisions fall every second; the store hears only of what somebody could see. A record is written
when it differs in anything but its time; a change of the reason alone waits until the last write
is `REASON_PAUSE_S` old, so that a proton between two reasons does not write twice a second. A
journal entry is made when count or reason change, and once a minute while anything should run.

Nothing here waits: what must be written collects, and whoever can write takes it in batches.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from autoscaler.core.basis import Basis
from autoscaler.core.observation import DecisionState
from autoscaler.reconcilers.base import Failure
from controlplane.model.decisions import Decision, Reason
from controlplane.model.events import EVENTS_KEPT, EventType
from controlplane.model.grants import Refusal
from controlplane.model.histograms import nearest_rank
from controlplane.model.sizing import prevailing
from controlplane.model.states import ReplicaPhase, proton_state
from controlplane.model.workloads import Event, Proton, Replica, Scale
from controlplane.store.client import Delete, Put

REASON_PAUSE_S: Final = 2.0
JOURNAL_EVERY_S: Final = 60.0
_UNWRITTEN_ENTRIES: Final = 100
"""Journal entries kept per proton while the store is away; the oldest go first."""

MAX_PAUSE_S: Final = 60.0
"""Away from its maximum for less than this, a proton's next arrival at it is no news."""

_Happened = tuple[EventType, dict[str, object]]
"""An event and its details."""

Entry = tuple[str, bytes, int]
"""Journal name, entry, how many to keep."""


@dataclass(slots=True, kw_only=True)
class Finding:
    """What one decision was about."""

    proton: Proton
    decision: Decision
    """Not told: without steps. What came after `decide` may have added some."""
    replicas: Sequence[Replica]
    cold_starts_s: Sequence[float] = ()
    failure: Failure | None = None
    basis: Basis
    """What it was made from."""
    state: DecisionState
    """What it leaves to the next."""

    def tell(self) -> Decision:
        """The decision with all its steps; only what is kept or logged is worth their sentences."""
        if self.decision.basis is msgspec.UNSET:
            self.decision = self.basis.told(self.decision)
        return self.decision


@dataclass(slots=True)
class _Page:
    """What was last noted about one proton."""

    scale: Scale | None
    noted_at_s: float = float("-inf")
    journaled_at_s: float = float("-inf")
    refusal: Refusal | None = None
    """Why it got less, in the last journal entry."""
    panics: bool = False
    maxed_at_s: float = float("-inf")
    """When its maximum last held it down."""
    told: tuple[object, ...] = ()
    """What the record was made of; the same again needs no look at the record."""


@dataclass(slots=True)
class Unwritten:
    """What has to be written about one proton."""

    write: Put | Delete | None = None
    entries: list[Entry] = field(default_factory=list)


Batch = dict[str, Unwritten]
"""By proton id."""


class ScaleBook:
    """Keeps what the store shows of each proton, and what it does not show yet."""

    def __init__(self, *, decision_history: int, new_id: Callable[[], str], code: str = "") -> None:
        """Begin with an empty book; `open` adds what the store has.

        Args:
            decision_history: Decisions kept per proton.
            new_id: Makes 24-hex ids.
            code: The version of the code that decides, for the records.
        """
        self._code = code
        self._history = decision_history
        self._new_id = new_id
        self._pages: dict[str, _Page] = {}
        self._unwritten: Batch = {}

    def open(self, scale: Scale) -> None:
        """A record from an earlier term: the starting point of its proton."""
        self._pages[scale.id] = _Page(scale=scale)

    def note(self, finding: Finding, *, now_s: float) -> bool:
        """Keep a decision; returns whether there is anything to write.

        Args:
            finding: The decision and what it was about.
            now_s: Monotonic clock.
        """
        decision, proton = finding.decision, finding.proton
        page = self._pages.get(proton.id)
        if page is None:
            page = self._pages[proton.id] = _Page(scale=None)
        due = decision.replicas > 0 and now_s - page.journaled_at_s >= JOURNAL_EVERY_S
        facts = _facts(finding)
        turns = _turns(page, finding, now_s)
        if facts == page.told and not due and not turns:
            return False
        old = page.scale
        new = _scale_of(finding, decision_id=old.decision_id if old else None)
        moved = old is None or _counts(old) != _counts(new)
        paused = now_s - page.noted_at_s < REASON_PAUSE_S
        if old is not None and _same(old, _worded_as(old, new)):
            told = not paused and (old.reason, old.message) != (new.reason, new.message)
        else:
            told = True
        old_reason = old.reason if old is not None else None
        refusal = decision.grant.refusal if decision.grant is not None else None
        renamed = new.reason != old_reason or refusal is not page.refusal
        journaled = moved or due or (told and renamed)
        unwritten = Unwritten()
        if journaled:
            decision = msgspec.structs.replace(finding.tell(), id=self._new_id(), code=self._code)
            name = f"decisions:{proton.id}"
            unwritten.entries.append((name, msgspec.json.encode(decision), self._history))
            new = msgspec.structs.replace(new, decision_id=decision.id)
            first = math.isinf(page.journaled_at_s)
            page.journaled_at_s = now_s - (_own_second(proton.id) if first else 0.0)
            page.refusal = refusal
        unwritten.entries += self._events([*turns, *_changes(old, new, decision)], new, decision)
        if told or journaled:
            unwritten.write = Put(new)
            page.scale, page.noted_at_s, page.told = new, now_s, facts
        if unwritten.write is None and not turns:
            return False
        self._keep(proton.id, unwritten)
        return True

    def append(self, proton_id: str, entry: Entry) -> None:
        """Keep an entry of another journal of the proton, to be written with the rest."""
        self._keep(proton_id, Unwritten(entries=[entry]))

    def remove(self, proton_id: str) -> None:
        """The proton is gone, and so are its replicas: so shall be its record."""
        self._pages.pop(proton_id, None)
        self._unwritten[proton_id] = Unwritten(write=Delete(Scale, proton_id))

    def take(self, limit: int) -> Batch:
        """Take up to `limit` protons' writes; give them back if they fail."""
        batch = {proton_id: self._unwritten[proton_id] for proton_id in [*self._unwritten][:limit]}
        for proton_id in batch:
            del self._unwritten[proton_id]
        return batch

    def give_back(self, batch: Batch) -> None:
        """These writes failed: they come first when the store is back."""
        newer, self._unwritten = self._unwritten, batch
        for proton_id, unwritten in newer.items():
            self._keep(proton_id, unwritten)

    def _keep(self, proton_id: str, newer: Unwritten) -> None:
        older = self._unwritten.setdefault(proton_id, Unwritten())
        if newer.write is not None:
            older.write = newer.write
        older.entries = (older.entries + newer.entries)[-_UNWRITTEN_ENTRIES:]

    def _events(self, events: Sequence[_Happened], new: Scale, decision: Decision) -> list[Entry]:
        return [
            (
                f"events:{new.workload_id}",
                msgspec.json.encode(
                    Event(
                        id=self._new_id(),
                        workload_id=new.workload_id,
                        at=decision.at,
                        type=kind,
                        details={"protonId": new.id, "reason": decision.reason.value, **details},
                    )
                ),
                EVENTS_KEPT,
            )
            for kind, details in events
        ]


def _own_second(proton_id: str) -> float:
    """Of a minute, for the regular entries: or those of all protons fell in the same round."""
    return zlib.crc32(proton_id.encode()) % JOURNAL_EVERY_S


def _turns(page: _Page, finding: Finding, now_s: float) -> list[_Happened]:
    """Panic and the maximum: they come and go while the record stays as it is."""
    events: list[_Happened] = []
    decision = finding.decision
    panics = finding.state.damping.panic_at_s is not None
    if panics is not page.panics:
        page.panics = panics
        kind = EventType.PANIC_ENTERED if panics else EventType.PANIC_LEFT
        events.append((kind, {"replicas": decision.replicas}))
    if decision.reason is Reason.AT_MAX:
        if now_s - page.maxed_at_s > MAX_PAUSE_S:
            events.append((EventType.MAXIMUM_REACHED, {"replicas": decision.replicas}))
        page.maxed_at_s = now_s
    return events


def _changes(old: Scale | None, new: Scale, decision: Decision) -> list[_Happened]:
    """What happened since the last record."""
    events: list[_Happened] = []
    if decision.reason is Reason.WAKE_UP and decision.replicas > 0:
        events.append((EventType.SCALED_FROM_ZERO, {"replicas": decision.replicas}))
    if decision.reason is Reason.IDLE and decision.previous_replicas > 0:
        events.append((EventType.SCALED_TO_ZERO, {"replicas": 0}))
    events += _capacity_events(old, decision)
    errored_before = old is not None and old.errored
    if new.errored and not errored_before:
        events.append((EventType.PROTON_ERRORED, {"message": new.message}))
    if errored_before and not new.errored:
        events.append((EventType.PROTON_RECOVERED, {}))
    return events


def _capacity_events(old: Scale | None, decision: Decision) -> list[_Happened]:
    """What happened to its share of capacity since the last record."""
    grant = decision.grant
    before = old.granted_replicas if old is not None else None
    if grant is None:
        granted: dict[str, object] = {"granted": decision.replicas}
        return [] if before is None else [(EventType.CAPACITY_GRANTED, granted)]
    had = before if before is not None or old is None else old.wanted_replicas
    details: dict[str, object] = {
        "wanted": decision.replicas,
        "granted": grant.granted,
        "refusal": grant.refusal.value,
        "message": grant.note,
    }
    if grant.gave_way_to is not None and had is not None and grant.granted < had:
        return [(EventType.REPLICAS_PREEMPTED, {**details, "workloadId": grant.gave_way_to})]
    return [(EventType.CAPACITY_REFUSED, details)] if before is None else []


def _facts(finding: Finding) -> tuple[object, ...]:
    decision = finding.decision
    return (
        decision.replicas,
        decision.reason,
        decision.grant.note if decision.grant is not None else None,
        finding.proton.desired,
        [replica.phase for replica in finding.replicas],
        len(finding.cold_starts_s),
        finding.failure,
    )


def _scale_of(finding: Finding, *, decision_id: str | None) -> Scale:
    decision, proton, failure = finding.decision, finding.proton, finding.failure
    phases = [replica.phase for replica in finding.replicas]
    errored = failure is not None and failure.sticky
    grant = decision.grant
    interrupted = grant is not None and grant.granted == 0 and grant.gave_way_to is not None
    starts = sorted(finding.cold_starts_s)
    sized = prevailing(proton.runtime.group().bundles, finding.replicas)
    return Scale(
        id=proton.id,
        workload_id=proton.workload_id,
        wanted_replicas=decision.replicas,
        granted_replicas=grant.granted if grant is not None else None,
        interrupted=interrupted,
        ready_replicas=sum(1 for phase in phases if phase is ReplicaPhase.READY),
        state=proton_state(
            desired=proton.desired,
            wanted_replicas=decision.replicas,
            phases=[replica.shown_phase() for replica in finding.replicas],
            errored=errored,
            interrupted=interrupted,
            role=proton.role,
        ),
        errored=errored,
        reason=decision.reason.value,
        message=_message(finding),
        log_tail=failure.log_tail if failure is not None else (),
        bundle=sized.bundle if sized is not None else None,
        bundle_reason=sized.bundle_reason if sized is not None else "",
        cold_start_p50_s=_quantile(starts, 0.5),
        cold_start_p90_s=_quantile(starts, 0.9),
        decision_id=decision_id,
        updated_at=decision.at,
    )


def _message(finding: Finding) -> str:
    """What its owner should know; why replicas fail goes before why there are not more."""
    if finding.failure is not None:
        return finding.failure.message
    grant = finding.decision.grant
    return f"Waits for capacity: {grant.note}." if grant is not None else ""


def _counts(scale: Scale) -> tuple[int, int | None]:
    return scale.wanted_replicas, scale.granted_replicas


def _worded_as(old: Scale, new: Scale) -> Scale:
    """`new` with the reason of `old`; while it waits for capacity, with its sentence, too."""
    waits = old.granted_replicas is not None and new.granted_replicas is not None
    message = old.message if waits else new.message
    return msgspec.structs.replace(new, reason=old.reason, message=message)


def _same(old: Scale, new: Scale) -> bool:
    return old == msgspec.structs.replace(
        new, decision_id=old.decision_id, updated_at=old.updated_at
    )


def _quantile(ascending: Sequence[float], share: float) -> float | None:
    """Nearest rank; None without values."""
    if not ascending:
        return None
    return round(ascending[nearest_rank(len(ascending), share) - 1], 3)
