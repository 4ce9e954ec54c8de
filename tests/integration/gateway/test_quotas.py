"""Quotas per caller and workload: refused with 429, counted, changed live."""

import asyncio
import json
from pathlib import Path

from controlplane.model.states import AccessRole
from controlplane.model.traffic import Quota, Traffic
from controlplane.store.client import Store
from tests.integration.gateway import records
from tests.integration.gateway.pairs import pair
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async

BOTH = {records.USER_ID: AccessRole.CONSUMER, records.OTHER_USER_ID: AccessRole.CONSUMER}


async def limited(rig: Rig, **quota: int) -> None:
    """Give the workload a quota."""
    wanted = Traffic(quota=Quota(**quota)) if quota else Traffic()
    await rig.commit(records.workload(roles=BOTH, traffic=wanted))


async def test_beyond_the_quota_is_429_with_a_time_to_come_again(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    await limited(rig, requests_per_minute=3)
    client = await rig.client()
    for _ in range(3):
        client.send(request())
        assert (await client.answer()).status == 200
    client.send(request("POST", "/", body=b"x" * 100))
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (429, "quota")
    assert answer.head.first == "HTTP/1.1 429 Too Many Requests"
    assert 50 <= int(answer.get("retry-after") or "") <= 61
    body = json.loads(answer.body)
    assert "3 requests per minute" in body["detail"]
    assert (body["code"], body["requestId"]) == ("quota", answer.get("x-request-id"))
    other = await rig.ask(token=records.OTHER_TOKEN)
    assert other.status == 200, "each caller has a quota of their own"
    load = await rig.counted(started=5, in_flight=0, queued=0, finished={"2xx": 4, "refused": 1})
    assert sum(load.starts_by_minute.values()) == 4, "what is refused needs no replicas"
    assert (await rig.gateway.metrics())["gateway_answers_total{quota}"] == 1


async def test_a_quota_applies_lifts_and_tightens_while_the_gateway_runs(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
    await limited(rig, requests_per_hour=2)
    assert [(await rig.ask()).status for _ in range(3)] == [200, 200, 429]
    await limited(rig, requests_per_hour=3)
    assert [(await rig.ask()).status for _ in range(2)] == [200, 429]
    await limited(rig)
    assert (await rig.ask()).status == 200
    await rig.counted(started=7, finished={"2xx": 5, "refused": 2})


async def test_concurrent_requests_are_waiting_and_running_ones_until_they_end(rig: Rig) -> None:
    await rig.start(limit=1)
    await limited(rig, concurrent_requests=2)
    replica = await rig.replica()
    running = await rig.client()
    running.send(request())
    wire = await replica.accepted()
    await wire.request()
    waiting = await rig.client()
    waiting.send(request())
    await rig.counted(in_flight=1, queued=1)
    refused = await rig.ask()
    assert (refused.status, refused.get("retry-after")) == (429, "1")
    assert "2 concurrent requests" in json.loads(refused.body)["detail"]
    wire.send(OK)
    assert (await running.answer()).status == 200
    again = await rig.client()
    again.send(request())
    await rig.counted(in_flight=1, queued=1)
    waiting.abort()
    again.abort()
    await rig.counted(in_flight=0, queued=0, finished={"2xx": 1, "refused": 1, "aborted": 2})
    late = await rig.client()
    late.send(request())
    await rig.counted(in_flight=1)


async def test_a_tunnel_takes_its_place_for_as_long_as_it_is_open(rig: Rig) -> None:
    await rig.start(half_closed_timeout_s=0.2)
    await limited(rig, concurrent_requests=1)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/", "Connection: Upgrade", "Upgrade: my-protocol"))
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: my-protocol\r\n\r\n")
    assert (await client.head()).status == 101
    assert (await rig.ask()).status == 429
    wire.close()
    await rig.counted(in_flight=0)
    last = await rig.client()
    last.send(request())
    await rig.counted(in_flight=1)


async def test_a_stopped_workload_uses_no_quota_up(rig: Rig) -> None:
    await rig.start()
    await limited(rig, requests_per_minute=1)
    await rig.commit(records.scale(errored=True))
    assert [(await rig.ask()).status for _ in range(3)] == [503] * 3
    await rig.commit(records.scale(errored=False))
    await rig.replica(answering(OK))
    assert [(await rig.ask()).status for _ in range(2)] == [200, 429]


async def test_deployment_and_workload_urls_share_a_quota(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    await rig.commit(records.deployment())
    await limited(rig, requests_per_minute=1)
    client = await rig.client()
    client.send(
        request().replace(
            f"/workloads/{records.WORKLOAD_ID}".encode(),
            f"/deployments/{records.DEPLOYMENT_ID}".encode(),
        )
    )
    assert (await client.answer()).status == 200
    assert (await rig.ask()).status == 429


@uvloop_only
async def test_two_workers_enforce_one_quota(store: Store, store_url: str, tmp_path: Path) -> None:
    """Never less than the quota; more only by what passes before one hears of the other."""
    async with pair(store, store_url, tmp_path) as workers:
        rig = workers.rig
        await rig.replica(answering(OK))
        await workers.both(lambda metrics: metrics["gateway_endpoints{ready}"] == 1)
        await limited(rig, requests_per_minute=30)
        revision = await store.commit([])
        await workers.applied(revision)
        statuses = [(await rig.ask()).status for _ in range(120)]
        assert statuses[:30] == [200] * 30
        assert statuses.count(200) < 60, "as many as if they knew nothing of each other"
        await workers.both(lambda metrics: metrics.get("gateway_answers_total{quota}", 0) > 0)


@uvloop_only
async def test_running_requests_count_in_both_workers(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    async with pair(store, store_url, tmp_path) as workers:
        rig = workers.rig
        await limited(rig, concurrent_requests=3)
        await workers.applied(await store.commit([]))
        held = []
        for _ in range(3):
            held.append(await rig.client())
            held[-1].send(request())

        async def waiting() -> float:
            found = [await worker.metrics() for worker in workers.workers]
            return sum(metrics.get("gateway_requests_queued", 0) for metrics in found)

        async def refused_by_both() -> bool:
            client = await rig.client()
            client.send(request())
            try:
                async with asyncio.timeout(0.5):
                    await client.answer()
            except TimeoutError:  # the workers had not yet heard of each other's
                client.reset()
            found = [await worker.metrics() for worker in workers.workers]
            return all(metrics.get("gateway_answers_total{quota}", 0) > 0 for metrics in found)

        async def three() -> bool:
            return await waiting() == 3

        await until_async(three)
        await until_async(refused_by_both)
        await until_async(three)
        for client in held:
            client.reset()
        await rig.replica(answering(OK))

        async def free() -> bool:
            return (await rig.ask()).status == 200

        await until_async(free)


async def test_counters_add_up_when_quotas_refuse_many_at_once(rig: Rig) -> None:
    await rig.start(limit=2)
    await limited(rig, concurrent_requests=5)
    await rig.replica(answering(OK))
    statuses: list[int] = []

    async def caller(token: str) -> None:
        client = await rig.client()
        for _ in range(20):
            client.send(request(token=token))
            statuses.append((await client.answer()).status)

    tokens = [records.TOKEN, records.OTHER_TOKEN] * 8
    async with asyncio.TaskGroup() as tasks:
        for token in tokens:
            tasks.create_task(caller(token))
    load = await rig.counted(started=320, in_flight=0, queued=0)
    assert set(statuses) <= {200, 429}
    assert load.finished.get("refused", 0) == statuses.count(429)
    assert load.finished["2xx"] == statuses.count(200) > 0
    assert (await rig.ask()).status == 200, "all places were given back"
