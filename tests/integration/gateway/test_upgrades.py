"""Upgrades: byte tunnels through the gateway."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from controlplane.model.reports import OpenStreams
from tests.integration.gateway import records
from tests.integration.gateway.records import TOKEN, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, SWITCHED, ScriptedReplica, answering
from tests.integration.gateway.waiting import blocked, until_async
from tests.integration.gateway.wire import Wire

UPGRADE = ("Connection: Upgrade", "Upgrade: my-protocol")


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        if message == "bye":
            await connection.close(4001, "as you wish")
        else:
            await connection.send(message)


@asynccontextmanager
async def websockets(rig: Rig, path: str = "/ws") -> AsyncIterator[ClientConnection]:
    """A WebSocket server as the replica, and a client of it through the gateway."""
    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await rig.commit(records.replica("65f00000000000000000ef00", port))
        async with connect(
            f"ws://127.0.0.1:{rig.gateway.port}/api/v2/endpoints/workloads/{WORKLOAD_ID}{path}",
            additional_headers={"Authorization": f"Bearer {TOKEN}"},
            max_size=None,
            proxy=None,
        ) as client:
            yield client


async def test_a_websocket_echoes_through_the_gateway(rig: Rig) -> None:
    await rig.start()
    async with websockets(rig) as client:
        for n in range(50):
            await client.send(f"message {n}")
            assert await client.recv() == f"message {n}"
        await client.send(b"\x00\xff")
        assert await client.recv() == b"\x00\xff"
        assert client.response is not None
        assert client.response.headers["X-Request-Id"]
        await rig.counted(started=1, in_flight=1)
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_a_report_names_the_open_websockets_of_a_replica(rig: Rig) -> None:
    await rig.start(report_interval_s=0.02)
    seen: dict[str, OpenStreams] = {}

    async def told() -> dict[str, OpenStreams]:
        seen.clear()
        seen.update((await rig.report()).streams)
        return seen

    async def silent() -> bool:
        return any(streams.silent_s >= 0.3 for streams in (await told()).values())

    async def none() -> bool:
        return not await told()

    async with websockets(rig) as client:
        await client.send("hello")
        await client.recv()
        await until_async(told)
        (streams,) = seen.values()
        assert (streams.open, streams.active, streams.protocol) == (1, 1, "websocket")
        assert streams.client == "127.0.0.1"
        await until_async(silent)
        await client.send("again")
        await client.recv()
    await until_async(none)


async def test_large_websocket_messages_pass_both_ways(rig: Rig) -> None:
    await rig.start()
    message = os.urandom(3 * 1024 * 1024)
    async with websockets(rig) as client:
        await client.send(message)
        assert await client.recv() == message
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_a_servers_close_code_reaches_the_client(rig: Rig) -> None:
    await rig.start()
    async with websockets(rig) as client:
        await client.send("bye")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "as you wish")
        await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_a_clients_close_code_reaches_the_server(rig: Rig) -> None:
    await rig.start()
    seen: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def remember(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.recv()
        seen.set_result(connection.close_code)

    async with serve(remember, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await rig.commit(records.replica("65f00000000000000000ef00", port))
        client = await connect(
            f"ws://127.0.0.1:{rig.gateway.port}/api/v2/endpoints/workloads/{WORKLOAD_ID}/",
            additional_headers={"Authorization": f"Bearer {TOKEN}"},
            proxy=None,
        )
        await client.close(4002)
        async with asyncio.timeout(20):
            assert await seen == 4002
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def tunnel(rig: Rig) -> tuple[Wire, Wire, ScriptedReplica]:
    """An open tunnel of some protocol: the client's end, the replica's end."""
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/up", *UPGRADE))
    wire = await replica.accepted()
    head = await wire.head()
    assert head.get("connection") == "Upgrade"
    assert head.get("upgrade") == "my-protocol"
    wire.send(SWITCHED)
    answer = await client.head()
    assert answer.first == "HTTP/1.1 101 Switching Protocols"
    assert answer.get("connection") == "Upgrade"
    assert answer.get("upgrade") == "my-protocol"
    return client, wire, replica


async def test_any_bytes_pass_a_tunnel_both_ways(rig: Rig) -> None:
    await rig.start()
    client, wire, _ = await tunnel(rig)
    for n in range(3):
        client.send(b"GET / HTTP/1.1\r\n\r\n\x00%d" % n)
        assert await wire.exactly(20) == b"GET / HTTP/1.1\r\n\r\n\x00%d" % n
        wire.send(b"HTTP/1.1 500 X\r\n\r\n\xff%d" % n)
        assert await client.exactly(20) == b"HTTP/1.1 500 X\r\n\r\n\xff%d" % n
    await rig.counted(started=1, in_flight=1)


async def test_what_comes_with_the_switch_is_not_lost(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/up", *UPGRADE), b"from the client")
    wire = await replica.accepted()
    await wire.head()
    wire.send(SWITCHED, b"from the replica")
    await client.head()
    assert await client.exactly(16) == b"from the replica"
    assert await wire.exactly(15) == b"from the client"


@pytest.mark.parametrize("who", ["client", "replica"])
async def test_a_half_closed_tunnel_stays_open_the_other_way(rig: Rig, who: str) -> None:
    await rig.start()
    client, wire, _ = await tunnel(rig)
    first, second = (client, wire) if who == "client" else (wire, client)
    first.send(b"the last I have to say")
    first.half_close()
    assert await second.to_end() == b"the last I have to say"
    await rig.counted(started=1, in_flight=1)
    for n in range(3):
        second.send(b"more %d" % n)
        assert await first.exactly(6) == b"more %d" % n
    second.send(b"x" * 1_000_000)
    second.half_close()
    assert len(await first.to_end()) == 1_000_000
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


@pytest.mark.parametrize("who", ["client", "replica"])
@pytest.mark.parametrize("rude", [False, True], ids=["eof", "reset"])
async def test_a_tunnel_ends_for_both_when_one_side_goes(rig: Rig, who: str, rude: bool) -> None:
    gateway = await rig.start()
    client, wire, _ = await tunnel(rig)
    first, second = (client, wire) if who == "client" else (wire, client)
    if rude:
        first.reset()
    else:
        first.close()
    assert await second.ended() in {"eof", "reset"}
    second.close()
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})

    async def nobody_left() -> bool:
        return not (await gateway.metrics())["gateway_client_connections"]

    await until_async(nobody_left)


async def test_a_side_that_reads_slowly_brakes_the_other(rig: Rig) -> None:
    await rig.start()
    client, wire, _ = await tunnel(rig)
    for sender, reader in ((client, wire), (wire, client)):
        reader.writer.transport.pause_reading()
        size = 20_000_000
        sender.send(b"x" * size)
        async with asyncio.timeout(20):
            before = -1
            while before != sender.writer.transport.get_write_buffer_size():
                before = sender.writer.transport.get_write_buffer_size()
                await asyncio.sleep(0.1)
        assert before > 0
        reader.writer.transport.resume_reading()
        while size:
            size -= len(await reader.exactly(min(size, 1_000_000)))


async def test_a_replica_may_decline_an_upgrade(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request("GET", "/", *UPGRADE))
    assert (await client.answer()).body == b"ok"
    client.send(request())
    assert (await client.answer()).body == b"ok"
    assert len(replica.wires) == 1


async def test_an_answer_that_only_advertises_an_upgrade_is_an_ordinary_one(rig: Rig) -> None:
    await rig.start()
    said = OK.replace(b"\r\n\r\n", b"\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\n\r\n")
    replica = await rig.replica(answering(said))
    client = await rig.client()
    for lines in ((), UPGRADE):
        client.send(request("GET", "/", *lines))
        answer = await client.answer()
        assert answer.body == b"ok"
        assert answer.get("upgrade") is None
    assert len(replica.wires) == 1


async def test_http_2_is_not_tunnelled(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    assert (await rig.ask("GET", "/", *lines)).status == 200
    assert b"pgrade" not in replica.wires[0].received
    assert b"HTTP2" not in replica.wires[0].received


async def test_a_silent_tunnel_is_closed_after_the_idle_timeout(rig: Rig) -> None:
    await rig.start(idle_timeout_s=0.3)
    client, wire, _ = await tunnel(rig)
    assert await client.ended() in {"eof", "reset"}
    assert await wire.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_a_busy_tunnel_outlives_the_idle_timeout(rig: Rig) -> None:
    await rig.start(idle_timeout_s=0.4)
    client, wire, _ = await tunnel(rig)
    for n in range(10):
        one, other = (client, wire) if n % 2 else (wire, client)
        one.send(b"x")
        assert await other.exactly(1) == b"x"
        await asyncio.sleep(0.08)
    await rig.counted(started=1, in_flight=1)


async def test_much_that_comes_before_the_switch_is_not_lost_and_what_follows_neither(
    rig: Rig,
) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/up", *UPGRADE), b"e" * 10_000_000)
    wire = await replica.accepted()
    await wire.head()
    await until_async(lambda: blocked(client))
    wire.send(SWITCHED)
    await client.head()
    left = 10_000_000
    while left:
        left -= len(await wire.exactly(min(left, 1_000_000)))
    client.send(b"later")
    assert await wire.exactly(5) == b"later"
