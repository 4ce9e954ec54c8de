"""What nodes have and what is free on them: exact counts, and where a replica fits.

CPU is counted in thousandths of a core and memory in bytes, so that sums come out even. The GPUs
of one replica are of one model and on one node: nodes are looked at by *bin*, a node and one of
its GPU models.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from controlplane.model.bundles import ReplicaNeeds, gpu_memory_fits, gpu_type_fits
from controlplane.model.grants import Refusal

NO_GPU: Final = -1


class GpuModel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Equal GPUs of one node."""

    type: str
    """As the node calls them, for example `NVIDIA A10G`."""
    memory_bytes: int | None = None
    """Of each; None: not known, then a workload that states a size does not fit."""
    count: int = 1


class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one machine has for replicas."""

    name: str
    cpu: float = 0.0
    """Cores."""
    memory_bytes: int = 0
    gpus: tuple[GpuModel, ...] = ()
    """One entry per model."""


class Bin(NamedTuple):
    """A place for replicas: a node, and one of its GPU models (`NO_GPU`: none needed)."""

    node: int
    model: int


class Spot(NamedTuple):
    """A bin in words."""

    node: str
    gpu_type: str | None
    """What the node calls its GPUs; None: none needed."""


class Shape(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What one replica needs, in whole numbers, and where it would fit on an empty node.

    One object for equal needs (`Nodes.shape`): looked up by identity, however many bins it has.
    """

    cpu: int
    memory: int
    gpus: int
    bins: tuple[Bin, ...]
    share: float
    """The largest part of any resource of all nodes together that one replica takes, 0 to 1."""
    most: int | None
    """More than so many never run on empty nodes; None: it takes nothing, there is no end."""

    def competes(self, other: "Shape") -> bool:
        """Whether both need cores, or both memory."""
        return bool((self.cpu and other.cpu) or (self.memory and other.memory))


class Seat(NamedTuple):
    """A replica's place, and what it takes there."""

    place: Bin
    shape: Shape


