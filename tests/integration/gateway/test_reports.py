"""The product's truth: what is counted, and that it always adds up."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from controlplane.model.people import Token, User
from controlplane.model.reports import LoadReport
from controlplane.model.sections import GatewaySettings
from controlplane.model.states import ReplicaPhase
from controlplane.store.client import Put, Store
from controlplane.store.watch import Mirror
from gateway.net.access_log import AccessLog
from gateway.net.routes import KINDS, Routes
from gateway.net.worker import Worker
from tests.integration.gateway import records
from tests.integration.gateway.records import PROTON_ID, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request, until_async
from tests.integration.gateway.scripted import OK, SWITCHED, ScriptedReplica, answering
from tests.integration.gateway.wire import Wire


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
                found = routes.authenticate(credential)
                assert found is not None
                assert found.user_id == person.id
                assert routes.authenticate(credential + b"x") is None
        assert 0 < len(routes._credentials) <= 10_000
        for n in range(100):
            assert routes.authenticate(b"Bearer token-1" + b" " * (60_000 + n)) is not None
        assert sum(map(len, routes._credentials)) < 10_000 * 256
        await mirror.reached(await store.delete(Token, tokens[0].id))
        assert routes.authenticate(b"Bearer token-0") is None
        await mirror.reached(await store.delete(User, people[1].id))
        assert routes.authenticate(b"Bearer token-1") is None
        assert routes.authenticate(b"Bearer token-2") is not None
    finally:
        await mirror.stop()


# ---- chaos: everything at random, and it must still add up

REQUESTS = 2500
CLIENTS = 40


class Chaos:
    """Random clients, random replicas, and the numbers that must come out."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.random = random.Random(seed)
        self.replicas: list[ScriptedReplica] = []
        self.left = REQUESTS
        self.sent = 0
        """Requests whose head was written whole."""
        self.answered = 0
        self.answered_2xx = 0

    # replicas

    async def serve(self, wire: Wire) -> None:
        pick = self.random.random
        while True:
            message = await wire.request()
            if pick() < 0.2:
                await asyncio.sleep(pick() * 0.02)
            if message.get("upgrade"):
                wire.send(SWITCHED)
                while data := await wire.reader.read(100):
                    wire.send(data)
                return
            fate = pick()
            if fate < 0.55:
                body = b"" if message.head.method == "HEAD" else b"ok"
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", body)
            elif fate < 0.7:
                wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                if message.head.method != "HEAD":
                    for _ in range(3):
                        wire.send(b"2\r\nhi\r\n")
                        await asyncio.sleep(0)
                    wire.send(b"0\r\n\r\n")
            elif fate < 0.76:
                wire.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            elif fate < 0.82:
                wire.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
                await wire.flush()
                return
            elif fate < 0.88:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut")
                await wire.flush()
                return
            elif fate < 0.92:
                wire.reset()
                return
            elif fate < 0.95:
                wire.send(b"nonsense\r\n\r\n")
            elif fate < 0.98:
                wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
            else:
                return

    async def come_and_go(self) -> None:
        pick = self.random
        while True:
            await asyncio.sleep(pick.random() * 0.04)
            fate = pick.random()
            if len(self.replicas) < 2 or (fate < 0.3 and len(self.replicas) < 6):
                self.replicas.append(await self.rig.replica(self.serve))
                continue
            if len(self.replicas) == 2 and fate < 0.9:
                continue
            if fate < 0.1:
                await self.rig.commit(records.scale(errored=True))
                await self.rig.commit(records.scale(errored=False))
                continue
            victim = pick.choice(self.replicas)
            self.replicas.remove(victim)
            if fate < 0.6:
                await self.rig.phase(victim, ReplicaPhase.DRAINING)
                await asyncio.sleep(0.01)
            else:
                victim.die()
                await asyncio.sleep(0.01)
            await self.rig.gone(victim)
            victim.die()

    # clients

    async def call(self) -> None:
        pick = self.random
        while self.left > 0:
            client = await self.rig.client()
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                for _ in range(pick.randint(1, 8)):
                    if not await self.one(client):
                        break
            client.reset() if pick.random() < 0.5 else client.close()

    async def one(self, client: Wire) -> bool:
        """One request, or a few; False: the connection is not to be used any more."""
        pick = self.random
        method = pick.choice(["GET", "GET", "HEAD", "POST", "PUT", "DELETE"])
        fate = pick.random()
        count = pick.randint(2, 4) if fate < 0.1 else 1
        self.left -= count
        if fate > 0.96:
            client.send(request(method)[: pick.randint(1, 100)])
            await client.flush()
            return False
        self.sent += count
        if fate > 0.92:
            client.send(request(method, "/", "Content-Length: 100"), b"only some of it")
            await client.flush()
            return False
        if fate > 0.89:
            await self.tunnel(client)
            return False
        for _ in range(count):
            client.send(request(method, "/", body=b"" if method in {"GET", "HEAD"} else b"body"))
        await client.flush()
        if fate > 0.8:
            await asyncio.sleep(pick.random() * 0.01)
            return False
        for _ in range(count):
            answer = await client.answer(method)
            self.answered += 1
            if 200 <= answer.status < 300:
                self.answered_2xx += 1
            if answer.get("connection") == "close":
                return False
        return True

    async def tunnel(self, client: Wire) -> None:
        client.send(request("GET", "/", "Connection: Upgrade", "Upgrade: my-protocol"))
        if (await client.head()).status == 101:
            client.send(b"echo")
            assert await client.exactly(4) == b"echo"
            if self.random.random() < 0.5:
                client.half_close()
                await client.to_end()


