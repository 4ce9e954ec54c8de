"""A reconciler that behaves: replicas come up after a while, drain, and leave, on the loop's clock.

It keeps the interface's promises (`autoscaler.reconcilers.base`) without any process. What it
runs can outlive it in a `World`, as real replicas outlive a killed autoscaler.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from autoscaler.inventory import Inventory
from autoscaler.reconcilers.base import Failure, Placement, ReplicaWriter
from controlplane.model.reports import OpenStreams
from controlplane.model.states import LEAVING, ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from controlplane.store.ids import ObjectIds


@dataclass
class World:
    """What runs, whoever looks after it."""

    alive: dict[str, Replica] = field(default_factory=dict)


class FakeReconciler:
    """Runs imaginary replicas; implements `Reconciler`."""

    def __init__(
        self,
        writer: ReplicaWriter,
        on_change: Callable[[], None],
        *,
        world: World | None = None,
        start_s: float = 0.01,
    ) -> None:
        """Begin with nothing running.

        Args:
            writer: Keeps the records.
            on_change: Called after every change of a phase.
            world: What runs already; None: nothing.
            start_s: From asked to ready. Infinity: never.
        """
        self.world = world if world is not None else World()
        self.start_s = start_s
        self.plans: list[tuple[str, int]] = []
        """Every plan that differs from the proton's last, in order."""
        self.planned_at_s: list[float] = []
        """When each of them came, on the loop's clock."""
        self.plan_calls = 0
        self.placements: dict[str, Placement | None] = {}
        """The last one of each proton."""
        self.inventory: Inventory | None = None
        """The last that it was told of; None: none yet."""
        self.removed: set[str] = set()
        self.loads: Mapping[str, int] = {}
        self.streams: Mapping[str, OpenStreams] = {}
        self.acknowledged_revision: int | None = None
        self.failures: dict[str, Failure] = {}
        self.cpu: dict[str, Sequence[float | None]] = {}
        self.cold: dict[str, list[float]] = {}
        self.started = False
        self.stopped: bool | None = None
        """`end_replicas` of the stop; None while it runs."""
        self._writer = writer
        self._on_change = on_change
        self._ids = ObjectIds()
        self._replicas: dict[str, Replica] = {}
        self._wanted: dict[str, int] = {}
        self._draining_since: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: dict[str, asyncio.Lock] = {}

    # -- the interface --------------------------------------------------------------------------

    async def start(self, known: Sequence[Replica], protons: Mapping[str, Proton]) -> None:
        """Adopt what the world runs and forget the rest."""
        self.started = True
        for replica in known:
            if replica.id in self.world.alive and replica.proton_id in protons:
                self._replicas[replica.id] = self.world.alive[replica.id]
            else:
                self.world.alive.pop(replica.id, None)
                await self._writer.forget(replica.id)

    def replicas(self) -> Sequence[Replica]:
        """Everything it runs."""
        return list(self._replicas.values())

    def plan(self, proton: Proton, wanted: int, placement: Placement | None = None) -> None:
        """Start what is missing, drain what is too much."""
        self.placements[proton.id] = placement
        self.plan_calls += 1
        self.removed.discard(proton.id)
        if self._wanted.get(proton.id) != wanted:
            self._wanted[proton.id] = wanted
            self.plans.append((proton.id, wanted))
            self.planned_at_s.append(asyncio.get_running_loop().time())
        mine = [r for r in self._replicas.values() if r.proton_id == proton.id]
        staying = [r for r in mine if r.phase not in LEAVING]
        draining = [r for r in mine if r.phase is ReplicaPhase.DRAINING]
        while len(staying) < wanted and draining:
            staying.append(self._set(draining.pop().id, ReplicaPhase.READY))
        for _ in range(wanted - len(staying)):
            self._begin(proton)
        for replica in staying[wanted:]:
            self._drain(replica.id)

    def renew(self, inventory: Inventory) -> None:
        """Remember; its replicas have no GPUs."""
        self.inventory = inventory

    def remove(self, proton_id: str) -> None:
        """Drain all."""
        self.removed.add(proton_id)
        self._wanted.pop(proton_id, None)
        for replica in list(self._replicas.values()):
            if replica.proton_id == proton_id and replica.phase not in LEAVING:
                self._drain(replica.id)

    def set_load(
        self,
        loads: Mapping[str, int],
        *,
        acknowledged_revision: int | None,
        streams: Mapping[str, OpenStreams] | None = None,
    ) -> None:
        """Remember, for drains and for assertions."""
        self.loads = loads
        self.streams = streams or {}
        self.acknowledged_revision = acknowledged_revision
        for replica_id, revision in list(self._draining_since.items()):
            known = acknowledged_revision is not None and acknowledged_revision >= revision
            if known and not loads.get(replica_id):
                del self._draining_since[replica_id]
                self._spawn(self._end(replica_id))

    def cpu_percent(self, proton_id: str) -> Sequence[float | None]:
        """What the test set."""
        return self.cpu.get(proton_id, ())

    def cold_starts(self, proton_id: str) -> Sequence[float]:
        """One per replica that came up."""
        return self.cold.get(proton_id, [])

    def failure(self, proton_id: str) -> Failure | None:
        """What the test set."""
        return self.failures.get(proton_id)

    async def stop(self, *, end_replicas: bool) -> None:
        """Stop looking after replicas; end them if asked to."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if end_replicas:
            for replica_id in list(self._replicas):
                await self._end(replica_id)
        self.stopped = end_replicas

    # -- for tests ------------------------------------------------------------------------------

    def ready(self, proton_id: str) -> int:
        """How many replicas are ready."""
        return sum(
            1
            for r in self._replicas.values()
            if r.proton_id == proton_id and r.phase is ReplicaPhase.READY
        )

    def crash(self, replica_id: str) -> None:
        """A replica dies by itself; its record goes."""
        self._spawn(self._end(replica_id))

    # -- parts ----------------------------------------------------------------------------------

    def _begin(self, proton: Proton) -> None:
        replica = Replica(
            id=self._ids.new(),
            workload_id=proton.workload_id,
            proton_id=proton.id,
            phase=ReplicaPhase.LAUNCHING,
            created_at=time.time(),
        )
        self._replicas[replica.id] = self.world.alive[replica.id] = replica
        self._spawn(self._come_up(replica.id))

    async def _come_up(self, replica_id: str) -> None:
        began_s = asyncio.get_running_loop().time()
        await self._write(replica_id)
        self._on_change()
        await asyncio.sleep(self.start_s)
        if replica_id not in self._replicas:
            return
        if self._replicas[replica_id].phase is ReplicaPhase.LAUNCHING:
            took_s = asyncio.get_running_loop().time() - began_s
            self.cold.setdefault(self._replicas[replica_id].proton_id, []).append(took_s)
            self._set(replica_id, ReplicaPhase.READY)

    def _drain(self, replica_id: str) -> None:
        replica = msgspec.structs.replace(self._replicas[replica_id], phase=ReplicaPhase.DRAINING)
        self._replicas[replica_id] = self.world.alive[replica_id] = replica
        self._spawn(self._save_draining(replica))

    async def _save_draining(self, replica: Replica) -> None:
        revision = await self._write(replica.id)
        if revision is not None and self._replicas.get(replica.id) is replica:  # not taken back
            self._draining_since[replica.id] = revision
        self._on_change()

    async def _end(self, replica_id: str) -> None:
        self._replicas.pop(replica_id, None)
        self.world.alive.pop(replica_id, None)
        await self._write(replica_id)
        self._on_change()

    async def _write(self, replica_id: str) -> int | None:
        """Write what stands now, one write at a time: an old record must not follow a new one."""
        async with self._writing.setdefault(replica_id, asyncio.Lock()):
            replica = self._replicas.get(replica_id)
            if replica is not None:
                return await self._writer.save(replica)
            await self._writer.forget(replica_id)
            return None

    def _set(self, replica_id: str, phase: ReplicaPhase) -> Replica:
        replica = msgspec.structs.replace(self._replicas[replica_id], phase=phase, port=1)
        self._replicas[replica_id] = self.world.alive[replica_id] = replica
        self._draining_since.pop(replica_id, None)
        self._spawn(self._save(replica))
        return replica

    async def _save(self, replica: Replica) -> None:
        await self._write(replica.id)
        self._on_change()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
