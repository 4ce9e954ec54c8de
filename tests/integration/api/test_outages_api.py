import asyncio
import contextlib
import tempfile
from pathlib import Path

import httpx2
import pytest

from controlplane import accounts
from controlplane.api.app import create_app
from controlplane.api.services import KINDS, Services
from controlplane.model.sections import Settings, StoreSettings
from controlplane.store.client import Store
from controlplane.store.embedded import EmbeddedValkey
from controlplane.store.watch import Mirror
from tests.integration.api.conftest import artifact_body


@contextlib.asynccontextmanager
async def own_api(url, **settings):
    """An API whose store is not the session's, and quick to give up on it."""
    data_dir = Path(tempfile.gettempdir()) if settings else None
    async with await Store.connect(
        StoreSettings(url=url, **settings),
        client_name="test",
        data_dir=data_dir,
        call_timeout_s=1.0,
    ) as store:
        mirror = Mirror(store, KINDS)
        await mirror.start()
        app = create_app(Services(store=store, mirror=mirror, settings=Settings()))
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://api.test"
        ) as client:
            yield client
        await mirror.stop()


async def eventually(client, path, status):
    async with asyncio.timeout(30):
        while (await client.get(path)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.fixture
async def valkey(tmp_path):
    server = EmbeddedValkey(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def test_without_the_store_writes_are_503_and_reads_go_on(valkey):
    async with await Store.connect(StoreSettings(url=valkey.url), client_name="t") as store:
        text = await accounts.ensure_owner(store)
    async with own_api(valkey.url) as client:
        client.headers["Authorization"] = f"Bearer {text}"
        body = {"name": "w", "artifact": artifact_body()}
        workload = (await client.post("/api/v2/workloads", json=body)).json()
        one = f"/api/v2/workloads/{workload['id']}"
        await valkey.stop()

        for verb, path, sent in (
            ("POST", "/api/v2/workloads", body),
            ("PATCH", one, {"name": "x"}),
            ("POST", f"{one}/stop", None),
            ("DELETE", one, None),
            ("GET", f"{one}/events", None),
        ):
            answer = await client.request(verb, path, json=sent)
            assert answer.status_code == 503, (verb, path)
            assert answer.json()["detail"].startswith("The store is not available")
            assert answer.headers["Retry-After"]
        assert (await client.get(one)).json()["name"] == "w"
        await eventually(client, "/readyz", 503)
        assert (await client.get("/livez")).status_code == 200
        assert "api_store_up 0.0" in (await client.get("/metrics")).text

        await valkey.start()
        await eventually(client, "/readyz", 200)
        await eventually(client, f"{one}/events", 200)
        assert (await client.patch(one, json={"name": "x"})).status_code == 200
        assert (await client.get(one)).json()["name"] == "x"


async def test_a_full_disk_is_503_with_the_reason(store_url, store):
    text = await accounts.ensure_owner(store)
    async with own_api(store_url, min_free_bytes=2**62) as client:
        client.headers["Authorization"] = f"Bearer {text}"
        answer = await client.post("/api/v2/artifacts", json=artifact_body())
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("The store is full")
        assert (await client.get("/api/v2/artifacts")).json()["totalCount"] == 0


async def test_a_fault_of_ours_is_500_with_the_requests_id(make_api, caplog):
    api = await make_api()

    def broken() -> float:
        raise RuntimeError("a bug")

    api.services.clock = broken
    answer = await api.owner.post(
        "/api/v2/artifacts", json=artifact_body(), headers={"X-Request-Id": "r-1"}
    )
    assert answer.status_code == 500
    assert "r-1" in answer.json()["detail"]
    assert answer.headers["X-Request-Id"] == "r-1"
