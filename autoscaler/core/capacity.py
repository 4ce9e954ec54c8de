"""Who gets capacity when there is not enough for all: wishes become grants, with reasons.

Every replica that a proton wants is a *turn*. All turns of all protons stand in one line:

    1. floors before everything else (the owner's minimum; a fixed count is its own)
    2. critical, high, moderate, low
    3. within a class whoever has the smallest share so far (dominant resource fairness, Ghodsi et
       al., NSDI 2011: the largest part of any one resource), so that one 4-GPU replica weighs as
       much as four of one GPU
    4. who has the replica already, then who has asked in vain for longest, then by id

A turn keeps the place of a replica that runs, or takes free room, or takes the room of replicas
whose turns come later, the last in line first: those give way through the usual drain. What cannot
be placed is refused with its reason, and smaller turns behind it may still fit (backfill).

A claim may have several candidates, each with other needs: a new replica gets the first one that
has room now, else the first whose room is still draining; only when none has any do others give
way, for the candidate where the last ones in line suffice. What runs keeps what it has. A replica
counts in line as the first candidate that some node could carry, whatever it got.

The order is fixed before anything is placed, and a step in importance only moves a proton's own
turns forward: so on one node, and for replicas that run on any number of nodes, more importance
never means fewer replicas, as long as candidates differ in GPU models only. Several nodes and needs
of different sizes are a packing problem, where a new replica's place may depend on the order; and
whoever goes first gets its first choice, of which fewer may fit.

A replica with a GPU that is gone has no turn: its proton stands in line for another one. What it
still has stays taken until somebody, its own successor perhaps, finds room by its end; before
anybody gives way it ends, whoever it is.

Nobody gives way before having run for `min_run_s`, be it to a floor, to the more important or to a
fair share; who is refused because of that is looked at again when the first of them has run so
long. Who gave way gets nothing beyond its floor for `return_s`. Room that is still draining is
promised but not granted: a grant counts only what fits next to everything that is alive, so a node
is never over its capacity.

Cost: O(T log T + S x B) for T turns, S replicas to be placed anew and B bins; a claim has at most
one turn more than it could get. Running replicas keep their place in constant time, a shape that
found no room once is not looked for again, and who would give way on a node is only worked out
anew when something has changed there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from autoscaler.core.capacity_claims import (
    Arbitration,
    Claim,
    Held,
    Outcome,
    Past,
    Stay,
    Terms,
    choices_of,
)
from autoscaler.core.capacity_party import Party, Placed
from autoscaler.core.capacity_room import Bin, Free, Gap, Nodes, Room, Seat, Shape, first_free
from controlplane.model.grants import Refusal
from controlplane.model.states import IMPORTANCE_ORDER

HOLDERS_NAMED: Final = 3
"""Most holders that a refusal names."""

_Found = tuple[tuple[int, int], Bin, list[tuple[int, Placed]]]
"""Cost (less is better), a bin, and each replica that gives way there with its party."""

RANK: Final = {importance: -rank for rank, importance in enumerate(IMPORTANCE_ORDER)}
"""Less goes first."""


def arbitrate(
    claims: Sequence[Claim],
    nodes: Nodes,
    pasts: Mapping[str, Past],
    *,
    terms: Terms,
    now_s: float,
) -> Arbitration:
    """Share the nodes among the claims.

    Args:
        claims: Everybody who needs anything or has a replica; their order does not matter.
        nodes: What there is.
        pasts: From the outcomes of the last arbitration, by claim id; absent: nothing happened.
        terms: How steady capacity is.
        now_s: The clock of all moments in the arguments.
    """
    return _Run(claims, nodes, pasts, terms, now_s).result()


def key_of(claim: Claim, past: Past, share: float, number: int, held: int) -> tuple[object, ...]:
    """Where a claim's `number`th replica stands in line, from 0; see the module's docstring."""
    return (
        number >= claim.floor,
        RANK[claim.importance],
        number * share,
        number >= held,
        past.refused_s if past.refused_s is not None else float("inf"),
        claim.id,
        number,
    )


class _Run:
    """One arbitration."""

    def __init__(
        self,
        claims: Sequence[Claim],
        nodes: Nodes,
        pasts: Mapping[str, Past],
        terms: Terms,
        now_s: float,
    ) -> None:
        self._nodes = nodes
        self._terms = terms
        self._now_s = now_s
        nothing = Past()
        self._parties = [
            Party(index, claim, pasts.get(claim.id, nothing), nodes=nodes, terms=terms, now_s=now_s)
            for index, claim in enumerate(claims)
        ]
        self._later, self._now = Room(nodes), Room(nodes)
        self._on: list[set[int]] = [set() for _ in nodes.nodes]
        """Parties with soft or broken replicas, by node."""
        self._line = 0
        """How many stand in line."""
        self._full: set[Shape] = set()
        self._hopeless: set[Shape] = set()
        self._changes = [0] * len(nodes.nodes)
        """How often anything that `_cheapest` looks at has changed, by node."""
        self._known: dict[Shape, dict[Bin, tuple[int, _Found | None]]] = {}
        self._young: dict[Shape, list[tuple[float, int]]] = {}
        """Ends of minimum runs that are in a shape's way, latest first, and whose they are."""
        self._ends_s: list[float] = []
        """When refusals by time end."""
        self._scattered: dict[Shape, bool] = {}
        self._holders: dict[tuple[Shape, ...], list[tuple[int, float, str]]] = {}
        for party in self._parties:
            self._now.take_all(party.now_seats)
            for one in (*party.firm, *party.soft, *party.broken):
                self._later.take(one.shape, one.place)
            for one in (*party.soft, *party.broken):
                self._on[one.place.node].add(party.index)

    def result(self) -> Arbitration:
        """Let all turns come, and tell."""
        turns = sorted(
            (key_of(p.claim, p.past, p.share, number, p.held), p.index)
            for p in self._parties
            for number in range(p.turns)
        )
        line = [self._parties[index] for _, index in turns]
        self._line = len(line)
        for position, party in enumerate(line):
            party.positions.append(position)
        for position, party in enumerate(line):
            self._turn(party, position)
        refused = [party for party in self._parties if party.refusal is not None]
        refused.sort(key=lambda party: party.refused_at)
        places = {party.index: place for place, party in enumerate(refused, 1)}
        outcomes = {
            p.claim.id: self._outcome(p, places.get(p.index, 0), len(refused))
            for p in self._parties
        }
        return Arbitration(
            outcomes=outcomes,
            promised={
                p.claim.id: (
                    *(one.seat for one in p.kept),
                    *(free.seat for free in p.fresh),
                    *p.promised,
                )
                for p in self._parties
            },
            taken={p.claim.id: tuple(p.now_seats) for p in self._parties},
            again_s=min(self._ends_s, default=None),
            turns=len(line),
        )

    def _turn(self, party: Party, position: int) -> None:
        number = party.number
        party.number += 1
        if party.firm:
            party.kept.append(party.firm.pop(0))
        elif party.soft:
            party.kept.append(party.soft.pop(0))
            self._changes[party.kept[-1].place.node] += 1
        elif not party.stuck:
            self._place(party, number, position)

    def _place(self, party: Party, number: int, position: int) -> None:
        gave_way_s = party.past.gave_way_s
        if gave_way_s is not None and number >= party.claim.floor:
            until_s = gave_way_s + self._terms.return_s
            if self._now_s < until_s:
                self._ends_s.append(until_s)
                party.refuse(Refusal.GAVE_WAY, position, until_s)
                return
        free = first_free(party.shapes, self._later, self._now, self._full)
        free = free or self._make_room(party)
        if free is None:
            self._refuse(party, position)
            return
        seat = free.seat
        self._later.take(seat.shape, seat.place)
        self._changes[seat.place.node] += 1
        if self._now.fits(seat.shape, seat.place):
            self._now.take(seat.shape, seat.place)
            party.fresh.append(free)
            party.now_seats.append(seat)
        else:
            party.promised.append(seat)
            party.refuse(Refusal.DRAINING, position)

    def _make_room(self, party: Party) -> Free | None:
        """Have those who stand behind give way, where the last in line suffice.

        Of several candidates the one for which the last ones in line go.
        """
        chosen: tuple[int, _Found] | None = None
        for number, shape in enumerate(party.shapes):
            found = self._least_harm(shape)
            if found is not None and (chosen is None or found[0] < chosen[1][0]):
                chosen = number, found
        if chosen is None:
            return None
        number, (_, place, victims) = chosen
        for index, one in victims:
            self._give_way(self._parties[index], one, party)
        self._full.clear()
        earlier = party.shapes[:number]
        passed = tuple(Refusal.HELD if shape.bins else Refusal.NO_NODE for shape in earlier)
        return Free(number, Seat(place, party.shapes[number]), passed)

    def _least_harm(self, shape: Shape) -> _Found | None:
        """Where room is to be made for it; None: nowhere."""
        if shape in self._hopeless:
            return None
        found: _Found | None = None
        known = self._known.setdefault(shape, {})
        for place in shape.bins:
            as_of, here = known.get(place, (-1, None))
            if as_of != self._changes[place.node]:
                here = self._cheapest(shape, place)
                known[place] = (self._changes[place.node], here)
            if here is not None and (found is None or here[0] < found[0]):
                found = here
        if found is None:
            # For good: what is free and what may give way, together, only becomes less.
            self._hopeless.add(shape)
        return found

    def _cheapest(self, shape: Shape, place: Bin) -> _Found | None:
        """What it costs to make room in a bin; None: there is none to be made."""
        victims = self._victims(shape, place)
        if victims is None:
            return None
        lost = Counter(index for index, one in victims if one.holding.stay is not Stay.BROKEN)
        turns = (self._parties[index].losing(count) for index, count in lost.items())
        first = min(turns, default=self._line)
        return (-first, len(victims)), place, victims

    def _victims(self, shape: Shape, place: Bin) -> list[tuple[int, Placed]] | None:
        """Who would give way in a bin: party and replica; None: not enough."""
        candidates, broken = [], []
        for index in self._on[place.node]:
            party = self._parties[index]
            there = [one for one in party.broken if one.place.node == place.node]
            broken += [(one.holding.replica_id, index, one) for one in there]
            mine = [one for one in party.soft if one.place.node == place.node]
            candidates += [
                (-party.losing(count), index, one) for count, one in enumerate(reversed(mine), 1)
            ]
        room = Gap(shape, place, self._later)
        victims = []
        candidates.sort(key=lambda victim: victim[0])  # no two are at the same position
        for _, index, one in (*sorted(broken), *candidates):
            if room.enough():
                break
            if room.add(one.shape, one.place, 1):
                victims.append((index, one))
        if not room.enough():
            return None
        for index, one in reversed(victims):  # first in line first: is it needed at all?
            room.add(one.shape, one.place, -1)
            if room.enough():
                victims.remove((index, one))
            else:
                room.add(one.shape, one.place, 1)
        return victims

    def _give_way(self, party: Party, victim: Placed, to: Party) -> None:
        if victim.holding.stay is Stay.BROKEN:
            party.broken.remove(victim)
            party.ended.append(victim)
        else:
            for node in {one.place.node for one in party.soft}:  # its others are worth more now
                self._changes[node] += 1
            # Of those that are alike the last one in line.
            number = max(n for n, one in enumerate(party.soft) if one.seat == victim.seat)
            party.given.append(party.soft.pop(number))
            party.gave_way_to = to.claim.id
        self._later.take(victim.shape, victim.place, -1)
        if all(one.place.node != victim.place.node for one in (*party.soft, *party.broken)):
            self._on[victim.place.node].discard(party.index)

    def _refuse(self, party: Party, position: int) -> None:
        """Say why there is no room for a turn, and until when at least."""
        ends = map(self._young_until_s, party.shapes)
        until_s = min((end_s for end_s in ends if end_s is not None), default=None)
        if not any(shape.bins for shape in party.shapes):
            party.refuse(Refusal.NO_NODE, position)
        elif until_s is None:
            party.refuse(Refusal.HELD, position)
        else:
            # Noted even if the party says something else, because an earlier turn was refused.
            self._ends_s.append(until_s)
            party.refuse(Refusal.MIN_RUN, position, until_s)

    def _is_scattered(self, shape: Shape) -> bool:
        """Whether, when all turns have come, enough GPUs are free for it, but not on one node."""
        if shape not in self._scattered:
            free = sum(max(0, self._later.gpus[n][m]) for n, m in shape.bins if shape.gpus)
            self._scattered[shape] = shape.gpus > 0 and free >= shape.gpus
        return self._scattered[shape]

    def _young_until_s(self, shape: Shape) -> float | None:
        """When the first replica in a shape's way that stands behind has run long enough.

        Whose turns have all come cannot lose any: those are dropped for good. Of the others every
        young replica counts, also one that was kept in an earlier turn: once none of them is young
        it may be another one that has the earlier turn.
        """
        if shape not in self._young:
            bins, nodes = set(shape.bins), {node for node, _ in shape.bins}
            ends = []
            for other in self._parties:
                ends += [
                    (end_s, other.index)
                    for end_s, (place, its) in other.young
                    if (shape.gpus and its.gpus and place in bins)
                    or (shape.competes(its) and place.node in nodes)
                ]
            self._young[shape] = sorted(ends, reverse=True)
        young = self._young[shape]
        while young and not self._parties[young[-1][1]].held:
            young.pop()
        return young[-1][0] if young else None

    def _held_by(self, party: Party) -> tuple[Held, ...]:
        shapes = party.shapes
        if shapes not in self._holders:
            bins, found = {place for shape in shapes for place in shape.bins}, []
            for other in self._parties:
                had = (*other.kept, *other.given, *other.broken)
                there = [one.holding.since_s for one in had if one.place in bins]
                new = (*(free.seat for free in other.fresh), *other.promised)
                there += [self._now_s for seat in new if seat.place in bins]
                if there:
                    found.append((-len(there), min(there), other.claim.id))
            self._holders[shapes] = sorted(found)[: HOLDERS_NAMED + 1]
        others = [h for h in self._holders[shapes] if h[2] != party.claim.id][:HOLDERS_NAMED]
        return tuple(
            Held(claim_id=claim_id, replicas=-count, since_s=since_s)
            for count, since_s, claim_id in others
        )

    def _outcome(self, party: Party, position: int, line: int) -> Outcome:
        past = party.past
        refused = party.refusal is not None
        lost = len(party.given) > len(party.fresh) + len(party.promised)
        refused_s = past.refused_s if past.refused_s is not None else self._now_s
        gave_way_to = party.gave_way_to if lost else past.gave_way_to
        refusal = party.refusal
        if refusal is Refusal.HELD and any(map(self._is_scattered, party.shapes)):
            refusal = Refusal.SCATTERED
        return Outcome(
            granted=len(party.kept) + len(party.fresh),
            spots=tuple(self._nodes.spot(free.seat.place) for free in party.fresh),
            choices=choices_of(party.claim, party.fresh),
            victims=party.victims(),
            refusal=refusal,
            position=position,
            line=line if refused else 0,
            held_by=self._held_by(party) if refused else (),
            until_s=party.until_s,
            past=Past(
                refused_s=refused_s if refused else None,
                gave_way_s=self._now_s if lost else past.gave_way_s,
                gave_way_to=gave_way_to if refused else None,
            ),
        )
