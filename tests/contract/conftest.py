"""The store's contract, against every server it may meet, on both event loops.

server   the private Valkey of `tidegate up`, and the distribution's redis-server
loop     asyncio's own, and uvloop (the gateway's)
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store
from controlplane.store.embedded import EmbeddedValkey
from tests.fakes.tools import require_tool
from tests.fakes.valkey import flush


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test of this package on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", params=["embedded-valkey", "redis-server"])
def server_binary(request: pytest.FixtureRequest) -> Path | None:
    """The server's binary; None: the embedded one."""
    if request.param == "embedded-valkey":
        return None
    return require_tool("redis-server", "apt-get install redis-server")


@pytest.fixture(scope="session")
def server(server_binary: Path | None) -> Iterator[EmbeddedValkey]:
    """One server per kind for the whole session."""
    with tempfile.TemporaryDirectory(prefix="tidegate-contract-") as directory:
        server = EmbeddedValkey(Path(directory), binary=server_binary)
        server.start_blocking()
        yield server
        server.stop_blocking()


@pytest.fixture
async def own_server(server_binary: Path | None, tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A server that the test may stop and kill."""
    server = EmbeddedValkey(tmp_path, binary=server_binary)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def settings(server: EmbeddedValkey) -> StoreSettings:
    """Settings of an empty store."""
    flush(server)
    return StoreSettings(url=server.url)


@pytest.fixture
async def store(settings: StoreSettings) -> AsyncIterator[Store]:
    """A client of an empty store."""
    async with await Store.connect(settings, client_name="first") as connected:
        yield connected


@pytest.fixture
async def second(settings: StoreSettings) -> AsyncIterator[Store]:
    """Another process's client of the same store."""
    async with await Store.connect(settings, client_name="second") as connected:
        yield connected
