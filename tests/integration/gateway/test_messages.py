"""Where messages end: keep-alive, pipelining, bodies of every framing, interim answers."""

import asyncio

import pytest

from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import blocked, until_async
from tests.integration.gateway.wire import Message, Wire


async def echo(wire: Wire) -> None:
    """Answer with the request's target and body."""
    while True:
        asked = await wire.request()
        body = asked.head.target.encode() + b" " + asked.body
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)


async def test_both_sides_keep_their_connections(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(echo)
    client = await rig.client()
    for n in range(5):
        client.send(request("GET", f"/{n}"))
        assert (await client.answer()).body == b"/%d " % n
    assert len(replica.wires) == 1


async def test_a_connection_that_is_asked_to_end_ends_after_the_answer(rig: Rig) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    client.send(request("GET", "/", "Connection: close"))
    answer = await client.answer()
    assert answer.get("connection") == "close"
    assert await client.ended() == "eof"


async def test_an_http_1_0_client_gets_one_answer_and_the_end(rig: Rig) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    client.send(request("GET", "/", version="1.0"))
    assert (await client.answer()).body == b"/ "
    assert await client.ended() == "eof"


async def test_an_http_1_0_client_may_ask_to_keep_the_connection(rig: Rig) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    for n in range(2):
        client.send(request("GET", f"/{n}", "Connection: keep-alive", version="1.0"))
        answer = await client.answer()
        assert answer.body == b"/%d " % n
        assert answer.get("connection") == "keep-alive"


async def test_a_replica_that_ends_its_connection_gets_a_new_one(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(
        answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    )
    client = await rig.client()
    for _ in range(3):
        client.send(request())
        answer = await client.answer()
        assert answer.body == b"ok"
        assert answer.get("connection") is None, "that is between gateway and replica"
    assert len(replica.wires) == 3


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(*(request("POST", f"/{n}", body=b"x" * n) for n in range(1, 5)))
    wire = await replica.accepted()
    for n in range(1, 5):
        asked = await wire.request()
        assert asked.head.target == f"/{n}"
        assert asked.body == b"x" * n
        assert await wire.silent(), "the next one waits for this one's answer"
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % n)
        assert (await client.answer()).body == b"%d" % n


async def test_pipelined_requests_with_every_framing_are_told_apart(rig: Rig) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    client.send(
        request("POST", "/a", body=b"12345"),
        request("POST", "/b", "Transfer-Encoding: chunked"),
        b"3\r\nabc\r\n0\r\n\r\n",
        b"\r\n",  # RFC 9112 section 2.2: an empty line before a request is ignored
        request("GET", "/c"),
        request("POST", "/d", "Content-Length: 0"),
        request("GET", "/none", token="wrong", body=b"GET / HTTP/1.1"),
        request("GET", "/e", "Connection: close"),
    )
    bodies = [(await client.answer()).body for _ in range(6)]
    assert bodies[:4] == [b"/a 12345", b"/b abc", b"/c ", b"/d "]
    assert b"Invalid API key" in bodies[4]
    assert bodies[5] == b"/e "
    assert await client.ended() == "eof"


async def test_many_pipelined_requests_from_a_client_that_reads_late_are_all_answered(
    rig: Rig,
) -> None:
    await rig.start()
    await rig.replica(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000)
    )
    client = await rig.client(receive_bytes=4096)
    client.send(request() * 500)
    for _ in range(500):
        assert len((await client.answer()).body) == 50_000


async def test_requests_that_are_refused_on_the_spot_are_all_answered_after_a_half_close(
    rig: Rig,
) -> None:
    await rig.start()
    client = await rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 500)
    client.half_close()
    assert [(await client.answer()).status for _ in range(500)] == [404] * 500
    assert await client.ended() == "eof"


async def test_requests_that_came_before_a_half_close_are_all_answered(rig: Rig) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    client.send(*(request("GET", f"/{n}") for n in range(5)))
    client.half_close()
    assert [(await client.answer()).body for _ in range(5)] == [b"/%d " % n for n in range(5)]
    assert await client.ended() == "eof"


async def test_a_head_that_comes_byte_by_byte_is_understood(rig: Rig) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    await client.send_slowly(request("POST", "/slow", body=b"body"))
    assert (await client.answer()).body == b"/slow body"


