"""One claim during an arbitration. See `autoscaler.core.capacity`."""

from typing import NamedTuple

from autoscaler.core.capacity_claims import Claim, Holding, Past, Stay, Terms, seat_of
from autoscaler.core.capacity_room import Bin, Free, Nodes, Seat, Shape
from controlplane.model.grants import Refusal


class Placed(NamedTuple):
    """A replica that has a seat."""

    place: Bin
    shape: Shape
    holding: Holding

    @property
    def seat(self) -> Seat:
        """Where it is and what it takes."""
        return Seat(self.place, self.shape)


class Party:
    """One claim during an arbitration."""

    __slots__ = (
        *("broken", "claim", "ended", "firm", "fresh", "gave_way_to", "given", "index", "kept"),
        *("now_seats", "number", "past", "positions", "promised", "refusal", "refused_at"),
        *("shapes", "share", "soft", "stuck", "until_s", "young"),
    )

    def __init__(
        self,
        index: int,
        claim: Claim,
        past: Past,
        *,
        nodes: Nodes,
        terms: Terms,
        now_s: float,
    ) -> None:
        """Take up a claim.

        Args:
            index: Its number among all.
            claim: The claim.
            past: What is remembered of it.
            nodes: What there is.
            terms: Replicas that have not run for its `min_run_s` may not be taken away.
            now_s: The clock of all moments.
        """
        self.index = index
        self.claim = claim
        self.past = past
        self.shapes: tuple[Shape, ...] = tuple(map(nodes.shape, claim.candidates))
        """Its candidates."""
        # Of one candidate whatever its replicas have: who was moved on must not by that fall back
        # behind others in line, or come before them, and so lose its new place, or take back the
        # old one. The first that some node could carry.
        possible = (shape.share for shape in self.shapes if shape.bins)
        self.share = next(possible, self.shapes[0].share)
        """What one replica counts as in line."""
        self.now_seats: list[Seat] = []
        """Places of its replicas that are alive, and of new ones that may start now."""
        self.firm: list[Placed] = []
        """Replicas that keep their place whatever happens: they have not run long enough."""
        self.soft: list[Placed] = []
        """Replicas that may have to give way; the last in line last."""
        self.kept: list[Placed] = []
        """Replicas whose turn has come: they stay."""
        self.given: list[Placed] = []
        """Replicas that give way."""
        self.broken: list[Placed] = []
        """Replicas with a GPU that is gone: they have no turn, and keep what they have for as long
        as it is of no use to anybody."""
        self.ended: list[Placed] = []
        """Replicas that were broken and have to end."""
        self.fresh: list[Free] = []
        """Places for new replicas that are free now."""
        self.promised: list[Seat] = []
        """Places for new replicas where others still have to leave."""
        self.positions: list[int] = []
        """Position in the whole line of each of its turns."""
        self.number = 0
        """Turns that have come."""
        self.refusal: Refusal | None = None
        self.refused_at = 0
        self.until_s: float | None = None
        self.stuck = False
        """No further replica has any chance."""
        self.gave_way_to: str | None = None
        self._enter(nodes, terms.min_run_s, now_s)
        self.young = tuple((one.holding.since_s + terms.min_run_s, one.seat) for one in self.firm)
        """When each of its replicas that are firm now is so no more, and where it is."""

    @property
    def turns(self) -> int:
        """How many of its replicas stand in line: all it wants, or one more than it could get."""
        most = 0
        for shape in self.shapes:
            if shape.most is None:
                return self.claim.wanted
            most += shape.most
        return min(self.claim.wanted, self.held + most + 1)

    @property
    def held(self) -> int:
        """Replicas that have a place and whose turns have not come yet."""
        return len(self.firm) + len(self.soft)

    def losing(self, replicas: int) -> int:
        """Position of the first turn lost when so many of its soft replicas give way."""
        return self.positions[self.number + self.held - replicas]

    def refuse(self, refusal: Refusal, position: int, until_s: float | None = None) -> None:
        """A turn cannot be placed (now)."""
        self.stuck = refusal is not Refusal.DRAINING
        if self.refusal is None:
            self.refusal, self.refused_at, self.until_s = refusal, position, until_s

    def victims(self) -> tuple[str, ...]:
        """The replicas that give way, where it matters which."""
        broken = tuple(one.holding.replica_id for one in self.ended)
        if not self.given:
            return broken
        places = {one.place for one in (*self.given, *self.kept)}
        new = (*(free.seat for free in self.fresh), *self.promised)
        if len(places.union(seat.place for seat in new)) == 1:
            return broken
        return (*broken, *(one.holding.replica_id for one in self.given))

    def _enter(self, nodes: Nodes, min_run_s: float, now_s: float) -> None:
        staying: list[Placed] = []
        draining: list[Placed] = []
        for holding in sorted(self.claim.holdings, key=_age):
            seat = seat_of(self.claim, holding, nodes, self.shapes)
            if seat is None:
                continue
            placed = Placed(seat.place, seat.shape, holding)
            self.now_seats.append(seat)
            if holding.stay is Stay.STAYING:
                staying.append(placed)
            elif holding.stay is Stay.DRAINING:
                draining.append(placed)
            elif holding.stay is Stay.BROKEN:
                self.broken.append(placed)
        for placed in (*staying, *draining)[: self.claim.wanted]:
            firm = placed.holding.since_s + min_run_s > now_s
            firm = firm and placed.holding.stay is Stay.STAYING
            (self.firm if firm else self.soft).append(placed)


def _age(holding: Holding) -> tuple[float, str]:
    return (holding.since_s, holding.replica_id)
