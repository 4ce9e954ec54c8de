"""The real application over a real store, and clients of several people."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx2
import pytest

from controlplane import accounts
from controlplane.api.app import create_app
from controlplane.api.services import KINDS, Services
from controlplane.model.kinds import Record
from controlplane.model.people import User
from controlplane.model.sections import ApiSettings, Settings
from controlplane.store.client import Put, Store
from controlplane.store.ids import ObjectIds
from controlplane.store.watch import Mirror
from controlplane.telemetry.intake import Intake
from tests.integration.api.described import check_answer

GATEWAY = "http://gateway.test:8080"
BASE = "http://api.test:8081"

IDS = ObjectIds()


def container(**changes: object) -> dict[str, object]:
    """A primary container that is complete."""
    return {"name": "main", "imageUri": "registry/app:1", "port": 8000} | changes


def artifact_body(**changes: object) -> dict[str, object]:
    """A complete artifact."""
    spec = {"containerGroups": [{"containers": [container()]}]}
    return {"name": "an artifact", "spec": spec} | changes


def runtime_body(**group: object) -> dict[str, object]:
    """A runtime of one group."""
    return {"containerGroups": [group]}


CONCURRENCY = {"scalingMetric": "httpRequestsConcurrency", "target": 10}
ELASTIC = {"policies": [CONCURRENCY], "minReplicaCount": 0, "maxReplicaCount": 5}


@dataclass
class Api:
    """One API process in this process, with what tests need of its inside."""

    services: Services
    owner: httpx2.AsyncClient
    client: Callable[[str | None], httpx2.AsyncClient]
    """A client with another token, or none."""

    @property
    def store(self) -> Store:
        """Its store."""
        return self.services.store

    async def write(self, *records: Record) -> None:
        """What the autoscaler does: records that the API only reads."""
        revision = await self.store.commit([Put(record) for record in records])
        await self.services.mirror.reached(revision, timeout_s=20)

    async def person(
        self, username: str, *, admin: bool = False
    ) -> tuple[User, httpx2.AsyncClient]:
        """Another user, and a client with a token of theirs."""
        user = User(
            id=IDS.new(), username=username, email=f"{username}@test", admin=admin, created_at=1.0
        )
        await self.write(user)
        _, text = await accounts.create_token(self.store, username=username, name="test")
        await self.settle()
        return user, self.client(text)

    async def settle(self) -> None:
        """Wait until the API has seen everything written so far."""
        revision = await self.store.commit([], journal=[("test", b"", 1)])
        await self.services.mirror.reached(revision, timeout_s=20)

    async def workload(self, path: str = "/api/v2/workloads/", **body: object) -> dict[str, object]:
        """A new workload of the owner's."""
        whole = {"name": "a workload", "artifact": artifact_body()} | body
        if "artifactId" in body:
            del whole["artifact"]
        answer = await self.owner.post(path, json=whole)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def artifact(self, *, lock: bool = False, **body: object) -> dict[str, object]:
        """A new artifact of the owner's."""
        answer = await self.owner.post("/api/v2/artifacts/", json=artifact_body(**body))
        assert answer.status_code == 201, answer.text
        if lock:
            path = f"/api/v2/artifacts/{answer.json()['id']}"
            answer = await self.owner.patch(path, json={"status": "locked"})
            assert answer.status_code == 200, answer.text
        return answer.json()


MakeApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def make_api(store: Store) -> AsyncIterator[MakeApi]:
    """Build an API with settings of one's own."""
    opened: list[httpx2.AsyncClient] = []
    mirrors: list[Mirror] = []

    async def make(settings: Settings | None = None, *, intake: Intake | None = None) -> Api:
        text = await accounts.ensure_owner(store)
        if text is None:
            _, text = await accounts.create_token(store, name="another")
        mirror = Mirror(store, KINDS)
        await mirror.start()
        mirrors.append(mirror)
        services = Services(
            store=store,
            mirror=mirror,
            settings=settings or Settings(api=ApiSettings(gateway_url=GATEWAY)),
            intake=intake,
        )
        app = create_app(services)

        def client(token: str | None) -> httpx2.AsyncClient:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            made = httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app, raise_app_exceptions=False),
                base_url=BASE,
                headers=headers,
                event_hooks={"response": [check_answer]},
            )
            opened.append(made)
            return made

        return Api(services=services, owner=client(text), client=client)

    yield make
    await asyncio.gather(*(client.aclose() for client in opened))
    for mirror in mirrors:
        await mirror.stop()


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """An API with default settings."""
    return await make_api()
