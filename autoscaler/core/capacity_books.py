"""The books of capacity between decisions: who asks for what, who may have what.

Claims come one by one as protons are decided upon; nobody gets more before `settle`, so that the
order in which they come does not matter. Settling costs nothing while nothing has changed, and
O(changed claims x bins) while there is enough for all. Only when somebody has to be refused, or
moved on to a later candidate beside others, or a GPU is gone from a replica, are all claims
arbitrated anew.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from autoscaler.core.capacity import RANK, arbitrate
from autoscaler.core.capacity_claims import (
    Claim,
    Outcome,
    Past,
    Stay,
    Terms,
    choices_of,
    seat_of,
)
from autoscaler.core.capacity_room import Free, Nodes, Room, Seat, first_free
from controlplane.model.grants import Refusal

_NOTHING: Final = Outcome(granted=0)


class Books:
    """Claims, outcomes, and what is free, over time."""

    def __init__(self, nodes: Nodes, terms: Terms) -> None:
        """Begin with empty nodes."""
        self.nodes = nodes
        self.arbitrations = 0
        """How often all claims were arbitrated anew."""
        self._terms = terms
        self._claims: dict[str, Claim] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._pasts: dict[str, Past] = {}
        self._refused: set[str] = set()
        self._touched: set[str] = set()
        self._gone: set[str] = set()
        self._again_s: float | None = None
        self._renewed = False
        self._later, self._now = Room(nodes), Room(nodes)
        self._promised: dict[str, tuple[Seat, ...]] = {}
        self._taken: dict[str, tuple[Seat, ...]] = {}

    @property
    def claims(self) -> Mapping[str, Claim]:
        """What everybody asks for, by id."""
        return self._claims

    def renew(self, nodes: Nodes) -> None:
        """There are other nodes; the next settlement is the first that knows of them."""
        self.nodes = nodes
        self._renewed = True

    def put(self, claim: Claim) -> None:
        """Somebody asks for something, or has other replicas than before.

        The needs of one claim never change: whoever needs something else is somebody else.
        """
        if self._claims.get(claim.id) != claim:
            self._claims[claim.id] = claim
            self._touched.add(claim.id)

    def drop(self, claim_id: str) -> None:
        """Somebody asks for nothing any more, and has nothing."""
        claim = self._claims.pop(claim_id, None)
        if claim is None:
            return
        self._touched.discard(claim_id)
        self._free(claim)
        for known in (self._outcomes, self._pasts):
            known.pop(claim_id, None)
        self._refused.discard(claim_id)
        self._gone.add(claim_id)

    def outcome(self, claim_id: str) -> Outcome:
        """What somebody gets, as of the last settlement; before the first one: what it has."""
        outcome = self._outcomes.get(claim_id)
        if outcome is not None or claim_id not in self._claims:
            return outcome or _NOTHING
        claim = self._claims[claim_id]
        staying = sum(holding.stay is Stay.STAYING for holding in claim.holdings)
        return Outcome(granted=min(staying, claim.wanted))

    def settle(self, *, now_s: float) -> set[str]:
        """Bring the outcomes up to date.

        Returns:
            Whose outcome is another one now.
        """
        due = self._again_s is not None and now_s >= self._again_s
        if not (self._touched or due or self._renewed or (self._gone and self._refused)):
            return set()
        changed: set[str] = set()
        anew = due or self._renewed or bool(self._refused)
        if anew or not self._serve(self._touched, changed, now_s):
            self._arbitrate(changed, now_s)
            self._renewed = False
        # Only now: what a fault has kept from being settled is settled the next time.
        self._touched.clear()
        self._gone.clear()
        return changed

    def _serve(self, claim_ids: Iterable[str], changed: set[str], now_s: float) -> bool:
        """Give everybody all they want; returns whether there was enough."""
        claims = [self._claims[claim_id] for claim_id in claim_ids]
        claims.sort(key=lambda claim: (RANK[claim.importance], claim.id))
        for claim in claims:
            self._free(claim)
            self._hold(claim)
        alone = len(claims) == 1
        return all(self._grow(claim, changed, now_s, alone=alone) for claim in claims)

    def _free(self, claim: Claim) -> None:
        self._later.take_all(self._promised.pop(claim.id, ()), -1)
        self._now.take_all(self._taken.pop(claim.id, ()), -1)

    def _hold(self, claim: Claim) -> None:
        shapes = [self.nodes.shape(needs) for needs in claim.candidates]
        there, staying, draining = [], [], []
        for holding in claim.holdings:
            seat = seat_of(claim, holding, self.nodes, shapes)
            if seat is not None:
                there.append(seat)
                if holding.stay is Stay.STAYING:
                    staying.append(seat)
                elif holding.stay is Stay.DRAINING:
                    draining.append(seat)
        kept = tuple((*staying, *draining)[: claim.wanted])
        self._later.take_all(kept)
        self._now.take_all(there)
        self._promised[claim.id], self._taken[claim.id] = kept, tuple(there)

    def _grow(self, claim: Claim, changed: set[str], now_s: float, *, alone: bool) -> bool:
        """Give a claim all it wants; returns whether that can be said without the others.

        Args:
            claim: Whose.
            changed: Noted here where its outcome is another one now.
            now_s: The clock.
            alone: Nobody else asks for anything else than before.
        """
        if any(holding.stay is Stay.BROKEN for holding in claim.holdings):
            return False
        past = self._pasts.get(claim.id, Past())
        missing = claim.wanted - len(self._promised[claim.id])
        gave_way_s = past.gave_way_s
        if gave_way_s is not None and now_s < gave_way_s + self._terms.return_s:
            return False
        shapes = [self.nodes.shape(needs) for needs in claim.candidates]
        fresh: list[Free] = []
        for _ in range(missing):
            free = first_free(shapes, self._later, self._now, set())
            if free is None or not self._now.fits(free.seat.shape, free.seat.place):
                return False
            if not alone and any(why is not Refusal.NO_NODE for why in free.passed):
                return False  # who of them gets the first choice is a question for all
            self._later.take_all((free.seat,))
            self._now.take_all((free.seat,))
            self._promised[claim.id] += (free.seat,)
            self._taken[claim.id] += (free.seat,)
            fresh.append(free)
        past = Past(gave_way_s=past.gave_way_s)
        outcome = Outcome(
            granted=claim.wanted,
            spots=tuple(self.nodes.spot(free.seat.place) for free in fresh),
            choices=choices_of(claim, fresh),
            past=past,
        )
        self._note(claim.id, outcome, changed)
        return True

    def _arbitrate(self, changed: set[str], now_s: float) -> None:
        self.arbitrations += 1
        found = arbitrate(
            list(self._claims.values()), self.nodes, self._pasts, terms=self._terms, now_s=now_s
        )
        self._again_s = found.again_s
        self._later, self._now = Room(self.nodes), Room(self.nodes)
        self._promised, self._taken = dict(found.promised), dict(found.taken)
        self._refused.clear()
        for claim_id, outcome in found.outcomes.items():
            self._later.take_all(self._promised[claim_id])
            self._now.take_all(self._taken[claim_id])
            if outcome.refusal is not None:
                self._refused.add(claim_id)
            self._note(claim_id, outcome, changed)

    def _note(self, claim_id: str, outcome: Outcome, changed: set[str]) -> None:
        self._pasts[claim_id] = outcome.past
        if self._outcomes.get(claim_id) != outcome:
            self._outcomes[claim_id] = outcome
            changed.add(claim_id)
