"""Replicas that vanish: what is repeated, what is not, and who gets the next request."""

import asyncio
import contextlib
import socket

import pytest

from controlplane.model.states import ReplicaPhase
from tests.integration.gateway import records
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, ScriptedReplica, answering
from tests.integration.gateway.waiting import until, until_async
from tests.integration.gateway.wire import Wire

METHODS = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH"]
IDEMPOTENT = METHODS[:5]


async def hang_up(wire: Wire) -> None:
    """Take a request and end the connection without a word."""
    await wire.head()


async def hang_up_rudely(wire: Wire) -> None:
    await wire.head()
    wire.reset()


async def hang_up_within_the_head(wire: Wire) -> None:
    await wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nConte")
    await wire.flush()


async def hang_up_at_once(wire: Wire) -> None:
    wire.reset()


def name(wire: Wire) -> bytes:
    """Which replica this is."""
    return b"%d" % wire.writer.get_extra_info("sockname")[1]


async def named(wire: Wire) -> None:
    """Answer with one's own port."""
    while True:
        asked = await wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(name(wire)))
        if asked.head.method != "HEAD":
            wire.send(name(wire))


async def ready_and_dead(rig: Rig) -> tuple[ScriptedReplica, ScriptedReplica]:
    """A good replica, and one that refuses connections though its record says ready."""
    dead = await rig.listen(named)
    dead.stop_listening()
    await rig.announce(dead)
    return await rig.replica(named), dead


@pytest.mark.parametrize("method", METHODS)
async def test_a_refused_connection_is_tried_elsewhere_for_every_method(
    rig: Rig, method: str
) -> None:
    await rig.start()
    good, _ = await ready_and_dead(rig)
    client = await rig.client()
    for _ in range(10):
        client.send(request(method, "/", body=b"" if method in {"GET", "HEAD"} else b"body"))
        answer = await client.answer(method)
        assert answer.status == 200
    assert len(good.wires) == 1
    await rig.counted(started=10, in_flight=0, finished={"2xx": 10})


async def test_nobody_to_connect_to_is_502_after_the_allowed_attempts(rig: Rig) -> None:
    await rig.start(max_attempts=2)
    for _ in range(3):
        replica = await rig.listen()
        replica.stop_listening()
        await rig.announce(replica)
    answer = await rig.ask("POST", "/", body=b"x")
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_unreachable")
    await rig.counted(started=1, in_flight=0, queued=0, finished={"refused": 1})


@pytest.mark.parametrize("script", [hang_up, hang_up_rudely])
@pytest.mark.parametrize("method", IDEMPOTENT)
async def test_an_idempotent_request_is_repeated_when_its_replica_says_nothing(
    rig: Rig, method: str, script: object
) -> None:
    await rig.start()
    bad = await rig.replica(script)  # type: ignore[arg-type]
    client = await rig.client()
    asked = asyncio.create_task(client.answer(method))
    client.send(request(method, "/x", body=b"" if method in {"GET", "HEAD"} else b"body"))
    await until(lambda: bad.wires)
    good = await rig.replica(answering(OK))
    assert (await asked).status == 200
    assert good.wires[0].received.startswith(f"{method} /x HTTP/1.1\r\n".encode())
    if method == "PUT":
        assert good.wires[0].received.endswith(b"\r\n\r\nbody")
    await rig.counted(started=1, in_flight=0, queued=0, finished={"2xx": 1})


@pytest.mark.parametrize("script", [hang_up, hang_up_rudely])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_have_been_acted_on_is_not_repeated(
    rig: Rig, method: str, script: object
) -> None:
    await rig.start()
    bad = await rig.replica(script)  # type: ignore[arg-type]
    answer = await rig.ask(method, "/", body=b"x")
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_reset")
    assert len(bad.wires) == 1
    await rig.counted(started=1, in_flight=0, queued=0, finished={"refused": 1})


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_replica_that_ends_within_its_head_is_502_for_every_method(
    rig: Rig, method: str
) -> None:
    await rig.start()
    bad = await rig.replica(hang_up_within_the_head)
    answer = await rig.ask(method)
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_reset")
    assert len(bad.wires) == 1


