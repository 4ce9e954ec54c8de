"""What cannot be trusted: ambiguous requests, garbage from replicas, limits and slow heads."""

import json

import pytest

from tests.integration.gateway.records import TOKEN, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.wire import Wire

pytestmark = uvloop_only  # nothing here depends on the loop

URL = f"/api/v2/endpoints/workloads/{WORKLOAD_ID}/".encode()
AUTH = f"Authorization: Bearer {TOKEN}\r\n".encode()


def raw(*lines: bytes, first: bytes = b"POST %b HTTP/1.1", body: bytes = b"") -> bytes:
    start = first % URL if b"%b" in first else first
    return start + b"\r\n" + AUTH + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


HOST = b"Host: h"
CHUNKED = b"Transfer-Encoding: chunked"
REFUSED = [
    pytest.param(raw(), 400, id="no-host"),
    pytest.param(raw(HOST, b"Host: i"), 400, id="two-hosts"),
    pytest.param(raw(HOST, b"Content-Length: 1", b"Content-Length: 1"), 400, id="two-lengths"),
    pytest.param(raw(HOST, b"Content-Length: 1", CHUNKED), 400, id="length-and-chunked"),
    pytest.param(raw(HOST, CHUNKED, b"Content-Length: 1"), 400, id="chunked-and-length"),
    pytest.param(raw(HOST, CHUNKED, CHUNKED), 400, id="chunked-twice"),
    pytest.param(raw(HOST, b"Transfer-Encoding: chunked, chunked"), (400, 501), id="chunked-list"),
    pytest.param(raw(HOST, b"Transfer-Encoding: gzip, chunked"), (400, 501), id="gzip-chunked"),
    pytest.param(raw(HOST, b"Transfer-Encoding: xchunked"), (400, 501), id="xchunked"),
    pytest.param(raw(HOST, b"Transfer-Encoding: \x0bchunked"), 400, id="vertical-tab-chunked"),
    pytest.param(raw(HOST, b"Transfer-Encoding : chunked"), 400, id="space-before-the-colon"),
    pytest.param(raw(HOST, b" Transfer-Encoding: chunked"), 400, id="space-before-the-name"),
    pytest.param(raw(HOST, b"X: a\nTransfer-Encoding: chunked"), 400, id="bare-lf"),
    pytest.param(raw(HOST, b"X: a\rTransfer-Encoding: chunked"), 400, id="bare-cr"),
    pytest.param(raw(HOST, b"X: a\x00b"), 400, id="nul"),
    pytest.param(raw(HOST, b"X: a", b" folded"), 400, id="folded-line"),
    pytest.param(raw(HOST, b"X"), 400, id="line-without-a-colon"),
    pytest.param(raw(HOST, b": x"), 400, id="line-without-a-name"),
    pytest.param(raw(HOST, b"Content-Length: +1"), 400, id="signed-length"),
    pytest.param(raw(HOST, b"Content-Length: 0x1"), 400, id="hexadecimal-length"),
    pytest.param(raw(HOST, b"Content-Length: 1 1"), 400, id="length-with-a-space"),
    pytest.param(raw(HOST, b"Content-Length: 1, 1"), 400, id="length-list"),
    pytest.param(raw(HOST, b"Content-Length: " + b"9" * 30), 400, id="huge-length"),
    pytest.param(raw(HOST, b"Content-Length:"), 400, id="empty-length"),
    pytest.param(raw(HOST, AUTH[:-2]), 400, id="two-authorizations"),
    pytest.param(raw(HOST, first=b"GET  %b HTTP/1.1"), 400, id="two-spaces"),
    pytest.param(raw(HOST, first=b"GET %b"), 400, id="no-version"),
    pytest.param(raw(HOST, first=b"GET %b HTTP/1.2"), (400, 505), id="http-1.2"),
    pytest.param(raw(HOST, first=b"GET %b HTTP/3.0"), (400, 505), id="http-3"),
    pytest.param(raw(HOST, first=b"GET %b\xe9 HTTP/1.1"), 400, id="byte-above-127-in-the-target"),
    pytest.param(raw(HOST, first=b"GET api/v2 HTTP/1.1"), 400, id="relative-target"),
    pytest.param(raw(HOST, first=b"GET ftp://h/ HTTP/1.1"), 400, id="other-scheme"),
    pytest.param(raw(HOST, first=b"CONNECT h:80 HTTP/1.1"), (400, 405), id="connect"),
    pytest.param(raw(HOST, CHUNKED, first=b"POST %b HTTP/1.0"), 400, id="chunked-in-http-1.0"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505), id="http-2-preface"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="tls-hello"),
    pytest.param(b"hello\r\n\r\n", 400, id="not-http"),
]


@pytest.mark.parametrize(("sent", "status"), REFUSED)
async def test_an_ambiguous_request_is_refused_and_its_connection_ended(
    rig: Rig, sent: bytes, status: int | tuple[int, ...]
) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    client.send(sent, request("GET", "/smuggled"))
    answer = await client.answer()
    assert answer.status in (status if isinstance(status, tuple) else (status,))
    assert answer.get("connection") == "close"
    body = json.loads(answer.body)
    assert body["code"] == answer.get("x-tidegate-error")
    assert body["requestId"] == answer.get("x-request-id")
    assert body["detail"]
    assert await client.ended() == "eof"
    assert not replica.wires


