"""One replica: it moves when its GPUs are gone, and has the size that it was granted."""

import asyncio

import msgspec
import pytest

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.reconcilers.base import Opening, Placement
from controlplane.model.bundles import Bundle
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import GroupRuntime, Proton, Replica, Runtime
from tests.fakes.processes import NOBODY, READY
from tests.fakes.replicas import container, proton
from tests.unit.autoscaler.reconcilers.proton_world import SETTINGS, SPOT, World, gpus_of, room_for


def machine_with(*gpus: str, model: str = "NVIDIA A10G") -> Inventory:
    """The node of `SPOT`, with these GPUs."""
    found = tuple(Gpu(id=gpu_id, type=model) for gpu_id in gpus)
    return Inventory(machines=(Machine(name="n1", cpu=4.0, memory_bytes=2**34, gpus=found),))


def test_a_replica_whose_gpu_is_gone_ends_its_requests_and_moves_to_another_one(play):
    async def story(world: World) -> None:
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        [before] = world.replicas
        world.loads.in_flight = {before.id: 1}
        world.loads.acknowledged_revision = 10**9
        world.places.renew(machine_with("GPU-1", "GPU-2"))
        world.proton.aim(1, room_for(0))
        await asyncio.sleep(5)
        assert world.phases == [ReplicaPhase.UNREADY], "it has a request"
        assert "GPU GPU-0 (NVIDIA A10G) is gone from node n1" in world.replicas[0].message
        assert len(world.machine.alive) == 1
        world.proton.aim(1, room_for(0))
        world.loads.in_flight = {}
        for runner in world.proton.runners.values():
            runner.nudge()
        await asyncio.sleep(2)
        [after] = world.replicas
        assert (after.id, after.phase) == (before.id, ReplicaPhase.READY)
        assert (after.gpus, after.restart_count, after.message) == (("GPU-1",), 0, "")
        assert gpus_of(world) == ["GPU-0", "GPU-1"]
        assert [mine for _, mine in world.places.taken.values()] == [("GPU-1",)]

    play(story)


def test_while_it_moves_its_place_stays_its_own(play):
    async def story(world: World) -> None:
        world.machine.stubborn = True
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        world.loads.acknowledged_revision = 10**9
        world.places.renew(machine_with("GPU-1"))
        world.proton.aim(1, room_for(0))
        assert world.places.take("another", [SPOT], 1) is None
        held = []
        for _ in range(200):
            await asyncio.sleep(0.1)
            held += [bool(replica.gpus) for replica in world.replicas]
        assert all(held), "the books of capacity must not give its room to somebody else"
        assert gpus_of(world) == ["GPU-0", "GPU-1"]

    play(story)


def test_without_another_gpu_it_stays_and_says_so_until_there_is_one(play):
    async def story(world: World) -> None:
        world.places.reserve("another", SPOT, ["GPU-1"])
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        world.loads.acknowledged_revision = 10**9
        world.places.renew(machine_with("GPU-1"))
        for _ in range(3):
            world.proton.aim(1, room_for(0))
            await asyncio.sleep(1)
        [replica] = world.replicas
        assert (replica.phase, replica.gpus) == (ReplicaPhase.READY, ("GPU-0",))
        assert "there is no other free one of that model" in replica.message
        world.places.renew(machine_with("GPU-0", "GPU-1"))
        world.proton.aim(1, room_for(0))
        await asyncio.sleep(1)
        assert world.replicas[0].message == "", "it is there again"
        world.places.renew(machine_with("GPU-1"))
        world.places.release("another")
        world.proton.aim(1, room_for(0))
        await asyncio.sleep(2)
        assert world.replicas[0].gpus == ("GPU-1",)

    play(story)


def test_where_its_model_is_gone_it_moves_to_where_its_grant_says(play):
    async def story(world: World) -> None:
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        world.loads.acknowledged_revision = 10**9
        world.places.renew(machine_with("GPU-7", model="NVIDIA L4"))
        world.proton.aim(1, Placement(openings=(Opening(spot=Spot("n1", "NVIDIA L4"), gpus=1),)))
        await asyncio.sleep(2)
        [replica] = world.replicas
        assert (replica.gpu_type, replica.gpus) == ("NVIDIA L4", ("GPU-7",))

    play(story)


@pytest.mark.parametrize("answer", [READY, NOBODY])
def test_one_that_should_move_and_is_not_wanted_any_more_just_goes(play, answer):
    async def story(world: World) -> None:
        world.machine.answer = answer
        world.machine.stubborn = True
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        world.loads.acknowledged_revision = 10**9
        world.places.renew(machine_with("GPU-1"))
        world.proton.aim(1, room_for(0))
        await asyncio.sleep(0.5)
        world.proton.aim(0, Placement())
        await asyncio.sleep(SETTINGS.drain_timeout_s + SETTINGS.stop_grace_s + 5)
        assert (world.replicas, world.places.taken) == ([], {})
        assert gpus_of(world) == ["GPU-0"]

    play(story)


LARGE = Bundle(id="large", name="large", cpu_count=2, memory_bytes=2**31, gpu_count=2)


def choosing() -> Proton:
    """A proton whose owner named two bundles."""
    one = msgspec.structs.replace(LARGE, id="small", gpu_count=1, memory_bytes=2**30)
    group = GroupRuntime(resource_bundles=("small", "large"), bundles=(one, LARGE))
    made = proton(container(("serve",)))
    return msgspec.structs.replace(made, runtime=Runtime(container_groups=(group,)))


def test_a_replica_has_the_size_of_the_bundle_that_it_was_granted(play):
    async def story(world: World) -> None:
        opening = Opening(spot=SPOT, gpus=2, bundle=LARGE, reason="small: others have all of it")
        world.proton.aim(1, Placement(openings=(opening,)))
        await asyncio.sleep(1)
        [replica] = world.replicas
        assert (replica.bundle, replica.bundle_reason) == ("large", opening.reason)
        assert gpus_of(world) == ["GPU-0,GPU-1"]
        [runner] = world.proton.runners.values()
        assert runner.watched_memory_bytes == LARGE.memory_bytes
        before = replica.id
        world.places.renew(machine_with("GPU-1", "GPU-2"))
        world.loads.acknowledged_revision = 10**9
        world.proton.aim(1, Placement())
        await asyncio.sleep(3)
        [replica] = world.replicas
        assert (replica.id, replica.bundle, replica.gpus) == (before, "large", ("GPU-2", "GPU-1"))
        assert replica.bundle_reason == opening.reason, "it moves, and keeps its size"

    play(story, wanted=choosing())


def test_what_is_adopted_keeps_its_size(play):
    async def story(world: World) -> None:
        process = await world.machine.spawn((), {}, None, lambda: None)  # of the run before
        record = Replica(
            id="9" * 24,
            workload_id="w",
            proton_id=world.proton.proton.id,
            phase=ReplicaPhase.READY,
            bundle="large",
            port=45_100,
            pid=process.pid,
            created_at=0.0,
            ready_at=0.0,
        )
        assert world.proton.adopt(record, lambda nudge: process)
        [runner] = world.proton.runners.values()
        assert runner.watched_memory_bytes == LARGE.memory_bytes
        await asyncio.sleep(0.1)

    play(story, wanted=choosing())