async def test_a_body_too_large_to_keep_is_not_repeated(rig: Rig) -> None:
    await rig.start(replay_bytes=1000)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("PUT", "/", body=b"x" * 2000))
    wire = await replica.accepted()
    await wire.request()
    wire.close()
    assert (await client.answer()).get("x-tidegate-error") == "replica_reset"


async def test_a_repeat_sends_the_same_bytes_again(rig: Rig) -> None:
    await rig.start()
    bad = await rig.replica()
    client = await rig.client()
    client.send(request("PUT", "/x?y=1", "X-Mine: 1", "Transfer-Encoding: chunked"))
    client.send(b"3\r\nabc\r\n")
    wire = await bad.accepted()
    await wire.head()
    assert await wire.chunk() == b"abc"
    client.send(b"2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
    assert await wire.chunk() == b"de"
    assert await wire.chunk() == b""
    assert await wire.line() == b"X-Sum: 5"
    assert await wire.line() == b""
    good = await rig.replica()
    wire.reset()
    again = await good.accepted()
    await again.request()
    assert again.received == wire.received
    again.send(OK)
    assert (await client.answer()).body == b"ok"


async def test_a_repeat_goes_on_with_the_rest_of_a_body_that_still_comes(rig: Rig) -> None:
    await rig.start()
    bad = await rig.replica()
    client = await rig.client()
    client.send(request("PUT", "/", "Content-Length: 6"), b"abc")
    wire = await bad.accepted()
    await wire.head()
    assert await wire.exactly(3) == b"abc"
    good = await rig.replica()
    wire.reset()
    again = await good.accepted()
    await again.head()
    assert await again.exactly(3) == b"abc"
    client.send(b"def")
    assert await again.exactly(3) == b"def"
    again.send(OK)
    assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", id="fixed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", id="fixed-before-its-body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", id="chunked"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12", id="within-a-chunk"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", id="before-the-very-end"
        ),
    ],
)
@pytest.mark.parametrize("rude", [False, True], ids=["eof", "reset"])
async def test_a_cut_answer_is_never_completed(rig: Rig, said: bytes, rude: bool) -> None:
    client, wire = await rig.asked()
    wire.send(said)
    head = await client.head()
    if rude:
        wire.reset()
    else:
        wire.close()
    rest = await client.rest()
    assert len(rest) <= 10
    assert b"0\r\n\r\n" not in rest
    assert head.status == 200
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_reset_does_not_complete_a_body_that_ends_with_the_connection(rig: Rig) -> None:
    client, wire = await rig.asked()
    wire.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
    await client.head()
    assert await client.chunk() == b"some"
    wire.reset()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.line()
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_failing_replica_gets_nothing_for_a_while_and_then_another_chance(
    rig: Rig,
) -> None:
    gateway = await rig.start(eject_s=0.3)
    bad = await rig.listen()
    port = bad.port
    bad.stop_listening()
    await rig.announce(bad)
    assert (await gateway.metrics())["gateway_endpoints{ready}"] == 1
    client = await rig.client()
    client.send(request("GET", "/held"))
    answer = asyncio.create_task(client.answer())

    async def ejected() -> bool:
        return (await gateway.metrics())["gateway_endpoints{ejected}"] == 1

    async def readmitted() -> bool:
        return not await ejected()

    await until_async(ejected)
    await rig.counted(queued=1, in_flight=0)
    bad.script = answering(OK)
    await bad.start(port=port)
    assert (await answer).status == 200, "readmitted: the request that waited is served"
    await until_async(readmitted)
    await rig.counted(queued=0, finished={"2xx": 1})


async def test_an_ejected_replica_gets_nothing_while_others_serve(rig: Rig) -> None:
    await rig.start(eject_s=60)
    good, dead = await ready_and_dead(rig)
    client = await rig.client()
    for _ in range(10):
        client.send(request())
        assert (await client.answer()).status == 200
    dead.script = named
    await dead.start(port=dead.port)
    for _ in range(10):
        client.send(request())
        assert (await client.answer()).body == b"%d" % good.port
    assert not dead.wires


