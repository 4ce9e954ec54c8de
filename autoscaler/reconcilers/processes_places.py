"""Which GPUs are whose on this machine's nodes. No GPU is ever anybody's twice."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import Inventory
from controlplane.model.bundles import Bundle

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a replica runs, and on which GPUs."""

    node: str
    gpu_type: str | None = None
    gpus: tuple[str, ...] = ()
    bundle: Bundle | None = None
    """What the replica's size is from now on; None: as it was."""
    reason: str = ""
    """Why it is no earlier candidate."""


class Places:
    """Gives GPUs to replicas and takes them back. Called on the event loop only."""

    def __init__(self, inventory: Inventory) -> None:
        """Begin with all GPUs free."""
        self._free: dict[Spot, list[str]] = {}
        self._there: dict[Spot, set[str]] = {}
        """All GPUs, given or not."""
        self.shared = False
        """Whether there are, or were, any GPUs that are given to one replica each."""
        self._taken: dict[str, tuple[Spot, tuple[str, ...]]] = {}
        self.renew(inventory)

    def renew(self, inventory: Inventory) -> None:
        """There are other GPUs than before; what is given stays given."""
        taken = {(spot, gpu_id) for spot, gpus in self._taken.values() for gpu_id in gpus}
        self._free, self._there = {}, {}
        for machine in inventory.machines:
            for gpu in machine.gpus:
                spot = Spot(machine.name, gpu.type)
                self._there.setdefault(spot, set()).add(gpu.id)
                if (spot, gpu.id) not in taken:
                    self._free.setdefault(spot, []).append(gpu.id)
        self.shared = self.shared or bool(self._there)

    @property
    def taken(self) -> Mapping[str, tuple[Spot, tuple[str, ...]]]:
        """By replica: where, and which GPUs."""
        return self._taken

    def take(self, replica_id: str, spots: Sequence[Spot], gpus: int) -> tuple[Place, Spot] | None:
        """Give a replica what it needs at one of the spots that are granted.

        Returns:
            The place, and the spot that is used up by it; None: not free (yet).
        """
        for spot in spots:
            if not gpus:
                return Place(node=spot.node), spot
            free = self._free.get(spot, [])
            if len(free) >= gpus:
                mine = tuple(free[:gpus])
                del free[:gpus]
                self._taken[replica_id] = (spot, mine)
                return Place(node=spot.node, gpu_type=spot.gpu_type, gpus=mine), spot
        return None

    def given(self, replica_id: str) -> Place | None:
        """What a replica has been given; None: nothing."""
        if replica_id not in self._taken:
            return None
        spot, gpus = self._taken[replica_id]
        return Place(node=spot.node, gpu_type=spot.gpu_type, gpus=gpus)

    def lost(self, spot: Spot, gpus: Sequence[str]) -> list[str]:
        """Those of a replica's GPUs that are not there any more."""
        there = self._there.get(spot, set())
        return [gpu_id for gpu_id in gpus if gpu_id not in there]

    def exchange(self, replica_id: str, spots: Sequence[Spot], gpus: int) -> Spot | None:
        """Give a replica as many other GPUs of one model for those that it has.

        Returns:
            Whose they are: its own spot, or the first of the others that has so many; None: there
            is none, and it keeps what it has.
        """
        mine = self._taken.get(replica_id, (None, ()))[1]
        for spot in spots:
            kept = [gpu_id for gpu_id in mine if gpu_id in self._there.get(spot, set())]
            free = self._free.get(spot, [])
            if len(kept) + len(free) >= gpus:
                self.release(replica_id)
                self.take(replica_id, [spot], gpus)
                return spot
        return None

    def reserve(self, replica_id: str, spot: Spot, gpus: Sequence[str]) -> None:
        """A replica of an earlier run has these already."""
        free = self._free.get(spot, [])
        mine = tuple(gpu_id for gpu_id in gpus if gpu_id in free)
        if len(mine) < len(gpus):
            extra = {"replica_id": replica_id, "gpus": [g for g in gpus if g not in mine]}
            _log.warning("a replica has GPUs that are not there to be given", extra=extra)
        for gpu_id in mine:
            free.remove(gpu_id)
        if mine:
            self._taken[replica_id] = (spot, mine)

    def release(self, replica_id: str) -> bool:
        """Its process has ended; returns whether it had any GPUs."""
        spot, gpus = self._taken.pop(replica_id, (None, ()))
        if spot is not None:
            there = self._there.get(spot, set())
            self._free.setdefault(spot, []).extend(gpu_id for gpu_id in gpus if gpu_id in there)
        return bool(gpus)
