"""Replicas outlive a killed autoscaler; its next start adopts the wanted and ends the rest."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec
import psutil

from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica
from tests.fakes.replicas import PROTON_ID, SAMPLE, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench, marked, quick

FOREVER = 10**9
OVERWRITES = """
import ctypes, runpy
with open("/proc/self/stat") as stat:
    fields = stat.read().rpartition(")")[2].split()
start, end = int(fields[47]), int(fields[48])  # env_start and env_end, see proc_pid_stat(5)
ctypes.memset(start, 0, end - start)
runpy.run_module("controlplane.demo.service", run_name="__main__")
"""
"""What nginx and setproctitle do: the memory that shows the environment is used for a title."""


async def abandon(bench: Bench, count: int, *command: str) -> list[Replica]:
    """Replicas whose autoscaler was killed, and their records as the store has them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.reconciler.abandoned", str(bench.data_dir), str(count)),
        *command,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    records = msgspec.json.decode(line, type=list[Replica])
    process.kill()
    await process.wait()
    bench.writer.records = {record.id: record for record in records}
    bench.new_id = lambda: f"{len(bench.writer.history) + 1000:024x}"
    return records


async def test_wanted_replicas_are_adopted_and_keep_serving(bench: Bench):
    records = await abandon(bench, 2)
    assert len(marked(bench.data_dir)) == 2
    reconciler = await bench.start(None, proton())
    assert [r.phase for r in reconciler.replicas()] == [ReplicaPhase.READY] * 2
    assert {r.pid for r in reconciler.replicas()} == {r.pid for r in records}
    reconciler.plan(proton(), 2)
    assert len(reconciler.replicas()) == 2
    assert reconciler.cold_starts(PROTON_ID) == []


async def test_an_adopted_replica_that_dies_is_replaced(bench: Bench):
    [record] = await abandon(bench, 1)
    reconciler = await bench.start(None, proton())
    assert record.pid is not None
    os.kill(record.pid, signal.SIGKILL)
    await until(lambda: reconciler.replicas()[0].restart_count == 1)
    [replica] = await bench.ready(1)
    assert replica.pid != record.pid
    assert any(r.exit_code is None and r.restart_count == 1 for r in bench.writer.history), (
        "its exit code is not ours to know"
    )


async def test_an_adopted_replica_drains(bench: Bench):
    await abandon(bench, 1)
    reconciler = await bench.start(None, proton())
    reconciler.plan(proton(), 0)
    await until(lambda: bench.writer.phases() == [ReplicaPhase.DRAINING])
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    await bench.empty()


async def test_a_drain_goes_on_after_the_restart_with_a_new_revision(bench: Bench):
    [record] = await abandon(bench, 1)
    changed = msgspec.structs.replace(record, phase=ReplicaPhase.DRAINING)
    bench.writer.records[record.id] = changed
    reconciler = await bench.start(None, proton())
    assert [r.phase for r in reconciler.replicas()] == [ReplicaPhase.DRAINING]
    await until(lambda: bench.writer.history == [changed])
    reconciler.set_load({}, acknowledged_revision=bench.writer.revision)
    await bench.empty()


async def test_a_replica_that_was_stopping_is_ended(bench: Bench):
    [record] = await abandon(bench, 1)
    bench.writer.records[record.id] = msgspec.structs.replace(record, phase=ReplicaPhase.STOPPING)
    await bench.start(None, proton())
    await bench.empty()


async def test_replicas_of_protons_that_are_gone_are_ended_and_forgotten(bench: Bench):
    await abandon(bench, 2)
    reconciler = await bench.start()
    assert reconciler.replicas() == []
    await bench.empty()


async def test_processes_without_a_record_are_ended(bench: Bench):
    await abandon(bench, 1)
    bench.writer.records.clear()
    reconciler = await bench.start(None, proton())
    assert reconciler.replicas() == []
    await bench.empty()


async def test_a_record_of_another_process_is_not_adopted(bench: Bench):
    [record] = await abandon(bench, 1)
    assert record.process_started is not None
    bench.writer.records[record.id] = msgspec.structs.replace(
        record, process_started=record.process_started - 100
    )
    reconciler = await bench.start(None, proton())
    assert reconciler.replicas() == []
    await bench.empty()


