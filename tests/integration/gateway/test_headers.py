"""Which header lines pass, which stop at the gateway, and which it adds itself."""

import re
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.integration.gateway import records
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.wire import Head, Message, Wire

pytestmark = uvloop_only  # nothing here depends on the loop

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
TIMING = r"queue;dur=\d+\.\d\d, gateway;dur=\d+\.\d\d, upstream;dur=\d+\.\d\d"


async def passed(rig: Rig, *lines: str, **kwargs: object) -> Head:
    """The head that the replica hears."""
    replica = await rig.replica(answering(OK))
    answer = await rig.ask("GET", "/", *lines, **kwargs)
    assert answer.status == 200
    return Head(replica.wires[0].received)


async def relayed(rig: Rig, *lines: str) -> Message:
    """The answer that the client hears when the replica sends these lines."""
    text = "\r\n".join(["HTTP/1.1 200 OK", "Content-Length: 2", *lines]) + "\r\n\r\nok"
    await rig.replica(answering(text.encode("latin-1")))
    return await rig.ask()


async def test_credentials_never_reach_the_replica(rig: Rig) -> None:
    await rig.start()
    head = await passed(rig, "x-datarobot-api-token: t", "Proxy-Authorization: Basic eA==")
    text = head.raw.lower()
    assert records.TOKEN.encode() not in text
    for name in (b"authorization", b"api-key", b"api-token"):
        assert name not in text


async def test_the_replica_is_told_who_calls(rig: Rig) -> None:
    await rig.start()
    assert (await passed(rig)).all("x-datarobot-user-id") == [records.USER_ID]


@pytest.mark.parametrize(
    "line",
    [
        "X-DataRobot-User-Id: 65f0000000000000000000a3",
        "x-datarobot-user-id:65f0000000000000000000a3",
        "X_DataRobot_User_Id: 65f0000000000000000000a3",
        "X-DataRobot_User-Id: 65f0000000000000000000a3",
    ],
)
async def test_nobody_can_claim_to_be_somebody_else(rig: Rig, line: str) -> None:
    await rig.start()
    head = await passed(rig, line)
    assert head.all("x-datarobot-user-id") == [records.USER_ID]
    assert b"0a3" not in head.raw


