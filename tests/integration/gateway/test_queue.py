"""Waiting: from zero, for a free slot, in order, and not for ever."""

import asyncio
import json

import pytest

from controlplane.model.states import Desired, ReplicaPhase
from controlplane.model.workloads import Autoscaling, GroupRuntime, Proton, Runtime, ScalingPolicy
from tests.integration.gateway import records
from tests.integration.gateway.records import PROTON_ID
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until
from tests.integration.gateway.wire import Wire


async def waiting(rig: Rig, count: int, *, first: int = 0) -> list[Wire]:
    """Clients in the queue, one after another."""
    clients = []
    for n in range(first, first + count):
        client = await rig.client()
        client.send(request("GET", f"/{n}"))
        await rig.counted(queued=n + 1)
        clients.append(client)
    return clients


async def test_requests_to_nothing_are_held_until_a_replica_becomes_ready(rig: Rig) -> None:
    await rig.start()
    replica = await rig.listen(answering(OK))
    client = await rig.client()
    client.send(request("POST", "/", body=b"held"))
    await rig.counted(queued=1, in_flight=0)
    for phase in (ReplicaPhase.PENDING, ReplicaPhase.LAUNCHING, ReplicaPhase.UNREADY):
        await rig.phase(replica, phase)
        assert not replica.wires
    await rig.phase(replica, ReplicaPhase.READY)
    assert (await client.answer()).body == b"ok"
    assert replica.wires[0].received.endswith(b"held")
    load = await rig.counted(queued=0, in_flight=0, finished={"2xx": 1})
    assert load.cold_starts == 1


async def test_a_held_requests_body_may_come_while_it_waits(rig: Rig) -> None:
    await rig.start()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 9"), b"abc")
    await rig.counted(queued=1)
    client.send(b"def")
    await asyncio.sleep(0.02)
    replica = await rig.replica()
    wire = await replica.accepted()
    await wire.head()
    assert await wire.exactly(6) == b"abcdef"
    client.send(b"ghi")
    assert await wire.exactly(3) == b"ghi"
    wire.send(OK)
    assert (await client.answer()).body == b"ok"


async def test_two_hundred_at_one_instant_are_all_held_and_all_served(rig: Rig) -> None:
    await rig.start()
    clients = [await rig.client() for _ in range(200)]
    for n, client in enumerate(clients):
        client.send(request("GET", f"/{n}"))
    await rig.counted(queued=200)
    await rig.replica(answering(OK))
    for client in clients:
        assert (await client.answer()).body == b"ok"
    load = await rig.counted(started=200, queued=0, in_flight=0, finished={"2xx": 200})
    assert load.cold_starts == 200


async def test_the_queue_is_first_come_first_served(rig: Rig) -> None:
    await rig.start(limit=1)
    await waiting(rig, 6)
    replica = await rig.replica()
    wire = await replica.accepted()
    for n in range(6):
        assert (await wire.request()).head.target == f"/{n}"
        wire.send(OK)


async def test_who_comes_late_does_not_overtake_the_queue(rig: Rig) -> None:
    await rig.start(limit=1)
    replica = await rig.replica()
    busy = await rig.client()
    busy.send(request("GET", "/busy"))
    wire = await replica.accepted()
    await wire.request()
    for n in range(3):
        client = await rig.client()
        client.send(request("GET", f"/{n}"))
        await rig.counted(queued=n + 1, in_flight=1)
    wire.send(OK)
    late = await rig.client()
    late.send(request("GET", "/late"))
    seen = []
    for _ in range(4):
        seen.append((await wire.request()).head.target)
        wire.send(OK)
    assert seen == ["/0", "/1", "/2", "/late"]


