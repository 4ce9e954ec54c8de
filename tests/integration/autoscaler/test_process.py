"""The process itself: `python -m autoscaler` over a real store, with real replicas."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from controlplane.store.client import Store
from tests.fakes.ports import replica_ports
from tests.integration.autoscaler.conftest import make_proton, until_stored

ROOT = Path(__file__).resolve().parents[3]

SERVER = """
import http.server, os
http.server.ThreadingHTTPServer(
    ("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler
).serve_forever()
"""

Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()
    except OSError:
        return 0, b""


@pytest.fixture
async def start(store_url: str, tmp_path: Path) -> AsyncIterator[Start]:
    begun: list[asyncio.subprocess.Process] = []

    async def begin(**environ: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "autoscaler",
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "TIDEGATE_STORE_URL": store_url,
                "TIDEGATE_UP_DATA_DIR": str(tmp_path),
                "TIDEGATE_AUTOSCALER_TICK_S": "0.1",
                "TIDEGATE_AUTOSCALER_LEASE_TTL_S": "1",
                "TIDEGATE_AUTOSCALER_REPLICA_PORT_MIN": str(replica_ports()[0]),
                "TIDEGATE_AUTOSCALER_REPLICA_PORT_MAX": str(replica_ports()[1]),
                **environ,
            },
            stderr=asyncio.subprocess.PIPE,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def serving_proton() -> Proton:
    container = Container(primary=True, port=8080, entrypoint=(sys.executable, "-c", SERVER))
    spec = ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),))
    fields = {**_fields(make_proton(replica_count=1)), "spec": spec}
    return Proton(**fields)


def _fields(proton: Proton) -> dict[str, object]:
    return {name: getattr(proton, name) for name in proton.__struct_fields__}


async def ready_replicas(store: Store) -> list[Replica]:
    found = [versioned.record for versioned in await store.list(Replica)]
    return [replica for replica in found if replica.phase is ReplicaPhase.READY]


async def test_it_runs_replicas_and_ends_them_with_itself(start: Start, store: Store):
    port = free_port()
    process = await start(TIDEGATE_AUTOSCALER_ADMIN_PORT=str(port))
    base = f"http://127.0.0.1:{port}"

    async def answers_ready() -> bool:
        return (await asyncio.to_thread(get, f"{base}/readyz"))[0] == 200

    await until_stored(answers_ready)
    await store.put(serving_proton())

    async def one_ready() -> bool:
        return len(await ready_replicas(store)) == 1

    await until_stored(one_ready)
    (replica,) = await ready_replicas(store)
    url = f"http://{replica.host}:{replica.port}/"
    assert (await asyncio.to_thread(get, url))[0] == 200
    status, metrics = await asyncio.to_thread(get, f"{base}/metrics")
    assert status == 200
    assert b"autoscaler_leading 1.0" in metrics
    assert b'reason="fixed"' in metrics
    assert (await asyncio.to_thread(get, f"{base}/livez"))[0] == 200
    # Garbage on the admin port is hung up on, and nothing else.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x" * 100_000)
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        await process.communicate()
    assert process.returncode == 0
    assert await store.list(Replica) == []
    # Not by its port: somebody else on this machine may have it already.
    assert replica.pid is not None
    assert not psutil.pid_exists(replica.pid)


async def test_an_interrupt_ends_a_standby_at_once(start: Start, store: Store):
    assert await store.acquire("autoscaler", "other", ttl_s=3600.0) is not None
    port = free_port()
    process = await start(TIDEGATE_AUTOSCALER_ADMIN_PORT=str(port))

    async def answers_ready() -> bool:
        return (await asyncio.to_thread(get, f"http://127.0.0.1:{port}/readyz"))[0] == 200

    await until_stored(answers_ready)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await process.communicate()
    assert process.returncode == 0


async def test_wrong_settings_and_a_taken_port_are_named(start: Start):
    process = await start(TIDEGATE_AUTOSCALER_TICK="1")
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"did you mean" in errors
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await start(TIDEGATE_AUTOSCALER_ADMIN_PORT=str(port))
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"cannot serve" in errors
