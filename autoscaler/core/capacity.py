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

The order is fixed before anything is placed, and a step in importance only moves a proton's own
turns forward: so on one node, and for replicas that run on any number of nodes, more importance
never means fewer replicas. Several nodes and needs of different sizes are a packing problem, where
a new replica's place may depend on the order.

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

from autoscaler.core.capacity_claims import Arbitration, Claim, Held, Outcome, Past, Terms
from autoscaler.core.capacity_party import Party
from autoscaler.core.capacity_room import Bin, Nodes, Room, Shape
from controlplane.model.grants import Refusal
from controlplane.model.states import IMPORTANCE_ORDER

HOLDERS_NAMED: Final = 3
"""Most holders that a refusal names."""

_Found = tuple[tuple[int, int], Bin, list[tuple[int, Bin]]]
"""Cost (less is better), a bin, and the party and place of each replica that gives way there."""

_RANK: Final = {importance: -rank for rank, importance in enumerate(IMPORTANCE_ORDER)}


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
        _RANK[claim.importance],
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
            Party(
                index,
                claim,
                pasts.get(claim.id, nothing),
                nodes=nodes,
                min_run_s=terms.min_run_s,
                now_s=now_s,
            )
            for index, claim in enumerate(claims)
        ]
        self._later, self._now = Room(nodes), Room(nodes)
        self._on: list[set[int]] = [set() for _ in nodes.nodes]
        """Parties with soft replicas, by node."""
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
        self._holders: dict[Shape, list[tuple[int, float, str]]] = {}
        for party in self._parties:
            self._now.take_all(party.shape, party.now_places)
            for place, _ in (*party.firm, *party.soft):
                self._later.take(party.shape, place)
            for place, _ in party.soft:
                self._on[place.node].add(party.index)

    def result(self) -> Arbitration:
        """Let all turns come, and tell."""
        turns = sorted(
            (key_of(p.claim, p.past, p.shape.share, number, p.held), p.index)
            for p in self._parties
            for number in range(p.turns)
        )
        line = [self._parties[index] for _, index in turns]
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
                p.claim.id: (*(place for place, _ in p.kept), *p.fresh, *p.promised)
                for p in self._parties
            },
            taken={p.claim.id: tuple(p.now_places) for p in self._parties},
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
            self._changes[party.kept[-1][0].node] += 1
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
        shape = party.shape
        place = self._free(shape) or self._make_room(party)
        if place is None:
            self._refuse(party, position)
            return
        self._later.take(shape, place)
        self._changes[place.node] += 1
        if self._now.fits(shape, place):
            self._now.take(shape, place)
            party.fresh.append(place)
            party.now_places.append(place)
        else:
            party.promised.append(place)
            party.refuse(Refusal.DRAINING, position)

    def _free(self, shape: Shape) -> Bin | None:
        if shape in self._full:
            return None
        place = self._later.best(shape, self._now)
        if place is None:
            self._full.add(shape)
        return place

    def _make_room(self, party: Party) -> Bin | None:
        """Have those who stand behind give way, where the last in line suffice."""
        if party.shape in self._hopeless:
            return None
        found: _Found | None = None
        known = self._known.setdefault(party.shape, {})
        for place in party.shape.bins:
            as_of, here = known.get(place, (-1, None))
            if as_of != self._changes[place.node]:
                here = self._cheapest(party.shape, place)
                known[place] = (self._changes[place.node], here)
            if here is not None and (found is None or here[0] < found[0]):
                found = here
        if found is None:
            # For good: what is free and what may give way, together, only becomes less.
            self._hopeless.add(party.shape)
            return None
        for index, at in found[2]:
            self._give_way(self._parties[index], at, party)
        self._full.clear()
        return found[1]

    def _cheapest(self, shape: Shape, place: Bin) -> _Found | None:
        """What it costs to make room in a bin; None: there is none to be made."""
        victims = self._victims(shape, place)
        if victims is None:
            return None
        lost = Counter(index for index, _ in victims)
        first = min(self._parties[index].losing(count) for index, count in lost.items())
        return (-first, len(victims)), place, victims

    def _victims(self, shape: Shape, place: Bin) -> list[tuple[int, Bin]] | None:
        """Who would give way in a bin: party and place of each replica; None: not enough."""
        candidates = []
        for index in self._on[place.node]:
            party = self._parties[index]
            mine = [at for at, _ in party.soft if at.node == place.node]
            candidates += [
                (-party.losing(count), index, at) for count, at in enumerate(reversed(mine), 1)
            ]
        room = _Gap(shape, place, self._later)
        victims = []
        for _, index, at in sorted(candidates):
            if room.enough():
                break
            if room.add(self._parties[index].shape, at, 1):
                victims.append((index, at))
        if not room.enough():
            return None
        for index, at in reversed(victims):  # first in line first: is it needed at all?
            room.add(self._parties[index].shape, at, -1)
            if room.enough():
                victims.remove((index, at))
            else:
                room.add(self._parties[index].shape, at, 1)
        return victims

    def _give_way(self, party: Party, place: Bin, to: Party) -> None:
        for node in {at.node for at, _ in party.soft}:  # its other replicas are worth more now
            self._changes[node] += 1
        number = max(n for n, (at, _) in enumerate(party.soft) if at == place)
        party.given.append(party.soft.pop(number))
        party.gave_way_to = to.claim.id
        self._later.take(party.shape, place, -1)
        if all(at.node != place.node for at, _ in party.soft):
            self._on[place.node].discard(party.index)

    def _refuse(self, party: Party, position: int) -> None:
        """Say why there is no room for a turn, and until when at least."""
        until_s = self._young_until_s(party.shape)
        if not party.shape.bins:
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
                gpus = shape.gpus and other.shape.gpus
                shares = (shape.cpu and other.shape.cpu) or (shape.memory and other.shape.memory)
                ends += [
                    (end_s, other.index)
                    for end_s, place in other.young
                    if (gpus and place in bins) or (shares and place.node in nodes)
                ]
            self._young[shape] = sorted(ends, reverse=True)
        young = self._young[shape]
        while young and not self._parties[young[-1][1]].held:
            young.pop()
        return young[-1][0] if young else None

    def _held_by(self, party: Party) -> tuple[Held, ...]:
        shape = party.shape
        if shape not in self._holders:
            bins, found = set(shape.bins), []
            for other in self._parties:
                there = [h.since_s for at, h in (*other.kept, *other.given) if at in bins]
                new = (*other.fresh, *other.promised)
                there += [self._now_s for at in new if at in bins]
                if there:
                    found.append((-len(there), min(there), other.claim.id))
            self._holders[shape] = sorted(found)[: HOLDERS_NAMED + 1]
        others = [h for h in self._holders[shape] if h[2] != party.claim.id][:HOLDERS_NAMED]
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
        if refusal is Refusal.HELD and self._is_scattered(party.shape):
            refusal = Refusal.SCATTERED
        return Outcome(
            granted=len(party.kept) + len(party.fresh),
            spots=tuple(map(self._nodes.spot, party.fresh)),
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


class _Gap:
    """What a replica still lacks in a bin when others give way."""

    __slots__ = ("cpu", "gpus", "memory", "model")

    def __init__(self, shape: Shape, place: Bin, room: Room) -> None:
        node, self.model = place
        self.cpu = shape.cpu - room.cpu[node] if shape.cpu else 0
        self.memory = shape.memory - room.memory[node] if shape.memory else 0
        self.gpus = shape.gpus - room.gpus[node][self.model] if shape.gpus else 0

    def enough(self) -> bool:
        """Whether it fits."""
        return self.cpu <= 0 and self.memory <= 0 and self.gpus <= 0

    def add(self, shape: Shape, place: Bin, times: int) -> bool:
        """A replica of the node leaves (or not, -1); returns whether that helps."""
        gpus = shape.gpus if place.model == self.model else 0
        helps = (
            (self.cpu > 0 and shape.cpu > 0)
            or (self.memory > 0 and shape.memory > 0)
            or (self.gpus > 0 and gpus > 0)
        )
        if helps or times < 0:
            self.cpu -= shape.cpu * times
            self.memory -= shape.memory * times
            self.gpus -= gpus * times
        return helps
