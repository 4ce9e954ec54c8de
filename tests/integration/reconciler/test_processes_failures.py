"""A service that does not do well: each way has a state and a sentence that says what to do."""

import socket
import sys

import pytest

from autoscaler.reconcilers.base import Failure
from controlplane.model.artifacts import Resources
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import ContainerResources
from tests.fakes.replicas import HEALTHZ, PROTON_ID, container, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench, quick


def failure(bench: Bench) -> Failure:
    found = bench.reconciler.failure(PROTON_ID)
    assert found is not None
    return found


async def test_without_an_entrypoint_the_owner_learns_what_to_add(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(container(None)), 2)
    assert failure(bench).sticky
    assert "entrypoint" in failure(bench).message
    assert "registry.example/sample:1" in failure(bench).message
    assert reconciler.replicas() == []


async def test_exiting_at_once_makes_the_proton_errored_with_the_log(bench: Bench):
    reconciler = await bench.start()
    crashing = proton(container(environment={"SAMPLE_CRASH": "3"}))
    reconciler.plan(crashing, 1)
    await bench.message("Failed start 1 of 3")
    await bench.sticky()
    assert "exited with code 3" in failure(bench).message
    assert "Gave up after 3 failed starts" in failure(bench).message
    assert failure(bench).log_tail[-1] == "sample: told to crash with exit code 3"
    await until(lambda: bench.writer.phases() == [ReplicaPhase.FAILED])
    [record] = bench.writer.records.values()
    assert record.exit_code == 3
    assert record.restart_count == 2
    assert record.port is None

    reconciler.plan(crashing, 0)
    await bench.empty()
    assert failure(bench).sticky, "it stays given up until the proton is removed"
    reconciler.remove(PROTON_ID)
    assert reconciler.failure(PROTON_ID) is None


async def test_replicas_that_fail_together_are_one_failed_start(bench: Bench):
    reconciler = await bench.start(quick(crash_limit=2, restart_backoff_s=0.5))
    reconciler.plan(proton(container(environment={"SAMPLE_CRASH": "3"})), 5)
    await bench.message("Failed start 1 of 2")
    await until(lambda: not bench.replicas(ReplicaPhase.LAUNCHING))
    assert not failure(bench).sticky
    await bench.sticky()
    await until(lambda: bench.writer.phases() == [ReplicaPhase.FAILED] * 5)
    starts = 1 + sum(record.restart_count for record in bench.writer.records.values())
    assert starts <= 7


async def test_a_command_that_does_not_exist_is_named(bench: Bench):
    reconciler = await bench.start(quick(crash_limit=1))
    reconciler.plan(proton(container(("no-such-command-anywhere", "x"))), 1)
    await bench.sticky()
    assert "'no-such-command-anywhere' cannot be started" in failure(bench).message
    assert "PATH=" in failure(bench).message


async def test_a_command_with_an_impossible_character_is_refused(bench: Bench):
    reconciler = await bench.start(quick(crash_limit=1))
    reconciler.plan(proton(container((sys.executable, "-c", "\x00"))), 1)
    await bench.sticky()
    assert "null byte" in failure(bench).message


async def test_the_wrong_port_is_named_while_it_is_still_launching(bench: Bench):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wrong = str(probe.getsockname()[1])
    reconciler = await bench.start()
    reconciler.plan(proton(container(environment={"SAMPLE_WRONG_PORT": wrong})), 1)
    replica = await bench.message("Listens on")
    assert replica.phase is ReplicaPhase.LAUNCHING
    assert replica.message == (
        f"Listens on {wrong}, not on PORT={replica.port}: read the PORT environment variable."
    )
    await until(lambda: failure(bench).message == replica.message)
    assert not failure(bench).sticky


async def test_listening_on_no_port_is_said(bench: Bench):
    reconciler = await bench.start()
    sleeper = container((sys.executable, "-c", "import time; time.sleep(600)"))
    reconciler.plan(proton(sleeper), 1)
    await bench.message("listens on no port yet")


async def test_never_ready_is_ended_in_time_with_what_the_probe_said(bench: Bench):
    reconciler = await bench.start(quick(crash_limit=2, start_timeout_s=1.5))
    reconciler.plan(proton(container(environment={"SAMPLE_NEVER_READY": "1"})), 1)
    replica = await bench.message("answers 503")
    assert replica.phase is ReplicaPhase.LAUNCHING
    await bench.sticky()
    assert "Not ready within 1.5 s" in failure(bench).message
    assert "answers 503" in failure(bench).message


async def test_garbage_is_shown_as_what_it_is(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(container(environment={"SAMPLE_GARBAGE": "1"})), 1)
    replica = await bench.message("not HTTP")
    assert replica.phase is ReplicaPhase.LAUNCHING
    assert r"\x00\x01\x02" in replica.message


async def test_a_startup_probe_that_uses_up_its_budget_restarts(bench: Bench):
    reconciler = await bench.start(quick(crash_limit=1))
    never = container(environment={"SAMPLE_NEVER_READY": "1"}, startup=HEALTHZ)
    reconciler.plan(proton(never), 1)
    await bench.sticky()
    assert "The startup probe failed 3 times" in failure(bench).message


async def test_using_too_much_memory_ends_it_with_the_numbers(bench: Bench):
    limit_bytes = 64 * 1024 * 1024
    hungry = container(
        (
            sys.executable,
            "-c",
            "import os, socket, time\n"
            "s = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
            "kept = b'x' * (200 << 20)\n"
            "time.sleep(600)\n",
        ),
        readiness=None,
    )
    limited = ContainerResources(
        name="main", resources=Resources(memory_bytes=limit_bytes, cpu=0.5)
    )
    reconciler = await bench.start()
    reconciler.plan(proton(hungry, resources=limited), 1)
    replica = await bench.message("MiB of 64 MiB memory")
    assert f"of {limit_bytes} bytes" in replica.message
    assert replica.restart_count >= 1


async def test_a_service_that_serves_elsewhere_outweighs_failing_starts(
    bench: Bench, tmp_path: object
):
    flag = bench.data_dir.parent / "second"
    script = (
        "import os, sys, pathlib\n"
        f"flag = pathlib.Path({str(flag)!r})\n"
        "if flag.exists(): sys.exit(7)\n"
        "flag.touch()\n"
        "from controlplane.demo.service import main; main()\n"
    )
    service = proton(container((sys.executable, "-c", script)))
    reconciler = await bench.start(quick(crash_limit=2))
    reconciler.plan(service, 1)
    await bench.ready(1)
    reconciler.plan(service, 2)
    await bench.message("3 failed starts in a row")
    assert not failure(bench).sticky
    assert len(bench.replicas(ReplicaPhase.READY)) == 1


@pytest.mark.parametrize("wanted", [0, 1])
async def test_removing_a_crashing_proton_leaves_nothing(bench: Bench, wanted: int):
    reconciler = await bench.start(quick(restart_backoff_s=5))
    crashing = proton(container(environment={"SAMPLE_CRASH": "3"}))
    reconciler.plan(crashing, 1)
    await bench.message("Failed start 1")
    reconciler.plan(crashing, wanted)
    reconciler.remove(PROTON_ID)
    await bench.empty()
    assert reconciler.failure(PROTON_ID) is None
