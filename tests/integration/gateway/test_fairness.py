"""A contended queue: callers take turns, and none can fill it alone."""

import pytest

from controlplane.model.states import AccessRole
from tests.integration.gateway import records
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until
from tests.integration.gateway.wire import Wire

ALL = {
    records.USER_ID: AccessRole.CONSUMER,
    records.OTHER_USER_ID: AccessRole.CONSUMER,
    records.ADMIN_ID: AccessRole.CONSUMER,
}
ANN, BOB, CY = records.TOKEN, records.OTHER_TOKEN, records.ADMIN_TOKEN


class Crowd:
    """Requests that come one after the other: the next when the gateway has counted this one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.asked = 0

    async def asks(self, token: str, path: str) -> Wire:
        client = await self.rig.client()
        client.send(request("GET", path, token=token))
        self.asked += 1
        await self.rig.counted(started=self.asked)
        return client


async def served(wire: Wire, count: int) -> list[str]:
    """Targets of the next requests, each answered."""
    targets = []
    for _ in range(count):
        targets.append((await wire.request()).head.target)
        wire.send(OK)
    return targets


async def contended(rig: Rig, **settings: int) -> tuple[Crowd, Wire]:
    """One replica with one slot, which is taken."""
    await rig.start(limit=1, **settings)
    await rig.commit(records.workload(roles=ALL))
    replica = await rig.replica()
    crowd = Crowd(rig)
    await crowd.asks(CY, "/busy")
    wire = await replica.accepted()
    await wire.request()
    return crowd, wire


async def test_one_request_among_a_callers_fifty_waits_for_one_of_them(rig: Rig) -> None:
    crowd, wire = await contended(rig)
    clients = [await crowd.asks(ANN, f"/ann/{n}") for n in range(50)]
    clients.append(await crowd.asks(BOB, "/bob"))
    wire.send(OK)
    assert (await served(wire, 3))[:2] == ["/ann/0", "/bob"]
    assert await served(wire, 48) == [f"/ann/{n}" for n in range(2, 50)]
    for client in clients:
        assert (await client.answer()).status == 200
    await rig.counted(started=52, queued=0, in_flight=0, finished={"2xx": 52})


async def test_callers_take_turns_and_each_ones_order_is_kept(rig: Rig) -> None:
    crowd, wire = await contended(rig)
    for token, path in [(ANN, "/a0"), (ANN, "/a1"), (BOB, "/b0"), (CY, "/c0"), (BOB, "/b1")]:
        await crowd.asks(token, path)
    wire.send(OK)
    assert await served(wire, 5) == ["/a0", "/b0", "/c0", "/a1", "/b1"]


async def test_who_leaves_the_queue_gives_the_turn_up(rig: Rig) -> None:
    crowd, wire = await contended(rig)
    await crowd.asks(ANN, "/a0")
    gone = await crowd.asks(BOB, "/b0")
    await crowd.asks(ANN, "/a1")
    gone.reset()
    await rig.counted(queued=2, finished={"aborted": 1})
    wire.send(OK)
    assert await served(wire, 2) == ["/a0", "/a1"]


async def test_a_newcomer_displaces_the_newest_of_who_fills_the_queue(rig: Rig) -> None:
    crowd, wire = await contended(rig, queue_limit=3)
    hoard = [await crowd.asks(ANN, f"/a{n}") for n in range(3)]
    full = await (await crowd.asks(ANN, "/a3")).answer()
    assert (full.status, full.get("x-tidegate-error")) == (503, "queue_full")
    await crowd.asks(BOB, "/b0")
    displaced = await hoard[2].answer()
    assert (displaced.status, displaced.get("x-tidegate-error")) == (503, "queue_full")
    assert displaced.get("retry-after") is not None
    second = await (await crowd.asks(BOB, "/b1")).answer()
    assert second.get("x-tidegate-error") == "queue_full", "one more than the other is enough"
    wire.send(OK)
    assert await served(wire, 3) == ["/a0", "/b0", "/a1"]
    await rig.counted(started=7, queued=0, finished={"2xx": 4, "refused": 3})


async def test_the_queue_is_never_longer_than_allowed_though_many_are_displaced(rig: Rig) -> None:
    await rig.start(queue_limit=4)
    await rig.commit(records.workload(roles=ALL))
    for _ in range(4):
        pipelining = await rig.client()
        pipelining.send(*[request("GET", "/ann", token=ANN)] * 5)
    await rig.counted(queued=4)
    for n in range(2):
        client = await rig.client()
        client.send(request("GET", "/bob", token=BOB))
        # who is displaced has four more to ask, in vain
        await rig.counted(queued=4, started=4 + 5 * (n + 1), finished={"refused": 5 * (n + 1)})
    await rig.replica(answering(OK))
    await rig.counted(queued=0, in_flight=0, finished={"2xx": 12, "refused": 10})


@pytest.mark.parametrize("first", [ANN, BOB])
async def test_many_slots_go_to_callers_in_turn(rig: Rig, first: str) -> None:
    await rig.start(limit=4)
    await rig.commit(records.workload(roles=ALL))
    crowd = Crowd(rig)
    for n in range(6):
        await crowd.asks(first, f"/first/{n}")
    for n in range(2):
        await crowd.asks(CY, f"/second/{n}")
    replica = await rig.replica()
    await until(lambda: len(replica.wires) == 4)
    targets = {(await wire.request()).head.target for wire in replica.wires}
    assert targets == {"/first/0", "/first/1", "/second/0", "/second/1"}