class Watcher:
    """Looks at every report that it can catch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seen = 0
        self._last: LoadReport | None = None

    async def watch(self) -> None:
        while True:
            for report in await self._store.collect_reports():
                self.check(report)
            await asyncio.sleep(0.004)

    def check(self, report: LoadReport) -> None:
        last, self._last = self._last, report
        if last is not None and last.sent_at == report.sent_at:
            return
        load = report.protons.get(PROTON_ID)
        if load is None:
            return
        self.seen += 1
        assert load.started == sum(load.finished.values()) + load.in_flight + load.queued
        assert min(load.in_flight, load.queued) >= 0
        assert all(count > 0 for count in report.endpoints.values())
        assert sum(load.starts_by_minute.values()) == load.started
        assert sum(report.endpoints.values()) <= load.in_flight
        before = last.protons.get(PROTON_ID) if last is not None else None
        if last is None or before is None:
            return
        assert load.started >= before.started
        assert load.load_seconds >= before.load_seconds
        assert load.queued_seconds >= before.queued_seconds
        assert all(load.finished.get(kind, 0) >= n for kind, n in before.finished.items())


async def all_of(
    *works: Callable[[], Awaitable[None]], until_done: list[asyncio.Task[None]]
) -> None:
    """Run `works` for ever beside tasks that end; whatever fails, fails."""
    beside = [asyncio.ensure_future(work()) for work in works]
    try:
        callers = asyncio.gather(*until_done)
        await asyncio.wait([callers, *beside], return_when=asyncio.FIRST_COMPLETED)
        for task in beside:
            if task.done():
                await task
        await callers
    finally:
        for task in (*beside, *until_done):
            task.cancel()
        await asyncio.gather(*beside, *until_done, return_exceptions=True)


async def test_it_always_adds_up_whoever_comes_and_goes(rig: Rig) -> None:
    gateway = await rig.start(
        limit=4, eject_s=0.02, report_interval_s=0.01, queue_limit=30, cold_start_timeout_s=5
    )
    chaos = Chaos(rig, seed=20)
    chaos.replicas = [await rig.replica(chaos.serve) for _ in range(2)]
    watcher = Watcher(rig.store)
    callers = [asyncio.create_task(chaos.call()) for _ in range(CLIENTS)]
    async with asyncio.timeout(60):
        await all_of(watcher.watch, chaos.come_and_go, until_done=callers)
    assert watcher.seen > 20
    load = await rig.counted(in_flight=0, queued=0)

    async def settled() -> bool:  # what the clients sent last may still be on its way
        nonlocal load
        load = await rig.load()
        metrics = await gateway.metrics()
        return (
            load.in_flight == load.queued == metrics["gateway_client_connections"] == 0
            and load.started == metrics["gateway_requests_started_total"]
        )

    await until_async(settled)
    assert load.workload_id == WORKLOAD_ID
    assert chaos.answered_2xx <= load.finished["2xx"]
    assert chaos.answered <= load.started <= chaos.sent
    assert load.finished["aborted"] > 0
    assert load.finished["refused"] > 0
    assert load.finished["1xx"] > 0
    assert sum(load.response_time.values()) == sum(
        n for kind, n in load.finished.items() if kind in {"2xx", "3xx", "4xx", "5xx"}
    )
    assert not (await rig.report()).endpoints
    for replica in chaos.replicas:
        await rig.gone(replica)
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
