"""Whoever sends or reads too slowly: bounded, ended in the end, and nobody else's problem.

Memory and completed requests are counted; timeouts are short settings, and nothing is timed.
"""

import asyncio
import contextlib

from tests.integration.gateway.floods import HELD_UP_BYTES, MIB, by_path, crowd, flooded, pour
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.wire import Head, Wire

pytestmark = uvloop_only  # the gateway is a process of its own, on the loop of production


async def _read_all(wire: Wire, _head: Head) -> None:
    while await wire.reader.read(MIB):
        pass


async def _trickle(wire: Wire, words: bytes) -> None:
    """Say little by little what never ends, until the gateway has had enough."""
    with contextlib.suppress(ConnectionError):
        for at in range(len(words)):
            wire.send(words[at : at + 1])
            await wire.writer.drain()
            await asyncio.sleep(0.01)
            if wire.reader.at_eof() or wire.writer.transport.is_closing():
                return


async def test_slow_heads_are_ended_and_hold_nobody_up(rig: Rig) -> None:
    gateway = await flooded(rig, head_timeout_s=1.5)
    await rig.replica(by_path())
    await gateway.others_are_served()
    gateway.mark()
    async with crowd(rig, 200) as clients:
        trickling = [
            asyncio.create_task(_trickle(client, b"GET / HTTP/1.1\r\nX: " + b"y" * 4000))
            for client in clients
        ]
        await gateway.check()
        heard = await asyncio.gather(*(client.rest() for client in clients))
        assert {data[9:12] for data in heard if data} == {b"408"}
        await asyncio.gather(*trickling)
        await gateway.check()


async def test_heads_that_stop_just_before_their_limit_hold_no_more_than_it(rig: Rig) -> None:
    gateway = await flooded(rig)
    await rig.replica(by_path())
    await gateway.others_are_served()
    gateway.mark()
    head = b"GET / HTTP/1.1\r\nX: " + b"y" * 60_000
    async with crowd(rig, 100) as clients:
        for client in clients:
            client.send(head)
        await gateway.others_are_served()
        assert gateway.grown() < 100 * 2 * len(head) + 8 * MIB
    await gateway.others_are_served()


async def test_slow_bodies_hold_nobody_up(rig: Rig) -> None:
    gateway = await flooded(rig, body_timeout_s=1.5)
    await rig.replica(by_path(flood=_read_all))
    await gateway.others_are_served()
    gateway.mark()
    async with crowd(rig, 200) as clients:
        for client in clients:
            client.send(request("POST", "/flood", "Content-Length: 1000000"), b"x")
        trickling = [asyncio.create_task(_trickle(c, b"x" * 100)) for c in clients]
        await gateway.check()
        await asyncio.gather(*trickling)
        heard = await asyncio.gather(*(client.rest() for client in clients))
        assert {data[9:12] for data in heard} == {b"408"}
        await gateway.check()


async def test_slow_chunks_are_ended_too(rig: Rig) -> None:
    gateway = await flooded(rig, body_timeout_s=1.5)
    await rig.replica(by_path(flood=_read_all))
    await gateway.others_are_served()
    gateway.mark()
    async with crowd(rig, 100) as clients:
        for client in clients:
            client.send(request("POST", "/flood", "Transfer-Encoding: chunked"), b"5\r\nab")
        heard = await asyncio.gather(*(client.rest() for client in clients))
        assert {data[9:12] for data in heard} == {b"408"}
        await gateway.check()


async def test_slow_readers_hold_up_their_replica_and_not_the_gateway(rig: Rig) -> None:
    poured: list[int] = []

    async def handler(wire: Wire, _head: Head) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        poured.append(await pour(wire, b"x" * 65_536))

    gateway = await flooded(rig, idle_timeout_s=600)
    await rig.replica(by_path(flood=handler))
    await gateway.others_are_served()
    gateway.mark()
    async with crowd(rig, 20, receive_bytes=4096) as clients:
        for client in clients:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            client.send(request("GET", "/flood"))
        await gateway.check()
        async with asyncio.timeout(90):
            while len(poured) < len(clients):  # noqa: ASYNC110 - told by replicas
                await asyncio.sleep(0.05)
        assert max(poured) < HELD_UP_BYTES
        await gateway.check()


async def test_a_reader_that_never_reads_is_cut_in_the_end(rig: Rig) -> None:
    async def handler(wire: Wire, _head: Head) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        await pour(wire, b"x" * 65_536)
        ended.append(await wire.rest())

    ended: list[bytes] = []
    gateway = await flooded(rig, idle_timeout_s=1.5)
    await rig.replica(by_path(flood=handler))
    await gateway.others_are_served()
    gateway.mark()
    async with crowd(rig, 10, receive_bytes=4096) as clients:
        for client in clients:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            client.send(request("GET", "/flood"))
        async with asyncio.timeout(90):
            while len(ended) < len(clients):  # noqa: ASYNC110 - told by replicas
                await asyncio.sleep(0.05)
        await gateway.check()


async def test_clients_that_leave_in_the_middle_of_everything_leave_nothing_behind(
    rig: Rig,
) -> None:
    gateway = await flooded(rig)
    await rig.replica(by_path(flood=_read_all))
    await gateway.others_are_served()
    gateway.mark()
    beginnings = [
        b"GET / HT",
        request("POST", "/flood", "Content-Length: 100000") + b"x" * 50_000,
        request("POST", "/flood", "Transfer-Encoding: chunked") + b"ffff\r\n" + b"x" * 30_000,
        request("GET", "/flood"),
        request("GET", "/ok") * 20,
    ]
    for _ in range(8):
        async with crowd(rig, 50) as clients:
            for number, client in enumerate(clients):
                client.send(beginnings[number % len(beginnings)])
            for client in clients[::2]:
                client.half_close()
            await gateway.others_are_served(5)
            for client in clients:
                client.reset()
    await gateway.check()
    load = await rig.counted(in_flight=0, queued=0)
    assert load.started == sum(load.finished.values())
