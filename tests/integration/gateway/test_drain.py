"""The end of a worker: `python -m gateway` under SIGTERM."""

import asyncio
import json
import signal
import socket

import pytest

from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, SWITCHED, answering
from tests.integration.gateway.waiting import until, until_async
from tests.integration.gateway.wire import Wire

pytestmark = uvloop_only  # a child process has the loop that it always has


async def refuses_connections(gateway: ChildGateway) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    except ConnectionError:
        return True
    writer.transport.abort()
    return False


async def begun(rig: Rig, gateway: ChildGateway) -> None:
    """Wait until the worker accepts no more."""
    await until(lambda: gateway.said("draining"))
    await until_async(lambda: refuses_connections(gateway))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_worker_ends_at_once_with_exit_code_0(
    rig: Rig, number: signal.Signals
) -> None:
    gateway = await rig.start_child()
    await rig.replica(answering(OK))
    idle = await rig.client()
    idle.send(request())
    assert (await idle.answer()).body == b"ok"
    gateway.process.send_signal(number)
    assert await idle.ended() == "eof"
    assert await gateway.exit_code() == 0
    assert gateway.said("stopped")


async def test_everything_open_finishes_before_the_worker_ends(rig: Rig) -> None:
    gateway = await rig.start_child()
    replica = await rig.replica()

    async def opened(path: str, *lines: str) -> tuple[Wire, Wire]:
        client = await rig.client()
        client.send(request("POST", path, *lines))
        wire = await replica.accepted()
        await wire.head()
        return client, wire

    waiting, waiting_wire = await opened("/waiting")
    streaming, streaming_wire = await opened("/streaming")
    streaming_wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await streaming.head()).get("connection") is None
    sending, sending_wire = await opened("/sending", "Content-Length: 6")
    tunnel, tunnel_wire = await opened("/tunnel", "Connection: Upgrade", "Upgrade: my-protocol")
    tunnel_wire.send(SWITCHED)
    await tunnel.head()
    await rig.counted(in_flight=4)

    gateway.process.terminate()
    await begun(rig, gateway)

    waiting_wire.send(OK)
    answer = await waiting.answer()
    assert answer.body == b"ok"
    assert answer.get("connection") == "close"
    assert await waiting.ended() == "eof"
    streaming_wire.send(b"3\r\nabc\r\n")
    assert await streaming.chunk() == b"abc"
    sending.send(b"abcdef")
    assert await sending_wire.exactly(6) == b"abcdef"
    sending_wire.send(OK)
    assert (await sending.answer()).body == b"ok"
    assert gateway.process.poll() is None, "two are still open"
    streaming_wire.send(b"0\r\n\r\n")
    assert await streaming.chunk() == b""
    tunnel.send(b"ping")
    assert await tunnel_wire.exactly(4) == b"ping"
    tunnel_wire.close()
    assert await tunnel.ended() == "eof"
    tunnel.close()
    assert await gateway.exit_code() == 0
    report = await rig.report()
    assert report.draining
    (load,) = report.protons.values()
    assert (load.started, load.in_flight, load.queued) == (4, 0, 0)
    assert load.finished == {"2xx": 3, "1xx": 1}


async def test_requests_that_have_reached_the_machine_are_answered(rig: Rig) -> None:
    """Also those whose connections only the kernel has accepted when the signal comes."""
    gateway = await rig.start_child()
    await rig.replica(answering(OK))
    socks = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(80)]
    try:
        for sock in socks:
            sock.sendall(request())
        gateway.process.terminate()
        for sock in socks:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(10):
                assert (await loop.sock_recv(sock, 4096)).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        for sock in socks:
            sock.close()
    assert await gateway.exit_code() == 0


async def test_what_is_held_is_served_when_its_replica_comes_during_the_drain(rig: Rig) -> None:
    gateway = await rig.start_child()
    client = await rig.client()
    client.send(request())
    await rig.counted(queued=1)
    gateway.process.terminate()
    await begun(rig, gateway)
    await rig.replica(answering(OK))
    assert (await client.answer()).body == b"ok"
    assert await gateway.exit_code() == 0


async def test_nothing_new_is_held_during_the_drain(rig: Rig) -> None:
    gateway = await rig.start_child(lame_duck_s=30)
    client = await rig.client()
    gateway.process.terminate()
    await until(lambda: gateway.said("draining"))
    client.send(request())
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (503, "gateway_stopping")
    assert answer.get("connection") == "close"


async def test_a_lame_duck_says_that_it_leaves_and_still_serves(rig: Rig) -> None:
    gateway = await rig.start_child(lame_duck_s=30)
    await rig.replica(answering(OK))
    assert (await gateway.admin("/readyz"))[0] == 200
    gateway.process.terminate()

    async def unready() -> bool:
        return (await gateway.admin("/readyz"))[0] == 503

    await until_async(unready)
    assert (await gateway.admin("/livez"))[0] == 200
    assert not json.loads((await gateway.admin("/readyz"))[1])["not_draining"]
    answer = await rig.ask()
    assert answer.body == b"ok"
    assert answer.get("connection") == "close"
    gateway.process.terminate()
    assert await gateway.exit_code() == 0, "a second signal hurries"


async def test_the_drain_deadline_cuts_what_is_left(rig: Rig) -> None:
    gateway = await rig.start_child(drain_timeout_s=0.3)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    gateway.process.terminate()
    assert await client.ended() in {"eof", "reset"}
    assert await wire.ended() in {"eof", "reset"}
    assert await gateway.exit_code() == 0
    (load,) = (await rig.report()).protons.values()
    assert load.finished == {"aborted": 1}
    assert load.in_flight == 0


async def test_a_second_signal_hurries(rig: Rig) -> None:
    gateway = await rig.start_child(drain_timeout_s=60)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    await (await replica.accepted()).request()
    gateway.process.terminate()
    await until(lambda: gateway.said("draining"))
    gateway.process.terminate()
    assert await client.ended() in {"eof", "reset"}
    assert await gateway.exit_code() == 0


async def test_a_client_that_uploads_to_nobody_does_not_hold_the_drain_up(rig: Rig) -> None:
    gateway = await rig.start_child(drain_timeout_s=0.5)
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 100000000"), b"x" * 100_000)
    await rig.counted(queued=1)
    gateway.process.terminate()
    await client.rest()
    assert await gateway.exit_code() == 0