CHUNK_FAULTS = [
    pytest.param(b"g\r\n", id="size-not-hexadecimal"),
    pytest.param(b"\r\n", id="empty-size"),
    pytest.param(b"-1\r\n", id="negative-size"),
    pytest.param(b"0x1\r\na\r\n", id="prefixed-size"),
    pytest.param(b"1 1\r\na\r\n", id="two-sizes"),
    pytest.param(b"1" + b"0" * 16 + b"\r\n", id="huge-size"),
    pytest.param(b"1\na\r\n", id="bare-lf-after-the-size"),
    pytest.param(b"1\r\nab\r\n", id="data-longer-than-its-size"),
    pytest.param(b"2\r\na\r\n0\r\n\r\n", id="data-shorter-than-its-size"),
    pytest.param(b"1;" + b"x" * 5000 + b"\r\n", id="long-extension"),
    pytest.param(b"0\r\nno colon\r\n\r\n", id="trailer-without-a-colon"),
    pytest.param(b"0\r\nX: 1\r\n folded\r\n\r\n", id="folded-trailer"),
    pytest.param(b"0\r\nX: a\nb\r\n\r\n", id="bare-lf-in-a-trailer"),
    pytest.param(b"0\r\n" + b"X: %b\r\n" % (b"y" * 1000) * 20 + b"\r\n", id="huge-trailers"),
]


@pytest.mark.parametrize("sent", CHUNK_FAULTS)
async def test_a_broken_chunked_body_is_refused_and_never_completed(rig: Rig, sent: bytes) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Transfer-Encoding: chunked"))
    wire = await replica.accepted()
    await wire.head()
    client.send(sent, request("GET", "/smuggled"))
    answer = await client.answer()
    assert answer.status == 400
    assert await client.ended() == "eof"
    rest = await wire.rest()
    assert b"0\r\n" not in rest[-20:], "the replica must not take it for whole"
    assert b"smuggled" not in rest
    await rig.counted(started=1, in_flight=0, queued=0)


@pytest.mark.parametrize("sent", CHUNK_FAULTS)
async def test_a_broken_chunked_body_that_comes_with_its_head_is_refused(
    rig: Rig, sent: bytes
) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request("POST", "/", "Transfer-Encoding: chunked"), sent, b"0\r\n\r\n")
    assert (await client.answer()).status == 400
    assert await client.ended() == "eof"
    await rig.counted(started=1, in_flight=0, queued=0, finished={"refused": 1})


# ---- limits


async def test_a_head_over_the_limit_is_431(rig: Rig) -> None:
    await rig.start(max_head_bytes=2000)
    client = await rig.client()
    client.send(request("GET", "/", "X: " + "y" * 2000))
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (431, "head_too_large")
    assert await client.ended() == "eof"


async def test_a_head_over_the_limit_is_431_before_it_ends(rig: Rig) -> None:
    await rig.start(max_head_bytes=2000)
    client = await rig.client()
    client.send(b"GET / HTTP/1.1\r\nX: " + b"y" * 2000)
    assert (await client.answer()).status == 431


async def test_too_many_lines_are_431(rig: Rig) -> None:
    await rig.start(max_headers=10)
    await rig.replica(answering(OK))
    assert (await rig.ask("GET", "/", *["X: 1"] * 8)).status == 200
    assert (await rig.ask("GET", "/", *["X: 1"] * 9)).status == 431


async def test_a_target_over_the_limit_is_414(rig: Rig) -> None:
    await rig.start(max_target_bytes=200)
    client = await rig.client()
    client.send(request("GET", "/" + "x" * 200))
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (414, "target_too_long")
    assert await client.ended() == "eof"


async def test_a_fixed_body_over_the_limit_is_413_before_it_comes(rig: Rig) -> None:
    await rig.start(max_body_bytes=1000)
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request("POST", "/", body=b"x" * 1000))
    assert (await client.answer()).status == 200
    client.send(request("POST", "/", "Content-Length: 1001"))
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (413, "body_too_large")
    assert await client.ended() == "eof"
    assert len(replica.wires) == 1


async def test_a_chunked_body_over_the_limit_is_413_when_it_passes_it(rig: Rig) -> None:
    await rig.start(max_body_bytes=1000)
    replica = await rig.replica()
    client = await rig.client()
    client.send(
        request("POST", "/", "Transfer-Encoding: chunked"), b"3e8\r\n", b"x" * 1000, b"\r\n"
    )
    wire = await replica.accepted()
    await wire.head()
    assert len(await wire.chunk()) == 1000
    client.send(b"1\r\nx\r\n")
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (413, "body_too_large")
    assert await client.ended() == "eof"
    assert await wire.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"refused": 1})


