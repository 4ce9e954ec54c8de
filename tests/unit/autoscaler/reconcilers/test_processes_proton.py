"""The replicas of one proton over hours of virtual time, with processes that are not real."""

import asyncio
import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.replica_crashes import STABLE_S
from autoscaler.reconcilers.processes_cgroup import CgroupTree
from autoscaler.reconcilers.processes_proton import (
    START_BATCH,
    START_PAUSE_S,
)
from autoscaler.reconcilers.processes_usage import Usage
from controlplane.model.artifacts import Container, EnvVar, Probe, Resources
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import ContainerResources, Replica
from tests.fakes.processes import BUSY, NOBODY, READY
from tests.fakes.replicas import HEALTHZ, container, proton
from tests.unit.autoscaler.reconcilers.proton_world import SETTINGS, SPOT, World, gpus_of, room_for


def changed(**changes: Any) -> AutoscalerSettings:
    values = {"replica_port_min": 45_001, "replica_port_max": 45_999, **changes}
    return AutoscalerSettings(**values)


def test_a_crashing_service_is_tried_with_doubling_waits_until_given_up(play):
    async def story(world: World) -> None:
        world.machine.crash = 1
        world.proton.aim(1)
        await asyncio.sleep(100)
        assert world.machine.started_s == [0, 0.51, 1.52, 3.53, 7.54]
        assert world.phases == [ReplicaPhase.FAILED]
        failure = world.proton.failure()
        assert failure is not None
        assert failure.sticky
        world.proton.aim(3)
        await asyncio.sleep(100)
        assert world.phases == [ReplicaPhase.FAILED] * 3
        assert len(world.machine.started_s) == 5

    play(story)


def test_while_starts_fail_only_one_replica_tries(play):
    async def story(world: World) -> None:
        world.machine.crash = 1
        world.proton.aim(10)
        await asyncio.sleep(100)
        assert world.machine.started_s == [0] * 10 + [0.51, 1.52, 3.53, 7.54]

    play(story)


def test_when_one_has_started_the_others_follow_at_once(play):
    async def story(world: World) -> None:
        world.machine.crash = 1
        world.proton.aim(4)
        await asyncio.sleep(0.4)
        assert "Failed start 1 of 5" in world.message()
        world.machine.crash = None
        await asyncio.sleep(0.6)
        assert world.phases == [ReplicaPhase.READY] * 4
        assert world.proton.failure() is None

    play(story)


def test_dying_soon_after_being_ready_waits_longer_every_time_until_it_is_given_up(play):
    async def story(world: World) -> None:
        world.proton.aim(1)
        for _ in range(1500):
            await asyncio.sleep(0.1)
            if world.phases == [ReplicaPhase.READY]:
                world.machine.alive[0].exit(1)
        starts = world.machine.started_s
        gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(starts)]
        assert gaps[0] == pytest.approx(0.1, abs=0.05)
        assert gaps[-1] == pytest.approx(30, abs=0.5)
        assert gaps == sorted(gaps)
        assert len(starts) == 2 * world.proton._context.settings.crash_limit
        assert "ended 10 times in a row" in world.message()
        assert world.proton.errored

    play(story)


def test_many_replicas_begin_in_batches_with_pauses_for_others(play):
    async def story(world: World) -> None:
        world.proton.aim(3 * START_BATCH)
        assert len(world.replicas) == START_BATCH
        world.proton.aim(2 * START_BATCH + 1)
        assert len(world.replicas) == START_BATCH, "asking again makes it no faster"
        await asyncio.sleep(START_PAUSE_S * 1.5)
        assert len(world.replicas) == 2 * START_BATCH
        await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.READY] * (2 * START_BATCH + 1)

    play(story)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda proton: proton.leave(drain=False), id="removed"),
        pytest.param(lambda proton: proton.start_no_more(), id="stopped"),
        pytest.param(lambda proton: proton.aim(START_BATCH), id="fewer"),
    ],
)
def test_what_is_not_wanted_any_more_does_not_begin(play, end):
    async def story(world: World) -> None:
        world.proton.aim(2 * START_BATCH)
        end(world.proton)
        await asyncio.sleep(1)
        assert len(world.machine.started_s) <= START_BATCH

    play(story)


