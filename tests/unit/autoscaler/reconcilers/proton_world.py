"""One proton on a fake machine."""

import asyncio
from pathlib import Path

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.reconcilers.base import Opening, Placement
from autoscaler.reconcilers.processes_cgroup import CgroupTree
from autoscaler.reconcilers.processes_context import Context, Loads
from autoscaler.reconcilers.processes_places import Places
from autoscaler.reconcilers.processes_ports import PortPool
from autoscaler.reconcilers.processes_proton import (
    ProtonReplicas,
)
from autoscaler.reconcilers.processes_records import RecordKeeper
from autoscaler.reconcilers.processes_replica import ReplicaRunner
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from tests.fakes.processes import FakeMachine
from tests.fakes.replicas import KnownSecrets, RecordingWriter, ids

TWO_GPUS = Inventory(
    machines=(
        Machine(
            name="n1",
            cpu=4.0,
            memory_bytes=2**34,
            gpus=tuple(Gpu(id=f"GPU-{n}", type="NVIDIA A10G") for n in range(2)),
        ),
    )
)
SETTINGS = AutoscalerSettings(replica_port_min=45_001, replica_port_max=45_999)


SPOT = Spot("n1", "NVIDIA A10G")


class World:
    """One proton on a fake machine."""

    def __init__(
        self,
        directory: Path,
        wanted: Proton,
        settings: AutoscalerSettings,
        cgroups: CgroupTree | None = None,
    ) -> None:
        self.machine = FakeMachine()
        self.writer = RecordingWriter()
        self.loads = Loads()
        self.places = Places(TWO_GPUS)
        self.secrets = KnownSecrets()
        self.gone: list[str] = []
        self.changes = 0
        self.records = RecordKeeper(self.writer, self._written)
        self.context = Context(
            settings=settings,
            data_dir=directory,
            environ={"PATH": "/bin"},
            ports=PortPool(settings.replica_port_min, settings.replica_port_max),
            prober=self.machine,
            records=self.records,
            secrets=self.secrets,
            spawn=self.machine.spawn,
            listening=lambda leader: (),
            cgroups=cgroups,
            loads=self.loads,
            places=self.places,
            changed=self._changed,
        )
        self.proton = ProtonReplicas(self.context, wanted, new_id=ids(), on_gone=self._gone)

    def _written(self, replica: Replica) -> None:
        runner = self.proton.runners.get(replica.id)
        if runner is not None:
            runner.nudge()

    def _changed(self) -> None:
        self.changes += 1

    def _gone(self, _proton: ProtonReplicas, runner: ReplicaRunner) -> None:
        self.gone.append(runner.replica.id)

    @property
    def replicas(self) -> list[Replica]:
        return [runner.replica for runner in self.proton.runners.values()]

    @property
    def phases(self) -> list[ReplicaPhase]:
        return [replica.phase for replica in self.replicas]

    def message(self) -> str:
        """What is wrong with the proton."""
        failure = self.proton.failure()
        return failure.message if failure else ""

    async def end(self) -> None:
        self.proton.leave(drain=False)
        for _ in range(100):
            await asyncio.sleep(1)
            if not self.proton.runners:
                break
        await self.records.flush(5)
        assert self.context.ports.taken == frozenset()
        assert self.places.taken == {}
        assert not self.machine.alive


def room_for(replicas: int, *victims: str) -> Placement:
    """For new replicas with a GPU each."""
    openings = (Opening(spot=SPOT, gpus=1),) * replicas
    return Placement(openings=openings, victims=frozenset(victims))


def gpus_of(world: World) -> list[str]:
    """As the processes are told, in the order of their starts."""
    return [seen["CUDA_VISIBLE_DEVICES"] for seen in world.machine.environments]
