"""Limits that protect the gateway and its replicas: each with its own answer, none in the way."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.integration.gateway import records
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async
from tests.integration.gateway.wire import Message, Wire

pytestmark = uvloop_only  # nothing here depends on the loop


async def turned_away(rig: Rig) -> Message:
    """What a connection gets that may not stay."""
    client = await rig.client()
    answer = await client.answer()
    assert answer.get("connection") == "close"
    assert await client.ended() in {"eof", "reset"}
    return answer


async def served(client: Wire) -> bool:
    client.send(request())
    return (await client.answer()).status == 200


async def test_one_address_has_only_so_many_connections(rig: Rig) -> None:
    gateway = await rig.start(max_connections_per_client=2)
    await rig.replica(answering(OK))
    first, second = await rig.client(), await rig.client()
    answer = await turned_away(rig)
    assert (answer.status, answer.get("x-tidegate-error")) == (429, "too_many_connections")
    assert await served(first)
    assert await served(second)
    second.close()

    async def room() -> bool:
        return (await gateway.metrics())["gateway_client_connections"] == 1

    await until_async(room)
    assert await served(await rig.client()), "a place that is left is free"


async def test_our_own_proxies_bring_many_clients(rig: Rig) -> None:
    await rig.start(max_connections_per_client=1, trusted_proxies="127.0.0.1")
    await rig.replica(answering(OK))
    clients = [await rig.client() for _ in range(3)]
    assert [await served(client) for client in clients] == [True] * 3


async def test_silence_does_not_keep_others_out_of_a_full_gateway(rig: Rig) -> None:
    await rig.start(max_connections=2)
    await rig.replica(answering(OK))
    silent = [await rig.client() for _ in range(2)]
    newcomers = [await rig.client() for _ in range(2)]
    assert [await served(client) for client in newcomers] == [True] * 2
    assert [await client.ended() for client in silent] == ["eof"] * 2


async def test_nobody_makes_way_for_one_who_may_not_come_in(rig: Rig) -> None:
    await rig.start(max_connections=2, max_connections_per_client=2)
    await rig.replica(answering(OK))
    clients = [await rig.client() for _ in range(2)]
    assert (await turned_away(rig)).status == 429
    assert [await served(client) for client in clients] == [True] * 2


async def test_a_gateway_full_of_work_says_so_and_goes_on_with_it(rig: Rig) -> None:
    await rig.start(max_connections=2)
    clients = [await rig.client() for _ in range(2)]
    for client in clients:
        client.send(request())
    await rig.counted(queued=2)
    answer = await turned_away(rig)
    assert (answer.status, answer.get("x-tidegate-error")) == (503, "too_many_connections")
    await rig.replica(answering(OK))
    assert [(await client.answer()).status for client in clients] == [200] * 2


async def test_an_upload_goes_on_while_its_answer_has_begun(rig: Rig) -> None:
    await rig.start(idle_timeout_s=0.6)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 12"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await client.head()).status == 200
    for _ in range(12):
        client.send(b"x")
        assert await wire.exactly(1) == b"x"
        await asyncio.sleep(0.1)
    wire.send(b"0\r\n\r\n")
    assert await client.chunk() == b""


async def test_a_connection_ends_in_order_after_so_many_requests(rig: Rig) -> None:
    await rig.start(max_requests_per_connection=2)
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request(), request(), request())
    first, second = await client.answer(), await client.answer()
    assert (first.get("connection"), second.get("connection")) == (None, "close")
    assert await client.ended() in {"eof", "reset"}
    await rig.counted(started=2, finished={"2xx": 2})


async def test_a_request_that_takes_too_long_is_504(rig: Rig) -> None:
    await rig.start(request_timeout_s=0.2)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (504, "request_timeout")
    assert await wire.ended() in {"eof", "reset"}, "the replica is told"
    await rig.counted(started=1, in_flight=0, finished={"refused": 1})


async def test_a_request_that_waits_too_long_for_a_replica_is_504(rig: Rig) -> None:
    await rig.start(request_timeout_s=0.2)
    answer = await rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (504, "request_timeout")
    await rig.counted(started=1, queued=0, finished={"refused": 1})


async def test_an_answer_that_flows_for_too_long_is_cut(rig: Rig) -> None:
    await rig.start(request_timeout_s=0.3)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await client.head()
    assert await client.chunk() == b"a"
    assert await client.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_the_time_of_a_request_is_not_the_time_of_a_tunnel(rig: Rig) -> None:
    await rig.start(request_timeout_s=0.2)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/", "Connection: upgrade", "Upgrade: echo"))
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    assert (await client.head()).status == 101
    await asyncio.sleep(0.5)
    client.send(b"still here")
    assert await wire.exactly(10) == b"still here"


@pytest.mark.parametrize("who", ["client", "replica"])
async def test_a_tunnel_that_one_side_has_ended_does_not_stay_open_in_silence(
    rig: Rig, who: str
) -> None:
    await rig.start(half_closed_timeout_s=0.3)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/", "Connection: upgrade", "Upgrade: echo"))
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    assert (await client.head()).status == 101
    (client if who == "client" else wire).half_close()
    await rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_a_replica_on_probation_gets_one_request_at_a_time(rig: Rig) -> None:
    gateway = await rig.start(eject_s=0.2)
    bad = await rig.listen()
    bad.stop_listening()
    await rig.announce(bad)
    clients = [await rig.client() for _ in range(3)]
    for client in clients:
        client.send(request())

    async def ejected() -> bool:
        return (await gateway.metrics())["gateway_endpoints{ejected}"] == 1

    await until_async(ejected)
    await rig.counted(queued=3, in_flight=0)
    await bad.start(port=bad.port)
    wire = await bad.accepted()
    await wire.request()
    await rig.counted(queued=2, in_flight=1)
    wire.send(OK)
    await rig.counted(queued=0)


async def test_repeats_are_a_share_of_the_traffic(rig: Rig) -> None:
    await rig.start(retry_budget_ratio=0.0, retry_budget_min=1, eject_s=0.01)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.close()
    again = await replica.accepted()
    await again.request()
    again.close()
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_reset")


@pytest.mark.parametrize("target", ["*", "/api/v2/endpoints/workloads/x/"])
async def test_options_about_the_gateway_are_answered_by_it(rig: Rig, target: str) -> None:
    await rig.start()
    client = await rig.client()
    hops = "" if target == "*" else "Max-Forwards: 0\r\n"
    client.send(f"OPTIONS {target} HTTP/1.1\r\nHost: h\r\n{hops}\r\n".encode())
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"")
    assert "GET" in (answer.get("allow") or "")


async def test_connect_is_told_what_there_is(rig: Rig) -> None:
    await rig.start()
    client = await rig.client()
    client.send(b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (405, "method_not_allowed")
    assert "CONNECT" not in (answer.get("allow") or "CONNECT")


async def test_a_method_of_the_applications_own_reaches_it(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    assert (await rig.ask("BREW", "/pot", body=b"beans")).status == 200
    assert replica.wires[0].received.startswith(b"BREW /pot HTTP/1.1\r\n")


async def test_http_2_is_refused_in_words_that_its_clients_can_read(rig: Rig) -> None:
    await rig.start()
    client = await rig.client()
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (505, "version_not_supported")
    assert b"HTTP/2 is not spoken here: use HTTP/1.1" in answer.body


async def test_a_body_that_comes_after_its_head_does_not_shorten_the_wait_for_a_replica(
    rig: Rig,
) -> None:
    await rig.start(body_timeout_s=0.3)
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 4"))
    await rig.counted(queued=1)
    client.send(b"body")
    await asyncio.sleep(0.8)
    replica = await rig.replica(answering(OK))
    assert (await client.answer()).status == 200
    assert replica.wires[0].received.endswith(b"\r\n\r\nbody")


async def test_a_body_that_dribbles_does_not_lengthen_the_wait_for_a_replica(rig: Rig) -> None:
    await rig.start(cold_start_timeout_s=0.5)
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 1000000"))
    answer = asyncio.create_task(client.answer())
    while not answer.done():
        client.send(b"x")
        await asyncio.sleep(0.05)
    assert answer.result().get("x-tidegate-error") == "cold_start_timeout"
    await rig.counted(started=1, queued=0, finished={"refused": 1})


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port that answers no handshake any more: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_slow_connect_is_not_the_clients_slowness(rig: Rig) -> None:
    await rig.start(
        head_timeout_s=0.6, first_byte_timeout_s=0.6, connect_timeout_s=1.5, max_attempts=1
    )
    with full_listener() as port:
        await rig.commit(records.replica("65f000000000000000000e99", port))
        client = await rig.client()
        whole = request()
        client.send(whole[:-2])
        await asyncio.sleep(0.3)
        client.send(whole[-2:])
        answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_unreachable")
    await rig.counted(started=1, in_flight=0, finished={"refused": 1})


async def test_a_client_that_stops_after_100_continue_is_the_one_to_blame(rig: Rig) -> None:
    await rig.start(body_timeout_s=0.3)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 10", "Expect: 100-continue"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (await client.head()).status == 100
    client.send(b"abc")
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (408, "body_timeout")


@pytest.mark.parametrize("there", ["in flight", "queued"])
async def test_a_client_that_resets_while_we_do_not_read_from_it_is_noticed(
    rig: Rig, there: str
) -> None:
    await rig.start()
    if there == "in flight":
        replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 100000000"))
    if there == "in flight":
        wire = await replica.accepted()
        wire.writer.transport.pause_reading()
        await rig.counted(in_flight=1)
    else:
        await rig.counted(queued=1)
    for _ in range(100):
        client.send(b"x" * 100_000)
    await asyncio.sleep(0.3)
    client.reset()
    await rig.counted(started=1, in_flight=0, queued=0, finished={"aborted": 1})


async def test_a_client_whose_end_stands_behind_a_body_that_we_do_not_read_is_noticed(
    rig: Rig,
) -> None:
    await rig.start()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 100000000"), b"x" * 100_000)
    await rig.counted(queued=1, bytes_in=100_000)
    client.send(b"x" * 20_000)
    await client.flush()
    client.close()
    await rig.counted(started=1, queued=0, finished={"aborted": 1})
