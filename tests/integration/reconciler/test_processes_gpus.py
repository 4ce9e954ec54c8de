"""GPUs that nobody needs to have, given to real processes, over restarts of the autoscaler."""

import asyncio
import dataclasses
import os
import signal

import psutil
import pytest

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.reconcilers.base import Opening, Placement
from controlplane.model.states import ReplicaPhase
from tests.fakes.replicas import proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench

SPOT = Spot("box", "NVIDIA A10G")
ONE_GPU = Placement(openings=(Opening(spot=SPOT, gpus=1),))
OTHER = "e" * 24


@pytest.fixture
def two_gpus() -> Inventory:
    gpus = tuple(Gpu(id=f"GPU-{n}", type=SPOT.gpu_type or "") for n in range(2))
    return Inventory(machines=(Machine(name="box", cpu=4.0, memory_bytes=2**33, gpus=gpus),))


async def test_a_replica_keeps_its_gpu_over_a_restart_of_the_autoscaler(
    bench: Bench, two_gpus: Inventory
):
    reconciler = await bench.start(inventory=two_gpus)
    reconciler.plan(proton(), 1, ONE_GPU)
    [before] = await bench.ready(1)
    assert before.gpus == ("GPU-0",)
    assert before.pid is not None
    assert psutil.Process(before.pid).environ()["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])
    await reconciler.stop(end_replicas=False)

    reconciler = await bench.start(None, proton(), inventory=two_gpus)
    assert [r.gpus for r in reconciler.replicas()] == [("GPU-0",)]
    for name in (OTHER, "f" * 24):
        reconciler.plan(proton(proton_id=name), 1, ONE_GPU)
    [_, after] = await bench.ready(2)
    assert after.gpus == ("GPU-1",)
    waiting = await bench.message("Waits for its GPU")
    assert waiting.phase is ReplicaPhase.PENDING
    # Still a child of this process: collected here, as init does after a real restart.
    reconciler.plan(proton(), 0, Placement())
    os.kill(before.pid, signal.SIGTERM)
    await asyncio.to_thread(os.waitpid, before.pid, 0)
    replicas = await bench.ready(2)
    assert sorted(gpu for r in replicas for gpu in r.gpus) == ["GPU-0", "GPU-1"]


async def test_an_orphan_s_gpu_is_nobody_s_before_it_has_ended(bench: Bench, two_gpus: Inventory):
    reconciler = await bench.start(inventory=two_gpus)
    reconciler.plan(proton(), 1, ONE_GPU)
    [orphan] = await bench.ready(1)
    assert orphan.pid is not None
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])
    await reconciler.stop(end_replicas=False)
    os.kill(orphan.pid, signal.SIGSTOP)  # it will not hear of its end until it goes on

    reconciler = await bench.start(inventory=two_gpus)  # its proton is gone
    reconciler.plan(proton(proton_id=OTHER), 1, ONE_GPU)
    [replica] = await bench.ready(1)
    assert replica.gpus == ("GPU-1",)
    os.kill(orphan.pid, signal.SIGCONT)
    await asyncio.to_thread(os.waitpid, orphan.pid, 0)
    reconciler.plan(proton(proton_id=OTHER), 2, ONE_GPU)
    replicas = await bench.ready(2)
    assert sorted(gpu for r in replicas for gpu in r.gpus) == ["GPU-0", "GPU-1"]


async def test_in_the_place_of_a_replica_whose_gpu_is_gone_another_one_starts(
    bench: Bench, two_gpus: Inventory
):
    reconciler = await bench.start(inventory=two_gpus)
    reconciler.plan(proton(), 1, ONE_GPU)
    [before] = await bench.ready(1)
    [box] = two_gpus.machines
    left = dataclasses.replace(box, gpus=box.gpus[1:])
    reconciler.renew(Inventory(machines=(left,)))
    openings = ONE_GPU.openings
    reconciler.plan(proton(), 1, Placement(openings=openings, lost={before.id: before.gpus}))

    def replaced() -> bool:
        reconciler.set_load({}, acknowledged_revision=10**9)
        present = reconciler.replicas()
        return len(present) == 1 and present[0].phase is ReplicaPhase.READY

    await until(replaced)
    [after] = reconciler.replicas()
    assert after.id != before.id
    assert after.gpus == ("GPU-1",)
    assert after.pid is not None
    assert psutil.Process(after.pid).environ()["CUDA_VISIBLE_DEVICES"] == "GPU-1"
