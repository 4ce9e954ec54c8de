"""Clients that vanish: the replica is told, the slot is free, and the numbers are right."""

import asyncio

import pytest

from tests.integration.gateway.records import PROTON_ID
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async
from tests.integration.gateway.wire import Wire


async def refused(wire: Wire, data: bytes) -> bool:
    """Whether the other side takes no more."""
    try:
        wire.send(data)
        await wire.flush()
    except ConnectionError:
        return True
    return False


async def gone(wire: Wire) -> None:
    """The replica is told that nobody waits any more."""
    assert await wire.ended() in {"eof", "reset"}


@pytest.mark.parametrize("rude", [False, True], ids=["eof", "reset"])
async def test_a_client_that_leaves_the_queue_is_forgotten(rig: Rig, rude: bool) -> None:
    await rig.start()
    client = await rig.client()
    client.send(request())
    await rig.counted(queued=1)
    if rude:
        client.reset()
    else:
        client.close()
    await rig.counted(started=1, queued=0, in_flight=0, finished={"aborted": 1})
    replica = await rig.replica(answering(OK))
    assert (await rig.ask("GET", "/other")).status == 200
    assert replica.wires[0].received.startswith(b"GET /other "), "nobody asks for it any more"


async def test_a_client_that_breaks_off_in_flight_is_told_to_the_replica(rig: Rig) -> None:
    client, wire = await rig.asked()
    client.reset()
    await gone(wire)
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_client_that_only_stops_sending_still_gets_its_answer(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", body=b"x"))
    client.half_close()
    wire = await replica.accepted()
    await wire.request()
    wire.send(OK)
    assert (await client.answer()).body == b"ok"
    assert await client.ended() == "eof"
    await rig.counted(started=1, in_flight=0, finished={"2xx": 1})


async def test_a_client_that_only_stops_sending_waits_for_a_cold_start(rig: Rig) -> None:
    await rig.start()
    client = await rig.client()
    client.send(request())
    await rig.counted(queued=1)
    client.half_close()
    assert (await client.head()).status == 100, "are you still there?"
    await rig.replica(answering(OK))
    assert (await client.answer()).body == b"ok"
    await rig.counted(started=1, finished={"2xx": 1})


async def test_a_client_of_http_1_0_that_only_stops_sending_hears_nothing_before_its_answer(
    rig: Rig,
) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    wire = await replica.accepted()
    await wire.request()
    client.half_close()
    await rig.counted(in_flight=1)
    wire.send(OK)
    assert (await client.answer()).interim == []


async def test_a_client_that_closes_in_order_in_flight_is_told_to_the_replica(rig: Rig) -> None:
    client, wire = await rig.asked()
    client.close()
    await gone(wire)
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


@pytest.mark.parametrize("gone_for_good", [False, True], ids=["half-closed", "closed"])
async def test_a_client_that_ends_its_side_of_a_stream_is_asked_with_a_zero(
    rig: Rig, gone_for_good: bool
) -> None:
    client, wire = await rig.asked()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await client.head()
    assert await client.chunk() == b"a"
    if gone_for_good:
        client.close()
        await gone(wire)
        await rig.counted(started=1, in_flight=0, finished={"aborted": 1})
    else:
        client.half_close()
        assert await client.exactly(1) == b"0", "nothing yet, but are you there?"
        wire.send(b"2\r\nbc\r\n0\r\n\r\n")
        assert await client.chunk() == b"bc"
        assert await client.chunk() == b""
        await rig.counted(started=1, finished={"2xx": 1})


async def test_a_client_that_closes_in_a_silent_stream_is_told_to_the_replica(rig: Rig) -> None:
    client, wire = await rig.asked()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
    await client.head()
    assert await client.exactly(1) == b"1"
    await asyncio.sleep(1.1)  # before, an end may have crossed with our head
    client.close()
    await gone(wire)
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


@pytest.mark.parametrize("rude", [False, True], ids=["eof", "reset"])
async def test_a_client_that_leaves_within_its_body_is_told_to_the_replica(
    rig: Rig, rude: bool
) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 10"), b"12345")
    wire = await replica.accepted()
    await wire.head()
    assert await wire.exactly(5) == b"12345"
    if rude:
        client.reset()
    else:
        client.close()
    await gone(wire)
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


@pytest.mark.parametrize("rude", [False, True], ids=["eof", "reset"])
async def test_a_client_that_leaves_within_the_answer_is_told_to_the_replica(
    rig: Rig, rude: bool
) -> None:
    client, wire = await rig.asked()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    await client.head()
    assert await client.chunk() == b"hi"
    if rude:
        client.reset()
    else:
        client.close()
    await until_async(lambda: refused(wire, b"2\r\nhi\r\n"))
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_client_that_leaves_while_its_connection_is_opened_leaves_it_to_others(
    rig: Rig,
) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    for turns in range(30):
        client = await rig.client()
        client.send(request())
        for _ in range(turns % 6):
            await asyncio.sleep(0)
        client.reset()
    load = await rig.counted(in_flight=0, queued=0)
    assert sum(load.finished.values()) == load.started
    assert (await rig.ask()).status == 200


async def test_a_slot_that_a_client_left_serves_the_next_in_line(rig: Rig) -> None:
    await rig.start(limit=1)
    replica = await rig.replica()
    first, second = await rig.client(), await rig.client()
    first.send(request("GET", "/1"))
    wire = await replica.accepted()
    await wire.request()
    second.send(request("GET", "/2"))
    await rig.counted(queued=1, in_flight=1)
    first.reset()
    wire = await replica.accepted()
    assert (await wire.request()).head.target == "/2"
    wire.send(OK)
    assert (await second.answer()).body == b"ok"
    load = await rig.counted(started=2, in_flight=0, queued=0)
    assert load.finished == {"2xx": 1, "aborted": 1}
    assert load.workload_id
    assert PROTON_ID in (await rig.report()).protons
