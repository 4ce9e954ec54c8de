"""Heads as they come from the wire: llhttp and our guards together."""

import pytest

from gateway.core.framing import FramingError
from gateway.core.messages import BODY_CHUNKED, BODY_FIXED, BODY_NONE
from gateway.net.heads import MAX_MARKS, MAX_REMEMBERED, MAX_REMEMBERED_BYTES, Heads
from tests.unit.gateway.net.generated import INVOKE

PLAIN = b"GET " + INVOKE + b"/a HTTP/1.1\r\nHost: h\r\n\r\n"


def request(raw: bytes):
    return Heads(max_headers=20).request(raw)


def response(raw: bytes, *, method: bytes = b"GET"):
    return Heads(max_headers=20).response(raw, method=method)


def with_lines(
    *lines: bytes, start: bytes = b"POST / HTTP/1.1", host: bytes = b"Host: h\r\n"
) -> bytes:
    return start + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"
LINES = {
    "length-then-chunked": [b"Content-Length: 4", CHUNKED],
    "chunked-then-length": [CHUNKED, b"Content-Length: 4"],
    "chunked-then-length-0": [CHUNKED, b"Content-Length: 0"],
    "two-equal-lengths": [b"Content-Length: 4", b"Content-Length: 4"],
    "two-different-lengths": [b"Content-Length: 4", b"Content-Length: 5"],
    "list-of-lengths": [b"Content-Length: 4, 4"],
    "length-with-a-plus": [b"Content-Length: +4"],
    "length-with-a-minus": [b"Content-Length: -4"],
    "hexadecimal-length": [b"Content-Length: 0x4"],
    "length-with-an-underscore": [b"Content-Length: 1_0"],
    "length-with-a-blank": [b"Content-Length: 4 4"],
    "empty-length": [b"Content-Length:"],
    "length-beyond-64-bits": [b"Content-Length: 18446744073709551616"],
    "length-of-5000-digits": [b"Content-Length: " + b"9" * 5000],
    "chunked-twice": [CHUNKED, CHUNKED],
    "chunked-twice-in-one": [b"Transfer-Encoding: chunked, chunked"],
    "gzip": [b"Transfer-Encoding: gzip"],
    "gzip-then-chunked": [b"Transfer-Encoding: gzip, chunked"],
    "chunked-then-identity": [b"Transfer-Encoding: chunked, identity"],
    "xchunked": [b"Transfer-Encoding: xchunked"],
    "chunked-after-a-vertical-tab": [b"Transfer-Encoding: \x0bchunked"],
    "chunked-on-a-folded-line": [b"Transfer-Encoding:\r\n chunked"],
    "empty-coding": [b"Transfer-Encoding:"],
    "folded-by-a-blank": [b"X: a\r\n b"],
    "folded-by-a-tab": [b"X: a\r\n\tb"],
    "folded-first-line": [b" X: a"],
    "bare-lf": [b"X: a\nContent-Length: 4"],
    "bare-lf-twice": [b"X: a\n\nGET /smuggled HTTP/1.1"],
    "bare-cr": [b"X: a\rContent-Length: 4"],
    "cr-before-crlf": [b"X: a\r"],
    "nul": [b"X: a\0b"],
    "control-character": [b"X: a\x01b"],
    "delete-character": [b"X: a\x7fb"],
    "blank-before-the-colon": [b"Content-Length : 4"],
    "tab-before-the-colon": [b"Transfer-Encoding\t: chunked"],
    "no-colon": [b"Content-Length"],
    "empty-name": [b": 4"],
    "name-not-a-token": [b"Content(Length): 4"],
    "name-not-ascii": [b"Content-Length\xff: 4"],
    "nul-in-a-name": [b"Content-Length\0: 4"],
    "second-host": [b"Host: h"],
    "second-host-different": [b"host: other"],
    "second-authorization": [b"Authorization: a", b"Authorization: a"],
    "too-many-lines": [b"X: 1"] * 20,
}
STARTS = {
    "version-1.2": b"GET / HTTP/1.2",
    "version-2.0": b"GET / HTTP/2.0",
    "version-0.9": b"GET / HTTP/0.9",
    "version-with-two-digits": b"GET / HTTP/1.10",
    "version-in-lower-case": b"GET / http/1.1",
    "no-version": b"GET /",
    "another-protocol": b"DESCRIBE / RTSP/1.0",
    "http-2-preface": b"PRI * HTTP/2.0",
    "method-that-is-no-token": b"GE(T / HTTP/1.1",
    "method-with-a-control-character": b"GE\x01T / HTTP/1.1",
    "method-after-a-line-break": b"\r\nGET / HTTP/1.1",
    "no-method": b" / HTTP/1.1",
    "connect-authority": b"CONNECT h:443 HTTP/1.1",
    "connect-path": b"CONNECT / HTTP/1.1",
    "asterisk": b"GET * HTTP/1.1",
    "relative-target": b"GET x HTTP/1.1",
    "authority": b"GET h:80 HTTP/1.1",
    "absolute-without-host": b"GET http:///a HTTP/1.1",
    "absolute-with-user": b"GET http://u:p@h/a HTTP/1.1",
    "absolute-of-another-scheme": b"GET ftp://h/a HTTP/1.1",
    "fragment": b"GET /a#b HTTP/1.1",
    "not-ascii-target": b"GET /\xe4 HTTP/1.1",
    "nul-in-the-target": b"GET /\0 HTTP/1.1",
    "tab-in-the-target": b"GET /\ta HTTP/1.1",
    "blank-in-the-target": b"GET /a b HTTP/1.1",
    "two-blanks-before-the-target": b"GET  / HTTP/1.1",
    "two-blanks-after-the-target": b"GET /  HTTP/1.1",
    "tab-after-the-method": b"GET\t/ HTTP/1.1",
    "blank-at-the-end": b"GET / HTTP/1.1 ",
    "blank-at-the-begin": b" GET / HTTP/1.1",
    "lf-before-the-method": b"\nGET / HTTP/1.1",
    "cr-before-the-method": b"\rGET / HTTP/1.1",
    "crlf-before-the-method": b"\r\nGET / HTTP/1.1",
    "a-response": b"HTTP/1.1 200 OK",
}  # fmt: skip
WHOLE = {
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\n",
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "no-host-with-absolute-form": b"GET http://h/ HTTP/1.1\r\n\r\n",
    "host-with-a-blank": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host-with-a-user": b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
    "host-with-a-path": b"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n",
    "chunked-in-http-1.0": with_lines(CHUNKED, start=b"POST / HTTP/1.0"),
    "lf-after-the-request-line": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "cr-after-the-request-line": b"GET / HTTP/1.1\rHost: h\r\n\r\n",
    "only-line-breaks": b"\n\r\n\r\n",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "nothing-but-an-end": b"\r\n\r\n",
}
REFUSED = {
    **{name: with_lines(*lines) for name, lines in LINES.items()},
    **{f"start-{name}": with_lines(start=start) for name, start in STARTS.items()},
    **{f"head-{name}": raw for name, raw in WHOLE.items()},
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_heads_that_two_parsers_might_read_differently_are_refused(raw):
    heads = Heads(max_headers=20)
    for _ in range(2):  # a refusal is remembered by nobody
        with pytest.raises(FramingError) as refused:
            heads.request(raw)
        assert refused.value.status in {400, 405, 431, 501, 505}
        assert refused.value.rule
        assert heads.request(PLAIN).method == b"GET"


@pytest.mark.parametrize(
    ("raw", "body", "keep_alive"),
    [
        pytest.param(PLAIN, BODY_NONE, True, id="plain"),
        pytest.param(with_lines(b"Content-Length: 4"), BODY_FIXED, True, id="length"),
        pytest.param(with_lines(b"Content-Length: 0"), BODY_NONE, True, id="length-0"),
        pytest.param(with_lines(CHUNKED), BODY_CHUNKED, True, id="chunked"),
        pytest.param(with_lines(b"Transfer_Encoding: chunked"), BODY_NONE, True, id="underscore"),
        pytest.param(with_lines(b"Connection: close"), BODY_NONE, False, id="close"),
        pytest.param(with_lines(b"Proxy-Connection: close"), BODY_NONE, True, id="proxy-close"),
        pytest.param(
            with_lines(b"Connection: keep-alive", start=b"GET / HTTP/1.0"),
            BODY_NONE,
            True,
            id="1.0",
        ),
        pytest.param(
            with_lines(start=b"GET / HTTP/1.0", host=b""), BODY_NONE, False, id="1.0-close"
        ),
        pytest.param(
            with_lines(b"Connection: upgrade", b"Upgrade: websocket"), BODY_NONE, True, id="upgrade"
        ),
        pytest.param(with_lines(start=b"OPTIONS * HTTP/1.1"), BODY_NONE, True, id="asterisk"),
        pytest.param(with_lines(start=b"GET http://x/y HTTP/1.1"), BODY_NONE, True, id="absolute"),
    ],
)
def test_plain_heads_are_read_and_leave_no_trace_on_the_next(raw, body, keep_alive):
    """llhttp takes `Proxy-Connection: close` for an end: nobody else may feel that."""
    heads = Heads(max_headers=20)
    for _ in range(2):
        head = heads.request(raw)
        assert (head.body, head.keep_alive) == (body, keep_alive)
        assert heads.request(b"GET /other HTTP/1.1\r\nHost: h\r\n\r\n").target == b"/other"


def test_a_head_for_a_workload_comes_with_what_its_replica_gets():
    head = request(b"GET " + INVOKE + b"/a?protonId=p1&b HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n")
    assert head.invoke is not None
    assert head.invoke.pin == b"p1"
    assert head.prefix.split(b"\r\n") == [
        *(b"GET /a?b HTTP/1.1", b"Host: h", b"A: 1", b"Via: 1.1 tidegate"),
        *(b"X-Forwarded-Prefix: " + INVOKE, b""),
    ]


@pytest.mark.parametrize("method", [b"get", b"PURGE", b"M-SEARCH", b"1!#$%&'*+-.^_`|~z", b"PRI"])
def test_any_token_is_a_method(method):
    head = request(method + b" " + INVOKE + b"/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
    assert (head.method, head.content_length) == (method, 3)
    assert head.prefix.startswith(method + b" /a HTTP/1.1\r\n")


def test_a_client_that_takes_http_2_for_granted_is_told_what_is_spoken():
    with pytest.raises(FramingError, match=r"HTTP/2 is not spoken here: use HTTP/1.1") as caught:
        request(b"PRI * HTTP/2.0\r\n\r\n")
    assert caught.value.status == 505


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
def test_a_request_without_hops_left_ends_here(method):
    head = request(method + b" " + INVOKE + b" HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n")
    assert head.invoke is None


def test_a_head_for_nobody_has_nothing_to_send():
    head = request(with_lines())
    assert (head.invoke, head.prefix) == (None, b"")


# ---- memory


def test_heads_that_come_again_are_read_twice_and_no_more():
    heads = Heads(max_headers=20)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    heads.request(PLAIN)
    heads.response(raw, method=b"GET")
    assert heads.request(PLAIN) is heads.request(bytes(bytearray(PLAIN)))
    assert heads.response(raw, method=b"GET") is heads.response(raw, method=b"POST")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"traceparent: 00-%b-%b-00" % (b"1" * 32, b"2" * 16), id="traced"),
        pytest.param(b"X-Request-Id: r-1", id="identified"),
        pytest.param(b"X: " + b"a" * MAX_REMEMBERED_BYTES, id="long"),
    ],
)
def test_heads_that_do_not_come_again_are_not_remembered(line):
    heads = Heads(max_headers=20)
    raw = with_lines(line)
    read = [heads.request(raw) for _ in range(3)]
    assert read[1] is not read[2]
    assert heads._requests.heads == {}