class Nodes:
    """The nodes, with what is known about needs on them."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Take the nodes, in the order in which equal ones are filled."""
        self.nodes = tuple(nodes)
        self._by_name = {node.name: index for index, node in enumerate(self.nodes)}
        self._cpu = sum(_milli(node.cpu) for node in self.nodes)
        self._memory = sum(node.memory_bytes for node in self.nodes)
        self._shapes: dict[ReplicaNeeds, Shape] = {}

    def shape(self, needs: ReplicaNeeds) -> Shape:
        """What a replica needs, in this module's terms."""
        shape = self._shapes.get(needs)
        if shape is None:
            shape = self._shapes[needs] = self._shape(needs)
        return shape

    def bin(self, spot: Spot) -> Bin | None:
        """The place of a replica that runs; None: there is no such place any more."""
        index = self._by_name.get(spot.node)
        if index is None:
            return None
        if spot.gpu_type is None:
            return Bin(index, NO_GPU)
        models = [model.type for model in self.nodes[index].gpus]
        return Bin(index, models.index(spot.gpu_type)) if spot.gpu_type in models else None

    def spot(self, place: Bin) -> Spot:
        """A bin in words."""
        node = self.nodes[place.node]
        return Spot(node.name, None if place.model == NO_GPU else node.gpus[place.model].type)

    def _shape(self, needs: ReplicaNeeds) -> Shape:
        cpu, memory, gpus = _milli(needs.cpu), needs.memory_bytes, needs.gpus
        bins: list[Bin] = []
        fitting = 0
        for index, node in enumerate(self.nodes):
            roomy = cpu <= _milli(node.cpu) and memory <= node.memory_bytes
            if not gpus and roomy:
                bins.append(Bin(index, NO_GPU))
            for number, model in enumerate(node.gpus if gpus else ()):
                if _fits(needs, model):
                    fitting += model.count
                    if roomy and gpus <= model.count:
                        bins.append(Bin(index, number))
        shares = (_part(cpu, self._cpu), _part(memory, self._memory), _part(gpus, fitting))
        most = None
        if cpu or memory or gpus:
            most = sum(self._times(cpu, memory, gpus, place) for place in bins)
        return Shape(cpu, memory, gpus, tuple(bins), max(shares), most)

    def _times(self, cpu: int, memory: int, gpus: int, place: Bin) -> int:
        """How often it fits in a bin of an empty node."""
        node = self.nodes[place.node]
        there = (
            (_milli(node.cpu), cpu),
            (node.memory_bytes, memory),
            (node.gpus[place.model].count if gpus else 0, gpus),
        )
        return min(has // needed for has, needed in there if needed)


class Room:
    """What is free on each node. It may be below zero where more runs than nodes are known for."""

    __slots__ = ("cpu", "gpus", "memory")

    def __init__(self, nodes: Nodes) -> None:
        """Begin with everything free."""
        self.cpu = [_milli(node.cpu) for node in nodes.nodes]
        self.memory = [node.memory_bytes for node in nodes.nodes]
        self.gpus = [[model.count for model in node.gpus] for node in nodes.nodes]

    def fits(self, shape: Shape, place: Bin) -> bool:
        """Whether a replica fits into a bin of its shape now."""
        node, model = place
        return (
            (not shape.cpu or self.cpu[node] >= shape.cpu)
            and (not shape.memory or self.memory[node] >= shape.memory)
            and (not shape.gpus or self.gpus[node][model] >= shape.gpus)
        )

    def take(self, shape: Shape, place: Bin, times: int = 1) -> None:
        """Take it, or give it back (-1), whether it fits or not."""
        node, model = place
        self.cpu[node] -= shape.cpu * times
        self.memory[node] -= shape.memory * times
        if model != NO_GPU:
            self.gpus[node][model] -= shape.gpus * times

    def take_all(self, seats: Iterable[Seat], times: int = 1) -> None:
        """`take` for several."""
        for place, shape in seats:
            self.take(shape, place, times)

    def best(self, shape: Shape, now: "Room") -> Bin | None:
        """The fullest bin that still has room, so that large replicas find whole nodes later.

        Args:
            shape: What is looked for.
            now: What is free at this moment; bins where it fits at once go first.
        """
        found, least = None, None
        for place in shape.bins:
            if self.fits(shape, place):
                node, model = place
                gpus = self.gpus[node][model] if model != NO_GPU else 0
                left = (not now.fits(shape, place), gpus, self.cpu[node], self.memory[node])
                if least is None or left < least:
                    found, least = place, left
        return found


class Gap:
    """What a replica still lacks in a bin when others give way."""

    __slots__ = ("cpu", "gpus", "memory", "model")

    def __init__(self, shape: Shape, place: Bin, room: Room) -> None:
        """Of a replica that is to have a place, with what is free there."""
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


class Free(NamedTuple):
    """Room for a replica that has several candidates."""

    candidate: int
    """Which one has room, from 0."""
    seat: Seat
    passed: tuple[Refusal, ...]
    """Why not each of the earlier ones."""


def first_free(shapes: Sequence[Shape], later: Room, now: Room, full: set[Shape]) -> Free | None:
    """The first candidate that has room now; else the first that will have when others have gone.

    Args:
        shapes: The candidates, in order.
        later: What is free once all who give way have gone.
        now: What is free at this moment.
        full: Shapes that have no room in `later`; those that are found to have none are added.
    """
    passed: tuple[Refusal, ...] = ()
    soon: Free | None = None
    for number, shape in enumerate(shapes):
        place = None if shape in full else later.best(shape, now)
        if place is None:
            full.add(shape)
            passed += (Refusal.HELD if shape.bins else Refusal.NO_NODE,)
            continue
        found = Free(number, Seat(place, shape), passed)
        if now.fits(shape, place):
            return found
        soon = soon or found
        passed += (Refusal.DRAINING,)
    return soon


def _fits(needs: ReplicaNeeds, model: GpuModel) -> bool:
    return gpu_type_fits(needs.gpu_type, model.type) and gpu_memory_fits(
        needs.gpu_memory_bytes, model.memory_bytes
    )


def _milli(cores: float) -> int:
    return round(cores * 1000)


def _part(needed: int, there: int) -> float:
    return needed / there if there else float(needed > 0)
