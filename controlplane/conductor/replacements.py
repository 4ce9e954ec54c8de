"""Carries replacements on: looks at each one, and makes its next move."""

import asyncio
import logging
from collections.abc import Sequence

from controlplane.api.sights import evidence, patience, situation
from controlplane.conductor.term import Term
from controlplane.lifecycle.replacements import advance
from controlplane.lifecycle.underway import Situation
from controlplane.lifecycle.weights import Judgement, Tally, judge
from controlplane.model.reports import LoadReport
from controlplane.model.states import ReplacementStatus
from controlplane.model.workloads import Workload
from controlplane.store.errors import ConflictError

logger = logging.getLogger(__name__)

_NEED_REPORTS = frozenset(
    {
        ReplacementStatus.AWAITING_PROMOTION,
        ReplacementStatus.SWITCHING,
        ReplacementStatus.CLEANING_UP,
    }
)


class Replacements:
    """One term's look at all replacements.

    What the counters were when a weight step began is known to this term only: a new one judges the
    step by what comes after it took over.
    """

    def __init__(self, term: Term) -> None:
        self._term = term
        self._services = term.services
        self._every_s = term.services.settings.conductor.tick_s
        self._reports: Sequence[LoadReport] = ()
        self._read_s: float | None = None
        self._tallies: dict[str, tuple[float, Tally, Tally]] = {}
        """By replacement: when its present step began, and the candidate's and the active one's."""

    async def step(self, now_s: float) -> None:
        """Make every move that is due.

        Args:
            now_s: Epoch seconds.
        """
        services = self._services
        found = [
            s
            for workload_id in list(services.replacing[True])
            if (held := services.held(Workload, workload_id)) is not None
            and (s := situation(services, held)) is not None
        ]
        present = {s.replacement.id for s in found}
        for gone in [key for key in self._tallies if key not in present]:
            del self._tallies[gone]
        if not found:
            return
        if any(s.replacement.status in _NEED_REPORTS for s in found):
            await self._collect()
        for one in found:
            try:
                await self._advance(one, self._reports)
            except ConflictError as exc:
                logger.debug("somebody was faster", extra={"error": str(exc)})

    async def _collect(self) -> None:
        """Read the gateways' reports, at most once a tick: in a large installation they are large.

        Older ones are as true: a gateway that has once known of a revision goes on to know of it.
        """
        loop = asyncio.get_running_loop()
        if self._read_s is None or loop.time() - self._read_s >= self._every_s:
            self._reports = await self._services.store.collect_reports()
            self._read_s = loop.time()

    async def _advance(self, found: Situation, reports: Sequence[LoadReport]) -> None:
        services, replacement = self._services, found.replacement
        plan = advance(
            found,
            evidence(services, found, reports=reports, judgement=self._judgement(found, reports)),
            patience=patience(services.settings),
            stamp=self._term.stamp(replacement.user_id),
        )
        if not plan.writes:
            return
        await self._term.carry_out(plan)
        after = plan.subject.replacement
        if after is not None and after.status is not replacement.status:
            logger.info(
                "replacement",
                extra={
                    "workload_id": replacement.workload_id,
                    "replacement_id": replacement.id,
                    "status": after.status.value,
                    "message_for_people": after.message,
                },
            )

    def _judgement(self, found: Situation, reports: Sequence[LoadReport]) -> Judgement | None:
        """How the candidate compares since its step began; None outside of a step."""
        replacement = found.replacement
        if (
            replacement.status is not ReplacementStatus.AWAITING_PROMOTION
            or replacement.step_at is None
            or found.candidate is None
            or found.previous is None
        ):
            self._tallies.pop(replacement.id, None)
            return None
        known = self._tallies.get(replacement.id)
        if known is None or known[0] != replacement.step_at:
            known = (
                replacement.step_at,
                Tally(found.candidate.record.id, reports),
                Tally(found.previous.record.id, reports),
            )
            self._tallies[replacement.id] = known
        _, candidate, active = known
        return judge(candidate.read(reports), active.read(reports), replacement.config.rule)