async def test_nobody_can_claim_to_be_somebody_else_in_a_trailer(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    client.send(
        request("POST", "/", "Transfer-Encoding: chunked"),
        b"2\r\nhi\r\n0\r\nX-DataRobot-User-Id: 65f0000000000000000000a3\r\n"
        b"Authorization: Bearer x\r\nContent-Length: 3\r\nX-Digest: 1\r\n\r\n",
    )
    assert (await client.answer()).status == 200
    received = replica.wires[0].received
    assert received.endswith(b"2\r\nhi\r\n0\r\nX-Digest: 1\r\n\r\n")


async def test_the_clients_own_lines_pass_as_they_came_and_in_order(rig: Rig) -> None:
    await rig.start()
    lines = [
        "user-AGENT: x",
        "Accept:*/*",
        "X-Twice: 1",
        "Cookie: a=b; c=\xe9",
        "X-Twice:   2  ",
        "X-Empty:",
        "X-DataRobot-Other: kept",
        "mcp-session-id: 1",
        "Referer: http://x/",
        'If-None-Match: "a"',
        "Range: bytes=0-1",
    ]
    head = await passed(rig, *lines)
    wanted = "\r\n".join(lines).encode("latin-1")
    assert wanted in head.raw
    assert head.get("host") == "h"


async def test_hop_by_hop_lines_of_the_request_end_at_the_gateway(rig: Rig) -> None:
    await rig.start()
    head = await passed(
        rig,
        "Connection: keep-alive, X-Mine ,x-also",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip",
        "Upgrade: x",
        "X-Mine: 1",
        "X-Also: 2",
        "X-Stays: 3",
    )
    for gone in (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "x-mine",
        "x-also",
    ):
        assert head.all(gone) == []
    assert head.get("x-stays") == "3"


async def test_hop_by_hop_lines_of_the_answer_end_at_the_gateway(rig: Rig) -> None:
    await rig.start()
    answer = await relayed(
        rig,
        "Connection: X-Mine, close",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "X-Mine: 1",
        "X-Stays: 2",
    )
    for gone in ("connection", "keep-alive", "proxy-authenticate", "x-mine"):
        assert answer.head.all(gone) == []
    assert answer.get("x-stays") == "2"


async def test_connection_cannot_name_away_what_the_gateway_says(rig: Rig) -> None:
    await rig.start()
    head = await passed(
        rig, "Connection: host, content-length, x-datarobot-user-id, x-request-id, traceparent"
    )
    assert head.get("host") == "h"
    assert head.get("x-datarobot-user-id") == records.USER_ID
    assert head.get("x-request-id")
    assert head.get("traceparent")


async def test_the_answers_own_lines_pass_as_they_came(rig: Rig) -> None:
    await rig.start()
    lines = ["Server: mine", "Set-Cookie: a=1", "Set-Cookie: b=2", "Location: /x", "date: now"]
    answer = await relayed(rig, *lines)
    assert "\r\n".join(lines).encode() in answer.head.raw


async def test_a_replica_cannot_pretend_that_the_gateway_refused(rig: Rig) -> None:
    await rig.start()
    assert (await relayed(rig, "X-Tidegate-Error: no_route")).get("x-tidegate-error") is None


async def test_a_request_id_is_kept_and_echoed(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    answer = await rig.ask("GET", "/", "X-Request-Id: my-own-7")
    assert Head(replica.wires[0].received).all("x-request-id") == ["my-own-7"]
    assert answer.head.all("x-request-id") == ["my-own-7"]


async def test_a_request_id_is_made_where_there_is_none_and_differs_each_time(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    seen = []
    for _ in range(3):
        client.send(request())
        seen.append((await client.answer()).head.get("x-request-id"))
    heard = re.findall(rb"X-Request-Id: ([0-9a-f]{32})\r\n", replica.wires[0].received)
    assert [value.decode() for value in heard] == seen
    assert len(set(seen)) == 3


@pytest.mark.parametrize("value", ["x" * 129, "two words", "", "caf\xe9"])
async def test_a_strange_request_id_is_replaced(rig: Rig, value: str) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    answer = await rig.ask("GET", "/", f"X-Request-Id: {value}")
    heard = Head(replica.wires[0].received).get("x-request-id")
    assert heard == answer.get("x-request-id")
    assert re.fullmatch("[0-9a-f]{32}", heard or "")


async def test_a_replicas_request_id_does_not_displace_the_requests(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK.replace(b"\r\n\r\n", b"\r\nX-Request-Id: other\r\n\r\n")))
    answer = await rig.ask("GET", "/", "X-Request-Id: mine")
    assert answer.head.all("x-request-id") == ["mine"]


async def test_a_refusal_echoes_the_clients_request_id(rig: Rig) -> None:
    await rig.start()
    answer = await rig.ask("GET", "/", "X-Request-Id: mine", workload="nobodys")
    assert answer.get("x-request-id") == "mine"
    assert b'"requestId":"mine"' in answer.body


async def test_a_traceparent_that_nobody_samples_is_kept(rig: Rig) -> None:
    await rig.start()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    head = await passed(rig, f"traceparent: {trace}", "tracestate: a=b")
    assert head.all("traceparent") == [trace]
    assert head.all("tracestate") == ["a=b"]


async def test_a_traceparent_is_made_where_there_is_none(rig: Rig) -> None:
    await rig.start()
    value = (await passed(rig)).get("traceparent")
    match = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-00", value or "")
    assert match
    assert int(match[1], 16)
    assert int(match[2], 16)


async def test_the_replica_is_told_where_the_request_came_from(rig: Rig) -> None:
    await rig.start()
    head = await passed(
        rig,
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Real-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
    )
    assert head.all("x-forwarded-for") == ["127.0.0.1"]
    assert head.all("x-forwarded-proto") == ["http"]
    assert head.all("forwarded") == ["for=127.0.0.1;proto=http"]
    assert b"6.6.6.6" not in head.raw
    assert b"evil" not in head.raw


async def test_a_trusted_proxys_word_on_the_client_passes(rig: Rig) -> None:
    await rig.start(trusted_proxies="127.0.0.0/8")
    replica = await rig.replica(answering(OK))
    await rig.ask("GET", "/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    await rig.ask()
    texts = replica.wires[0].received.split(b"\r\n\r\n")
    assert Head(texts[0] + b"\r\n\r\n").all("x-forwarded-for") == ["6.6.6.6, 127.0.0.1"]
    assert Head(texts[0] + b"\r\n\r\n").all("x-forwarded-proto") == ["https"]
    assert Head(texts[1] + b"\r\n\r\n").all("x-forwarded-for") == ["127.0.0.1"]


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"], ids=["nobody", "others"])
async def test_a_strangers_word_on_the_client_ends_here(rig: Rig, trusted: str) -> None:
    await rig.start(trusted_proxies=trusted)
    head = await passed(
        rig,
        *("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil", "Forwarded: for=6.6.6.6"),
        *("X-Real-IP: 6.6.6.6", "X-Forwarded-Prefix: /evil", "X-Original-URL: /evil"),
    )
    assert head.all("x-forwarded-for") == ["127.0.0.1"]
    assert head.all("forwarded") == ["for=127.0.0.1;proto=http"]
    assert head.all("x-forwarded-prefix") == [f"/api/v2/endpoints/workloads/{records.WORKLOAD_ID}"]
    assert b"evil" not in head.raw
    assert b"6.6.6.6" not in head.raw


async def test_trailers_are_asked_of_the_replica_for_a_client_that_takes_them(rig: Rig) -> None:
    await rig.start()
    head = await passed(rig, "TE: trailers;q=0.5, trailers", "Connection: TE")
    assert head.all("te") == ["trailers"]
    assert head.all("connection") == ["TE"]


async def test_an_invalid_trace_is_replaced_with_its_state(rig: Rig) -> None:
    await rig.start()
    head = await passed(rig, "traceparent: 00-zz-1-00", "tracestate: a=1")
    [trace] = head.all("traceparent")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace)
    assert head.all("tracestate") == []


async def test_an_answer_without_a_date_gets_one(rig: Rig) -> None:
    await rig.start()
    said = b"Date: Sun, 06 Nov 1994 08:49:37 GMT"
    await rig.replica(answering(OK.replace(b"\r\n", b"\r\n" + said + b"\r\n", 1), OK))
    client = await rig.client()
    client.send(request(), request())
    assert (await client.answer()).head.all("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]
    [date] = (await client.answer()).head.all("date")
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 60


async def test_timings_and_cold_starts_are_told_by_setting(rig: Rig) -> None:
    await rig.start(server_timing=True, cold_start_header="X-KEDA-HTTP-Cold-Start")
    client = await rig.client()
    client.send(request())
    await rig.counted(queued=1)
    await rig.replica(answering(OK))
    cold = await client.answer()
    assert cold.get("x-keda-http-cold-start") == "true"
    assert re.fullmatch(TIMING.replace("queue", "cold"), cold.get("server-timing"))
    warm = await rig.ask()
    assert warm.get("x-keda-http-cold-start") == "false"
    assert re.fullmatch(TIMING, warm.get("server-timing"))


async def test_nothing_is_told_of_timings_by_default(rig: Rig) -> None:
    await rig.start()
    answer = await relayed(rig)
    assert answer.head.all("server-timing") == []
    assert b"cold" not in answer.head.raw.lower()


async def test_a_replica_sees_exactly_one_head_per_request_and_nothing_else(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/a", "X-Request-Id: i", f"traceparent: {TRACE}", "Accept: */*"))
    wire: Wire = await replica.accepted()
    assert (await wire.head()).raw == (
        b"GET /a HTTP/1.1\r\n"
        b"Host: h\r\n"
        b"traceparent: %b\r\n"
        b"Accept: */*\r\n"
        b"Via: 1.1 tidegate\r\n"
        b"X-Forwarded-Prefix: /api/v2/endpoints/workloads/%b\r\n"
        b"X-Request-Id: i\r\n"
        b"X-Forwarded-For: 127.0.0.1\r\n"
        b"X-Forwarded-Proto: http\r\n"
        b"Forwarded: for=127.0.0.1;proto=http\r\n"
        b"X-DataRobot-User-Id: 65f0000000000000000000a1\r\n"
        b"\r\n"
    ) % (TRACE.encode(), records.WORKLOAD_ID.encode())
    assert await wire.silent()
