"""What the autoscaler asks of a reconciler, and what a reconciler needs from the autoscaler.

A reconciler makes replicas real: it turns "this proton wants three" into three running copies,
proves their health, and takes them away without breaking a request. It decides nothing about
*how many*; the decision comes in through `plan`, and what became of it goes out as `Replica`
records through a `ReplicaWriter`.

    autoscaler                       reconciler
    -------------------------------  ---------------------------------------------------
    start(known, protons)        ->  adopts or ends what an earlier run left
    plan(proton, wanted)         ->  starts replicas, drains victims, takes drains back
    remove(proton_id)            ->  drains and ends all replicas of the proton
    set_load(loads, ...)         ->  knows who is idle and which gateways know of a drain
    replicas(), failure(), ...   <-  facts for the next decision, from memory, no waiting
    on_change()                  <-  something happened: decide now, not at the next tick
    ReplicaWriter.save/forget    <-  every change of a phase, at once
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import Inventory
from controlplane.model.artifacts import Container
from controlplane.model.bundles import Bundle
from controlplane.model.reports import OpenStreams
from controlplane.model.workloads import Proton, Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a proton's replicas do not come up."""

    message: str
    """One or two sentences for the owner: what is wrong and what to do."""
    log_tail: tuple[str, ...] = ()
    """The last lines of the failing replica's output, oldest first; empty when it wrote none."""
    sticky: bool = False
    """True: the reconciler has given up on this proton until it is removed, the proton is
    `errored`. False: it keeps trying (with back-off), or others of the proton serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Room for one new replica."""

    spot: Spot
    gpus: int = 0
    """Whole GPUs that it gets for itself."""
    bundle: Bundle | None = None
    """Its size; None: as its proton states."""
    reason: str = ""
    """Why it is no earlier candidate; empty: it is the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a proton's replicas may be, as capacity arbitration has it."""

    openings: tuple[Opening, ...] = ()
    """Where there is room for new replicas, one entry for each that may start."""
    victims: frozenset[str] = frozenset()
    """Replicas that must leave whatever the count is; they do not count."""
    lost: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Replicas with GPUs that are gone, and which; they do not count either."""
    lost_stay: int = 0
    """So many of those may stay all the same: for nobody is there any room in their place."""


class ReplicaWriter(Protocol):
    """Keeps `Replica` records for the reconciler; implemented over the store by the autoscaler.

    Both calls wait and try again while the store is away. The reconciler never has more than one
    call open per replica, and always writes the newest record, so an implementation need not
    care about order.
    """

    async def save(self, replica: Replica) -> int:
        """Write the record.

        Returns:
            The store revision of the write: a gateway at or beyond it knows of the change.
        """

    async def forget(self, replica_id: str) -> None:
        """Delete the record; it may be gone already."""


class SecretError(Exception):
    """A variable's value cannot be had; the message is a sentence for the owner."""


class Secrets(Protocol):
    """Knows what artifacts only refer to; implemented over the store by the autoscaler."""

    async def variables(self, workload_id: str, container: Container) -> Mapping[str, str]:
        """Values of the container's variables that come from credentials, or hold a token.

        Args:
            workload_id: Whose token, where one is asked for.
            container: What is about to start.

        Raises:
            SecretError: One of them cannot be had; nothing should be started.
        """


class Reconciler(Protocol):
    """Makes replicas real. All methods are called on the event loop, from one task at a time."""

    async def start(self, known: Sequence[Replica], protons: Mapping[str, Proton]) -> None:
        """Adopt or end what an earlier run left behind. Called once, before anything else.

        Args:
            known: All replica records in the store.
            protons: The protons that should run (desired running, not deleted), by id. Replicas
                of any other proton are ended.
        """

    def replicas(self) -> Sequence[Replica]:
        """Everything it runs or is about to run now, in all phases, of all protons."""

    def plan(self, proton: Proton, wanted: int, placement: Placement | None = None) -> None:
        """Aim for `wanted` replicas of the proton, counting all that are not leaving.

        Level-triggered: may be called with the same number at every tick. Returns at once.

        Args:
            proton: Whose.
            wanted: How many.
            placement: Where they may be; None: anywhere, and they get no GPUs of their own.
        """

    def renew(self, inventory: Inventory) -> None:
        """There are other machines or GPUs than before; what has started stays where it is."""

    def remove(self, proton_id: str) -> None:
        """The proton is gone or stopped: drain and end all its replicas. Idempotent."""

    def set_load(
        self,
        loads: Mapping[str, int],
        *,
        acknowledged_revision: int | None,
        streams: Mapping[str, OpenStreams] | None = None,
    ) -> None:
        """Tell what the gateways report; called at every collection.

        Args:
            loads: Replica id to requests in flight over all live gateway workers; absent is 0.
            acknowledged_revision: The lowest store revision among the same reports; None when
                no gateway worker is alive, which proves nothing about anybody's load.
            streams: Replica id to the tunnels among the requests; absent is none.
        """

    def cpu_percent(self, proton_id: str) -> Sequence[float | None]:
        """CPU use of each ready replica, in percent of its CPU request (of one core without one).

        None for a replica that has not been measured twice yet.
        """

    def cold_starts(self, proton_id: str) -> Sequence[float]:
        """Seconds from asked to ready of the proton's recent first starts, oldest first."""

    def failure(self, proton_id: str) -> Failure | None:
        """Why the proton's replicas do not come up; None when nothing is wrong."""

    async def stop(self, *, end_replicas: bool) -> None:
        """End the reconciler.

        Args:
            end_replicas: True: end all replicas in an orderly way and forget their records.
                False: leave processes and records to be adopted by the next start.
        """
