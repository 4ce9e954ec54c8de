"""The `mcp` package on both sides: tools, progress, sessions; one replica and two."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.peers.applications import Application
from tests.system.conftest import Up
from tests.system.service import api

DEADLINE_S = 60.0
SESSION = "Mcp-Session-Id"
AFFINITY = {"affinity": {"kind": "header", "name": SESSION}}


@pytest.fixture(scope="module")
def tides(up: Up) -> Iterator[Application]:
    """Two replicas of apps/mcp_server.py; sessions stay where they began."""
    with Application.deployed(up, "mcp_server.py", replicas=2) as application:
        api(up, "PATCH", f"/workloads/{application.workload_id}/", {"traffic": AFFINITY})
        yield application


class Session:
    """One client, and what its HTTP requests said."""

    def __init__(self, client: Client, requests: list[httpx2.Request]) -> None:
        self.client = client
        self.requests = requests

    @property
    def ids(self) -> set[str]:
        """Session ids that the client sent."""
        return {r.headers[SESSION] for r in self.requests if SESSION in r.headers}

    async def call(self, tool: str, **arguments: object) -> Any:
        """What a tool returned."""
        answer = await self.client.call_tool(tool, arguments)
        assert not answer.is_error, answer
        return (answer.structured_content or {})["result"]


@asynccontextmanager
async def connected(tides: Application, mode: str = "legacy") -> AsyncIterator[Session]:
    """An MCP client of the invoke URL. `legacy`: with sessions; `auto`: the newest, without."""
    requests: list[httpx2.Request] = []

    async def note(request: httpx2.Request) -> None:
        requests.append(request)

    async with (
        asyncio.timeout(DEADLINE_S),
        httpx2.AsyncClient(
            headers=tides.headers,
            timeout=DEADLINE_S,
            verify=False,
            event_hooks={"request": [note]},
        ) as http,
        Client(streamable_http_client(f"{tides.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield Session(client, requests)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_tools_and_resources_are_listed_called_and_read(
    tides: Application, mode: str
) -> None:
    async with connected(tides, mode) as session:
        listed = await session.client.list_tools()
        assert {tool.name for tool in listed.tools} >= {"add", "count", "replica"}
        assert await session.call("add", a=40, b=2) == 42
        failed = await session.client.call_tool("refuse", {})
        assert failed.is_error
        assert "Error executing tool refuse" in str(failed.content)
        read = await session.client.read_resource("tide://Cuxhaven")
        assert "High water in Cuxhaven. " * 10_000 in str(read.contents[0])


async def test_progress_arrives_before_the_next_step_is_made(tides: Application) -> None:
    heard: list[float] = []
    async with connected(tides) as session:

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)
            # Nothing is reported before this. It must come to the replica that is counting.
            if progress < 4:
                await session.call("let_through", gate="progress")

        answer = await session.client.call_tool(
            "count", {"steps": 4, "gate": "progress"}, progress_callback=on_progress
        )
    assert heard == [1, 2, 3, 4]
    assert answer.structured_content == {"result": "4 steps"}


async def test_a_session_stays_with_the_replica_that_began_it(tides: Application) -> None:
    seen: set[int] = set()
    for _ in range(12):
        async with connected(tides) as session:
            homes = {await session.call("replica") for _ in range(10)}
            assert len(homes) == 1
            assert len(session.ids) == 1
            seen |= homes
    # By chance all twelve would be at one of two replicas once in two thousand times; the gateway
    # prefers the one with less to do.
    assert len(seen) == 2


async def test_many_sessions_at_once_keep_to_themselves(tides: Application) -> None:
    async def one(number: int) -> None:
        async with connected(tides) as session:
            home = await session.call("replica")
            assert await session.call("add", a=number, b=1) == number + 1
            assert await session.call("replica") == home

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(one(number))


async def test_a_session_that_ended_is_unknown_to_its_server(tides: Application) -> None:
    async with connected(tides) as session:
        await session.call("add", a=1, b=1)
        [session_id] = session.ids
    assert "DELETE" in {request.method for request in session.requests}
    async with httpx2.AsyncClient(headers=tides.headers, verify=False) as http:
        answer = await http.post(
            f"{tides.url}/mcp",
            headers={SESSION: session_id, "Accept": "application/json, text/event-stream"},
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        )
    assert answer.status_code == 404
    assert "X-Tidegate-Error" not in answer.headers


async def test_a_call_that_its_client_gives_up_ends_at_the_server(tides: Application) -> None:
    started = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        started.set()

    async with connected(tides) as session:
        counting = asyncio.create_task(
            session.client.call_tool(
                "count", {"steps": 2, "gate": "given-up"}, progress_callback=on_progress
            )
        )
        await started.wait()
        counting.cancel()
        assert await session.call("ended", gate="given-up") == "ended"


async def test_without_a_token_there_is_no_session(tides: Application) -> None:
    async with httpx2.AsyncClient(verify=False) as http:
        transport = streamable_http_client(f"{tides.url}/mcp", http_client=http)
        with pytest.RaisesGroup(MCPError, flatten_subgroups=True):
            await Client(transport, mode="legacy").__aenter__()