def test_an_answer_to_head_is_not_taken_for_an_answer_to_get():
    heads = Heads(max_headers=20)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    for _ in range(2):
        assert heads.response(raw, method=b"GET").body == BODY_FIXED
        assert heads.response(raw, method=b"HEAD").body == BODY_NONE


def test_long_response_heads_are_not_remembered():
    heads = Heads(max_headers=20)
    raw = b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_REMEMBERED_BYTES + b"\r\n\r\n"
    assert [heads.response(raw, method=b"GET").status for _ in range(3)] == [200] * 3
    assert heads._responses.heads == {}


def test_memory_is_bounded_in_count():
    heads = Heads(max_headers=20)
    for number in range(2 * MAX_REMEMBERED + 5):
        for _ in range(2):
            heads.request(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
            heads.response(b"HTTP/1.1 200 OK\r\nDate: %d\r\n\r\n" % number, method=b"GET")
        assert len(heads._requests.heads) <= MAX_REMEMBERED
        assert len(heads._responses.heads) <= MAX_REMEMBERED


def test_marks_of_heads_that_came_once_are_bounded_too():
    heads = Heads(max_headers=20)
    for number in range(MAX_MARKS + 5):
        heads.request(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
    assert len(heads._requests._once) <= MAX_MARKS
    assert heads._requests.heads == {}


# ---- responses

RESPONSES_REFUSED = {
    "not-http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "request": PLAIN,
    "http-2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http-1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "line-break-before-it": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "lf-before-it": b"\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status-below-100": b"HTTP/1.1 099 X\r\n\r\n",
    "status-above-599": b"HTTP/1.1 600 X\r\n\r\n",
    "status-of-two-digits": b"HTTP/1.1 20 X\r\n\r\n",
    "status-of-four-digits": b"HTTP/1.1 2000 X\r\n\r\n",
    "status-missing": b"HTTP/1.1 OK\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
    "bare-cr": b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    "blank-before-the-colon": b"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
    "length-list": b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + CHUNKED + b"\r\n\r\n",
    "chunked-and-length": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\nContent-Length: 4\r\n\r\n",
    "other-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked-in-http-1.0": b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n\r\n",
    "switch-without-a-protocol": b"HTTP/1.1 101 X\r\nContent-Length: 4\r\n\r\n",
    "nothing": b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", RESPONSES_REFUSED.values(), ids=RESPONSES_REFUSED.keys())
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_responses_that_two_parsers_might_read_differently_are_refused(raw, method):
    with pytest.raises(FramingError):
        response(raw, method=method)


def test_a_switch_of_protocols_is_read():
    head = response(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert (head.status, head.upgrade) == (101, b"websocket")


def test_a_response_comes_with_what_its_client_gets():
    head = response(b"HTTP/1.1 200 OK\r\nServer: s\r\nKeep-Alive: 5\r\nContent-Length: 04\r\n\r\n")
    assert head.prefix == b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 4\r\n"