async def test_a_repeat_comes_before_those_who_came_later(rig: Rig) -> None:
    await rig.start(limit=1, eject_s=0.05)
    replica = await rig.replica()
    first = await rig.client()
    first.send(request("GET", "/first"))
    wire = await replica.accepted()
    await wire.request()
    others = []
    for n in range(2):
        client = await rig.client()
        client.send(request("GET", f"/{n}"))
        await rig.counted(queued=n + 1, in_flight=1)
        others.append(client)
    wire.reset()
    wire = await replica.accepted()
    for target in ("/first", "/0", "/1"):
        assert (await wire.request()).head.target == target
        wire.send(OK)
    for client in (first, *others):
        assert (await client.answer()).status == 200


async def test_a_full_queue_is_503_with_a_hint_when_to_come_again(rig: Rig) -> None:
    await rig.start(queue_limit=2)
    await rig.commit(records.scale(cold_start_p90_s=7.2))
    held = await waiting(rig, 2)
    answer = await rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (503, "queue_full")
    assert answer.get("retry-after") == "8"
    await rig.replica(answering(OK))
    for client in held:
        assert (await client.answer()).status == 200
    await rig.counted(started=3, queued=0, finished={"2xx": 2, "refused": 1})


async def test_who_leaves_the_queue_makes_room(rig: Rig) -> None:
    await rig.start(queue_limit=1)
    (held,) = await waiting(rig, 1)
    held.close()
    await rig.counted(queued=0)
    await waiting(rig, 1)


async def test_a_request_that_waits_too_long_is_504_with_a_hint_when_to_come_again(
    rig: Rig,
) -> None:
    await rig.start(cold_start_timeout_s=0.2)
    client = await rig.client()
    client.send(request())
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (504, "cold_start_timeout")
    assert answer.get("retry-after") == "5", "no cold start is known yet"
    await rig.counted(started=1, queued=0, finished={"refused": 1})
    await rig.replica(answering(OK))
    client.send(request())
    assert (await client.answer()).status == 200, "the connection goes on"


async def test_every_request_of_a_connection_has_its_own_deadline(rig: Rig) -> None:
    await rig.start(cold_start_timeout_s=0.1, keep_alive_timeout_s=0.4)
    client = await rig.client()
    for _ in range(3):
        client.send(request())
        assert (await client.answer()).get("x-tidegate-error") == "cold_start_timeout"
    assert await client.ended() == "eof", "and it does not stay open for ever"


async def test_whoever_waits_wakes_the_autoscaler_at_once(rig: Rig) -> None:
    await rig.start(report_interval_s=60.0)
    wakes = rig.store.wakes()
    woken = asyncio.create_task(anext(wakes))
    client = await rig.client()
    client.send(request())
    async with asyncio.timeout(20):
        assert await woken == PROTON_ID
    numbers = await rig.numbers()
    assert numbers.protons[PROTON_ID].queued == 1, "the numbers that explain the call come with it"
    await wakes.aclose()  # type: ignore[attr-defined]


async def test_a_wake_up_is_repeated_while_somebody_waits(rig: Rig) -> None:
    await rig.start(report_interval_s=0.05)
    wakes = rig.store.wakes()
    await waiting(rig, 1)
    for _ in range(3):
        async with asyncio.timeout(20):
            assert await anext(wakes) == PROTON_ID
    await wakes.aclose()  # type: ignore[attr-defined]


async def test_a_request_for_a_free_slot_wakes_the_autoscaler_too(rig: Rig) -> None:
    await rig.start(limit=1, report_interval_s=0.05)
    replica = await rig.replica()
    first = await rig.client()
    first.send(request())
    await (await replica.accepted()).request()
    wakes = rig.store.wakes()
    woken = asyncio.create_task(anext(wakes))
    second = await rig.client()
    second.send(request())
    async with asyncio.timeout(20):
        assert await woken == PROTON_ID
    load = await rig.counted(queued=1, in_flight=1)
    assert load.cold_starts == 0, "one replica was ready"
    await wakes.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_replicas_limit_is_kept_and_shared_between_workers(rig: Rig, workers: int) -> None:
    await rig.start(limit=4, worker_count=workers)
    replica = await rig.replica()
    clients = [await rig.client() for _ in range(7)]
    for client in clients:
        client.send(request())
    share = 4 // workers
    await rig.counted(in_flight=share, queued=7 - share)
    wires = [await replica.accepted() for _ in range(share)]
    served = 0
    while served < 7:
        for wire in wires:
            if served < 7:
                await wire.request()
                wire.send(OK)
                served += 1
    for client in clients:
        assert (await client.answer()).body == b"ok"
    assert len(replica.wires) == share