async def test_a_replica_that_becomes_ready_again_is_not_ejected_any_more(rig: Rig) -> None:
    gateway = await rig.start(eject_s=60, max_attempts=1)
    bad = await rig.listen(named)
    bad.stop_listening()
    await rig.announce(bad)
    assert (await rig.ask()).status == 502
    assert (await gateway.metrics())["gateway_endpoints{ejected}"] == 1
    await rig.phase(bad, ReplicaPhase.UNREADY)
    await bad.start(port=bad.port)
    await rig.phase(bad, ReplicaPhase.READY)
    assert (await rig.ask()).status == 200


async def test_a_kept_connection_that_the_replica_ended_costs_nobody_an_error(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    for method in ("GET", "POST", "POST"):
        client.send(request(method))
        assert (await client.answer()).status == 200
        replica.wires[-1].close()
        await until(replica.wires[-1].writer.transport.is_closing)
        await asyncio.sleep(0.02)
    assert len(replica.wires) == 3


async def test_a_deleted_replicas_requests_still_finish(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    await rig.gone(replica)
    wire.send(OK)
    assert (await client.answer()).body == b"ok"
    assert await wire.ended() in {"eof", "reset"}, "nobody keeps its connection"
    await rig.counted(started=1, in_flight=0, finished={"2xx": 1})


async def test_a_draining_replica_gets_nothing_new_but_finishes(rig: Rig) -> None:
    await rig.start()
    old = await rig.replica()
    idle = await rig.client()
    idle.send(request())
    kept = await old.accepted()
    await kept.request()
    client = await rig.client()
    client.send(request())
    wire = await old.accepted()
    await wire.request()
    kept.send(OK)
    assert (await idle.answer()).body == b"ok"
    new = await rig.replica(named)
    await rig.phase(old, ReplicaPhase.DRAINING)
    assert await kept.ended() in {"eof", "reset"}, "idle connections are closed at once"
    for _ in range(5):
        assert (await rig.ask()).body == b"%d" % new.port

    async def only_the_last_request() -> bool:
        return (await rig.report()).endpoints == {old.id: 1}

    async def nothing() -> bool:
        return not (await rig.report()).endpoints

    await until_async(only_the_last_request)
    wire.send(OK)
    assert (await client.answer()).body == b"ok"
    await until_async(nothing)
    assert len(old.wires) == 2


async def test_a_request_that_no_replica_survives_is_502_in_the_end(rig: Rig) -> None:
    await rig.start(max_attempts=3, eject_s=0.02)
    replica = await rig.replica(hang_up)
    answer = await rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_reset")
    assert len(replica.wires) == 3
    await rig.counted(started=1, in_flight=0, queued=0, finished={"refused": 1})


async def test_a_replica_that_does_not_take_connections_is_left_after_the_timeout(
    rig: Rig,
) -> None:
    await rig.start(connect_timeout_s=0.2)
    with socket.socket() as deaf, contextlib.ExitStack() as fill:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # the queue is full: the kernel answers nobody any more
            filler = fill.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        await rig.commit(records.replica("65f00000000000000000ef00", deaf.getsockname()[1]))
        answer = asyncio.create_task(rig.ask("POST", "/", body=b"x"))
        await rig.counted(in_flight=1)
        await rig.replica(answering(OK))
        assert (await answer).status == 200


async def test_only_so_many_idle_connections_are_kept_and_not_for_long(rig: Rig) -> None:
    await rig.start(max_idle_per_endpoint=2, upstream_idle_timeout_s=0.1)
    replica = await rig.replica()
    clients = [await rig.client() for _ in range(5)]
    for client in clients:
        client.send(request())
    wires = [await replica.accepted() for _ in range(5)]
    for wire in wires:
        await wire.request()
        wire.send(OK)
    for client in clients:
        assert (await client.answer()).body == b"ok"
    ends = [asyncio.create_task(wire.ended()) for wire in wires]
    await until(lambda: sum(end.done() for end in ends) >= 3)
    await asyncio.gather(*ends)
