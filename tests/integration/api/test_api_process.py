"""The API as the supervisor runs it: a process of its own."""

import asyncio
import json
import os
import signal
import socket
import sys

import httpx2
import pytest

from controlplane import accounts


class Process:
    """One `python -m controlplane.api`."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    @classmethod
    async def start(cls, **environ):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "controlplane.api",
            stderr=asyncio.subprocess.PIPE,
            env=kept | {"TIDEGATE_LOG_FORMAT": "json"} | environ,
        )
        return cls(process)

    async def line(self, message):
        """The next log line with this message."""
        async with asyncio.timeout(60):
            while True:
                raw = await self.process.stderr.readline()
                assert raw, self.lines
                self.lines.append(json.loads(raw))
                if self.lines[-1]["message"] == message:
                    return self.lines[-1]

    async def end(self, number=None):
        """Exit status, and what was logged to the end."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            _, rest = await self.process.communicate()
        self.lines += [json.loads(line) for line in rest.splitlines()]
        return self.process.returncode


@pytest.fixture
async def processes():
    started = []
    yield started
    for process in started:
        if process.process.returncode is None:
            process.process.kill()
            await process.process.communicate()


async def test_it_serves_on_a_free_port_and_stops_in_order(store, store_url, processes):
    text = await accounts.ensure_owner(store)
    api = await Process.start(TIDEGATE_STORE_URL=store_url, TIDEGATE_API_PORT="0")
    processes.append(api)
    line = await api.line("listening")
    assert (line["process"], line["level"]) == ("api", "info")
    async with httpx2.AsyncClient(
        base_url=line["url"], headers={"Authorization": f"Bearer {text}"}
    ) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/api/v2/version/")).json()["major"] == 2
        answer = await client.post("/api/v2/artifacts/", json={"name": "a", "spec": {}})
        assert answer.status_code == 201
        assert await api.end(signal.SIGTERM) == 0
    assert api.lines[-1]["message"] == "stopped"
    assert not [entry for entry in api.lines if entry["level"] in {"warning", "error"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_in_order_before_it_is_ready(processes, tmp_path, number):
    gone = f"unix://{tmp_path}/nothing.sock"
    api = await Process.start(TIDEGATE_STORE_URL=gone, TIDEGATE_API_PORT="0")
    processes.append(api)
    await api.line("connecting to the store")
    assert await api.end(number) == 0


async def test_a_taken_port_is_said(processes, store_url):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        api = await Process.start(TIDEGATE_STORE_URL=store_url, TIDEGATE_API_PORT=port)
        processes.append(api)
        assert await api.end() == 1
    (line,) = [entry for entry in api.lines if entry["level"] == "error"]
    assert line["message"] == "cannot listen"
    assert line["address"].endswith(f":{port}")


async def test_a_store_without_url_is_said(processes):
    api = await Process.start(TIDEGATE_API_PORT="0")
    processes.append(api)
    assert await api.end() == 1
    (line,) = [entry for entry in api.lines if entry["level"] == "error"]
    assert line["message"] == "cannot work with the store"
    assert "store.url" in line["error"]


async def test_wrong_settings_are_said_before_anything_starts(processes):
    api = await Process.start(TIDEGATE_API_PROT="1")
    processes.append(api)
    async with asyncio.timeout(60):
        _, rest = await api.process.communicate()
    assert api.process.returncode == 2
    assert b"TIDEGATE_API_PORT" in rest
