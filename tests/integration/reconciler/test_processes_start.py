"""From wanted to ready: real processes, real probes."""

import json
import os
import signal
import sys

import httpx2

from controlplane.model.states import ReplicaPhase
from tests.fakes.replicas import HEALTHZ, PROTON_ID, SAMPLE, WORKLOAD_ID, container, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench, quick

PRINT_ENVIRONMENT = (
    sys.executable,
    "-c",
    "import json, os, http.server\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        body = json.dumps({'env': dict(os.environ), 'cwd': os.getcwd()}).encode()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), H).serve_forever()\n",
)


async def test_a_wanted_replica_becomes_ready_and_its_record_says_so(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 1)
    [replica] = await bench.ready(1)
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])
    assert bench.writer.records[replica.id] == replica
    assert replica.proton_id == PROTON_ID
    assert replica.host == "127.0.0.1"
    assert replica.pid is not None
    assert os.getsid(replica.pid) == replica.pid
    assert replica.ready_at is not None
    assert replica.message == ""
    assert bench.changes > 0
    assert len(reconciler.cold_starts(PROTON_ID)) == 1
    assert reconciler.failure(PROTON_ID) is None


async def test_the_same_plan_twice_starts_nothing_twice(bench: Bench):
    reconciler = await bench.start()
    for _ in range(5):
        reconciler.plan(proton(), 2)
    await bench.ready(2)
    reconciler.plan(proton(), 2)
    assert len(reconciler.replicas()) == 2
    ports = {replica.port for replica in reconciler.replicas()}
    assert len(ports) == 2


async def test_without_a_probe_a_replica_is_ready_when_its_port_accepts(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(container(readiness=None)), 1)
    await bench.ready(1)


async def test_a_startup_probe_comes_before_readiness(bench: Bench):
    reconciler = await bench.start()
    slow = container(environment={"SAMPLE_STARTUP_S": "0.3"}, startup=HEALTHZ, liveness=HEALTHZ)
    reconciler.plan(proton(slow), 1)
    await bench.ready(1)


async def test_nothing_of_the_installation_leaks_into_a_replica(bench: Bench):
    reconciler = await bench.start(
        None,
        environ={
            "PATH": os.environ["PATH"],
            "HOME": "/somewhere",
            "LANG": "C.UTF-8",
            "TIDEGATE_STORE_URL": "redis://secret",
            "TIDEGATE_TOKEN": "secret",
            "AWS_SECRET": "secret",
            "PORT": "1",
        },
    )
    owner = {"MODEL": "x", "PORT": "2", "WORKLOAD_ID": "mine", "TIDEGATE_REPLICA_ID": "mine"}
    plain = container(PRINT_ENVIRONMENT, environment=owner, readiness=None)
    reconciler.plan(proton(plain), 1)
    [replica] = await bench.ready(1)
    async with httpx2.AsyncClient() as client:
        seen = (await client.get(f"http://127.0.0.1:{replica.port}/")).json()
    environment = seen["env"]
    assert "secret" not in json.dumps(environment)
    assert environment["HOME"] == "/somewhere"
    assert environment["MODEL"] == "x"
    assert environment["PORT"] == str(replica.port)
    assert environment["HOST"] == "127.0.0.1"
    assert environment["WORKLOAD_ID"] == WORKLOAD_ID
    assert environment["TIDEGATE_REPLICA_ID"] == replica.id
    assert environment["TIDEGATE_REPLICA_HOME"] == str(bench.data_dir.resolve())
    assert seen["cwd"].endswith(f"/replicas/{WORKLOAD_ID}/{replica.id}/work")


async def test_python_is_looked_up_in_the_path(bench: Bench):
    path = os.path.dirname(sys.executable)
    reconciler = await bench.start(None, environ={"PATH": path})
    reconciler.plan(proton(container(("python", *SAMPLE[1:]))), 1)
    await bench.ready(1)


async def test_a_killed_replica_is_restarted_at_once_and_counted(bench: Bench):
    reconciler = await bench.start(quick(restart_backoff_s=20.0))
    reconciler.plan(proton(), 2)
    first, second = await bench.ready(2)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: len(bench.replicas(ReplicaPhase.READY)) < 2)
    await bench.ready(2)
    by_id = {replica.id: replica for replica in reconciler.replicas()}
    assert by_id[first.id].restart_count == 1
    assert by_id[first.id].pid != first.pid
    assert by_id[first.id].port != first.port
    assert by_id[second.id] == second


async def test_helpers_of_a_dead_replica_do_not_outlive_it(bench: Bench):
    script = f"{sys.executable} -c 'import time; time.sleep(600)' & exec {' '.join(SAMPLE)}"
    reconciler = await bench.start()
    reconciler.plan(proton(container(("/bin/sh", "-c", script))), 1)
    [replica] = await bench.ready(1)
    reconciler.plan(proton(), 0)
    reconciler.set_load({}, acknowledged_revision=10**9)
    assert replica.pid is not None
    await bench.empty()


async def test_liveness_failure_restarts_only_that_replica(bench: Bench):
    hang = (
        sys.executable,
        "-c",
        "import os, socket, time\n"
        "s = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
        "while True:\n"
        "    c, _ = s.accept()\n"
        "    c.recv(1000)\n"
        "    c.sendall(b'HTTP/1.1 500 Ill\\r\\nContent-Length: 0\\r\\n\\r\\n')\n"
        "    c.close()\n",
    )
    reconciler = await bench.start()
    reconciler.plan(proton(container(hang, readiness=None, liveness=HEALTHZ)), 1)
    await until(
        lambda: any(r.restart_count for r in reconciler.replicas()), what="a counted restart"
    )
    assert any("liveness probe failed 3 times" in r.message for r in bench.writer.history)