async def test_without_a_limit_of_its_own_a_replica_takes_twice_the_target(rig: Rig) -> None:
    await rig.start()
    policy = ScalingPolicy(metric="httpRequestsConcurrency", target=1.5)
    runtime = Runtime(container_groups=(GroupRuntime(autoscaling=Autoscaling(policies=(policy,))),))
    await rig.commit(records.proton(runtime=runtime))
    await rig.replica()
    for _ in range(5):
        (await rig.client()).send(request())
    await rig.counted(in_flight=3, queued=2)


async def test_the_least_loaded_replica_is_preferred(rig: Rig) -> None:
    await rig.start()
    first = await rig.replica()
    for _ in range(5):
        (await rig.client()).send(request())
    await rig.counted(in_flight=5)
    second = await rig.replica()
    for _ in range(5):
        (await rig.client()).send(request())
    await rig.counted(in_flight=10)
    await until(lambda: len(second.wires) == 5)
    assert len(first.wires) == 5


async def test_a_free_slot_anywhere_is_found(rig: Rig) -> None:
    await rig.start(limit=1)
    replicas = [await rig.replica() for _ in range(6)]
    for _ in range(6):
        (await rig.client()).send(request())
    await rig.counted(in_flight=6, queued=0)
    await until(lambda: all(len(replica.wires) == 1 for replica in replicas))


async def test_a_raised_limit_lets_the_queue_go_at_once(rig: Rig) -> None:
    await rig.start(limit=1)
    await rig.replica()
    for _ in range(3):
        (await rig.client()).send(request())
    await rig.counted(in_flight=1, queued=2)
    await rig.commit(records.proton(limit=3))
    await rig.counted(in_flight=3, queued=0)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param(
            records.proton(desired=Desired.STOPPED), 503, "workload_stopped", id="stopped"
        ),
        pytest.param(records.scale(errored=True), 503, "workload_errored", id="errored"),
        pytest.param(None, 404, "no_route", id="deleted"),
    ],
)
async def test_those_who_wait_hear_that_it_was_for_nothing(
    rig: Rig, change: object, status: int, code: str
) -> None:
    await rig.start()
    clients = await waiting(rig, 3)
    if change is None:
        await rig.commit(records.workload(deleted_at=1.0))
        await rig.delete(Proton, PROTON_ID)
    else:
        await rig.commit(change)  # type: ignore[arg-type]
    for client in clients:
        answer = await client.answer()
        assert (answer.status, answer.get("x-tidegate-error")) == (status, code)
        assert json.loads(answer.body)["requestId"] == answer.get("x-request-id")
    await rig.counted(started=3, queued=0, in_flight=0, finished={"refused": 3})


async def test_requests_in_flight_finish_when_their_workload_is_stopped_or_deleted(
    rig: Rig,
) -> None:
    await rig.start()
    replica = await rig.replica()
    clients = [await rig.client() for _ in range(2)]
    wires = []
    for client in clients:
        client.send(request())
        wires.append(await replica.accepted())
        await wires[-1].request()
    await rig.commit(records.proton(desired=Desired.STOPPED))
    wires[0].send(OK)
    assert (await clients[0].answer()).body == b"ok"
    await rig.commit(records.workload(deleted_at=1.0))
    await rig.delete(Proton, PROTON_ID)
    await rig.gone(replica)
    wires[1].send(OK)
    assert (await clients[1].answer()).body == b"ok"
    load = await rig.counted(started=2, in_flight=0, finished={"2xx": 2})
    assert load.workload_id == records.WORKLOAD_ID, "a deleted proton's totals stay in the reports"
    for wire in wires:
        assert await wire.ended() in {"eof", "reset"}
