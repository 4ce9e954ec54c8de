"""The rig of the gateway's integration tests; asynchronous ones run on both event loops."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from controlplane.store.client import Store
from tests.integration.gateway.gateways import no_errors
from tests.integration.gateway.rig import Rig


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop is what runs in production; asyncio differs in closing and half-closing."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture
async def rig(store: Store, store_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Nothing is started yet: `await rig.start()`."""
    random.seed(1)  # a gateway in this process draws from it: the same in every run
    with no_errors():
        rig = Rig(store, store_url, tmp_path)
        yield rig
        await rig.close()
