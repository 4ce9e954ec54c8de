"""Bodies of any size in constant memory, and streams piece by piece."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK
from tests.integration.gateway.waiting import blocked, until_async
from tests.integration.gateway.wire import Wire

LARGE = 20 * 1024 * 1024
PIECE = 256 * 1024
MEMORY_BYTES = 8 * 1024 * 1024
"""What a stream may cost in memory, buffers of every kind: far less than the body."""


def pieces() -> list[bytes]:
    """LARGE bytes that differ everywhere."""
    return [hashlib.sha256(b"%d" % n).digest() * (PIECE // 32) for n in range(LARGE // PIECE)]


def digest_of(parts: list[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


async def send_all(wire: Wire, *, chunked: bool) -> None:
    for piece in pieces():
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        await wire.flush()
    if chunked:
        wire.send(b"0\r\n\r\n")
    await wire.flush()


async def heard(wire: Wire, *, chunked: bool) -> AsyncIterator[bytes]:
    if chunked:
        while piece := await wire.chunk():
            yield piece
        assert await wire.line() == b""
        return
    left = LARGE
    while left:
        yield await wire.exactly(min(PIECE, left))
        left -= min(PIECE, left)


async def digest_heard(wire: Wire, *, chunked: bool) -> str:
    total = hashlib.sha256()
    async for piece in heard(wire, chunked=chunked):
        total.update(piece)
    return total.hexdigest()


def framing(*, chunked: bool) -> str:
    return "Transfer-Encoding: chunked" if chunked else f"Content-Length: {LARGE}"


@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
async def test_large_bodies_pass_both_ways_unchanged(rig: Rig, chunked: bool) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", framing(chunked=chunked)))
    sending = asyncio.create_task(send_all(client, chunked=chunked))
    wire = await replica.accepted()
    await wire.head()
    assert await digest_heard(wire, chunked=chunked) == digest_of(pieces())
    await sending
    wire.send(f"HTTP/1.1 200 OK\r\n{framing(chunked=chunked)}\r\n\r\n".encode())
    sending = asyncio.create_task(send_all(wire, chunked=chunked))
    await client.head()
    assert await digest_heard(client, chunked=chunked) == digest_of(pieces())
    await sending
    load = await rig.counted(started=1, in_flight=0, finished={"2xx": 1})
    assert load.bytes_in == LARGE
    assert LARGE <= load.bytes_out < LARGE * 1.01


async def test_a_large_answer_without_a_length_passes_unchanged(rig: Rig) -> None:
    client, wire = await rig.asked()
    wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
    sending = asyncio.create_task(send_all(wire, chunked=False))
    sending.add_done_callback(lambda _: wire.close())
    await client.head()
    assert await digest_heard(client, chunked=True) == digest_of(pieces())
    await sending


async def test_server_sent_events_arrive_one_by_one(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/stream", "Accept: text/event-stream"))
    wire = await replica.accepted()
    await wire.request()
    wire.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert (await client.head()).get("content-type") == "text/event-stream"
    for n in range(20):
        event = b"data: %d\n\n" % n
        wire.send(b"%x\r\n%b\r\n" % (len(event), event))
        assert await client.chunk() == event, "this one is here before the next is sent"
    await rig.counted(started=1, in_flight=1)
    wire.send(b"0\r\n\r\n")
    assert await client.chunk() == b""
    await rig.counted(started=1, in_flight=0, finished={"2xx": 1})


async def test_pieces_of_an_upload_arrive_one_by_one(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 40"))
    wire = await replica.accepted()
    await wire.head()
    for n in range(10):
        client.send(b"%4d" % n)
        assert await wire.exactly(4) == b"%4d" % n
    wire.send(OK)
    assert (await client.answer()).body == b"ok"


class Sized:
    """Answers a request for /N with N bytes, and remembers which answers it got rid of."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def __call__(self, wire: Wire) -> None:
        while True:
            target = (await wire.request()).head.target
            size = int(target[1:].partition("?")[0])
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            while size:
                wire.send(bytes(min(size, PIECE)))
                await wire.writer.drain()
                size -= min(size, PIECE)
            self.sent.append(target)


async def read_all(wire: Wire) -> int:
    left = size = int((await wire.head()).get("content-length") or 0)
    while left:
        left -= len(await wire.exactly(min(left, PIECE)))
    return size


_UNREAD: dict[type, int] = {}


async def unread_bytes(rig: Rig) -> int:
    """About the largest answer that leaves the replica whole while its client reads nothing.

    Such an answer ends while the gateway has its brake on: the last read was too much for the
    client's socket. Found by halving; being off costs these tests sharpness, not truth.
    """
    kind = type(asyncio.get_running_loop())
    if kind not in _UNREAD:
        low, high = 32_768, 8 * 1024 * 1024
        done = (await rig.gateway.metrics()).get("gateway_requests_finished_total{2xx}", 0)
        while high - low > 16_384:
            size = (low + high) // 2
            client = await rig.client(receive_bytes=4096)
            client.send(request("GET", f"/{size}"))
            for _ in range(15):
                now = (await rig.gateway.metrics()).get("gateway_requests_finished_total{2xx}", 0)
                if now > done:
                    break
                await asyncio.sleep(0.02)
            low, high, done = (size, high, now) if now > done else (low, size, done)
            client.abort()
        _UNREAD[kind] = low
    return _UNREAD[kind]


SHORT_BY = (0, 24_000, 48_000, 96_000, 160_000)