async def test_records_without_a_process_are_forgotten(bench: Bench):
    [record] = await abandon(bench, 1)
    assert record.pid is not None
    os.killpg(record.pid, signal.SIGKILL)
    await until(lambda: not marked(bench.data_dir))
    reconciler = await bench.start(None, proton())
    assert reconciler.replicas() == []
    await bench.empty()


async def test_another_installation_is_left_alone(bench: Bench, tmp_path: Path):
    await abandon(bench, 1)
    other = Bench(tmp_path / "other")
    await other.start()
    await other.reconciler.stop(end_replicas=True)
    assert len(marked(bench.data_dir)) == 1
    await bench.start()
    await bench.empty()


async def test_an_orderly_stop_may_leave_replicas_for_the_next_start(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 2)
    before = await bench.ready(2)
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY] * 2)
    await reconciler.stop(end_replicas=False)
    assert len(marked(bench.data_dir)) == 2
    assert len(bench.writer.records) == 2
    reconciler = await bench.start(None, proton())
    assert {r.pid for r in reconciler.replicas()} == {r.pid for r in before}
    for replica in before:
        # Still children of this process: collected here, as init does after a real restart.
        assert replica.pid is not None
        os.kill(replica.pid, signal.SIGTERM)
        await asyncio.to_thread(os.waitpid, replica.pid, 0)


async def test_the_port_of_an_adopted_replica_is_not_given_away(bench: Bench):
    [record] = await abandon(bench, 1)
    assert record.port is not None
    settings = quick(replica_port_min=record.port, replica_port_max=record.port)
    reconciler = await bench.start(settings, proton())
    reconciler.plan(proton(), 2)
    replica = await bench.message("Waits for a free port")
    assert replica.phase is ReplicaPhase.PENDING


# -- replicas that hide their environment ---------------------------------------------------------

SERVE = f'env -i PATH="$PATH" PORT="$PORT" HOST="$HOST" PYTHONPATH="$PYTHONPATH" {" ".join(SAMPLE)}'


def hidden(*lines: str) -> tuple[str, ...]:
    """A command whose process shows nothing of the environment that it was given."""
    return ("sh", "-c", "\n".join([*lines, f"exec {SERVE}"]))


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_replica_without_its_marks_that_nobody_wants_is_ended(bench: Bench):
    [record] = await abandon(bench, 1, *hidden("cd /"))
    assert marked(bench.data_dir) == []
    assert record.pid is not None
    await bench.start()
    await until(lambda: record.pid is not None and not lives(record.pid))
    await until(lambda: not bench.writer.records)


async def test_helpers_in_a_session_of_their_own_are_known_by_their_directory(bench: Bench):
    [record] = await abandon(
        bench, 1, *hidden("setsid env -i sleep 1000 &", "echo $! > helper; sleep 0.2")
    )
    assert record.pid is not None
    [file] = bench.data_dir.rglob("helper")
    helper = int(file.read_text())
    assert os.getsid(helper) != record.pid
    bench.writer.records.clear()  # not even a record: it was killed before it was written
    await bench.start()
    await until(lambda: record.pid is not None and not lives(record.pid))
    await until(lambda: not lives(helper))


async def test_a_program_that_writes_over_its_environment_is_adopted(bench: Bench):
    [record] = await abandon(bench, 1, sys.executable, "-c", OVERWRITES)
    assert marked(bench.data_dir) == []
    reconciler = await bench.start(None, proton())
    assert [r.pid for r in reconciler.replicas()] == [record.pid]


async def test_a_process_with_a_recorded_id_that_began_later_is_left_alone(bench: Bench):
    [record] = await abandon(bench, 1)
    stranger = await asyncio.create_subprocess_exec("sleep", "1000", start_new_session=True)
    assert record.process_started is not None
    bench.writer.records[record.id] = msgspec.structs.replace(
        record, pid=stranger.pid, process_started=record.process_started - 100
    )
    await bench.start(None, proton())
    await bench.empty()
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()
