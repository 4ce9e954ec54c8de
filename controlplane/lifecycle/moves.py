"""What every step of a replacement is made of: one plan that moves the workload and its protons."""

from collections.abc import Mapping

import msgspec

from controlplane.lifecycle.plans import Held, Plan, Remove, Save, Stamp
from controlplane.lifecycle.underway import Evidence, Patience, Sight, Situation, details, enough
from controlplane.model.events import EventType
from controlplane.model.states import ReplacementStatus
from controlplane.model.workloads import Event, GroupRuntime, Proton, Workload


class Moves:
    """One look at one replacement, and the moves that can follow from it."""

    def __init__(
        self, situation: Situation, seen: Evidence, patience: Patience, stamp: Stamp
    ) -> None:
        self._workload = situation.workload
        self._replacement = situation.replacement
        self._candidate = situation.candidate
        self._previous = situation.previous
        self._seen = seen
        self._patience = patience
        self._stamp = stamp
        self._now_s = stamp.now_s

    def nothing(self) -> Plan[Workload]:
        """Wait."""
        return Plan(subject=self._workload.record)

    def clean_up(
        self, message: str, *, event: EventType | None = None, deleted_at: float | None = None
    ) -> Plan[Workload]:
        """No more traffic for the candidate; it goes when it is free."""
        return self._move(
            *self._weighted(0),
            event=event,
            status=ReplacementStatus.CLEANING_UP,
            message=message,
            deleted_at=deleted_at,
            held_at=None,
        )

    def _failed(self, sight: Sight) -> Plan[Workload]:
        why = sight.message or "it could not be started."
        return self.clean_up(f"The candidate failed: {why}")

    def _late(self, sight: Sight, needed: int) -> Plan[Workload]:
        why = f" {sight.message}" if sight.message else ""
        return self.clean_up(
            f"The candidate had {sight.ready} of {needed} replicas ready after"
            f" {self._patience.candidate_s:g} s.{why}"
        )

    def _move(
        self,
        *writes: Save | Remove,
        event: EventType | None = None,
        ended: bool = False,
        workload: Mapping[str, object] | None = None,
        **changes: object,
    ) -> Plan[Workload]:
        now_s = self._now_s
        if "status" in changes:
            changes["status_at"] = now_s
        if ended:
            changes["ended_at"] = now_s
        replacement = msgspec.structs.replace(self._replacement, **changes, updated_at=now_s)
        record = msgspec.structs.replace(
            self._workload.record,
            **({"replacement": replacement, "updated_at": now_s} | dict(workload or {})),
        )
        events: tuple[Event, ...] = ()
        if event is not None:
            told = details(replacement, self._seen.sights)
            events = (self._stamp.event(record.id, event, **told),)
        return Plan(
            subject=record,
            writes=(Save(record=record, expected=self._workload.version), *writes),
            events=events,
            history=(replacement,) if ended else (),
        )

    def _sight(self, proton: Held[Proton] | None) -> Sight:
        found = None if proton is None else self._seen.sights.get(proton.record.id)
        return found or Sight()

    def _enough(self, share: float) -> int:
        group = (
            GroupRuntime() if self._candidate is None else self._candidate.record.runtime.group()
        )
        ready = self._sight(self._previous).ready
        return enough(group, active_ready=ready, share=share, now_s=self._now_s)

    def _is_free(self, proton: Held[Proton], *, since_s: float) -> bool:
        """Whether no gateway needs a proton without weight any more, or time is over."""
        if self._now_s - since_s >= self._patience.drain_s:
            return True
        known = self._seen.acknowledged
        told = known is not None and known >= proton.version
        return told and not self._seen.queued.get(proton.record.id, 0)

    def _with_least(self, least: int) -> tuple[Save, ...]:
        """The candidate with at least so many replicas; nothing when it has that already."""
        candidate = self._candidate
        if candidate is None or candidate.record.least_replicas >= least:
            return ()
        raised = msgspec.structs.replace(
            candidate.record, least_replicas=least, updated_at=self._now_s
        )
        return (Save(record=raised, expected=candidate.version),)

    def _weighted(self, share: int, *, least: int = 0) -> tuple[Save, ...]:
        """Both protons with their shares of the traffic; without those that have them already.

        Args:
            share: The candidate's, percent.
            least: Fewest replicas for the candidate, if it has no more already.
        """
        pairs = []
        if self._candidate is not None:
            candidate = self._candidate.record
            least = max(candidate.least_replicas, least)
            changed = msgspec.structs.replace(candidate, weight=share, least_replicas=least)
            pairs.append((self._candidate, changed))
        if self._previous is not None:
            pairs.append((self._previous, self._beside(self._previous.record, share)))
        return tuple(
            Save(
                record=msgspec.structs.replace(changed, updated_at=self._now_s),
                expected=held.version,
            )
            for held, changed in pairs
            if changed != held.record
        )

    def _beside(self, active: Proton, share: int) -> Proton:
        """The active proton beside a candidate with a share of the traffic.

        While it has less than all, it keeps the replicas that it had: a rollback gives it back.
        """
        least, until = active.least_replicas, active.least_until
        if share:
            kept = 0 if until is not None else least
            least, until = max(kept, self._sight(self._previous).ready), None
        elif least and until is None:
            until = self._now_s + self._patience.window_s
        return msgspec.structs.replace(
            active, weight=100 - share, least_replicas=least, least_until=until
        )
