"""Many replicas, many times: nothing leaks; and what is measured and kept along the way."""

import asyncio
import os
import sys
from collections.abc import Callable

import psutil
import pytest

from autoscaler.reconcilers import processes, processes_logs
from controlplane.model.artifacts import Resources
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import ContainerResources
from tests.fakes.replicas import PROTON_ID, WORKLOAD_ID, container, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench, marked, quick

FOREVER = 10**9

LISTENER = (
    sys.executable,
    "-S",
    "-c",
    "import os, socket\n"
    "s = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
    "while True: s.accept()\n",
)


async def test_twenty_replicas_up_and_down_leak_nothing(
    bench: Bench, counted_descriptors: Callable[[], int]
):
    many = proton(container(LISTENER, readiness=None))
    reconciler = await bench.start()
    others = psutil.Process().children()  # servers of the test session
    before = counted_descriptors()
    for _ in range(2):
        reconciler.plan(many, 20)
        replicas = await bench.ready(20)
        assert len({replica.port for replica in replicas}) == 20
        reconciler.set_load({}, acknowledged_revision=FOREVER)
        reconciler.plan(many, 0)
        await bench.empty()
        assert reconciler._context.ports.taken == frozenset()
        assert psutil.Process().children() == others
        # Logs of ended replicas are still being removed, by a thread, with files open.
        await until(lambda: counted_descriptors() <= before, what="no descriptor left open")
    assert len(reconciler.cold_starts(PROTON_ID)) == 40


async def test_cpu_use_is_relative_to_the_request(bench: Bench):
    busy = container(
        (
            sys.executable,
            "-c",
            "import os, socket\n"
            "s = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
            "while True: pass\n",
        ),
        readiness=None,
    )
    resources = ContainerResources(name="main", resources=Resources(cpu=0.1))
    reconciler = await bench.start()
    assert reconciler.cpu_percent(PROTON_ID) == []
    reconciler.plan(proton(busy, resources=resources), 1)
    await bench.ready(1)
    assert reconciler.cpu_percent(PROTON_ID) == [None]

    def measured() -> float:
        [percent] = reconciler.cpu_percent(PROTON_ID) or [None]
        return percent or 0.0

    # One whole core would be 1000 % of a tenth of one; a loaded machine gives less.
    await until(lambda: measured() > 100, what="CPU use above the request")


async def test_a_log_that_grows_is_rotated_and_survives_its_replica(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "SWEEP_S", 0.05)
    talker = container(
        (
            sys.executable,
            "-u",
            "-c",
            "import os, socket, time\n"
            "s = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
            "number = 0\n"
            "while True:\n"
            "    print('line', number, 'x' * 80); number += 1; time.sleep(0.001)\n",
        ),
        readiness=None,
    )
    reconciler = await bench.start(quick(replica_log_bytes=10_000))
    reconciler.plan(proton(talker), 1)
    [replica] = await bench.ready(1)
    directory = bench.data_dir / "replicas" / WORKLOAD_ID / replica.id
    assert replica.log_path == str((directory / "output.log").resolve())
    await until((directory / "output.log.1").exists, what="a rotation")
    await until(lambda: (directory / "output.log").stat().st_size > 0)
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    reconciler.plan(proton(talker), 0)
    await bench.empty()
    assert sorted(path.name for path in directory.iterdir()) == ["output.log", "output.log.1"]
    assert b"line" in (directory / "output.log.1").read_bytes()


async def test_only_the_newest_logs_are_kept(bench: Bench):
    quiet = proton(container(LISTENER, readiness=None))
    reconciler = await bench.start()
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    reconciler.plan(quiet, processes_logs.KEPT_ENDED + 3)
    await bench.ready(processes_logs.KEPT_ENDED + 3)
    reconciler.plan(quiet, 0)
    await bench.empty()
    parent = bench.data_dir / "replicas" / WORKLOAD_ID
    await until(lambda: len(list(parent.iterdir())) == processes_logs.KEPT_ENDED)


async def test_a_store_that_is_away_holds_up_no_replica(bench: Bench):
    reconciler = await bench.start()
    bench.writer.available.clear()
    reconciler.plan(proton(), 1)
    await bench.ready(1)
    assert not bench.writer.records
    bench.writer.available.set()
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])


async def test_an_orderly_stop_ends_everything_and_forgets_it(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 2)
    await bench.ready(2)
    reconciler.plan(proton(), 3)
    await reconciler.stop(end_replicas=True)
    assert marked(bench.data_dir) == []
    assert bench.writer.records == {}
    reconciler.plan(proton(), 1)
    assert reconciler.replicas() == []


async def test_requests_finish_when_a_replica_is_asked_to_end(bench: Bench):
    reconciler = await bench.start()
    slow = proton(container(environment={"SAMPLE_SERVICE_S": "0.5"}))
    reconciler.plan(slow, 1)
    [replica] = await bench.ready(1)
    reader, writer = await asyncio.open_connection(replica.host, replica.port)
    writer.write(b"GET /predict HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    assert replica.pid is not None
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    reconciler.plan(slow, 0)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    await bench.empty()
    assert not psutil.pid_exists(replica.pid) or os.getpid() != replica.pid
