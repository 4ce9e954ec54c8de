"""Long bodies are read into memory that is used again: everybody still gets his own bytes, once."""

import asyncio
import random

import pytest

from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK
from tests.integration.gateway.waiting import blocked, until, until_async
from tests.integration.gateway.wire import Wire

MIB = 1024 * 1024
SIZE = 3 * MIB + 17


def body_of(number: int, size: int = SIZE) -> bytes:
    """Bytes that tell whose they are."""
    return random.Random(number).randbytes(size)


def head_of(size: int = SIZE) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size


async def numbered(wire: Wire) -> None:
    """Answers `/7` with body number 7."""
    while True:
        number = int((await wire.request()).head.target[1:])
        wire.send(head_of(), body_of(number))
        await wire.writer.drain()


async def read_in(wire: Wire, step: int, size: int = SIZE) -> bytes:
    """A whole answer's body, as somebody reads who takes a little at a time."""
    assert (await wire.head()).status == 200
    found = bytearray()
    while len(found) < size:
        found += await wire.exactly(min(step, size - len(found)))
        await asyncio.sleep(0)
    return bytes(found)


async def test_quick_and_slow_readers_side_by_side_get_their_own_bytes(rig: Rig) -> None:
    await rig.start()
    await rig.replica(numbered)
    slow = [await rig.client(receive_bytes=4096) for _ in range(4)]
    for number, client in enumerate(slow):
        client.send(request("GET", f"/{number}"))
    quick = [await rig.client() for _ in range(4)]
    for number, client in enumerate(quick, start=10):
        client.send(request("GET", f"/{number}"))
    for number, client in enumerate(quick, start=10):
        assert await read_in(client, MIB) == body_of(number)
    steps = (3_000, 10_000, 50_000, 200_000)
    bodies = await asyncio.gather(
        *(read_in(client, step) for client, step in zip(slow, steps, strict=True))
    )
    assert bodies == [body_of(number) for number in range(4)]
    load = await rig.counted(started=8, in_flight=0, finished={"2xx": 8})
    assert 8 * SIZE <= load.bytes_out < 8 * SIZE * 1.01


async def test_a_connection_serves_short_and_long_answers_in_turn(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    for number in range(3):
        await wire.request()
        wire.send(head_of(), body_of(number))
        assert await read_in(client, MIB) == body_of(number)
        client.send(request())
        await wire.request()
        wire.send(OK)
        assert (await client.answer()).body == b"ok"
        client.send(request())
    await wire.request()
    assert len(replica.wires) == 1


async def test_what_follows_a_long_answer_is_nobodys_answer(rig: Rig) -> None:
    """The next request goes to the replica at once, before anything could be read idly."""
    await rig.start(limit=1)
    replica = await rig.replica()
    first, second = await rig.client(), await rig.client()
    first.send(request())
    wire = await replica.accepted()
    await wire.request()
    second.send(request())
    await rig.counted(in_flight=1, queued=1)
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    wire.send(head_of(), body_of(1), forged)
    assert await read_in(first, MIB) == body_of(1)
    assert await first.silent()
    other = await replica.accepted()
    await other.request()
    other.send(OK)
    assert (await second.answer()).body == b"ok"
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await wire.head()


async def test_a_replica_that_dies_within_a_long_answer_cuts_it(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(head_of(), body_of(1)[:MIB])
    await client.head()
    assert await client.exactly(MIB) == body_of(1)[:MIB]
    wire.close()
    assert await client.rest() == b""
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_client_that_leaves_within_a_long_answer_ends_it_at_the_replica(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(head_of(), body_of(1)[:MIB])
    await client.head()
    await client.exactly(MIB)
    client.reset()
    assert await wire.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_an_upload_is_braked_while_a_long_answer_comes(rig: Rig) -> None:
    await rig.start(replay_bytes=0)
    replica = await rig.listen(receive_bytes=4096)
    await rig.announce(replica)
    client = await rig.client()
    upload = body_of(2, 24 * MIB)
    client.send(request("POST", "/", f"Content-Length: {len(upload)}"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(head_of(), body_of(1)[:MIB])
    await client.head()
    assert await client.exactly(MIB) == body_of(1)[:MIB]
    client.send(upload)
    await until_async(lambda: blocked(client))
    assert await wire.exactly(len(upload)) == upload
    wire.send(body_of(1)[MIB:])
    assert await client.exactly(SIZE - MIB) == body_of(1)[MIB:]
    await until(lambda: not client.writer.transport.get_write_buffer_size())
    await rig.counted(started=1, in_flight=0, finished={"2xx": 1})
