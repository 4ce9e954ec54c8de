"""The sample service as a client sees it."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect

from tests.fakes.waiting import DEADLINE_S

HOST = "127.0.0.1"


@dataclass
class Running:
    process: asyncio.subprocess.Process
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def exchange(self, *sent: bytes) -> bytes:
        """All that comes back on one connection until it ends."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def sample(**settings: str) -> AsyncIterator[Running]:
    """The service on a free port, listening."""
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "controlplane.demo.service"),
        env={"PATH": os.environ["PATH"], "PORT": str(port), **settings},
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
    assert line.startswith(b"sample: listening on")
    yield Running(process, port)
    if process.returncode is None:
        process.terminate()
    assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
    await process.stdout.read()


async def test_json_echo_statuses_and_bytes():
    async with sample(SAMPLE_SERVICE_S="0") as service, httpx2.AsyncClient() as client:
        about = (await client.get(service.url)).json()
        assert about["pid"] == service.process.pid
        answer = await client.post(f"{service.url}/predict", content=b"x" * 100_000)
        assert answer.json()["input_bytes"] == 100_000
        echoed = (await client.put(f"{service.url}/echo?a=%20b", content=b"abc")).json()
        assert (echoed["method"], echoed["path"], echoed["body_bytes"]) == ("PUT", "/echo", 3)
        assert echoed["target"] == "/echo?a=%20b"
        assert ["host", f"{HOST}:{service.port}"] in [[k.lower(), v] for k, v in echoed["headers"]]
        for status in [204, 304, 404, 418, 500, 599]:
            assert (await client.get(f"{service.url}/status/{status}")).status_code == status
        assert len((await client.get(f"{service.url}/bytes/1000000")).content) == 1_000_000
        assert (await client.get(f"{service.url}/nowhere")).status_code == 404
        head = await client.head(f"{service.url}/bytes/10")
        assert (head.headers["content-length"], head.content) == ("10", b"")


async def test_readiness_follows_the_start_up_time():
    async with sample(SAMPLE_STARTUP_S="0.3") as service, httpx2.AsyncClient() as client:
        statuses = []
        while not statuses or statuses[-1] != 200:
            statuses.append((await client.get(f"{service.url}/healthz")).status_code)
            await asyncio.sleep(0.02)
        assert set(statuses) <= {200, 503}
        assert (await client.get(service.url)).status_code == 200


async def test_tokens_come_one_by_one():
    async with sample(SAMPLE_TOKEN_S="0.1") as service, httpx2.AsyncClient() as client:
        async with client.stream("GET", f"{service.url}/stream?tokens=3") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            pieces = [piece async for piece in answer.aiter_raw()]
        events = b"".join(pieces).split(b"\n\n")
        assert [json.loads(event[6:])["index"] for event in events[:3]] == [0, 1, 2]
        assert events[3:] == [b"data: [DONE]", b""]
        assert len(pieces) >= 3


async def test_http_1_0_gets_a_stream_that_ends_with_the_connection():
    async with sample(SAMPLE_TOKEN_S="0") as service:
        answer = await service.exchange(b"GET /stream?tokens=1 HTTP/1.0\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body.startswith(b"data: {")


async def test_pipelined_requests_are_answered_in_order():
    async with sample(SAMPLE_SERVICE_S="0.05") as service:
        answer = await service.exchange(
            b"GET /predict HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /status/418 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.index(b"prediction") < answer.index(b"418")


async def test_what_expects_to_continue_may():
    async with sample(SAMPLE_SERVICE_S="0") as service:
        answer = await service.exchange(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"
            b"Connection: close\r\n\r\n",
            b"x",
        )
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_what_is_not_http_is_refused():
    async with sample() as service:
        assert (await service.exchange(b"\x00\x01\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_a_websocket_echoes():
    async with sample() as service, connect(f"ws://{HOST}:{service.port}/ws") as websocket:
        await websocket.send("hello")
        assert await websocket.recv() == "hello"
        await websocket.send(b"x" * 70_000)
        assert await websocket.recv() == b"x" * 70_000
        await (await websocket.ping())


async def test_another_upgrade_is_a_tunnel_of_bytes():
    async with sample() as service:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhi"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(2) == b"hi"
        writer.close()
        await writer.wait_closed()


async def test_an_upgrade_that_nobody_offers_is_ignored():
    async with sample() as service:
        answer = await service.exchange(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_beyond_its_concurrency_work_queues_inside():
    settings = {"SAMPLE_CONCURRENCY": "1", "SAMPLE_SERVICE_S": "0.1"}
    async with sample(**settings) as service, httpx2.AsyncClient(timeout=DEADLINE_S) as client:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        answers = await asyncio.gather(*(client.get(f"{service.url}/predict") for _ in range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4
        assert loop.time() - began_s >= 0.4
        vanished = await asyncio.gather(
            *(client.get(f"{service.url}/predict", timeout=0.15) for _ in range(4)),
            return_exceptions=True,
        )
        assert any(isinstance(answer, httpx2.TimeoutException) for answer in vanished)
        assert (await client.get(f"{service.url}/predict")).status_code == 200


async def test_sigterm_finishes_what_runs_and_takes_nothing_new():
    async with sample(SAMPLE_TOKEN_S="0.05") as service:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        idle_reader, idle_writer = await asyncio.open_connection(HOST, service.port)
        writer.write(b"GET /stream?tokens=10 HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        async with connect(f"ws://{HOST}:{service.port}/ws") as websocket:
            service.process.send_signal(signal.SIGTERM)
            await websocket.wait_closed()
            assert websocket.close_code == 1001
        assert await idle_reader.read() == b""
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection(HOST, service.port)
        assert (await reader.read()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        for stream in [writer, idle_writer]:
            stream.close()
            await stream.wait_closed()
        assert await asyncio.wait_for(service.process.wait(), DEADLINE_S) == 0


async def test_it_crashes_when_told_to():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "controlplane.demo.service"),
        env={"SAMPLE_CRASH": "7"},
        cwd=Path(__file__).parents[3],
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 7
    assert b"exit code 7" in errors
