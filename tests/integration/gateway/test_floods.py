"""Whoever sends too much: the gateway's memory stays flat, and everybody else is served.

Memory and completed requests are counted, nothing is timed. Every flood is many times larger than
what the gateway may grow.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.integration.gateway.floods import (
    AT_MOST_BYTES,
    HELD_UP_BYTES,
    MIB,
    Flooded,
    all_ended,
    by_path,
    crowd,
    flooded,
    pour,
    pour_for_ever,
)
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import SWITCHED
from tests.integration.gateway.wire import DEADLINE_S, Head, Message, Wire

pytestmark = uvloop_only  # the gateway is a process of its own, on the loop of production

CHUNKED = request("POST", "/flood", "Transfer-Encoding: chunked")
ANSWER_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _listen_for_ever(wire: Wire, _head: Head) -> None:
    """Read what comes, and say nothing."""
    while await wire.reader.read(MIB):
        pass


async def _deaf(_wire: Wire, _head: Head) -> None:
    """Neither read nor say anything."""
    await asyncio.Event().wait()


def _saying(before: bytes, piece: bytes) -> Callable[[Wire, Head], Awaitable[None]]:
    """Say one thing, then another for ever."""

    async def handler(wire: Wire, _head: Head) -> None:
        wire.send(before)
        await pour_for_ever(wire, piece)

    return handler


async def _tunnel(wire: Wire, _head: Head) -> None:
    wire.send(SWITCHED)
    await asyncio.Event().wait()


async def _start(
    rig: Rig, handler: Callable[[Wire, Head], Awaitable[None]], **settings: object
) -> Flooded:
    gateway = await flooded(rig, **settings)
    await rig.replica(by_path(flood=handler))
    await gateway.others_are_served()
    gateway.mark()
    return gateway


# ---- clients that send without end


HELD_UP = {
    "a-body-that-the-replica-does-not-read": (
        request("POST", "/flood", f"Content-Length: {10 * AT_MOST_BYTES}"), b"x" * 65_536, _deaf,
    ),
    "chunks-that-the-replica-does-not-read": (CHUNKED, b"8000\r\n%b\r\n" % (b"x" * 32_768), _deaf),
    "small-chunks-that-the-replica-does-not-read": (
        CHUNKED, b"400\r\n%b\r\n" % (b"x" * 1024) * 60, _deaf,
    ),
    "requests-behind-one-that-is-not-answered": (request("GET", "/flood"), request() * 400, _deaf),
    "bytes-into-a-tunnel-that-nobody-reads": (
        request("GET", "/flood", "Connection: Upgrade", "Upgrade: my-protocol"),
        b"x" * 65_536,
        _tunnel,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("first", "piece", "handler"), [pytest.param(*case, id=name) for name, case in HELD_UP.items()]
)
async def test_a_client_is_held_up_when_its_words_are_not_taken(
    rig: Rig, first: bytes, piece: bytes, handler: Callable[[Wire, Head], Awaitable[None]]
) -> None:
    gateway = await _start(rig, handler)
    async with crowd(rig, 4) as clients:
        for client in clients:
            client.send(first)
        taken = await asyncio.gather(*(pour(client, piece) for client in clients))
        assert max(taken) < HELD_UP_BYTES
        await gateway.check()
    await gateway.check()


FLOWING = {
    "tiny-chunks": (CHUNKED, b"1\r\na\r\n" * 10_000, 2 * MIB),
    "chunk-extensions": (CHUNKED, b"1;%b\r\na\r\n" % (b"x=y;" * 1000) * 16, 32 * MIB),
    "large-chunks": (CHUNKED, b"8000\r\n%b\r\n" % (b"x" * 32_768), 64 * MIB),
    "one-endless-chunk": (CHUNKED + b"fffffffffffffff\r\n", b"x" * 65_536, 64 * MIB),
    "sizes-with-many-zeros": (CHUNKED, b"0000000000000001\r\na\r\n" * 3000, 4 * MIB),
}
"""Beginning, what follows again and again, and how much of it: small chunks cost more time."""


@pytest.mark.parametrize(
    ("first", "piece", "amount"), [pytest.param(*case, id=name) for name, case in FLOWING.items()]
)
async def test_a_flood_that_is_taken_flows_through(
    rig: Rig, first: bytes, piece: bytes, amount: int
) -> None:
    gateway = await _start(rig, _listen_for_ever)
    async with crowd(rig, 2) as clients:
        for client in clients:
            client.send(first)
        await asyncio.gather(
            gateway.check(), *(pour(client, piece, at_most=amount) for client in clients)
        )
        await gateway.check()
    await gateway.check()


REFUSED = {
    "an-endless-header-line": (b"GET / HTTP/1.1\r\nX: ", b"y" * 8192, 431),
    "endless-header-lines": (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 1000, 431),
    "an-endless-target": (b"GET /", b"y" * 8192, 431),
    "an-endless-size-line": (CHUNKED + b"1;", b"y" * 8192, 400),
    "an-endless-trailer": (CHUNKED + b"0\r\nX: ", b"y" * 8192, 400),
    "endless-trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, 400),
    "last-chunks-without-end": (CHUNKED.replace(b"/flood", b"/ok"), b"0\r\n\r\n" * 1000, 400),
    "header-lines-for-ever-after-a-request": (request("GET", "/ok"), b"X: y\r\n" * 1000, 431),
}  # fmt: skip


@pytest.mark.parametrize(
    ("first", "piece", "status"), [pytest.param(*case, id=name) for name, case in REFUSED.items()]
)
async def test_what_never_ends_is_refused_at_its_limit(
    rig: Rig, first: bytes, piece: bytes, status: int
) -> None:
    gateway = await _start(rig, _listen_for_ever)
    async with crowd(rig, 60) as clients:

        async def flood(client: Wire) -> bytes:
            client.send(first)
            reading = asyncio.create_task(client.rest())
            await pour(client, piece, at_most=4 * MIB)
            return await reading

        heard = await asyncio.gather(*(flood(client) for client in clients))
        await gateway.check()
    # Whoever keeps sending may lose the answer to a reset, but nobody is let through.
    answers = [data.rpartition(b"HTTP/1.1 ")[2][:3] for data in heard]
    assert set(answers) <= {b"%d" % status, b"200", b""}
    assert b"%d" % status in answers
    await gateway.check()


PIPELINES = {
    "invocations": request("GET", "/ok") * 500,
    "without-a-token": request("GET", "/ok", token=None) * 500,
    "without-a-route": b"GET / HTTP/1.1\r\nHost:h\r\n\r\n" * 3000,
}


@pytest.mark.parametrize("piece", PIPELINES.values(), ids=PIPELINES)
async def test_a_client_that_asks_and_does_not_listen_is_held_up(rig: Rig, piece: bytes) -> None:
    gateway = await _start(rig, _deaf)
    async with crowd(rig, 4, receive_bytes=4096) as clients:
        for client in clients:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        taken = await asyncio.gather(*(pour(client, piece) for client in clients))
        assert max(taken) < HELD_UP_BYTES
        await gateway.check()
    await gateway.check()


async def test_empty_lines_are_swallowed_and_not_kept(rig: Rig) -> None:
    gateway = await _start(rig, _deaf)
    async with crowd(rig, 4) as clients:
        await asyncio.gather(
            gateway.check(), *(pour(c, b"\r\n" * 30_000, at_most=16 * MIB) for c in clients)
        )
        await gateway.check()
        for client in clients:
            client.send(request("GET", "/ok"))
            assert (await client.answer()).body == b"ok"
    await gateway.check()


async def test_requests_that_wait_for_a_replica_hold_no_more_than_their_replay(rig: Rig) -> None:
    gateway = await flooded(rig)
    gateway.mark()
    async with crowd(rig, 60) as clients:
        for client in clients:
            client.send(request("POST", "/", f"Content-Length: {10 * AT_MOST_BYTES}"))
        taken = await asyncio.gather(*(pour(client, b"x" * 65_536) for client in clients))
        assert max(taken) < HELD_UP_BYTES
        assert gateway.grown() < 60 * 4 * 65_536 + 8 * MIB
        await rig.replica(by_path())
        await gateway.others_are_served()


async def test_a_flood_of_connections_leaves_room_for_others(rig: Rig) -> None:
    gateway = await _start(rig, _deaf)
    for _ in range(5):  # comes and goes: what is gone is forgotten
        async with crowd(rig, 300):
            await gateway.check()
    await gateway.check()


async def test_connections_that_say_nothing_are_ended(rig: Rig) -> None:
    gateway = await _start(rig, _deaf, first_byte_timeout_s=0.5)
    async with crowd(rig, 300) as clients:
        await all_ended(clients)
        await gateway.check()


# ---- replicas that send without end

LOUD = {
    "a-body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
    "chunks": (ANSWER_CHUNKED, b"8000\r\n%b\r\n" % (b"x" * 32_768)),
    "small-chunks": (ANSWER_CHUNKED, b"40\r\n%b\r\n" % (b"x" * 64) * 900),
}
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "piece"), [pytest.param(*case, id=name) for name, case in LOUD.items()]
)
async def test_a_replica_is_held_up_when_nobody_listens(
    rig: Rig, before: bytes, piece: bytes
) -> None:
    poured: list[int] = []

    async def handler(wire: Wire, _head: Head) -> None:
        wire.send(before)
        poured.append(await pour(wire, piece))

    gateway = await _start(rig, handler)
    async with crowd(rig, 4, receive_bytes=4096) as clients:
        for client in clients:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            client.send(request("GET", "/flood"))
        async with asyncio.timeout(60):
            while len(poured) < len(clients):  # noqa: ASYNC110 - told by replicas
                await asyncio.sleep(0.05)
        assert max(poured) < HELD_UP_BYTES
        await gateway.check()
    await gateway.check()


@pytest.mark.parametrize(
    ("before", "piece"), [pytest.param(*case, id=name) for name, case in LOUD.items()]
)
async def test_a_loud_replica_flows_through(rig: Rig, before: bytes, piece: bytes) -> None:
    gateway = await _start(rig, _saying(before, piece))
    async with crowd(rig, 2) as clients:

        async def listen(client: Wire) -> int:
            client.send(request("GET", "/flood"))
            heard = 0
            async with asyncio.timeout(6 * DEADLINE_S):
                while heard < MIB and (data := await client.reader.read(MIB)):
                    heard += len(data)
            return heard

        listening = [asyncio.create_task(listen(client)) for client in clients]
        await gateway.check()
        assert min(await asyncio.gather(*listening)) >= MIB
        await gateway.check()
    await gateway.check()


async def test_interim_answers_without_end_are_502(rig: Rig) -> None:
    gateway = await _start(rig, _saying(b"", INTERIM * 1000), eject_s=0.01)
    answers = await asyncio.gather(*(rig.ask("GET", "/flood") for _ in range(20)))
    assert {answer.get("x-tidegate-error") for answer in answers} == {"replica_malformed"}
    assert all(answer.interim for answer in answers)
    await gateway.check()


async def test_interim_answers_for_nobody_who_listens_are_not_kept(rig: Rig) -> None:
    gateway = await _start(rig, _saying(b"", INTERIM * 1000), eject_s=0.01)
    async with crowd(rig, 20, receive_bytes=4096) as clients:
        for client in clients:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            client.send(request("GET", "/flood"))
        await gateway.check()
    await gateway.check()


TOO_MUCH = {
    "an-endless-line": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 8192),
    "endless-lines": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "an-endless-status-line": (b"HTTP/1.1 200 ", b"y" * 8192),
    "an-endless-interim-line": (b"HTTP/1.1 103 Early Hints\r\nX: ", b"y" * 8192),
}


@pytest.mark.parametrize(
    ("before", "piece"), [pytest.param(*case, id=name) for name, case in TOO_MUCH.items()]
)
async def test_a_head_without_end_is_502(rig: Rig, before: bytes, piece: bytes) -> None:
    gateway = await _start(rig, _saying(before, piece), eject_s=0.01)

    async def ask() -> Message:
        return await rig.ask("GET", "/flood")

    answers = await asyncio.gather(*(ask() for _ in range(60)))
    assert {answer.get("x-tidegate-error") for answer in answers} == {"replica_malformed"}
    await gateway.check()


CUT = {
    "an-endless-size-line": (ANSWER_CHUNKED + b"1;", b"y" * 8192),
    "an-endless-trailer": (ANSWER_CHUNKED + b"0\r\nX: ", b"y" * 8192),
    "endless-trailers": (ANSWER_CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
}


@pytest.mark.parametrize(
    ("before", "piece"), [pytest.param(*case, id=name) for name, case in CUT.items()]
)
async def test_an_answer_with_endless_framing_is_cut(rig: Rig, before: bytes, piece: bytes) -> None:
    gateway = await _start(rig, _saying(before, piece))
    async with crowd(rig, 40) as clients:
        for client in clients:
            client.send(request("GET", "/flood"))
        rests = await asyncio.gather(*(client.rest() for client in clients))
        assert not any(b"\r\n0\r\n" in rest for rest in rests), "none of them looks whole"
        await gateway.check()