def test_a_replica_that_was_ready_for_a_while_starts_again_at_once(play):
    async def story(world: World) -> None:
        world.proton.aim(1)
        for _ in range(10):
            await asyncio.sleep(STABLE_S + 1)
            assert world.phases == [ReplicaPhase.READY]
            world.machine.alive[0].exit(1)
        assert len(world.machine.started_s) == 10

    play(story)


def test_readiness_that_fails_takes_it_out_and_back_in_without_a_restart(play):
    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(5)
        world.machine.answer = BUSY
        await asyncio.sleep(5)
        assert world.phases == [ReplicaPhase.UNREADY]
        assert "answers 503" in world.replicas[0].message
        world.machine.answer = READY
        await asyncio.sleep(2)
        assert world.phases == [ReplicaPhase.READY]
        assert world.replicas[0].message == ""
        assert len(world.machine.processes) == 1

    play(story)


def test_start_up_probes_fail_by_periods_and_the_service_is_ended_in_order(play):
    probe = Probe(path="/", initial_delay_s=10, period_s=10, failure_threshold=3)
    wanted = proton(container(("serve",), startup=probe))

    async def story(world: World) -> None:
        world.machine.answer = BUSY
        world.proton.aim(1)
        await asyncio.sleep(29)
        assert world.phases == [ReplicaPhase.LAUNCHING]
        assert "answers 503" in world.message()
        await asyncio.sleep(3)
        assert world.machine.processes[0].signals == [signal.SIGTERM]
        assert "startup probe failed 3 times" in world.message()

    play(story, wanted)


def test_never_ready_ends_at_the_start_time_limit(play):
    async def story(world: World) -> None:
        world.machine.answer = NOBODY
        world.proton.aim(1)
        await asyncio.sleep(599)
        assert len(world.machine.processes) == 1
        assert "listens on no port yet" in world.message()
        await asyncio.sleep(2)
        assert "Not ready within 600 s" in world.message()
        # A starting replica is asked often, but not for ever as often as at the beginning.
        assert world.machine.asked < 1000

    play(story)


def test_a_stubborn_process_is_killed_when_its_grace_is_over(play):
    async def story(world: World) -> None:
        world.machine.stubborn = True
        world.proton.aim(1)
        await asyncio.sleep(1)
        world.loads.acknowledged_revision = 10**9
        world.proton.aim(0)
        await asyncio.sleep(9)
        assert world.phases == [ReplicaPhase.STOPPING]
        await asyncio.sleep(2)
        assert world.machine.processes[0].signals == [signal.SIGTERM, signal.SIGKILL]
        assert world.gone == [world.writer.history[0].id]

    play(story)


def test_a_drain_ends_at_its_deadline_and_not_before(play):
    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(1)
        world.loads.in_flight = {world.replicas[0].id: 1}
        world.loads.acknowledged_revision = 10**9
        world.proton.aim(0)
        await asyncio.sleep(59)
        assert world.phases == [ReplicaPhase.DRAINING]
        assert world.proton.failure() is None
        await asyncio.sleep(2)
        assert world.phases == []

    play(story)


def test_the_drain_s_deadline_does_not_run_while_the_store_is_away(play):
    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(1)
        world.writer.available.clear()
        world.proton.aim(0)
        await asyncio.sleep(3600)
        assert world.phases == [ReplicaPhase.DRAINING]
        assert len(world.machine.alive) == 1
        world.writer.available.set()
        await asyncio.sleep(59)
        assert world.phases == [ReplicaPhase.DRAINING]
        await asyncio.sleep(2)
        assert world.phases == []

    play(story)


def test_a_writer_that_fails_is_asked_again(play):
    async def story(world: World) -> None:
        world.writer.failures = 3
        world.proton.aim(1)
        await asyncio.sleep(10)
        assert world.writer.phases() == [ReplicaPhase.READY]

    play(story)


