"""Heads as the other side sees them: one framing, no line of the connection before."""

import h11
import pytest

from gateway.core.framing import read_request_head, read_response_head
from gateway.core.headers import KnownLines
from gateway.core.messages import RequestHead, ResponseHead
from gateway.core.rewriting import interim, request_prefix, response_prefix, switching


def request(
    *lines: bytes, start: bytes = b"GET /long/path HTTP/1.1", host: bytes = b"Host: h"
) -> RequestHead:
    head = [start, *([host] if host else []), *lines]
    return read_request_head(b"\r\n".join(head) + b"\r\n\r\n", KnownLines(), max_headers=20)


def response(
    *lines: bytes, start: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET"
) -> ResponseHead:
    return read_response_head(
        b"\r\n".join([start, *lines]) + b"\r\n\r\n", KnownLines(), method=method
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], [], id="no-body"),
        pytest.param([b"Content-Length: 0"], [b"Content-Length: 0"], id="length-0-is-said-again"),
        pytest.param([b"content-length: 007"], [b"Content-Length: 7"], id="length-in-one-spelling"),
        pytest.param(
            [b"transfer-encoding: CHUNKED"], [b"Transfer-Encoding: chunked"], id="chunked"
        ),
        pytest.param([b"A: 1", b"TE: gzip", b"a: 2"], [b"A: 1", b"a: 2"], id="lines-in-order"),
        pytest.param(
            [b"TE: gzip;q=1, Trailers"], [b"Connection: TE", b"TE: trailers"], id="trailers"
        ),
        pytest.param(
            [b"Upgrade: a", b"Connection: upgrade, TE", b"TE: trailers"],
            [b"Connection: TE, Upgrade", b"Upgrade: a", b"TE: trailers"],
            id="trailers-and-upgrade",
        ),
        pytest.param([b"Via: 1.0 a"], [b"Via: 1.0 a"], id="proxies-before-us-come-first"),
        pytest.param(
            [b"Max-Forwards: x"], [b"Max-Forwards: x"], id="hops-of-a-get-are-not-counted"
        ),
        pytest.param([b"Connection: close, x", b"X: 1"], [], id="connection-ends-here"),
        pytest.param(
            [b"Upgrade: websocket", b"Connection: upgrade"],
            [b"Connection: Upgrade", b"Upgrade: websocket"],
            id="upgrade",
        ),
        pytest.param([b"Upgrade: h2c", b"Connection: upgrade"], [], id="refused-upgrade"),
        pytest.param([b"X-DataRobot-User-Id: root", b"x_request_id: 1"], [], id="reserved"),
        pytest.param([b"Authorization: t", b"X-DataRobot-Api-Token: t"], [], id="credentials"),
    ],
)
def test_the_replica_sees_one_framing_and_its_own_lines(lines, expected):
    prefix = request_prefix(request(*lines), b"/path?q")
    via = b"Via: 1.1 tidegate"
    assert prefix.split(b"\r\n") == [b"GET /path?q HTTP/1.1", b"Host: h", *expected, via, b""]


def test_an_application_behind_a_prefix_is_told_of_it():
    prefix = request_prefix(request(), b"/x", stripped=b"/api/w/1")
    assert prefix.endswith(b"Via: 1.1 tidegate\r\nX-Forwarded-Prefix: /api/w/1\r\n")


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
def test_hops_are_counted_down(method):
    head = request(b"Max-Forwards: 10", start=method + b" / HTTP/1.1")
    assert b"\r\nMax-Forwards: 9\r\n" in request_prefix(head, b"/")


def test_a_client_of_http_1_0_without_host_becomes_a_request_of_http_1_1():
    head = request(start=b"GET / HTTP/1.0", host=b"")
    assert request_prefix(head, b"/") == (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nVia: 1.0 tidegate\r\n"
    )


def test_the_host_of_an_absolute_target_is_the_replicas_host():
    head = request(start=b"GET http://other/x HTTP/1.1")
    assert request_prefix(head, b"/x") == (
        b"GET /x HTTP/1.1\r\nHost: other\r\nVia: 1.1 tidegate\r\n"
    )


TO_CLIENTS = [
    pytest.param(
        [b"Content-Length: 4"], [b"Content-Length: 4"], [b"Content-Length: 4"], id="length"
    ),
    pytest.param(
        [b"Content-Length: 0"], [b"Content-Length: 0"], [b"Content-Length: 0"], id="empty"
    ),
    pytest.param(
        [b"Transfer-Encoding: chunked"], [b"Transfer-Encoding: chunked"], [], id="chunked"
    ),
    pytest.param([], [b"Transfer-Encoding: chunked"], [], id="until-the-replica-closes"),
]


@pytest.mark.parametrize(("lines", "to_new", "to_old"), TO_CLIENTS)
def test_clients_are_told_the_end_in_the_way_of_their_version(lines, to_new, to_old):
    head = response(*lines, b"A: 1", b"Keep-Alive: 5", b"Connection: keep-alive")
    for client_minor, expected in ((1, to_new), (0, to_old)):
        prefix = response_prefix(head, client_minor=client_minor)
        assert prefix.split(b"\r\n") == [b"HTTP/1.1 200 OK", b"A: 1", *expected, b""]


@pytest.mark.parametrize(
    ("start", "method", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK", b"HEAD", [b"Content-Length: 4"], id="to-head-it-informs"),
        pytest.param(b"HTTP/1.1 304 X", b"GET", [b"Content-Length: 4"], id="304-informs"),
        pytest.param(b"HTTP/1.1 204 X", b"GET", [], id="204-must-not"),
        pytest.param(b"HTTP/1.1 103 X", b"GET", [], id="1xx-must-not"),
    ],
)
def test_a_length_without_a_body_is_said_where_it_may_be(start, method, expected):
    prefix = response_prefix(
        response(b"Content-Length: 4", start=start, method=method), client_minor=1
    )
    assert prefix.split(b"\r\n")[1:-1] == expected


def test_a_426_names_what_to_upgrade_to():
    head = response(b"Upgrade: a/1", b"Connection: upgrade", start=b"HTTP/1.1 426 Upgrade Required")
    lines = response_prefix(head, client_minor=1).split(b"\r\n")
    assert lines[1:3] == [b"Connection: Upgrade", b"Upgrade: a/1"]


def test_an_interim_head_has_no_framing():
    head = response(b"Link: a", b"Content-Length: 4", start=b"HTTP/1.1 103 Early Hints")
    assert interim(head) == b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "protocol"),
    [([b"Upgrade: websocket"], b"websocket"), ([], b"")],
    ids=["named", "not"],
)
def test_a_switch_names_its_protocol(lines, protocol):
    head = response(*lines, b"Connection: upgrade", b"A: 1", start=b"HTTP/1.1 101 Switching")
    wire = switching(head, b"id-1")
    client = h11.Connection(h11.CLIENT)
    client.send(
        h11.Request(
            method="GET",
            target="/",
            headers=[("Host", "a"), ("Connection", "upgrade"), ("Upgrade", "websocket")],
        )
    )
    client.receive_data(wire)
    switched = client.next_event()
    assert isinstance(switched, h11.InformationalResponse)
    assert switched.status_code == 101
    assert list(switched.headers) == [
        (b"a", b"1"),
        (b"connection", b"Upgrade"),
        (b"upgrade", protocol),
        (b"x-request-id", b"id-1"),
    ]