async def test_a_replicas_connection_is_as_good_as_new_after_a_slow_reader(rig: Rig) -> None:
    """The reader's brake must not stay on when the connection serves the next request."""
    await rig.start()
    replica = await rig.replica(Sized())
    largest = await unread_bytes(rig)
    for short in SHORT_BY:
        slow = await rig.client(receive_bytes=4096)
        slow.send(request("GET", f"/{largest - short}"))
        await asyncio.sleep(0.05)
        assert await read_all(slow) == largest - short
        await rig.counted(in_flight=0)
        quick = await rig.client()
        quick.send(request("GET", "/2"))
        assert await read_all(quick) == 2
    assert len(replica.wires) < 20


async def test_the_next_answer_waits_for_a_reader_that_is_behind_with_the_last(rig: Rig) -> None:
    """Pipelined requests share one brake: the second answer must not run past it."""
    await rig.start()
    script = Sized()
    await rig.replica(script)
    largest = await unread_bytes(rig)
    clients = []
    for short in SHORT_BY:
        client = await rig.client(receive_bytes=4096)
        client.send(request("GET", f"/{largest - short}"), request("GET", f"/{LARGE}?second"))
        clients.append((client, largest - short))
    await asyncio.sleep(0.5)
    assert f"/{LARGE}?second" not in script.sent, "nobody has read any of it"
    for client, size in clients[-2:]:
        assert await read_all(client) == size
        assert await read_all(client) == LARGE


async def test_an_upload_that_was_held_is_braked_by_its_slow_replica(rig: Rig) -> None:
    await rig.start(replay_bytes=4 * 1024 * 1024)
    replica = await rig.listen(receive_bytes=4096)
    client = await rig.client()
    client.send(request("POST", "/", framing(chunked=False)))
    sending = asyncio.create_task(send_all(client, chunked=False))
    await until_async(lambda: blocked(client))
    await rig.announce(replica)
    wire = await replica.accepted()
    await asyncio.sleep(0.2)
    await until_async(lambda: blocked(client))
    assert not sending.done()
    await wire.head()
    assert await digest_heard(wire, chunked=False) == digest_of(pieces())
    await sending
    wire.send(OK)
    assert (await client.answer()).body == b"ok"


def rss_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


@uvloop_only
@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
async def test_memory_stays_flat_while_a_slow_client_reads_a_large_answer(
    rig: Rig, chunked: bool
) -> None:
    gateway = await rig.start_child()
    replica = await rig.replica()
    client = await rig.client(receive_bytes=65_536)
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    before = peak = rss_bytes(gateway.process.pid)
    wire.send(f"HTTP/1.1 200 OK\r\n{framing(chunked=chunked)}\r\n\r\n".encode())
    sending = asyncio.create_task(send_all(wire, chunked=chunked))
    await client.head()
    assert not sending.done()
    await until_async(lambda: blocked(wire))
    peak = max(peak, rss_bytes(gateway.process.pid))
    total = hashlib.sha256()
    async for piece in heard(client, chunked=chunked):
        total.update(piece)
        peak = max(peak, rss_bytes(gateway.process.pid))
    await sending
    assert total.hexdigest() == digest_of(pieces())
    assert peak - before < MEMORY_BYTES


@uvloop_only
@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
@pytest.mark.parametrize("held", [False, True], ids=["at-once", "after-waiting-for-a-replica"])
async def test_memory_stays_flat_while_a_slow_replica_reads_a_large_upload(
    rig: Rig, chunked: bool, held: bool
) -> None:
    gateway = await rig.start_child()
    replica = await rig.listen(receive_bytes=4096)
    if not held:
        await rig.announce(replica)
    before = peak = rss_bytes(gateway.process.pid)
    client = await rig.client()
    client.send(request("POST", "/", framing(chunked=chunked)))
    sending = asyncio.create_task(send_all(client, chunked=chunked))
    await until_async(lambda: blocked(client))
    peak = max(peak, rss_bytes(gateway.process.pid))
    if held:
        await rig.announce(replica)
    wire = await replica.accepted()
    wire.writer.transport.pause_reading()
    await until_async(lambda: blocked(client))
    peak = max(peak, rss_bytes(gateway.process.pid))
    assert not sending.done()
    wire.writer.transport.resume_reading()
    await wire.head()
    total = hashlib.sha256()
    async for piece in heard(wire, chunked=chunked):
        total.update(piece)
        peak = max(peak, rss_bytes(gateway.process.pid))
    await sending
    assert total.hexdigest() == digest_of(pieces())
    wire.send(OK)
    assert (await client.answer()).body == b"ok"
    assert peak - before < MEMORY_BYTES


async def test_a_client_that_stops_reading_is_cut_after_the_idle_timeout(rig: Rig) -> None:
    await rig.start(idle_timeout_s=0.5, keep_alive_timeout_s=0.2)
    replica = await rig.replica()
    client = await rig.client(receive_bytes=4096)
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(f"HTTP/1.1 200 OK\r\n{framing(chunked=False)}\r\n\r\n".encode())
    sending = asyncio.create_task(send_all(wire, chunked=False))
    assert await asyncio.wait({sending}, timeout=20)
    assert isinstance(sending.exception(), ConnectionError)
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_client_that_never_reads_the_end_of_an_answer_does_not_stay_for_ever(
    rig: Rig,
) -> None:
    gateway = await rig.start(idle_timeout_s=0.5, keep_alive_timeout_s=0.2)
    await rig.replica(Sized())
    largest = await unread_bytes(rig)
    for short in SHORT_BY:
        for line in ((), ("Connection: close",)):
            client = await rig.client(receive_bytes=4096)
            client.send(request("GET", f"/{largest - short}", *line))

    async def nobody_left() -> bool:
        return not (await gateway.metrics())["gateway_client_connections"]

    await until_async(nobody_left)