def test_when_no_port_is_free_it_waits_for_one(play):
    async def story(world: World) -> None:
        first = world.context.ports.take()
        assert first is not None
        world.proton.aim(1)
        await asyncio.sleep(5)
        assert world.phases == [ReplicaPhase.PENDING]
        assert "Waits for a free port" in world.message()
        world.context.ports.release(first)
        await asyncio.sleep(2)
        assert world.phases == [ReplicaPhase.READY]

    play(story, settings=changed(replica_port_min=45_001, replica_port_max=45_001))


def test_every_replica_gets_a_gpu_of_its_own_and_gives_it_back(play):
    async def story(world: World) -> None:
        world.proton.aim(2, room_for(2))
        await asyncio.sleep(1)
        assert sorted(gpus_of(world)) == ["GPU-0", "GPU-1"]
        assert {(r.node, r.gpu_type) for r in world.replicas} == {("n1", "NVIDIA A10G")}
        assert sorted(gpu for r in world.replicas for gpu in r.gpus) == ["GPU-0", "GPU-1"]
        world.proton.aim(1, room_for(0))
        world.loads.acknowledged_revision = 10**6
        await asyncio.sleep(SETTINGS.drain_timeout_s + 1)
        [left] = world.replicas
        assert [mine for _, mine in world.places.taken.values()] == [left.gpus]

    play(story)


def test_a_replica_waits_for_a_gpu_that_is_still_somebody_s(play):
    async def story(world: World) -> None:
        world.places.reserve("another", SPOT, ["GPU-0", "GPU-1"])
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(3)
        assert world.phases == [ReplicaPhase.PENDING]
        assert "Waits for its GPU" in world.message()
        assert world.context.ports.taken == frozenset()
        world.places.release("another")
        await asyncio.sleep(2)
        assert world.phases == [ReplicaPhase.READY]

    play(story)


def test_a_crashed_replica_gives_its_gpu_back_and_starts_with_the_next_grant(play):
    async def story(world: World) -> None:
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(STABLE_S + 60)
        world.machine.alive[0].exit(1)
        await asyncio.sleep(5)
        [replica] = world.replicas
        assert (replica.phase, replica.gpus) == (ReplicaPhase.PENDING, ())
        assert world.places.taken == {}
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.READY]
        assert gpus_of(world) == ["GPU-0", "GPU-1"], "the one that was free for longest"

    play(story)


def test_a_command_that_cannot_be_started_keeps_no_gpu(play):
    async def story(world: World) -> None:
        world.machine.error = FileNotFoundError(2, "No such file or directory")
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(0.1)
        assert world.places.taken == {}

    play(story)


def test_victims_leave_and_do_not_count(play):
    async def story(world: World) -> None:
        world.proton.aim(1, room_for(1))
        await asyncio.sleep(1)
        [first] = world.replicas
        world.proton.aim(1, room_for(1, first.id))
        await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.DRAINING, ReplicaPhase.READY]
        world.proton.aim(2, room_for(0, first.id))
        await asyncio.sleep(1)
        assert world.phases[0] is ReplicaPhase.DRAINING, "a victim does not come back"

    play(story)


def test_without_a_grant_a_replica_on_a_machine_with_gpus_sees_none(play):
    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(1)
        assert gpus_of(world) == [""]
        assert world.replicas[0].gpus == ()

    play(story)


def test_too_much_memory_kills_and_says_so(play):
    limit = ContainerResources(name="main", resources=Resources(memory_bytes=1000, cpu=1))

    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(20)
        [runner] = world.proton.runners.values()
        assert runner.watched_memory_bytes == 1000
        runner.measured(Usage(at_s=1, cpu_s=1, memory_bytes=1000))
        assert world.machine.processes[0].signals == []
        runner.measured(Usage(at_s=2, cpu_s=1.5, memory_bytes=1001))
        assert world.machine.processes[0].signals == [signal.SIGKILL]
        await asyncio.sleep(1)
        assert any("1001 of 1000 bytes" in replica.message for replica in world.writer.history)
        assert world.proton.cpu_percent() == [None], "a new process is measured anew"

    play(story, proton(container(("serve",)), resources=limit))


