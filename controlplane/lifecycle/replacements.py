"""Replacements: a candidate proton beside the active one, the switch, the end of the old one.

    status              means                               goes on when                  to
    ------------------  ----------------------------------  ----------------------------  ----------
    submitted           accepted                            replicas were asked for       initial.
    initializing        the candidate's replicas start      enough of them are ready      awaiting
    awaiting_promotion  warm-up, then the weight steps      it may and can take all load  switching
                                                            no replica is ready any more  initial.
    switching           the candidate is the active         its time is over, no gateway  completed
                        proton; the old one is kept         needs the old one
    completed           over; shown for a second            the second has passed         (gone)
    cleaning_up         failed or cancelled                 no gateway needs the          errored
                                                            candidate
    errored             over; a failure is shown            another one is started

Before the switch a failure (the candidate errored, or was not ready in time, or a weight rule says
so) or a cancel leads to `cleaning_up`, and the old proton never stops serving. After it, a cancel
switches back as long as the old proton is kept. A proton's record goes only when all gateways know
that it has no weight and none has a request of it waiting: its replicas then drain as ever.

**Capacity.** A candidate asks for as many replicas as the share of the load that it is to take
next needs (`enough`): at least one, also where it may scale to zero, and before the switch as many
as the active proton has ready, up to its maximum. After the switch it keeps them until its load has
filled the autoscaler's window; the old one keeps its own, so that a cancel finds them warm.
"""

from typing import Final

import msgspec

from controlplane.lifecycle.moves import Moves
from controlplane.lifecycle.plans import Held, NotFoundError, Plan, Remove, Save, Stamp, StateError
from controlplane.lifecycle.underway import (
    NONE_ACTIVE,
    Evidence,
    Patience,
    Sight,
    Situation,
    is_under_way,
)
from controlplane.lifecycle.weights import Judgement, Verdict, capped_share
from controlplane.model.events import EventType
from controlplane.model.states import ProtonRole, ReplacementStatus
from controlplane.model.workloads import Proton, WeightStep, Workload

COMPLETED_SHOWN_S: Final = 1.0
"""How long a completed replacement stays on its workload: clients that poll see the end."""


def advance(
    situation: Situation, seen: Evidence, *, patience: Patience, stamp: Stamp
) -> Plan[Workload]:
    """What is to be done about a replacement now; the module docstring is the table.

    Args:
        situation: The records as they are.
        seen: What else is known.
        patience: How long things may take.
        stamp: When, in the name of who asked for the replacement.

    Returns:
        The next move; a plan without writes when it only has to wait.
    """
    now = _Now(situation, seen, patience, stamp)
    match situation.replacement.status:
        case ReplacementStatus.SUBMITTED | ReplacementStatus.INITIALIZING:
            return now.starting()
        case ReplacementStatus.AWAITING_PROMOTION:
            return now.awaiting()
        case ReplacementStatus.SWITCHING:
            return now.keeping()
        case ReplacementStatus.CLEANING_UP:
            return now.cleaning_up()
        case ReplacementStatus.COMPLETED:
            return now.completed()
        case _:
            return now.nothing()


def cancel(
    situation: Situation, seen: Evidence, *, patience: Patience, stamp: Stamp
) -> Plan[Workload]:
    """End a replacement; the old proton serves on, or again.

    Returns:
        A plan without writes when it is being cleaned up already.

    Raises:
        NotFoundError: It has ended.
        StateError: The switch is done and the old proton cannot serve any more.
    """
    replacement = situation.replacement
    if not is_under_way(replacement):
        raise NotFoundError(NONE_ACTIVE)
    now = _Now(situation, seen, patience, stamp)
    if replacement.status is ReplacementStatus.CLEANING_UP:
        return now.nothing()
    message = "Cancelled."
    if replacement.status is ReplacementStatus.SWITCHING:
        return now.switch_back(message)
    return now.clean_up(message, event=EventType.REPLACEMENT_CANCELLED, deleted_at=stamp.now_s)


