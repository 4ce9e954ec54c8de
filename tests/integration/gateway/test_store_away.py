"""The store dies and comes back: requests go on, and nothing is lost of what was counted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store
from controlplane.store.embedded import EmbeddedValkey
from tests.integration.gateway import records
from tests.integration.gateway.gateways import no_errors
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A store that may be killed."""
    server = EmbeddedValkey(tmp_path / "data")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def away(server: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Rig]:
    """A rig over that store."""
    async with await Store.connect(StoreSettings(url=server.url), client_name="test") as store:
        with no_errors():
            rig = Rig(store, server.url, tmp_path)
            yield rig
            await rig.close()


async def test_requests_go_on_without_the_store_and_are_reported_when_it_is_back(
    away: Rig, server: EmbeddedValkey
) -> None:
    gateway = await away.start(report_interval_s=0.05)
    await away.replica(answering(OK))
    assert (await away.ask()).status == 200
    server.kill()

    async def disconnected() -> bool:
        return (await gateway.metrics())["gateway_store_connected"] == 0

    await until_async(disconnected)
    for _ in range(20):
        assert (await away.ask()).status == 200
    assert (await away.ask(token="wrong")).status == 401
    assert (await gateway.admin("/readyz"))[0] == 200, "it serves from the routes it has"
    assert (await gateway.metrics())["gateway_requests_started_total"] == 21
    await server.start()
    await away.counted(started=21, in_flight=0, finished={"2xx": 21})
    await away.commit(records.workload(roles={}))
    assert (await away.ask()).status == 403, "changes are followed again"


async def test_a_request_that_waits_is_announced_when_the_store_is_back(
    away: Rig, server: EmbeddedValkey
) -> None:
    gateway = await away.start(report_interval_s=0.05)
    server.kill()

    async def disconnected() -> bool:
        return (await gateway.metrics())["gateway_store_connected"] == 0

    await until_async(disconnected)
    client = await away.client()
    client.send(request())
    await server.start()
    wakes = away.store.wakes()
    assert await anext(wakes) == records.PROTON_ID
    await wakes.aclose()  # type: ignore[attr-defined]
    await away.counted(queued=1)
    await away.replica(answering(OK))
    assert (await client.answer()).body == b"ok"


@uvloop_only
async def test_a_worker_ends_in_order_without_the_store(away: Rig, server: EmbeddedValkey) -> None:
    gateway = await away.start_child()
    await away.replica(answering(OK))
    assert (await away.ask()).status == 200
    server.kill()
    gateway.process.terminate()
    assert await gateway.exit_code() == 0
