"""Everything at random: clients and replicas that come and go, and it still adds up."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from controlplane.model.reports import LoadReport
from controlplane.model.states import ReplicaPhase
from controlplane.store.client import Store
from tests.integration.gateway import records
from tests.integration.gateway.records import PROTON_ID, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, SWITCHED, ScriptedReplica, answering
from tests.integration.gateway.waiting import until_async
from tests.integration.gateway.wire import Wire

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
        """Until the last request is sent; cut off, it would leave a replica that nobody knows."""
        pick = self.random
        while self.left > 0:
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
    works: list[Callable[[], Awaitable[None]]], *, beside: Callable[[], Awaitable[None]]
) -> None:
    """Do all of `works`, and something for ever beside them; whatever fails, fails."""
    async with asyncio.TaskGroup() as group:
        endless = group.create_task(beside())
        await asyncio.gather(*(work() for work in works))
        endless.cancel()


async def test_it_always_adds_up_whoever_comes_and_goes(rig: Rig) -> None:
    gateway = await rig.start(
        limit=4, eject_s=0.02, report_interval_s=0.01, queue_limit=30, cold_start_timeout_s=5
    )
    chaos = Chaos(rig, seed=20)
    chaos.replicas = [await rig.replica(chaos.serve) for _ in range(2)]
    watcher = Watcher(rig.store)
    works = [chaos.come_and_go, *(chaos.call for _ in range(CLIENTS))]
    async with asyncio.timeout(60):
        await all_of(works, beside=watcher.watch)
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
