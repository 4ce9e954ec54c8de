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
        self._there: dict[str, Spot] = {}
        """All GPUs, given or not, and where."""
        self.shared = False
        """Whether there are, or were, any GPUs that are given to one replica each."""
        self._taken: dict[str, tuple[Spot, tuple[str, ...]]] = {}
        self.renew(inventory)

    def renew(self, inventory: Inventory) -> None:
        """There are other GPUs than before; what is given stays given."""
        taken = {gpu_id for _, gpus in self._taken.values() for gpu_id in gpus}
        self._free, self._there = {}, inventory.spots()
        for gpu_id, spot in self._there.items():
            if gpu_id not in taken:
                self._free.setdefault(spot, []).append(gpu_id)
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

    def reserve(self, replica_id: str, spot: Spot, gpus: Sequence[str]) -> None:
        """A replica of an earlier run has these already, be they there or not: they may return."""
        others = {gpu_id for _, theirs in self._taken.values() for gpu_id in theirs}
        mine = tuple(gpu_id for gpu_id in gpus if gpu_id not in others)
        wrong = [gpu_id for gpu_id in gpus if gpu_id in others or gpu_id not in self._there]
        if wrong:
            extra = {"replica_id": replica_id, "gpus": wrong}
            _log.warning("a replica has GPUs that are not there to be given", extra=extra)
        for gpu_id in mine:
            if gpu_id in self._there:
                self._free[self._there[gpu_id]].remove(gpu_id)
        if mine:
            self._taken[replica_id] = (spot, mine)

    def release(self, replica_id: str) -> bool:
        """Its process has ended; returns whether it had any GPUs."""
        _, gpus = self._taken.pop(replica_id, (None, ()))
        for gpu_id in gpus:
            if gpu_id in self._there:
                self._free.setdefault(self._there[gpu_id], []).append(gpu_id)
        return bool(gpus)
