"""The ruler itself: what it reads as a message, and what it refuses to read."""

import pytest

from tests.conformance.messages import read_requests, read_responses

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

READ = [
    pytest.param(GET, [(b"/a", b"")], id="no-body"),
    pytest.param(GET + GET, [(b"/a", b""), (b"/a", b"")], id="two"),
    pytest.param(
        b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok" + GET,
        [(b"/a", b"ok"), (b"/a", b"")],
        id="length",
    ),
    pytest.param(
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + GET, [(b"/a", b"ok"), (b"/a", b"")], id="chunk"
    ),
    pytest.param(CHUNKED + b"002;a=b\r\nok\r\n00;c\r\n\r\n", [(b"/a", b"ok")], id="extension"),
    pytest.param(CHUNKED + b"0\r\nX: 1\r\n\r\n", [(b"/a", b"")], id="trailer"),
    pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", [(b"*", b"")], id="asterisk"),
    pytest.param(b"GET /a HTTP/1.0\r\n\r\n", [(b"/a", b"")], id="1.0"),
]


@pytest.mark.parametrize(("stream", "expected"), READ)
def test_requests_are_read(stream: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    reading = read_requests(stream)
    assert [(m.target, m.body) for m in reading.whole] == expected
    assert not reading.fault


@pytest.mark.parametrize(("stream", "expected"), READ)
def test_a_request_that_is_cut_anywhere_is_never_whole(
    stream: bytes, expected: list[tuple[bytes, bytes]]
) -> None:
    for end in range(len(stream)):
        reading = read_requests(stream[:end])
        assert len(reading.whole) < len(expected), stream[:end]
        assert not reading.fault, stream[:end]


LINE = b"GET /a HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\n%b\r\n\r\nok"


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"GET  /a HTTP/1.1\r\nHost: h\r\n\r\n", id="two-spaces"),
        pytest.param(b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", id="fragment"),
        pytest.param(b"GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n", id="8-bit-target"),
        pytest.param(b"GET /a HTTP/1.2\r\nHost: h\r\n\r\n", id="version"),
        pytest.param(b"GET /a HTTP/1.1\nHost: h\n\n", id="bare-lf"),
        pytest.param(b"\r\n" + GET, id="empty-line"),
        pytest.param(LINE % b"X : 1", id="space-before-colon"),
        pytest.param(LINE % b"X Y: 1", id="space-in-name"),
        pytest.param(LINE % b"X: a\r\n b", id="fold"),
        pytest.param(LINE % b"X: a\nY: b", id="lf-in-value"),
        pytest.param(LINE % b"X: a\rY: b", id="cr-in-value"),
        pytest.param(LINE % b"X: a\x00b", id="nul-in-value"),
        pytest.param(LINE % b"X", id="no-colon"),
        pytest.param(LINE % b": 1", id="no-name"),
        pytest.param(LINE % b"Host: i", id="two-hosts"),
        pytest.param(POST % b"Content-Length: 2\r\nContent-Length: 2", id="two-lengths"),
        pytest.param(POST % b"Content-Length: 2, 2", id="length-list"),
        pytest.param(POST % b"Content-Length: +2", id="signed-length"),
        pytest.param(POST % b"Content-Length:", id="empty-length"),
        pytest.param(POST % b"Content-Length: 2\r\nTransfer-Encoding: chunked", id="cl-te"),
        pytest.param(POST % b"Transfer-Encoding: xchunked", id="xchunked"),
        pytest.param(POST % b"Transfer-Encoding: chunked, gzip", id="chunked-not-last"),
        pytest.param(POST % b"Transfer-Encoding: chunked, chunked", id="chunked-twice"),
        pytest.param(
            POST % b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", id="te-twice"
        ),
        pytest.param(
            b"POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", id="te-in-1.0"
        ),
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", id="h11-wants-a-host"),
        pytest.param(CHUNKED + b"2\nok\r\n0\r\n\r\n", id="chunk-lf"),
        pytest.param(CHUNKED + b"g\r\nok\r\n0\r\n\r\n", id="chunk-letters"),
        pytest.param(CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", id="chunk-prefix"),
        pytest.param(CHUNKED + b"1\r\nok\r\n0\r\n\r\n", id="chunk-too-long"),
        pytest.param(CHUNKED + b"2 \r\nok\r\n0\r\n\r\n", id="chunk-space"),
        pytest.param(CHUNKED + b"2;\nx\r\nok\r\n0\r\n\r\n", id="chunk-extension-lf"),
        pytest.param(CHUNKED + b"0\r\nno colon\r\n\r\n", id="trailer-no-colon"),
    ],
)
def test_what_another_reader_may_read_differently_is_a_fault(stream: bytes) -> None:
    reading = read_requests(stream + GET)
    assert reading.fault


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("stream", "methods", "expected"),
    [
        pytest.param(OK + OK, ("GET",), [(200, b"ok"), (200, b"ok")], id="two"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + OK,
            ("HEAD", "GET"),
            [(200, b""), (200, b"ok")],
            id="head",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + OK,
            ("HEAD",),
            [(103, b"")],
            id="interim-does-not-use-up-the-method",
        ),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\n\r\n" + OK, ("GET",), [(204, b""), (200, b"ok")], id="204"
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" + OK,
            ("GET",),
            [(304, b""), (200, b"ok")],
            id="304",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
            + OK,
            ("GET",),
            [(200, b"ok"), (200, b"ok")],
            id="chunked",
        ),
    ],
)
def test_responses_are_read(
    stream: bytes, methods: tuple[str, ...], expected: list[tuple[int, bytes]]
) -> None:
    reading = read_responses(stream, methods, ended=False)
    assert [(m.status, m.body) for m in reading.whole][: len(expected)] == expected


def test_a_body_without_framing_is_whole_when_the_connection_ended() -> None:
    stream = b"HTTP/1.1 200 OK\r\n\r\nok"
    assert read_responses(stream, (), ended=True).whole[0].body == b"ok"
    assert not read_responses(stream, (), ended=False).whole


def test_behind_a_101_there_are_no_messages() -> None:
    reading = read_responses(b"HTTP/1.1 101 Go\r\n\r\nHTTP/1.1", (), ended=False)
    assert reading.tunnel == b"HTTP/1.1"


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"hello there\r\n\r\n",
    ],
    ids=repr,
)
def test_malformed_responses_are_faults(stream: bytes) -> None:
    assert read_responses(stream, (), ended=True).fault