async def test_an_answer_that_comes_byte_by_byte_is_understood(rig: Rig) -> None:
    await rig.start()

    async def slowly(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send_slowly(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-T: 1\r\n\r\n"
            )

    await rig.replica(slowly)
    client = await rig.client()
    for _ in range(2):
        client.send(request())
        answer = await client.answer()
        assert answer.body == b"hello!"
        assert answer.trailers == ["X-T: 1"]
        assert [head.status for head in answer.interim] == [103]


@uvloop_only
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("size", [0, 1, 65_535, 300_000])
async def test_a_fixed_body_passes_both_ways(rig: Rig, method: str, size: int) -> None:
    await rig.start()
    await rig.replica(echo)
    client = await rig.client()
    body = bytes(range(256)) * (size // 256 + 1)
    for _ in range(2):
        client.send(request(method, "/f", body=body[:size]))
        assert (await client.answer()).body == b"/f " + body[:size]


async def test_a_chunked_body_passes_both_ways_with_its_trailers(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(
        request("POST", "/", "Transfer-Encoding: chunked", "Trailer: X-Sum"),
        b"5\r\nhello\r\n00000006;ext=1\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
    )
    wire = await replica.accepted()
    asked = await wire.request()
    assert asked.body == b"hello world"
    assert asked.trailers == ["X-Sum: 11"]
    assert asked.get("trailer") == "X-Sum"
    wire.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 13\r\nX-More: 1\r\n\r\n",
    )
    answer = await client.answer()
    assert answer.body == b"abc0123456789"
    assert answer.trailers == ["X-Sum: 13", "X-More: 1"]
    client.send(request())
    assert (await wire.request()).head.target == "/", "the connection was kept"


async def test_a_body_until_the_connections_end_becomes_chunked_for_http_1_1(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.0 200 OK\r\n\r\nsome")
    head = await client.head()
    assert head.get("transfer-encoding") == "chunked"
    assert await client.chunk() == b"some"
    wire.send(b" more")
    assert await client.chunk() == b" more"
    wire.close()
    assert await client.chunk() == b""
    assert await client.line() == b""
    client.send(request())
    assert (await (await replica.accepted()).request()).head.target == "/", "kept"


async def test_a_body_of_unknown_length_ends_with_the_connection_for_http_1_0(rig: Rig) -> None:
    await rig.start()
    await rig.replica(
        answering(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"
        )
    )
    client = await rig.client()
    client.send(request("GET", "/", "Connection: keep-alive", version="1.0"))
    answer = await client.answer()
    assert answer.body == b"ok"
    assert answer.get("transfer-encoding") is None
    assert answer.get("connection") == "close"


BODILESS = [
    pytest.param("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", id="head-with-length"),
    pytest.param(
        "HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="head-chunked"
    ),
    pytest.param("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", id="head-without-any"),
    pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
    pytest.param("DELETE", b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", id="204-to-delete"),
    pytest.param("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', id="304"),
    pytest.param(
        "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", id="304-with-length"
    ),
]


@pytest.mark.parametrize(("method", "said"), BODILESS)
async def test_an_answer_that_ends_with_its_head_does_not_wait_for_a_body(
    rig: Rig, method: str, said: bytes
) -> None:
    await rig.start()
    replica = await rig.replica(answering(said))
    client = await rig.client()
    for _ in range(2):
        client.send(request(method))
        answer = await client.answer(method)
        assert answer.head.first == said.split(b"\r\n")[0].decode()
        assert answer.body == b""
        if b"Content-Length" in said:
            assert answer.get("content-length") == "500"
    assert await client.silent()
    assert len(replica.wires) == 1, "the replica's connection was kept, too"


async def test_a_refusal_of_head_has_no_body(rig: Rig) -> None:
    await rig.start()
    client = await rig.client()
    client.send(request("HEAD", token="wrong"))
    answer = await client.answer("HEAD")
    assert answer.status == 401
    assert int(answer.get("content-length") or 0) > 0
    client.send(request("GET", token="wrong"))
    assert (await client.answer()).status == 401, "what follows is not taken for a body"


@uvloop_only
@pytest.mark.parametrize(
    "status", [200, 201, 202, 206, 301, 302, 400, 404, 418, 429, 500, 503, 599]
)
async def test_a_replicas_status_and_reason_pass_as_they_are(rig: Rig, status: int) -> None:
    await rig.start()
    await rig.replica(answering(b"HTTP/1.1 %d My Reason\r\nContent-Length: 1\r\n\r\nx" % status))
    answer = await rig.ask()
    assert answer.head.first == f"HTTP/1.1 {status} My Reason"
    assert answer.get("x-tidegate-error") is None


async def test_100_continue_goes_from_end_to_end(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 4"))
    wire = await replica.accepted()
    head = await wire.head()
    assert head.get("expect") == "100-continue"
    assert await client.silent(), "the gateway does not speak for the replica"
    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (await client.head()).raw == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"body")
    assert await wire.exactly(4) == b"body"
    wire.send(OK)
    assert (await client.answer()).body == b"ok"
    client.send(request("GET", "/next"))
    assert (await wire.request()).head.target == "/next", "both connections are kept"


async def test_a_final_answer_in_place_of_100_continue_reaches_the_client(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 4"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    answer = await client.answer()
    assert answer.status == 417
    assert answer.get("connection") == "close"
    assert await client.ended() == "eof"
    assert await wire.ended() in {"eof", "reset"}, "its request was never whole"


async def test_early_hints_are_relayed_before_the_answer_comes(rig: Rig) -> None:
    client, wire = await rig.asked()
    for link in (b"</a>", b"</b>"):
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % link)
        head = await client.head()
        assert head.status == 103
        assert head.get("link") == link.decode()
    wire.send(OK)
    assert (await client.answer()).body == b"ok"


async def test_interim_answers_are_kept_from_http_1_0_clients(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK))
    client = await rig.client()
    client.send(request(version="1.0"))
    answer = await client.answer()
    assert answer.status == 200
    assert not answer.interim


async def test_a_thousand_interim_answers_at_once_are_relayed(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000 + OK))
    answer = await rig.ask()
    assert answer.status == 200
    assert len(answer.interim) == 1000


async def test_a_flood_of_interim_answers_ends(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 1001 + OK))
    answer = await rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_malformed")
    assert await replica.wires[0].ended() in {"eof", "reset"}


async def early_answer(rig: Rig, client: Wire, size: int) -> Message:
    client.send(request("POST", "/", f"Content-Length: {size}"), b"x" * 1000)
    return await client.answer()


async def test_an_answer_may_come_before_the_body_is_whole(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 2000"), b"x" * 1000)
    wire = await replica.accepted()
    await wire.head()
    wire.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
    answer = await client.answer()
    assert (answer.status, answer.body) == (413, b"no")
    assert answer.get("connection") == "close"
    assert await client.ended() == "eof"
    await rig.counted(started=1, in_flight=0, finished={"4xx": 1})


async def test_an_early_answer_reaches_a_client_that_reads_only_after_sending_all(
    rig: Rig,
) -> None:
    await rig.start()

    async def at_once(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await wire.flush()
        await asyncio.Event().wait()

    await rig.replica(at_once)
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 8000000"), b"x" * 8_000_000)
    await client.flush()
    answer = await client.answer()
    assert (answer.status, answer.body) == (413, b"no")


async def test_an_answer_may_stream_while_the_body_still_comes(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Transfer-Encoding: chunked"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await client.head()).status == 200
    for word in (b"one", b"two", b"three"):
        client.send(b"%x\r\n%b\r\n" % (len(word), word))
        assert await wire.chunk() == word
        wire.send(b"%x\r\n%b\r\n" % (len(word), word))
        assert await client.chunk() == word
    client.send(b"0\r\n\r\n")
    assert await wire.chunk() == b""
    wire.send(b"0\r\n\r\n")
    assert await client.chunk() == b""
    await rig.counted(started=1, in_flight=0, finished={"2xx": 1})


async def test_requests_read_ahead_are_bounded_and_all_answered(rig: Rig) -> None:
    await rig.start()
    client = await rig.client()
    count, padding = 1500, "X-Padding: " + "x" * 10_000
    client.send(request("GET", "/", padding) * count)
    await until_async(lambda: blocked(client))
    await rig.counted(started=1, queued=1)
    replica = await rig.replica()
    wire = await replica.accepted()
    for _ in range(50):
        await wire.request()
        wire.send(OK)
        assert (await client.answer()).body == b"ok"
    assert await blocked(client), "an answer makes room for a request, not for hundreds"
    for _ in range(50, count):
        await wire.request()
        wire.send(OK)
        assert (await client.answer()).body == b"ok"
    await rig.counted(started=count, finished={"2xx": count})