class _Now(Moves):
    """One look at one replacement: a method per status, each ends in one plan."""

    # -- one method per status ----------------------------------------------------------------

    def starting(self) -> Plan[Workload]:
        """Submitted or initializing."""
        sight = self._sight(self._candidate)
        if self._candidate is None or sight.errored:
            return self._failed(sight)
        steps = self._replacement.config.steps
        step = self._replacement.step
        needed = self._enough(steps[step].percent / 100 if step < len(steps) else 1.0)
        if sight.ready >= needed:
            return self._move(
                *self._with_least(needed),
                status=ReplacementStatus.AWAITING_PROMOTION,
                ready_at=self._now_s,
                step_at=None,
            )
        if self._now_s - self._replacement.status_at > self._patience.candidate_s:
            return self._late(sight, needed)
        raised = self._with_least(needed)
        if self._replacement.status is ReplacementStatus.SUBMITTED and sight.wanted is not None:
            return self._move(*raised, status=ReplacementStatus.INITIALIZING)
        return self._move(*raised) if raised else self.nothing()

    def awaiting(self) -> Plan[Workload]:
        """Warm-up, weight steps, and the switch."""
        replacement = self._replacement
        sight = self._sight(self._candidate)
        if self._candidate is None or sight.errored:
            return self._failed(sight)
        if not sight.ready:
            # One that had all steps behind it takes the last one again: it is another start.
            last = max(0, len(replacement.config.steps) - 1)
            return self._move(
                *self._weighted(0),
                status=ReplacementStatus.INITIALIZING,
                step=min(replacement.step, last),
                step_at=None,
            )
        warm_s = (replacement.ready_at or replacement.status_at) + replacement.config.warmup_s
        if self._now_s < warm_s:
            return self.nothing()
        steps = replacement.config.steps
        if replacement.step < len(steps):
            return self._weigh(steps[replacement.step], sight)
        return self._switch_when_able(self._candidate, sight, warm_s)

    def _switch_when_able(
        self, candidate: Held[Proton], sight: Sight, warm_s: float
    ) -> Plan[Workload]:
        replacement = self._replacement
        compared = self._compared("The switch") if replacement.config.steps else None
        if compared is not None:
            return compared
        needed = self._enough(1.0)
        if replacement.held_at is None:
            if sight.ready >= needed:
                return self._switch(candidate, needed)
            since_s = warm_s if replacement.step_at is None else replacement.step_at
            if self._now_s - since_s > self._patience.candidate_s:
                return self._late(sight, needed)
        raised = self._with_least(needed)
        return self._move(*raised) if raised else self.nothing()

    def keeping(self) -> Plan[Workload]:
        """Switched: the old proton stays for its time, then as long as gateways need it."""
        old = self._previous
        if old is None:
            return self._complete()
        over_s = (
            self._replacement.switched_at or self._replacement.status_at
        ) + self._replacement.config.keep_old_s
        if self._now_s < over_s or not self._is_free(old, since_s=over_s):
            return self.nothing()
        return self._complete(Remove(kind=Proton, id=old.record.id, expected=old.version))

    def cleaning_up(self) -> Plan[Workload]:
        """The candidate goes as soon as no gateway needs it."""
        candidate = self._candidate
        if candidate is None:
            return self._end_in_failure()
        if not self._is_free(candidate, since_s=self._replacement.status_at):
            return self.nothing()
        return self._end_in_failure(
            Remove(kind=Proton, id=candidate.record.id, expected=candidate.version)
        )

    def completed(self) -> Plan[Workload]:
        """Shown for a moment, then it is history only."""
        if self._now_s < (self._replacement.ended_at or 0) + COMPLETED_SHOWN_S:
            return self.nothing()
        record, version = self._workload
        freed = msgspec.structs.replace(record, replacement=None)
        return Plan(subject=freed, writes=(Save(record=freed, expected=version),))

    # -- weights ------------------------------------------------------------------------------

    def _weigh(self, step: WeightStep, sight: Sight) -> Plan[Workload]:
        replacement = self._replacement
        active_ready = self._sight(self._previous).ready
        share = capped_share(step.percent, candidate_ready=sight.ready, active_ready=active_ready)
        writes = (*self._weighted(share, least=self._enough(step.percent / 100)),)
        place = f"Step {replacement.step + 1} of {len(replacement.config.steps)}"
        message = f"{place}: {share} % of the traffic."
        if share < step.percent:
            message = (
                f"{place}: {share} % of the traffic, {step.percent} % asked: the candidate has"
                f" {sight.ready} replicas ready, the active proton {active_ready}."
            )
        if replacement.step_at is None:
            return self._move(
                *writes,
                event=EventType.REPLACEMENT_STEP,
                step_at=self._now_s,
                held_at=None,
                message=message,
            )
        judged = self._judged(step, sight, place)
        if judged is not None:
            return judged
        if not writes:
            return self.nothing()
        held = replacement.held_at is not None
        return self._move(*writes, message=replacement.message if held else message)

    def _judged(self, step: WeightStep, sight: Sight, place: str) -> Plan[Workload] | None:
        """What the comparison says; None: go on at this share."""
        replacement, judgement = self._replacement, self._seen.judgement
        compared = self._compared(place)
        if compared is not None or judgement is None or replacement.held_at is not None:
            return compared
        due_s = (replacement.step_at or 0) + step.duration_s
        if judgement.verdict is Verdict.TOO_FEW:
            # Nothing is said against it: a quiet workload must not wait for ever.
            due_s += replacement.config.rule.hold_s
        if self._now_s < due_s:
            return None
        needed = self._enough(step.percent / 100)
        if sight.ready >= needed:
            return self._next_step(f"{place} passed: {judgement.note}")
        # It never got its share, or has lost it: that is no proof that it can take it.
        if self._now_s - due_s > self._patience.candidate_s:
            return self._late(sight, needed)
        return None

    def _compared(self, place: str) -> Plan[Workload] | None:
        """Hold, go on, or roll back by the comparison; None: it stays as it is."""
        replacement, judgement = self._replacement, self._seen.judgement
        if judgement is None:
            return None
        held = replacement.held_at is not None
        if judgement.verdict is Verdict.WORSE or (held and judgement.verdict is Verdict.TOO_FEW):
            # Too few requests, as after another conductor took over, do not clear a held one.
            return self._worse(judgement, place)
        if not held:
            return None
        return self._move(
            event=EventType.REPLACEMENT_RESUMED,
            held_at=None,
            message=f"{place} goes on: {judgement.note}",
        )

    def _worse(self, judgement: Judgement, place: str) -> Plan[Workload] | None:
        replacement = self._replacement
        rule, held_at = replacement.config.rule, replacement.held_at
        if rule.on_worse == "rollback":
            return self.clean_up(f"Rolled back at {place.lower()}: {judgement.note}")
        if held_at is None:
            return self._move(
                event=EventType.REPLACEMENT_HELD,
                held_at=self._now_s,
                message=f"{place}, held: {judgement.note}",
            )
        if self._now_s - held_at < rule.hold_s:
            return None
        return self.clean_up(
            f"Rolled back at {place.lower()}, held for {rule.hold_s:g} s: {judgement.note}"
        )

    def _next_step(self, message: str) -> Plan[Workload]:
        following = self._replacement.step + 1
        last = following == len(self._replacement.config.steps)
        return self._move(step=following, step_at=self._now_s if last else None, message=message)

    # -- moves --------------------------------------------------------------------------------

    def switch_back(self, message: str) -> Plan[Workload]:
        """Cancelled after the switch: the old proton is the active one again.

        Raises:
            StateError: It is gone, or cannot serve.
        """
        replacement, old, new = self._replacement, self._previous, self._candidate
        sight = self._sight(old)
        if old is None or sight.errored or (sight.wanted and not sight.ready):
            raise StateError(
                f"Replacement {replacement.id} has switched, and the old proton does not serve any"
                " more: to go back, start a replacement onto artifact"
                f" {replacement.previous_artifact_id}."
            )
        writes = [
            Save(
                record=self._active_again(old.record),
                expected=old.version,
            )
        ]
        if new is not None:
            leaving = msgspec.structs.replace(
                new.record, role=ProtonRole.CANDIDATE, weight=0, updated_at=self._now_s
            )
            writes.append(Save(record=leaving, expected=new.version))
        workload = {
            "active_proton_id": old.record.id,
            "artifact_id": replacement.previous_artifact_id or old.record.artifact_id,
            "runtime": replacement.previous_runtime or replacement.runtime,
        }
        return self._move(
            *writes,
            event=EventType.REPLACEMENT_CANCELLED,
            workload=workload,
            status=ReplacementStatus.CLEANING_UP,
            message=message,
            deleted_at=self._now_s,
            switched_at=None,
        )

    def _active_again(self, old: Proton) -> Proton:
        return msgspec.structs.replace(
            old,
            role=ProtonRole.ACTIVE,
            weight=100,
            least_until=self._now_s + self._patience.window_s,
            updated_at=self._now_s,
        )

    def _switch(self, new: Held[Proton], needed: int) -> Plan[Workload]:
        replacement, old = self._replacement, self._previous
        active = msgspec.structs.replace(
            new.record,
            role=ProtonRole.ACTIVE,
            weight=100,
            least_replicas=needed,
            least_until=self._now_s + self._patience.window_s,
            updated_at=self._now_s,
        )
        writes = [Save(record=active, expected=new.version)]
        if old is not None:
            kept = msgspec.structs.replace(
                old.record,
                role=ProtonRole.DRAINING,
                weight=0,
                least_replicas=self._sight(old).ready,
                least_until=None,
                updated_at=self._now_s,
            )
            writes.append(Save(record=kept, expected=old.version))
        workload: dict[str, object] = {
            "active_proton_id": active.id,
            "artifact_id": replacement.candidate_artifact_id,
            "runtime": replacement.runtime,
        }
        record = self._workload.record
        if record.expires_at is not None and self._patience.draft_ttl_s:
            workload |= {
                "expires_at": self._now_s + self._patience.draft_ttl_s,
                "expiry_told": False,
            }
        return self._move(
            *writes,
            event=EventType.REPLACEMENT_SWITCHED,
            workload=workload,
            status=ReplacementStatus.SWITCHING,
            switched_at=self._now_s,
            message=None,
        )

    def _complete(self, *writes: Remove) -> Plan[Workload]:
        return self._move(
            *writes,
            event=EventType.REPLACEMENT_COMPLETED,
            ended=True,
            status=ReplacementStatus.COMPLETED,
            message="Completed.",
        )

    def _end_in_failure(self, *writes: Remove) -> Plan[Workload]:
        cancelled = self._replacement.deleted_at is not None
        return self._move(
            *writes,
            event=None if cancelled else EventType.REPLACEMENT_ERRORED,
            ended=True,
            workload={"replacement": None} if cancelled else {},
            status=ReplacementStatus.ERRORED,
        )
