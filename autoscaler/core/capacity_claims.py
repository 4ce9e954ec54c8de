"""What capacity arbitration is made from, and what comes of it; see `autoscaler.core.capacity`."""

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from autoscaler.core.capacity_room import Free, Nodes, Seat, Shape, Spot
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.grants import Refusal
from controlplane.model.states import Importance


class Stay(Enum):
    """Whether a replica stays."""

    STAYING = "staying"
    DRAINING = "draining"
    """It goes, but could be kept."""
    ENDING = "ending"
    BROKEN = "broken"
    """A GPU of it is gone. It is no replica that its claim has, and keeps the rest of its place
    until it ends, which it must when the rest is of use to anybody."""


class Holding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A replica that has its place."""

    replica_id: str
    spot: Spot
    since_s: float
    """When it got its place."""
    stay: Stay = Stay.STAYING
    candidate: int = 0
    """Which of its claim's candidates it has."""
    gpus: int | None = None
    """How many GPUs it still has; None: as many as its candidate needs."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one proton asks for and has."""

    id: str
    workload_id: str
    importance: Importance
    needs: ReplicaNeeds
    """Of one replica; what is not arbitrated is zero."""
    others: tuple[ReplicaNeeds, ...] = ()
    """What it takes instead, in this order, where none of the earlier ones has room."""
    bundles: tuple[str, ...] = ()
    """What the candidates are called: `needs`, then `others`. Empty: they have no names."""
    wanted: int
    floor: int = 0
    holdings: tuple[Holding, ...] = ()

    @property
    def candidates(self) -> tuple[ReplicaNeeds, ...]:
        """What a replica may need, the first choice first."""
        return (self.needs, *self.others)


def seat_of(claim: Claim, holding: Holding, nodes: Nodes, shapes: Sequence[Shape]) -> Seat | None:
    """A replica's place and what it takes there; None: there is no such place any more.

    Args:
        claim: Whose it is.
        holding: The replica.
        nodes: What there is.
        shapes: What the claim's candidates take.
    """
    place = nodes.bin(holding.spot)
    if place is None:
        return None
    if holding.gpus is None:
        return Seat(place, shapes[holding.candidate])
    left = msgspec.structs.replace(claim.candidates[holding.candidate], gpus=holding.gpus)
    return Seat(place, nodes.shape(left))


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How steady capacity is."""

    min_run_s: float = 60.0
    return_s: float = 30.0


class Past(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What is remembered of one proton between arbitrations."""

    refused_s: float | None = None
    """Since when it has been getting less than it asks for."""
    gave_way_s: float | None = None
    gave_way_to: str | None = None
    """Which proton got the room that it gave up; None once it has all it asks for again."""


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who has what somebody is refused."""

    claim_id: str
    replicas: int
    since_s: float


class Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which of several candidates a new replica gets."""

    candidate: int
    """From 0."""
    passed: tuple[Refusal, ...] = ()
    """Why not each of the earlier ones."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one proton gets."""

    granted: int
    spots: tuple[Spot, ...] = ()
    """Where its new replicas have room, one entry for each."""
    choices: tuple[Choice, ...] = ()
    """Of each spot, where the claim has several candidates."""
    victims: tuple[str, ...] = ()
    """Replicas that must go because of where they are; they do not count as granted. Empty where
    it does not matter which ones go."""
    refusal: Refusal | None = None
    """Why it gets less than it wants; None: it gets all."""
    position: int = 0
    """Place in the line of those who are refused, from 1."""
    line: int = 0
    held_by: tuple[Held, ...] = ()
    until_s: float | None = None
    """When a refusal by time ends."""
    past: Past = Past()


def choices_of(claim: Claim, fresh: Sequence[Free]) -> tuple[Choice, ...]:
    """Which candidates the room is for; empty where there is nothing to choose from."""
    if not claim.others:
        return ()
    return tuple(Choice(candidate=free.candidate, passed=free.passed) for free in fresh)


class Arbitration(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody gets."""

    outcomes: Mapping[str, Outcome]
    """By claim id."""
    promised: Mapping[str, tuple[Seat, ...]]
    """Places that are theirs once all that gives way has gone."""
    taken: Mapping[str, tuple[Seat, ...]]
    """Places that they have now or may take now; what gives way has them until it has gone."""
    again_s: float | None
    """When time alone may change the outcome; None: never."""
    turns: int
    """How many stood in line."""
