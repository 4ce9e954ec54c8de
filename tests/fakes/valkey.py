"""A real embedded Valkey for tests: one server per session, emptied before each test.

store_url   the server's URL, with nothing in it
store       a `Store` connected to it, closed after the test
"""

import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store
from controlplane.store.embedded import EmbeddedValkey


def flush(server: EmbeddedValkey) -> None:
    """Delete everything in the server."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(str(server.socket_path))
        client.sendall(b"FLUSHALL\r\n")
        assert client.recv(64) == b"+OK\r\n"


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedValkey]:
    """The session's server; start one of your own to stop or kill it."""
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as directory:
        server = EmbeddedValkey(Path(directory))
        server.start_blocking()
        yield server
        server.stop_blocking()


@pytest.fixture
def store_url(valkey_server: EmbeddedValkey) -> str:
    """The URL of an empty store."""
    flush(valkey_server)
    return valkey_server.url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store, connected."""
    async with await Store.connect(StoreSettings(url=store_url), client_name="test") as connected:
        yield connected