async def test_a_chunked_body_over_the_limit_cuts_an_answer_that_has_begun(rig: Rig) -> None:
    await rig.start(max_body_bytes=1000)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Transfer-Encoding: chunked"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert (await client.head()).status == 200
    client.send(b"3e9\r\n", b"x" * 1001, b"\r\n")
    assert await client.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_slow_head_is_408_however_steadily_it_trickles(rig: Rig) -> None:
    await rig.start(head_timeout_s=0.2)
    client = await rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n")
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (408, "head_timeout")
    assert await client.ended() == "eof"


async def test_a_body_that_stops_coming_is_408(rig: Rig) -> None:
    await rig.start(body_timeout_s=0.2)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("POST", "/", "Content-Length: 10"), b"x")
    wire = await replica.accepted()
    await wire.head()
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (408, "body_timeout")
    assert await client.ended() == "eof"
    await rig.counted(started=1, in_flight=0, finished={"refused": 1})


async def test_an_idle_connection_is_closed_without_a_word(rig: Rig) -> None:
    await rig.start(keep_alive_timeout_s=0.2)
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request())
    assert (await client.answer()).status == 200
    assert await client.ended() == "eof"


async def test_a_connection_that_is_never_used_is_closed_without_a_word(rig: Rig) -> None:
    await rig.start(first_byte_timeout_s=0.2)
    client = await rig.client()
    assert await client.ended() == "eof"


async def test_a_replica_that_does_not_answer_in_time_is_504(rig: Rig) -> None:
    await rig.start(response_timeout_s=0.2)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (504, "replica_timeout")
    assert await wire.ended() in {"eof", "reset"}, "the replica is told"
    client.send(request())
    assert (await (await replica.accepted()).request()).head.method == "GET", "the client goes on"


async def test_an_answer_that_stops_in_the_middle_is_cut(rig: Rig) -> None:
    await rig.start(idle_timeout_s=0.2)
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
    await client.head()
    assert await client.exactly(1) == b"1"
    assert await client.ended() in {"eof", "reset"}
    assert await wire.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


async def test_a_flood_of_empty_lines_is_survived(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(b"\r\n" * 300_000, request())
    assert (await client.answer()).status == 200


# ---- replicas

GARBAGE = [
    pytest.param(b"hello there\r\n\r\n", id="not-http"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="another-protocol-that-then-waits"),
    pytest.param(b"\x15\x03\x01\x00\x02\x02\x16", id="tls-alert"),
    pytest.param(b"HTTP/1.1 OK\r\n\r\n", id="no-status"),
    pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="short-status"),
    pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="long-status"),
    pytest.param(b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n", id="status-000"),
    pytest.param(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", id="status-099"),
    pytest.param(b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", id="status-600"),
    pytest.param(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", id="status-999"),
    pytest.param(b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="empty-line-first"),
    pytest.param(b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="rtsp"),
    pytest.param(b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="ice"),
    pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="http-2.0"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX y\r\n\r\n", id="line-without-a-colon"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", id="space-before-the-colon"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", id="folded-line"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n", id="nul"),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n", id="bare-lf"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", id="length-not-a-number"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", id="two-lengths"
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        id="length-and-chunked",
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", id="unknown-coding"),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="an-upgrade-nobody-asked-for"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, id="endless-head"),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("said", GARBAGE)
async def test_garbage_from_a_replica_is_502(rig: Rig, said: bytes, method: str) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request(method))
    wire = await replica.accepted()
    await wire.request()
    wire.send(said)
    answer = await client.answer()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_malformed")
    assert await wire.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"refused": 1})
    client.send(request())
    await (await replica.accepted()).request()


@pytest.mark.parametrize("said", CHUNK_FAULTS)
async def test_a_broken_chunked_answer_is_cut_and_never_completed(rig: Rig, said: bytes) -> None:
    client, wire = await rig.asked()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await client.head()
    assert await client.chunk() == b"a"
    wire.send(said)
    rest = await client.rest()
    assert b"0\r\n\r\n" not in rest
    assert await wire.ended() in {"eof", "reset"}
    await rig.counted(started=1, in_flight=0, finished={"aborted": 1})


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(OK + OK, id="a-second-answer"),
        pytest.param(OK + b"x", id="one-byte-too-many"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\nbody", id="a-body-after-204"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
            id="after-the-last-chunk",
        ),
    ],
)
async def test_what_a_replica_says_unasked_is_nobodys_answer(rig: Rig, said: bytes) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(said)
    answer = await client.answer()
    assert answer.head.first == said.split(b"\r\n")[0].decode()
    assert await wire.ended() in {"eof", "reset"}, "its connection cannot be trusted any more"
    client.send(request("GET", "/next"))
    fresh = await replica.accepted()
    assert (await fresh.request()).head.target == "/next"
    fresh.send(OK)
    assert (await client.answer()).body == b"ok"


async def test_what_an_idle_replica_says_ends_its_connection(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(OK)
    assert (await client.answer()).body == b"ok"
    wire.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    assert await wire.ended() in {"eof", "reset"}
    client.send(request("GET", "/next"))
    fresh: Wire = await replica.accepted()
    await fresh.request()
    fresh.send(OK)
    assert (await client.answer()).body == b"ok"