def test_without_its_credential_a_replica_does_not_start_and_says_which(play):
    keyed = Container(
        name="main",
        primary=True,
        entrypoint=("serve",),
        environment=(EnvVar(source="dr-credential", name="KEY"),),
    )

    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(0.1)
        assert "Variable KEY comes from nowhere." in world.message()
        assert world.phases == [ReplicaPhase.PENDING]
        world.secrets.values["KEY"] = "value"
        await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.READY]
        assert world.machine.environments[-1]["KEY"] == "value"

    play(story, proton(keyed))


def test_a_machine_that_cannot_start_one_more_process_is_tried_again(play):
    async def story(world: World) -> None:
        world.machine.error = BlockingIOError(11, "Resource temporarily unavailable")
        world.proton.aim(1)
        await asyncio.sleep(0.1)
        assert "Resource temporarily unavailable" in world.message()
        world.machine.error = None
        await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.READY]

    play(story)


def test_a_liveness_restart_tells_the_gateways_first(play):
    wanted = proton(container(("serve",), liveness=HEALTHZ))

    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(5)
        world.machine.stubborn = True
        world.machine.processes[0]._stubborn = True
        world.machine.answer = BUSY
        await asyncio.sleep(6)
        [replica] = world.replicas
        assert replica.phase is ReplicaPhase.UNREADY
        assert "liveness probe failed" in replica.message
        world.machine.answer = READY
        await asyncio.sleep(11)
        assert world.phases == [ReplicaPhase.READY]
        assert world.replicas[0].restart_count == 1

    play(story, wanted)


def test_a_restarting_replica_that_is_not_wanted_any_more_just_goes(play):
    wanted = proton(container(("serve",), liveness=HEALTHZ))

    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(5)
        world.machine.processes[0]._stubborn = True
        world.machine.answer = BUSY
        await asyncio.sleep(6)
        world.proton.aim(0)
        await asyncio.sleep(1)
        assert world.phases == [ReplicaPhase.STOPPING]
        await asyncio.sleep(10)
        assert world.phases == []
        assert len(world.machine.processes) == 1

    play(story, wanted)


def test_limits_that_the_kernel_holds_are_not_watched(play, tmp_path: Path):
    # A directory with the files that the kernel would make for the first replica's group.
    group = tmp_path / f"tidegate-{1:024x}"
    group.mkdir()
    for name in ["cgroup.procs", "memory.max", "memory.oom.group", "cpu.max"]:
        (group / name).touch()
    resources = Resources(memory_bytes=2 << 20, cpu=1)
    limited = ContainerResources(name="main", resources=resources)

    async def story(world: World) -> None:
        world.proton.aim(1)
        await asyncio.sleep(1)
        [runner] = world.proton.runners.values()
        assert (group / "cgroup.procs").read_text() == "1"
        assert (group / "cpu.max").read_text() == "100000 100000"
        assert runner.watched_memory_bytes is None
        runner.measured(Usage(at_s=1, cpu_s=1, memory_bytes=3 << 20))
        assert world.machine.processes[0].signals == []
        (group / "memory.events").write_text("oom_kill 1\n")
        world.machine.processes[0].exit(-9)
        await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert any("of 2 MiB memory" in replica.message for replica in world.writer.history)

    cgroups = CgroupTree(tmp_path, frozenset({"memory", "cpu"}))
    play(story, proton(container(("serve",)), resources=limited), cgroups=cgroups)


def test_a_process_that_ends_while_it_is_adopted_is_not_adopted(play):
    async def story(world: World) -> None:
        def find(_nudge: Callable[[], None]) -> Any:
            raise ProcessLookupError

        record = Replica(
            id="r",
            workload_id="w",
            proton_id="p",
            phase=ReplicaPhase.READY,
            port=45_001,
            created_at=0,
        )
        assert not world.proton.adopt(record, find)
        assert world.replicas == []

    play(story)


def test_a_proton_with_nothing_to_run_adopts_and_starts_nothing(play):
    async def story(world: World) -> None:
        world.proton.aim(2)
        assert world.replicas == []
        assert "entrypoint" in world.message()

    play(story, proton(container(None)))
