"""One replica: it leaves when its GPUs are gone, and has the size that it was granted."""

import asyncio
import dataclasses

import msgspec
import pytest

from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.reconcilers.base import Opening, Placement
from controlplane.model.bundles import Bundle
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import GroupRuntime, Proton, Replica, Runtime
from tests.fakes.replicas import container, proton
from tests.unit.autoscaler.reconcilers.proton_world import SPOT, World, gpus_of, room_for


def lost(world: World, *ids: str, openings: int = 0, stay: int = 0) -> Placement:
    """These replicas have lost a GPU each."""
    gone = {r.id: r.gpus[:1] for r in world.replicas if r.id in ids}
    return dataclasses.replace(room_for(openings), lost=gone, lost_stay=stay)


async def two_run(world: World) -> tuple[str, str]:
    """Two replicas that are ready; gateways know everything."""
    world.proton.aim(2, room_for(2))
    await asyncio.sleep(1)
    world.loads.acknowledged_revision = 10**9
    first, second = world.replicas
    return first.id, second.id


async def told(world: World) -> None:
    """The gateways have reported."""
    for runner in world.proton.runners.values():
        runner.nudge()
    await asyncio.sleep(2)


def test_a_replica_whose_gpu_is_gone_drains_while_its_successor_starts(play):
    async def story(world: World) -> None:
        first, second = await two_run(world)
        world.places.renew(machine_with("GPU-1", "GPU-2"))
        world.loads.in_flight = {first: 1}
        world.proton.aim(2, lost(world, first, openings=1))
        await asyncio.sleep(2)
        phases = {replica.id: replica.phase for replica in world.replicas}
        assert phases.pop(first) is ReplicaPhase.DRAINING, "it has a request"
        assert set(phases.values()) == {ReplicaPhase.READY}
        assert gpus_of(world) == ["GPU-0", "GPU-1", "GPU-2"]
        assert world.proton.runners[first].replica.message == (
            "GPU GPU-0 (NVIDIA A10G) is gone from node n1: the replica leaves."
        )
        world.loads.in_flight = {}
        await told(world)
        assert world.gone == [first]
        assert [replica.restart_count for replica in world.replicas] == [0, 0]
        assert second in phases

    play(story)


def test_what_it_still_has_is_nobody_s_before_its_process_has_ended(play):
    async def story(world: World) -> None:
        opening = Opening(spot=SPOT, gpus=2)
        world.proton.aim(1, Placement(openings=(opening,)))
        await asyncio.sleep(1)
        world.loads.acknowledged_revision = 10**9
        [before] = world.replicas
        world.loads.in_flight = {before.id: 1}
        world.places.renew(machine_with("GPU-1", "GPU-2"))
        gone = {before.id: ("GPU-0",)}
        world.proton.aim(1, Placement(openings=(opening,), lost=gone))
        await asyncio.sleep(5)
        assert gpus_of(world) == ["GPU-0,GPU-1"]
        assert world.places.take("another", [SPOT], 2) is None
        world.loads.in_flight = {}
        await told(world)
        assert gpus_of(world) == ["GPU-0,GPU-1", "GPU-2,GPU-1"]

    play(story)


def test_without_room_for_another_one_it_stays_and_says_so_until_its_gpu_is_back(play):
    async def story(world: World) -> None:
        first, second = await two_run(world)
        for _ in range(3):
            world.proton.aim(1, lost(world, first, stay=1))
            await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.READY] * 2
        said = {replica.id: replica.message for replica in world.replicas}
        assert "GPU-0 (NVIDIA A10G) is gone" in said[first]
        assert "until there is room for another one" in said[first]
        assert said[second] == ""
        world.proton.aim(2, room_for(0))
        await asyncio.sleep(1)
        assert [replica.message for replica in world.replicas] == ["", ""]

    play(story)


@pytest.mark.parametrize("broken", [0, 1])
def test_when_the_count_falls_those_with_lost_gpus_go_first(play, broken: int):
    async def story(world: World) -> None:
        both = await two_run(world)
        world.loads.in_flight = {both[broken]: 9}
        world.proton.aim(1, lost(world, both[broken]))
        await asyncio.sleep(1)
        assert world.proton.runners[both[broken]].leaving
        assert not world.proton.runners[both[1 - broken]].leaving
        world.loads.in_flight = {}

    play(story)


def test_one_that_leaves_for_its_lost_gpu_does_not_return(play):
    async def story(world: World) -> None:
        first, _ = await two_run(world)
        world.loads.in_flight = {first: 1}
        for _ in range(2):
            world.proton.aim(2, lost(world, first))
            await asyncio.sleep(1)
        assert world.proton.runners[first].replica.phase is ReplicaPhase.DRAINING
        assert world.proton.runners[first].replica.message.endswith("the replica leaves.")
        assert len(world.replicas) == 3, "another one waits for a place"

    play(story)


def test_one_that_leaves_already_is_not_counted_among_those_that_may_stay(play):
    async def story(world: World) -> None:
        first, second = await two_run(world)
        world.loads.in_flight = {first: 1, second: 2}
        for _ in range(3):
            world.proton.aim(0, lost(world, first, second, stay=1))
            await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.DRAINING, ReplicaPhase.READY]

    play(story)


def test_one_that_must_go_by_name_is_not_counted_among_those_that_may_stay(play):
    async def story(world: World) -> None:
        first, second = await two_run(world)
        both = dataclasses.replace(lost(world, first, second, stay=1), victims=frozenset({first}))
        world.loads.in_flight = {first: 1}
        for _ in range(2):
            world.proton.aim(0, both)
            await asyncio.sleep(1)
        leaving = {name: runner.leaving for name, runner in world.proton.runners.items()}
        assert leaving == {first: True, second: False}

    play(story)


def machine_with(*gpus: str) -> Inventory:
    """The node of `SPOT`, with these GPUs."""
    found = tuple(Gpu(id=gpu_id, type="NVIDIA A10G") for gpu_id in gpus)
    return Inventory(machines=(Machine(name="n1", cpu=4.0, memory_bytes=2**34, gpus=found),))


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
