"""Who waits for a share of what there is, and what becomes of it: one settlement for all of them.

    who                              then
    -------------------------------  -----------------------------------------------------------
    asked since the last settlement  is acted upon, with its share
    did not, and has another share   is decided upon anew, asks, and is settled in the same go
    is another proton by now         is decided upon anew, with the next news

All this is synchronous. Nobody is planned by a settlement that does not know what it wants now.
"""

import logging
from collections.abc import Callable
from typing import Final

from autoscaler.arbiter import Arbiter, Verdict
from autoscaler.controls import Decided
from autoscaler.core.observation import Scaling
from controlplane.model.workloads import Proton

SETTLEMENTS: Final = 3
"""In one go: who is decided upon anew because its share has changed may change others' shares."""

logger = logging.getLogger(__name__)


class Settlement:
    """Keeps the decisions that wait for their share."""

    def __init__(
        self,
        arbiter: Arbiter,
        *,
        act: Callable[[Decided, float, Verdict], None],
        known: Callable[[str], Proton | None],
        later: Callable[[set[str]], None],
    ) -> None:
        """Begin with nobody waiting.

        Args:
            arbiter: Knows the shares.
            act: Carries a decision out, at a monotonic moment.
            known: The proton as it is now, by id.
            later: These protons need a decision soon.
        """
        self._arbiter = arbiter
        self._act = act
        self._known = known
        self._later = later
        self._asking: dict[str, Decided] = {}

    @property
    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._asking)

    def ask(self, decided: Decided, bounded: Scaling, now_s: float) -> bool:
        """Take a decision; returns whether it waits for `settle`: else nothing of it is limited.

        Args:
            decided: The decision.
            bounded: What was asked for, with the bounds that hold now.
            now_s: Monotonic clock.
        """
        proton, decision = decided.proton, decided.decision
        if not self._arbiter.ask(proton, bounded, decision, decided.replicas, now_s=now_s):
            return False
        self._asking[proton.id] = decided
        return True

    def settle(self, decide: Callable[[str], None], now_s: float) -> None:
        """Share out what there is, and act.

        Args:
            decide: Decides upon a proton, by id, which then may `ask`.
            now_s: Monotonic clock.
        """
        changed = self._share_out(now_s)
        for _ in range(SETTLEMENTS - 1):
            others = changed - self._asking.keys()
            if not others:
                break
            for proton_id in others:
                decide(proton_id)
            changed = self._share_out(now_s)
        else:
            if others := changed - self._asking.keys():
                self._later(others)
        asking, self._asking = self._asking, {}
        for proton_id, decided in asking.items():
            if self._known(proton_id) is not decided.proton:
                self._later({proton_id})
                continue
            try:
                verdict = self._arbiter.verdict(proton_id, decided.decision, now_s=now_s)
                decided.decision = verdict.decision
                self._act(decided, now_s, verdict)
            except Exception:
                logger.exception("cannot act", extra={"proton_id": proton_id})

    def _share_out(self, now_s: float) -> set[str]:
        """The protons whose shares are others now."""
        try:
            return self._arbiter.settle(now_s=now_s)
        except Exception:
            logger.exception("cannot share out capacity")  # everybody keeps what they have
            return set()
