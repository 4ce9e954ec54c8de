"""Replacing what runs, under load: no request fails."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.asyncio.client import connect

from tests.system.conftest import Up, installation, run_cli, wait_until
from tests.system.service import api, client, deploy, ready_count, steady, tally, wait_state

SETTINGS = ["autoscaler.tick_s=0.2", "gateway.report_interval_s=0.1"]
QUICK = {"SAMPLE_SERVICE_S": "0.02"}
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def running(up: Up, name: str, *, count: int) -> str:
    workload_id = deploy(up, name, group={"replicaCount": count}, **QUICK)
    wait_state(up, workload_id, "running")
    wait_until(lambda: ready_count(up, workload_id) == count, what=f"{count} replicas")
    return workload_id


def gateways(up: Up) -> dict[str, int]:
    return {name: pid for name, pid in up.pids.items() if name.startswith("gateway")}


class Crowd:
    """Clients of every kind, until they are told to end; `failures` must stay empty."""

    def __init__(self, up: Up, workload_id: str) -> None:
        parts = urlsplit(up.gateway_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._path = f"/api/v2/endpoints/workloads/{workload_id}"
        self._token = up.token
        self.failures: list[str] = []
        self.answered = 0
        self.echoed = 0
        self.tokens = 0
        self.streamed_at = 0.0
        self.over = asyncio.Event()

    def _request(self, path: str, *lines: str, method: str = "POST") -> bytes:
        head = [f"{method} {self._path}{path} HTTP/1.1", f"Host: {self._host}"]
        head += [f"Authorization: Bearer {self._token}", "Content-Length: 0", *lines]
        return "\r\n".join([*head, "", ""]).encode()

    async def new_connections(self) -> None:
        """A connection per request."""
        while not self.over.is_set():
            await self._one("a connection per request")

    async def pausing(self, pause_s: float) -> None:
        """A kept connection with pauses, a new one only when the gateway said so."""
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self.over.is_set():
            kept = await self._one(f"kept, with pauses of {pause_s} s", kept, keep=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), pause_s)
        if kept is not None:
            kept[1].close()

    async def _one(
        self,
        who: str,
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None,
        *,
        keep: bool = False,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = kept or await asyncio.open_connection(self._host, self._port)
                writer.write(self._request("/predict", *([] if keep else ["Connection: close"])))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as exc:
            self.failures.append(f"{who}: {exc!r}, {'kept' if kept else 'new'}")
            return None
        if not head.startswith(b"HTTP/1.1 200 "):
            self.failures.append(f"{who}: {head!r}")
        self.answered += 1
        if not keep or b"connection: close" in head.lower():
            writer.close()
            return None
        return reader, writer

    async def websocket(self) -> None:
        """One WebSocket, in use all the time."""
        async with connect(
            f"ws://{self._host}:{self._port}{self._path}/ws",
            additional_headers={"Authorization": f"Bearer {self._token}"},
            proxy=None,
        ) as socket:
            while not self.over.is_set():
                await socket.send(f"message {self.echoed}")
                if await socket.recv() != f"message {self.echoed}":
                    self.failures.append("websocket: another echo")
                self.echoed += 1
                await asyncio.sleep(0.02)

    async def stream(self, count: int) -> None:
        """Server-sent events, to their end."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(self._request(f"/stream?tokens={count}", "Connection: close", method="GET"))
        async with asyncio.timeout(DEADLINE_S):
            async for line in reader:
                self.tokens += line.startswith(b"data: ")
                if line == b"0\r\n":
                    break
            else:
                self.failures.append("stream: cut")
        self.streamed_at = time.monotonic()
        writer.close()


async def crowded(up: Up, workload_id: str, act: Callable[[], None], *, tokens: int) -> Crowd:
    """Do something while the crowd is busy; look at the WebSocket and the stream afterwards."""
    crowd = Crowd(up, workload_id)
    async with client(up, workload_id) as keep_alive, asyncio.TaskGroup() as tasks:
        stream = tasks.create_task(crowd.stream(tokens))
        tasks.create_task(crowd.websocket())
        tasks.create_task(crowd.new_connections())
        for pause_s in (0.05, 0.25, 0.25, 0.5):
            tasks.create_task(crowd.pausing(pause_s))
        outcomes = await steady(keep_alive, act, method="POST", per_s=60.0, after_s=1.0)
        echoed = crowd.echoed
        async with asyncio.timeout(DEADLINE_S):
            while crowd.echoed < echoed + 10:  # noqa: ASYNC110 - a counter tells no event
                await asyncio.sleep(0.02)
        await stream
        crowd.over.set()
    assert set(tally(outcomes)) == {"200"}, tally(outcomes)
    assert crowd.failures == []
    assert crowd.tokens >= tokens
    return crowd


def test_rolling_the_gateway_loses_no_request(up: Up) -> None:
    workload_id = running(up, "rolled", count=2)
    before = gateways(up)

    rolled_at = []

    def act() -> None:
        time.sleep(0.5)
        for _ in range(2):
            up.cli("roll")
            rolled_at.append(time.monotonic())

    crowd = asyncio.run(crowded(up, workload_id, act, tokens=500))
    assert crowd.answered > 50
    assert crowd.streamed_at > rolled_at[0], "it lived through the first roll at least"
    assert up.count("replaced") == 4
    wait_until(lambda: set(gateways(up)) == set(before), what="the old workers have finished")
    assert not set(before.values()) & set(gateways(up).values())
    assert up.count("died") == 0


def test_replacing_replicas_loses_no_request(up: Up) -> None:
    workload_id = running(up, "replaced", count=3)

    def scale(count: int) -> None:
        runtime = {"containerGroups": [{"replicaCount": count}]}
        api(up, "PATCH", f"/workloads/{workload_id}/settings", {"runtime": runtime}, code=202)
        wait_until(lambda: ready_count(up, workload_id) == count, what=f"{count} replicas")

    def act() -> None:
        for count in (1, 3, 1, 3):
            scale(count)
            time.sleep(0.3)

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally(await steady(caller, act, method="POST", per_s=100.0)))

    assert asyncio.run(run()) == {"200"}


def test_a_gateway_worker_that_is_told_to_end_is_replaced_without_a_lost_request(up: Up) -> None:
    workload_id = running(up, "left", count=1)
    pid = gateways(up)["gateway-0"]

    def act() -> None:
        up.kill("gateway-0", signal.SIGTERM)
        wait_until(lambda: gateways(up).get("gateway-0", pid) != pid, what="a successor")
        wait_until(lambda: not psutil.pid_exists(pid), what="its end")

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally(await steady(caller, act, method="POST", per_s=60.0)))

    assert asyncio.run(run()) == {"200"}


def test_the_command_says_what_went_wrong(up: Up) -> None:
    nowhere = run_cli("roll", "--data-dir", str(up.data_dir / "elsewhere"))
    assert nowhere.returncode == 1
    assert "no `tidegate up` is ready" in nowhere.stderr
