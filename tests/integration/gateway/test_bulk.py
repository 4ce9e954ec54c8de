"""Long bodies are read into memory that is used again: everybody still gets his own bytes, once."""

import asyncio
import gc
import random
from pathlib import Path

import psutil
import pytest

from gateway.net.bulk import SIZE as BUFFER
from gateway.net.bulk import WORTH_IT, BulkReader
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK
from tests.integration.gateway.test_tls import Secure
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
        await numbered_once(wire)


async def numbered_once(wire: Wire) -> None:
    number = int((await wire.request()).head.target[1:])
    wire.send(head_of(), body_of(number))
    await wire.writer.drain()


async def read_in(wire: Wire, step: int, size: int = SIZE) -> bytes:
    """A whole answer's body, as somebody reads who takes a little at a time."""
    assert (await wire.head()).status == 200
    return await taken(wire, step, size)


async def taken(wire: Wire, step: int, size: int) -> bytes:
    """So many bytes, every step with a deadline of its own."""
    found = bytearray()
    while len(found) < size:
        found += await wire.exactly(min(step, size - len(found)))
        await asyncio.sleep(0)
    return bytes(found)


def readers() -> list[BulkReader]:
    """All that there are; other objects' classes are not asked, they may be proxies."""
    return [o for o in gc.get_objects() if type(o) is BulkReader]


def at_work() -> list[BulkReader]:
    """Those that stand at a transport now."""
    return [r for r in readers() if r._upstream.transport.get_protocol() is r]


@pytest.mark.parametrize(
    ("size", "in_bulk"),
    [(WORTH_IT - 1, 0), (WORTH_IT, 1), (BUFFER - 1, 1), (BUFFER, 1), (BUFFER + 1, 1), (SIZE, 1)],
)
async def test_long_answers_are_read_in_bulk_and_only_while_they_come(
    rig: Rig, size: int, in_bulk: int
) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    for number in range(2):
        client.send(request())
        wire = replica.wires[0] if replica.wires else await replica.accepted()
        await wire.request()
        wire.send(head_of(size))
        assert (await client.head()).status == 200
        assert len(at_work()) == in_bulk
        wire.send(body_of(number, size))
        assert await taken(client, MIB, size) == body_of(number, size)
        assert at_work() == []
    assert len(replica.wires) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_quick_and_slow_readers_side_by_side_get_their_own_bytes(
    rig: Rig, tmp_path: Path, tls: bool
) -> None:
    """Over uvloop views go all the way to the socket; asyncio's own loop copies."""
    secure = Secure(rig, tmp_path)
    await (secure.start() if tls else rig.start())
    await rig.replica(numbered)
    slow = [await (secure.client() if tls else rig.client(receive_bytes=4096)) for _ in range(4)]
    for number, client in enumerate(slow):
        client.send(request("GET", f"/{number}"))
    quick = [await (secure.client() if tls else rig.client()) for _ in range(4)]
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


@pytest.mark.parametrize("size", [BUFFER, SIZE])
async def test_what_follows_a_long_answer_is_nobodys_answer(rig: Rig, size: int) -> None:
    """The next request goes to the replica at once, before anything could be read idly."""
    await rig.start(limit=1)
    replica = await rig.replica()
    first, second = await rig.client(), await rig.client()
    first.send(request())
    wire = await replica.accepted()
    for _ in range(6):  # until the windows are open: the last of it comes in one piece
        await wire.request()
        wire.send(head_of(), body_of(2))
        assert await read_in(first, MIB) == body_of(2)
        first.send(request())
    await wire.request()
    second.send(request())
    await rig.counted(in_flight=1, queued=1)
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    wire.send(head_of(size))
    await first.head()
    wire.send(body_of(1, size), forged)
    assert await taken(first, MIB, size) == body_of(1, size)
    assert await first.silent()
    other = await replica.accepted()
    await other.request()
    other.send(OK)
    assert (await second.answer()).body == b"ok"
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await wire.head()


async def in_the_middle(rig: Rig) -> tuple[Wire, Wire]:
    """A client that has read the first MiB of a long answer, and the replica's side."""
    client, wire = await rig.asked()
    wire.send(head_of(), body_of(1)[:MIB])
    await client.head()
    assert await client.exactly(MIB) == body_of(1)[:MIB]
    return client, wire


async def test_a_replica_that_dies_within_a_long_answer_cuts_it(rig: Rig) -> None:
    client, wire = await in_the_middle(rig)
    wire.close()
    assert await client.rest() == b""
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_client_that_leaves_within_a_long_answer_ends_it_at_the_replica(rig: Rig) -> None:
    client, wire = await in_the_middle(rig)
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
    assert await taken(wire, MIB, len(upload)) == upload
    wire.send(body_of(1)[MIB:])
    assert await client.exactly(SIZE - MIB) == body_of(1)[MIB:]
    await until(lambda: not client.writer.transport.get_write_buffer_size())
    await rig.counted(started=1, in_flight=0, finished={"2xx": 1})


async def test_pipelined_requests_and_http_1_0_get_long_answers_whole(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(numbered)
    client = await rig.client(receive_bytes=4096)
    client.send(*(request("GET", f"/{number}") for number in range(4)))
    for number in range(4):
        assert await read_in(client, 100_000) == body_of(number)
    assert len(replica.wires) == 1
    old = await rig.client()
    old.send(request("GET", "/7", version="1.0"))
    await old.head()
    assert await old.to_end() == body_of(7)


async def test_a_replica_may_close_at_the_end_of_a_long_answer(rig: Rig) -> None:
    async def once(wire: Wire) -> None:
        await numbered_once(wire)
        wire.close()

    await rig.start()
    await rig.replica(once)
    for number in range(3):
        client = await rig.client(receive_bytes=4096)
        client.send(request("GET", f"/{number}"))
        assert await read_in(client, 50_000) == body_of(number)
    await rig.counted(started=3, in_flight=0, finished={"2xx": 3})


async def test_connections_that_served_long_answers_leave_nothing_to_collect(rig: Rig) -> None:
    async def closing(wire: Wire) -> None:
        await wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % SIZE)
        wire.send(body_of(1))
        await wire.writer.drain()

    await rig.start()
    replica = await rig.replica(closing)
    gc.collect()
    known = readers()
    gc.disable()
    try:
        for _ in range(5):
            assert (await rig.ask()).body == body_of(1)
        assert len(replica.wires) == 5
        await until(lambda: all(reader in known for reader in readers()))
    finally:
        gc.enable()


@uvloop_only
async def test_small_pieces_for_readers_that_have_stopped_pin_no_buffers(rig: Rig) -> None:
    gateway = await rig.start_child()
    replica = await rig.replica()
    pairs = []
    for _ in range(6):
        client = await rig.client(receive_bytes=4096)
        client.send(request())
        wire = await replica.accepted()
        await wire.request()
        wire.send(head_of(64 * MIB))
        await client.head()
        pairs.append((client, wire))
    before = rss_bytes(gateway.process.pid)
    peak = before
    piece = bytes(4096)
    waiting = [wire for _, wire in pairs]
    while waiting:
        for wire in waiting:
            wire.send(piece)
        await asyncio.sleep(0.0005)
        peak = max(peak, rss_bytes(gateway.process.pid))
        waiting = [w for w in waiting if not w.writer.transport.get_write_buffer_size()]
    assert peak - before < 3 * MIB, "a buffer per reader at most"


def rss_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)
