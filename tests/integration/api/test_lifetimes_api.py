"""How long things live: workloads on drafts, and what was deleted."""

import asyncio
from datetime import datetime

import pytest

from controlplane.conductor.expiry import Expiry, Purge
from controlplane.conductor.loop import Conductor
from controlplane.conductor.steps import parts
from controlplane.conductor.term import Term
from controlplane.lifecycle.expiry import WARNING_S
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.sections import ApiSettings, Settings
from controlplane.model.workloads import Deployment, Proton, Workload
from tests.integration.api.conftest import GATEWAY, Api

TTL_S = 28_800.0
RETENTION_S = 604_800.0


class Clock:
    """Epoch seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(api: Api) -> Clock:
    made = Clock()
    api.services.clock = made
    return made


@pytest.fixture
async def term(api: Api) -> Term:
    lease = await api.store.acquire("conductor", "test", ttl_s=60)
    return Term(api.services, lease)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def shown(api: Api, workload_id: str) -> dict:
    return (await api.owner.get(f"/api/v2/workloads/{workload_id}")).json()


async def events(api: Api, workload_id: str) -> list[str]:
    answer = await api.owner.get(f"/api/v2/workloads/{workload_id}/events")
    return [event["eventType"] for event in answer.json()["data"]]


async def test_a_draft_has_eight_hours_from_its_creation(api, clock):
    made = await api.workload()
    assert seconds(made["expiresAt"]) == clock.now_s + TTL_S


async def test_a_locked_artifact_gives_no_end(api, clock):
    locked = await api.artifact(lock=True)
    made = await api.workload(artifactId=locked["id"])
    assert made["expiresAt"] is None


async def test_where_drafts_live_for_ever_there_is_no_end(make_api):
    api = await make_api(Settings(api=ApiSettings(gateway_url=GATEWAY, draft_ttl_s=0)))
    assert (await api.workload())["expiresAt"] is None


async def test_every_restart_begins_the_countdown_anew_and_a_stop_does_not(api, clock):
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}"
    clock.now_s += 3600
    await api.owner.post(f"{path}/stop")
    assert (await shown(api, made["id"]))["expiresAt"] == made["expiresAt"]
    clock.now_s += 3600
    await api.owner.post(f"{path}/start")
    started = await shown(api, made["id"])
    assert seconds(started["expiresAt"]) == clock.now_s + TTL_S


@pytest.mark.parametrize("how", ["patch", "promote"])
async def test_locking_ends_the_countdown_however_it_is_done(api, clock, term, how):
    made = await api.workload()
    if how == "patch":
        path = f"/api/v2/artifacts/{made['artifactId']}"
        answer = await api.owner.patch(path, json={"status": "locked"})
    else:
        answer = await api.owner.post(f"/api/v2/workloads/{made['id']}/promote")
    assert answer.is_success
    assert (await shown(api, made["id"]))["expiresAt"] is None
    clock.now_s += 10 * TTL_S
    await Expiry(term).step(clock.now_s)
    assert (await shown(api, made["id"]))["expiresAt"] is None
    assert "Workload Expired" not in await events(api, made["id"])


async def test_the_end_is_announced_once_and_then_the_workload_is_gone(api, clock, term):
    made = await api.workload()
    other = await api.workload()
    await api.owner.post(f"/api/v2/workloads/{other['id']}/promote")
    expiry = Expiry(term)

    clock.now_s += TTL_S - WARNING_S - 1
    await expiry.step(clock.now_s)
    assert await events(api, made["id"]) == ["Workload Created"]

    for _ in range(3):
        clock.now_s += 1
        await expiry.step(clock.now_s)
    assert await events(api, made["id"]) == ["Workload Expiring", "Workload Created"]
    assert (await shown(api, made["id"]))["updatedAt"] == made["updatedAt"]

    clock.now_s += WARNING_S
    await expiry.step(clock.now_s)
    assert (await api.owner.get(f"/api/v2/workloads/{made['id']}")).status_code == 404
    assert await api.store.get(Proton, made["protonId"]) is None
    entries, _ = await api.store.read_journal(f"events:{made['id']}")
    assert b'"Workload Expired"' in entries[0]
    assert (await shown(api, other["id"]))["status"] != "stopped"
    freed = await api.owner.delete(f"/api/v2/artifacts/{made['artifactId']}")
    assert freed.status_code == 204


async def test_a_workload_that_is_started_anew_while_others_end_lives_on(api, clock, term):
    first, second = await api.workload(), await api.workload()
    path = f"/api/v2/workloads/{second['id']}"

    class Interrupted(Term):
        """Somebody restarts the second workload while the first one is removed."""

        async def carry_out(self, plan):
            if plan.subject.id == first["id"]:
                await api.owner.post(f"{path}/stop")
                assert (await api.owner.post(f"{path}/start")).status_code == 202
            return await term.carry_out(plan)

    clock.now_s += TTL_S
    await Expiry(Interrupted(api.services, None)).step(clock.now_s)
    assert (await api.owner.get(f"/api/v2/workloads/{first['id']}")).status_code == 404
    assert seconds((await shown(api, second["id"]))["expiresAt"]) == clock.now_s + TTL_S


async def test_what_was_deleted_stays_for_a_week_and_goes_with_its_journals(api, clock, term):
    made = await api.workload()
    locked = await api.artifact(lock=True)
    wrapped = await api.workload(artifactId=locked["id"])
    deployment = await api.owner.post(
        "/api/v2/deployments", json={"name": "d", "workloadId": wrapped["id"]}
    )
    await api.owner.delete(f"/api/v2/deployments/{deployment.json()['id']}")
    await api.owner.post(f"/api/v2/workloads/{made['id']}/promote")
    await api.owner.delete(f"/api/v2/workloads/{made['id']}")
    draft = await api.artifact()
    home = draft["artifactRepositoryId"]
    await api.owner.delete(f"/api/v2/artifactRepositories/{home}")
    purge = Purge(term)

    clock.now_s += RETENTION_S - 1
    await purge.step(clock.now_s)
    assert await api.store.get(Workload, made["id"]) is not None

    clock.now_s += 1
    await purge.step(clock.now_s)
    await purge.step(clock.now_s)
    for cls, gone in (
        (Workload, made["id"]),
        (Deployment, deployment.json()["id"]),
        (Artifact, draft["id"]),
        (Repository, home),
    ):
        assert await api.store.get(cls, gone) is None
    for journal in ("events", "history"):
        assert await api.store.read_journal(f"{journal}:{made['id']}") == ([], 0)
    assert await api.store.get(Workload, wrapped["id"]) is not None
    assert await api.store.get(Artifact, locked["id"]) is not None
    await purge.step(clock.now_s)


async def test_nothing_is_purged_where_everything_is_kept(make_api):
    settings = Settings(api=ApiSettings(gateway_url=GATEWAY, deleted_retention_s=0))
    api = await make_api(settings)
    made = await api.workload()
    await api.owner.delete(f"/api/v2/workloads/{made['id']}")
    lease = await api.store.acquire("conductor", "test", ttl_s=60)
    await Purge(Term(api.services, lease)).step(1e12)
    assert await api.store.get(Workload, made["id"]) is not None


async def test_the_conductor_removes_what_has_lived_its_time(make_api):
    api = await make_api(Settings(api=ApiSettings(gateway_url=GATEWAY, draft_ttl_s=0.5)))
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}"
    async with Conductor(api.services, parts).running(), asyncio.timeout(60):
        while True:
            if (await api.owner.get(path)).status_code == 404:
                break
            await asyncio.sleep(0.05)
    assert await api.store.get(Proton, made["protonId"]) is None
