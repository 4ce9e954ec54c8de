"""The product's truth: what is counted, and that it always adds up."""

import asyncio
import time
from contextlib import aclosing

import pytest

from controlplane.model.people import Token, User
from controlplane.model.sections import GatewaySettings
from controlplane.store.client import Put, Store
from controlplane.store.watch import Mirror
from gateway.net.access_log import AccessLog
from gateway.net.routes import KINDS, Routes
from gateway.net.worker import Worker
from tests.fakes.waiting import DEADLINE_S
from tests.integration.gateway import records
from tests.integration.gateway.records import PROTON_ID
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK
from tests.integration.gateway.waiting import until_async


async def test_load_seconds_are_the_integral_of_queued_and_in_flight(rig: Rig) -> None:
    await rig.start()
    at_least_s = at_most_s = queued_at_most_s = 0.0
    clients = []
    before_s = time.monotonic()
    for _ in range(3):
        client = await rig.client()
        client.send(request())
        clients.append(client)
    await rig.counted(queued=3)
    queued_from_s = time.monotonic()
    await asyncio.sleep(0.15)
    queued_at_least_s = 3 * (time.monotonic() - queued_from_s)
    replica = await rig.replica()
    wires = [await replica.accepted() for _ in range(3)]
    for wire in wires:
        await wire.request()
    queued_at_most_s = 3 * (time.monotonic() - before_s)
    await asyncio.sleep(0.15)
    at_least_s = 3 * (time.monotonic() - queued_from_s)
    for wire in wires:
        wire.send(OK)
    for client in clients:
        await client.answer()
    at_most_s = 3 * (time.monotonic() - before_s)
    load = await rig.counted(finished={"2xx": 3})
    assert at_least_s <= load.load_seconds <= at_most_s
    assert queued_at_least_s <= load.queued_seconds <= queued_at_most_s
    again = await rig.counted(finished={"2xx": 3})
    assert again.load_seconds == load.load_seconds, "no load, no seconds"


async def test_load_seconds_grow_while_a_request_is_open(rig: Rig) -> None:
    await rig.start(report_interval_s=0.02)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    await (await replica.accepted()).request()
    await rig.counted(in_flight=1)
    first = await rig.report()
    second = first

    async def later() -> bool:
        nonlocal second
        second = await rig.report()
        return second.clock_s >= first.clock_s + 0.2

    await until_async(later)
    grown_s = second.protons[PROTON_ID].load_seconds - first.protons[PROTON_ID].load_seconds
    assert grown_s == pytest.approx(second.clock_s - first.clock_s)


async def test_starts_are_counted_by_minute_of_their_arrival(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    first_minute = int(time.time()) // 60
    client = await rig.client()
    client.send(request() * 3)
    await (await replica.accepted()).request()
    load = await rig.counted(started=1, in_flight=1)
    assert sum(load.starts_by_minute.values()) == 1, "counted though it is not finished"
    wire = replica.wires[0]
    for _ in range(2):
        wire.send(OK)
        await wire.request()
    load = await rig.counted(started=3)
    minutes = set(range(first_minute, int(time.time()) // 60 + 1))
    assert set(load.starts_by_minute) <= minutes
    assert sum(load.starts_by_minute.values()) == 3

    async def kept() -> bool:
        return await rig.store.hourly_starts(PROTON_ID, now_s=time.time()) == 3

    await until_async(kept)


@pytest.mark.parametrize("spoilt", ["reports", "numbers"])
async def test_wake_ups_are_sent_though_reports_cannot_be_written(rig: Rig, spoilt: str) -> None:
    await rig.store.link.call("SET", rig.store.keys[spoilt], "what a person wrote")
    await rig.start(report_interval_s=0.05)
    client = await rig.client()
    client.send(request())
    async with aclosing(rig.store.wakes()) as wakes, asyncio.timeout(DEADLINE_S):
        assert await anext(wakes) == PROTON_ID


async def test_refusals_before_a_proton_is_known_are_not_its_load(rig: Rig) -> None:
    gateway = await rig.start()
    await rig.ask(token="wrong")
    await rig.ask(workload="nobodys")
    await rig.ask(token=records.OTHER_TOKEN)
    assert not (await rig.report()).protons
    metrics = await gateway.metrics()
    for code in ("unauthenticated", "no_route", "forbidden"):
        assert metrics[f"gateway_answers_total{{{code}}}"] == 1


async def test_the_cache_of_identities_stays_bounded(store: Store) -> None:
    people = [records.user(f"65f00000000000000001{n:04x}") for n in range(200)]
    tokens = [
        records.token(f"token-{n}", token_id=f"65f00000000000000002{n:04x}", user_id=person.id)
        for n, person in enumerate(people)
    ]
    await store.commit([Put(record) for record in (*people, *tokens)])
    mirror = Mirror(store, KINDS)
    await mirror.start()
    worker = Worker(GatewaySettings(), worker_id="w", access_log=AccessLog("off"))
    routes = Routes(worker, mirror)
    routes.load()
    try:
        for blanks in range(1, 80):
            for n, person in enumerate(people):
                credential = b"Bearer" + b" " * blanks + b"token-%d" % n
                found = routes.callers.authenticate(credential)
                assert found is not None
                assert found.user_id == person.id
                assert routes.callers.authenticate(credential + b"x") is None
        assert 0 < len(routes.callers._credentials) <= 10_000
        for n in range(100):
            assert routes.callers.authenticate(b"Bearer token-1" + b" " * (60_000 + n)) is not None
        assert sum(map(len, routes.callers._credentials)) < 10_000 * 256
        await mirror.reached(await store.delete(Token, tokens[0].id))
        assert routes.callers.authenticate(b"Bearer token-0") is None
        await mirror.reached(await store.delete(User, people[1].id))
        assert routes.callers.authenticate(b"Bearer token-1") is None
        assert routes.callers.authenticate(b"Bearer token-2") is not None
    finally:
        await mirror.stop()
