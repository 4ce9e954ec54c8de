"""Where a message ends, and which heads leave that open to doubt."""

import pytest

from gateway.core import chunks
from gateway.core import framing as module
from gateway.core.framing import FramingError, read_request_head, read_response_head
from gateway.core.headers import KINDS, PLAIN, KnownLines
from gateway.core.messages import (
    BODY_CHUNKED,
    BODY_FIXED,
    BODY_NONE,
    BODY_TO_CLOSE,
    RequestHead,
    ResponseHead,
)
from tests.unit.gateway.core.tables import ROOT, table


def request(
    *lines: bytes, start: bytes = b"GET /a HTTP/1.1", host: bytes = b"Host: h"
) -> RequestHead:
    """A request's head, with a Host line unless it is empty."""
    head = [start, *([host] if host else []), *lines]
    return read_request_head(b"\r\n".join(head) + b"\r\n\r\n", KnownLines(), max_headers=10)


def response(
    *lines: bytes, start: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET"
) -> ResponseHead:
    return read_response_head(
        b"\r\n".join([start, *lines]) + b"\r\n\r\n", KnownLines(), method=method
    )


# ---- requests: refused

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

REFUSED = {
    "request line other than `method target version`": [
        pytest.param({"start": b"GET /a"}, id="no-version"),
        pytest.param({"start": b"GET /a b HTTP/1.1"}, id="blank-in-the-target"),
        pytest.param({"start": b"GET  /a HTTP/1.1"}, id="two-blanks"),
        pytest.param({"start": b"GET /a HTTP/1.1 "}, id="blank-at-the-end"),
        pytest.param({"start": b""}, id="nothing"),
    ],
    "method that is no token (a line break before it)": [
        pytest.param({"start": b"G(T /a HTTP/1.1"}, id="parenthesis"),
        pytest.param({"start": b"G\xe9T /a HTTP/1.1"}, id="beyond-ascii"),
        pytest.param({"start": b"\nGET /a HTTP/1.1"}, id="lf"),
        pytest.param({"start": b"\rGET /a HTTP/1.1"}, id="cr"),
        pytest.param({"start": b"\n\nHEAD /a HTTP/1.1"}, id="two"),
    ],
    "HTTP/1.1 request without Host, or with two": [
        pytest.param({"host": b""}, id="none"),
        pytest.param(
            {"host": b"", "start": b"GET http://h/a HTTP/1.1"}, id="none-in-absolute-form"
        ),
        pytest.param({"lines": [b"host: h"]}, id="two-equal"),
        pytest.param({"lines": [b"Host: other"]}, id="two-different"),
    ],
    "Host that is no host with an optional port": [
        pytest.param({"host": b"Host: a b"}, id="blank"),
        pytest.param({"host": b"Host: a, b"}, id="two-in-one"),
        pytest.param({"host": b"Host: user@a"}, id="user"),
        pytest.param({"host": b"Host: a/b"}, id="path"),
        pytest.param({"host": b"Host: a?b"}, id="query"),
        pytest.param({"host": b"Host: a#b"}, id="fragment"),
        pytest.param({"host": b"Host: a:b"}, id="port-not-a-number"),
        pytest.param({"host": b"Host: a:1:2"}, id="two-ports"),
        pytest.param({"host": b"Host: [::1"}, id="bracket-left-open"),
        pytest.param({"host": b"Host: a\xff"}, id="not-ascii"),
        pytest.param({"host": b"Host: http://a"}, id="url"),
    ],
    "method of more than 64 bytes": [
        pytest.param({"start": b"A" * 65 + b" /a HTTP/1.1"}, id="65"),
    ],
    "target that is neither origin nor absolute form": [
        pytest.param({"start": b"GET a HTTP/1.1"}, id="relative"),
        pytest.param({"start": b"GET h:80 HTTP/1.1"}, id="authority"),
        pytest.param({"start": b"GET * HTTP/1.1"}, id="asterisk-of-another-method"),
        pytest.param({"start": b"OPTIONS ** HTTP/1.1"}, id="two-asterisks"),
        pytest.param({"start": b"GET ftp://h/a HTTP/1.1"}, id="other-scheme"),
        pytest.param({"start": b"GET http:/a HTTP/1.1"}, id="one-slash"),
        pytest.param({"start": b"GET  HTTP/1.1"}, id="empty"),
    ],
    "target with a fragment": [
        pytest.param({"start": b"GET /a#b HTTP/1.1"}, id="after-a-path"),
        pytest.param({"start": b"GET /#?protonId=p HTTP/1.1"}, id="before-a-query"),
        pytest.param({"start": b"GET http://h/#a HTTP/1.1"}, id="absolute"),
    ],
    "target with a control character": [
        pytest.param({"start": b"GET /a\nX-DataRobot-User-Id:root HTTP/1.1"}, id="lf"),
        pytest.param({"start": b"GET /a\r HTTP/1.1"}, id="cr"),
        pytest.param({"start": b"GET /a\x7f HTTP/1.1"}, id="delete"),
        pytest.param({"start": b"GET /a\t HTTP/1.1"}, id="tab"),
    ],
    "absolute form without a host, or with a user": [
        pytest.param({"start": b"GET http:///a HTTP/1.1"}, id="no-host"),
        pytest.param({"start": b"GET http://?a HTTP/1.1"}, id="no-host-before-a-query"),
        pytest.param({"start": b"GET http://u:p@h/a HTTP/1.1"}, id="user"),
        pytest.param({"start": b"GET http://h:p/a HTTP/1.1"}, id="port-not-a-number"),
    ],
    "CONNECT": [
        pytest.param({"start": b"CONNECT h:443 HTTP/1.1"}, id="authority-form"),
        pytest.param({"start": b"CONNECT /a HTTP/1.1"}, id="origin-form"),
        pytest.param({"start": b"CONNECT http://h/ HTTP/1.1"}, id="absolute-form"),
    ],
    "a version other than 1.0 and 1.1": [
        pytest.param({"start": b"GET /a HTTP/%b" % version}, id=version.decode())
        for version in (b"0.9", b"1.2", b"2.0", b"2", b"1.10", b"01.1")
    ]
    + [
        pytest.param({"start": b"GET /a http/1.1"}, id="lower-case"),
        pytest.param({"start": b"SOURCE /a ICE/1.0"}, id="another-protocol"),
    ],
    "the preface of HTTP/2": [
        pytest.param({"start": b"PRI * HTTP/2.0", "host": b""}, id="http-2"),
    ],
    "Transfer-Encoding in HTTP/1.0": [
        pytest.param(
            {"start": b"POST /a HTTP/1.0", "lines": [b"Transfer-Encoding: chunked"]}, id="chunked"
        ),
    ],
    "Transfer-Encoding other than exactly `chunked`": [
        pytest.param({"lines": [b"Transfer-Encoding:" + coding]}, id=name)
        for name, coding in {
            "another": b"gzip",
            "another-and-chunked": b"gzip, chunked",
            "chunked-and-another": b"chunked, identity",
            "identity": b"identity",
            "longer": b"xchunked",
            "parameter": b"chunked;a=b",
            "quoted": b'"chunked"',
            "vertical-tab": b"\x0bchunked",
            "empty": b"",
            "twice-in-one": b"chunked, chunked",
        }.items()
    ],
    "Transfer-Encoding twice, or with Content-Length": [
        pytest.param(
            {"lines": [b"Transfer-Encoding: chunked", b"transfer-encoding: chunked"]}, id="twice"
        ),
        pytest.param(
            {"lines": [b"Content-Length: 4", b"Transfer-Encoding: chunked"]}, id="length-first"
        ),
        pytest.param(
            {"lines": [b"Transfer-Encoding: chunked", b"Content-Length: 4"]}, id="length-last"
        ),
        pytest.param(
            {"lines": [b"Transfer-Encoding: chunked", b"Content-Length: 0"]}, id="length-0"
        ),
    ],
    "Content-Length twice (even equal), or not digits": [
        pytest.param({"lines": [b"Content-Length: 4", b"Content-Length: 4"]}, id="equal"),
        pytest.param({"lines": [b"Content-Length: 4", b"content-length: 5"]}, id="different"),
        pytest.param({"lines": [b"Content-Length: 0", b"Content-Length: 0"]}, id="0-twice"),
        *(
            pytest.param({"lines": [b"Content-Length:" + value]}, id=name)
            for name, value in {
                "list": b"4, 4",
                "plus": b"+4",
                "minus": b"-4",
                "hexadecimal": b"0x4",
                "underscore": b"1_0",
                "fraction": b"4.0",
                "zeros-without-end": b"0" * 5000 + b"2",
                "more-than-63-bits": b"9" * 20,
                "empty": b"",
                "blank-inside": b"4 4",
                "vertical-tab": b"\x0b4",
                "superscript": "\N{SUPERSCRIPT TWO}".encode("latin-1"),
            }.items()
        ),
    ],
    "more header lines than the limit": [
        pytest.param({"lines": [b"X: 1"] * 10}, id="one-more"),
    ],
    "two Authorization lines": [
        pytest.param({"lines": [b"Authorization: Bearer a", b"authorization: Bearer a"]}, id="two"),
    ],
    "two api keys (X-DataRobot-Api-Key, -Token)": [
        pytest.param({"lines": [b"X-DataRobot-Api-Key: a", b"x-datarobot-api-key: a"]}, id="equal"),
        pytest.param(
            {"lines": [b"X-DataRobot-Api-Key: a", b"X-DataRobot-Api-Token: b"]}, id="both"
        ),
    ],
    "Max-Forwards that is not digits": [
        pytest.param(
            {"start": b"OPTIONS /a HTTP/1.1", "lines": [b"Max-Forwards: " + value]}, id=name
        )
        for name, value in (("sign", b"-1"), ("empty", b""), ("long", b"1" * 10), ("text", b"many"))
    ]
    + [
        pytest.param(
            {"start": b"TRACE /a HTTP/1.1", "lines": [b"Max-Forwards: 1"] * 2}, id="twice"
        ),
    ],
}
STATUS = {row[0]: int(row[2]) for row in table(module, first="refused")}


def test_every_refusal_of_the_docstring_is_tested():
    assert list(STATUS) == list(REFUSED)


@pytest.mark.parametrize(
    ("rule", "head"),
    [
        pytest.param(rule, *param.values, id=f"{rule}-{param.id}".replace(" ", "-"))
        for rule, params in REFUSED.items()
        for param in params
    ],
)
def test_requests_that_leave_doubt_are_refused_with_the_status_of_the_docstring(rule, head):
    arguments = dict(head)
    with pytest.raises(FramingError) as refused:
        request(*arguments.pop("lines", []), **arguments)
    assert refused.value.status == STATUS[rule]
    assert str(refused.value) == refused.value.rule != ""


# ---- requests: accepted


@pytest.mark.parametrize(
    ("lines", "body", "content_length"),
    [
        pytest.param([], BODY_NONE, None, id="nothing-said"),
        pytest.param([b"Content-Length: 0"], BODY_NONE, 0, id="length-0"),
        pytest.param([b"Content-Length: 4"], BODY_FIXED, 4, id="length"),
        pytest.param([b"content-length:\t004 "], BODY_FIXED, 4, id="zeros-and-blanks"),
        pytest.param([b"Transfer-Encoding: chunked"], BODY_CHUNKED, None, id="chunked"),
        pytest.param([b"transfer-encoding:CHUNKED\t"], BODY_CHUNKED, None, id="chunked-any-case"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD", b"M-SEARCH"])
def test_the_end_of_a_request_is_told_by_its_head_whatever_the_method(
    method, lines, body, content_length
):
    head = request(*lines, start=method + b" /a HTTP/1.1")
    assert (head.method, head.target, head.minor) == (method, b"/a", 1)
    assert (head.body, head.content_length) == (body, content_length)
    assert head.lines == []


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        pytest.param(b"/", b"/", b"h", id="root"),
        pytest.param(b"//x/y", b"//x/y", b"h", id="double-slash"),
        pytest.param(b"/http://x/", b"/http://x/", b"h", id="url-in-the-path"),
        pytest.param(b"http://x/y?z", b"/y?z", b"x", id="absolute"),
        pytest.param(b"HTTPS://x:1/", b"/", b"x:1", id="absolute-any-case"),
        pytest.param(b"http://x", b"/", b"x", id="absolute-without-a-path"),
        pytest.param(b"http://x?a=/b", b"/?a=/b", b"x", id="absolute-with-a-query-only"),
        pytest.param(b"http://[::1]:8/", b"/", b"[::1]:8", id="absolute-ipv6"),
    ],
)
def test_the_authority_of_an_absolute_target_replaces_host(target, path, host):
    head = request(start=b"GET %b HTTP/1.1" % target)
    assert (head.target, head.host) == (path, host)


def test_options_may_ask_about_the_whole_server():
    assert request(start=b"OPTIONS * HTTP/1.1").target == b"*"


@pytest.mark.parametrize(
    "host",
    [b"", b"a", b"a.b-c_d~e", b"A:80", b"a:", b"127.0.0.1:1", b"[::1]", b"[::1]:80", b"[v1.a]",
     b"%41b", b"a!$&'()*+,;="],
)  # fmt: skip
def test_hosts_of_the_uri_grammar_are_accepted(host):
    assert request(host=b"Host: " + host).host == host


def test_http_1_0_needs_no_host():
    head = request(start=b"GET / HTTP/1.0", host=b"")
    assert (head.host, head.minor) == (None, 0)


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        pytest.param(b"1.1", [], True, id="1.1-by-default"),
        pytest.param(b"1.1", [b"Connection: keep-alive"], True, id="1.1-said"),
        pytest.param(b"1.1", [b"Connection: close"], False, id="1.1-close"),
        pytest.param(b"1.1", [b"Connection: X, CLOSE"], False, id="1.1-close-in-a-list"),
        pytest.param(
            b"1.1", [b"Connection: close", b"Connection: keep-alive"], False, id="1.1-close-wins"
        ),
        pytest.param(b"1.1", [b"Connection: Keep-Alive, close"], False, id="1.1-close-wins-in-one"),
        pytest.param(b"1.1", [b"Proxy-Connection: close"], True, id="1.1-proxy-is-not-ours"),
        pytest.param(b"1.0", [], False, id="1.0-by-default"),
        pytest.param(b"1.0", [b"Connection: keep-alive"], True, id="1.0-asked"),
        pytest.param(b"1.0", [b"Connection: Keep-Alive"], True, id="1.0-asked-any-case"),
        pytest.param(b"1.0", [b"Connection: close"], False, id="1.0-close"),
    ],
)
def test_connections_are_kept_as_version_and_connection_say(version, lines, expected):
    assert request(*lines, start=b"GET / HTTP/" + version).keep_alive is expected
    assert response(b"Content-Length: 0", *lines, start=b"HTTP/%b 200 OK" % version).keep_alive is (
        expected
    )


def test_lines_that_connection_names_end_here():
    head = request(b"X-A: 1", b"Connection: x-a, keep-alive, X-B", b"X-B: 2", b"X-C: 3")
    assert head.lines == [b"X-C: 3"]
    assert response(b"Connection: x-a", b"X-A: 1", b"X-B: 2").lines == [b"X-B: 2"]


def test_connection_cannot_name_framing_host_or_credentials_away():
    head = request(
        b"Connection: host, content-length, authorization",
        b"Content-Length: 4",
        b"Authorization: b",
    )
    assert (head.host, head.body, head.authorization) == (b"h", BODY_FIXED, b"b")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([b"Upgrade: websocket", b"Connection: upgrade"], b"websocket", id="asked"),
        pytest.param([b"Connection: a, Upgrade", b"Upgrade: x/1"], b"x/1", id="in-a-list"),
        pytest.param([b"Upgrade: websocket"], None, id="not-named-by-connection"),
        pytest.param([b"Connection: upgrade"], None, id="no-protocol"),
        pytest.param([b"Upgrade: h2c", b"Connection: Upgrade"], None, id="h2c"),
        pytest.param(
            [b"Upgrade: websocket, H2C", b"Connection: Upgrade"], None, id="h2c-in-a-list"
        ),
    ],
)
def test_upgrades_are_asked_for_by_connection_and_never_to_http_2(lines, expected):
    assert request(*lines).upgrade == expected


def test_http_1_0_cannot_upgrade():
    head = request(b"Upgrade: x", b"Connection: upgrade", start=b"GET / HTTP/1.0")
    assert head.upgrade is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"abc-1", b"abc-1", id="sane"),
        pytest.param(b"1", b"1", id="shortest"),
        pytest.param(b"a" * 128, b"a" * 128, id="longest"),
        pytest.param(b"a" * 129, None, id="too-long"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"a b", None, id="blank"),
        pytest.param(b"a\xff", None, id="not-ascii"),
    ],
)
def test_only_sane_request_ids_are_kept(value, expected):
    head = request(b"X-Request-Id: " + value)
    assert head.request_id == expected
    assert head.lines == []


def test_credentials_and_forwarded_lines_are_taken_out_for_the_gateway():
    head = request(
        b"Authorization: Bearer t",
        b"X-DataRobot-Api-Key: k",
        b"X-Forwarded-For: 1",
        b"Forwarded: f",
    )
    assert (head.authorization, head.api_key) == (b"Bearer t", b"k")
    assert head.forwarded == [b"X-Forwarded-For: 1", b"Forwarded: f"]
    assert head.lines == []


@pytest.mark.parametrize(
    "line", [b"Expect: 100-continue", b"Date: now", b"Traceparent: " + TRACE, b"A: \xff"]
)
def test_lines_for_the_replica_go_on_as_they_came(line):
    assert request(b"B:1", line, b"c : x"[:0] or b"C: 2").lines == [b"B:1", line, b"C: 2"]


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, kind in KINDS.items()
        if n in {b"te", b"keep-alive", b"x-tidegate-error"} or b"user" in n
    ],
    ids=bytes.decode,
)
def test_lines_between_two_connections_and_of_the_gateway_end_here(name):
    assert request(name + b": 1").lines == []
    assert response(name + b": 1").lines == []


def test_traces_are_noted():
    assert request(b"traceparent: " + TRACE).traceparent == TRACE


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"00-1-2-01", id="short"),
        pytest.param(b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-00", id="trace-of-zeros"),
        pytest.param(b"00-" + b"1" * 32 + b"-" + b"0" * 16 + b"-00", id="parent-of-zeros"),
        pytest.param(b"00-" + b"A" * 32 + b"-" + b"1" * 16 + b"-00", id="upper-case"),
        pytest.param(b"ff-" + b"1" * 32 + b"-" + b"1" * 16 + b"-00", id="version-ff"),
        pytest.param(TRACE + b"-more", id="version-00-with-more"),
        pytest.param(b"", id="empty"),
    ],
)
def test_an_invalid_trace_begins_anew_with_its_state(value):
    head = request(b"traceparent: " + value, b"tracestate: a=1")
    assert head.traceparent is None
    assert head.lines == []


def test_later_versions_of_a_trace_may_have_more():
    value = b"01" + TRACE[2:] + b"-more"
    assert request(b"traceparent: " + value).traceparent == value


def test_the_state_of_a_trace_goes_on_with_it_wherever_it_stands():
    lines = [b"tracestate: a=1", b"traceparent: " + TRACE, b"Tracestate: b=2"]
    assert sorted(request(*lines).lines) == sorted(lines)


def test_a_trace_given_twice_is_the_first():
    other = TRACE[:-2] + b"00"
    head = request(b"traceparent: " + TRACE, b"traceparent: " + other)
    assert head.traceparent == TRACE
    assert head.lines == [b"traceparent: " + TRACE]


def test_a_host_is_as_long_as_names_can_be():
    name = b".".join([b"a" * 63] * 4) + b":65535"
    assert request(host=b"Host: " + name).host == name
    with pytest.raises(FramingError, match="Host"):
        request(host=b"Host: " + b"a" * 262)


def test_as_many_lines_as_the_limit_are_accepted():
    assert len(request(*[b"X: 1"] * 9).lines) == 9


def test_remembered_lines_mean_the_same():
    known = KnownLines()
    raw = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nA: 1\r\n\r\n"
    heads = [read_request_head(raw, known, max_headers=10) for _ in range(2)]
    assert known.known[b"A: 1"][0] == PLAIN
    first, second = ((head.host, head.content_length, head.body, head.lines) for head in heads)
    assert first == second == (b"h", 4, BODY_FIXED, [b"A: 1"])


# ---- responses


@pytest.mark.parametrize(
    ("lines", "body", "content_length", "keep_alive"),
    [
        pytest.param([], BODY_TO_CLOSE, None, False, id="nothing-said"),
        pytest.param([b"Content-Length: 0"], BODY_NONE, 0, True, id="length-0"),
        pytest.param([b"Content-Length: 4"], BODY_FIXED, 4, True, id="length"),
        pytest.param([b"Transfer-Encoding: chunked"], BODY_CHUNKED, None, True, id="chunked"),
    ],
)
def test_the_end_of_a_response_is_told_by_its_head(lines, body, content_length, keep_alive):
    head = response(*lines)
    assert (head.status, head.reason, head.minor) == (200, b"OK", 1)
    assert (head.body, head.content_length, head.keep_alive) == (body, content_length, keep_alive)


@pytest.mark.parametrize(
    ("method", "status"),
    [
        pytest.param(b"HEAD", b"200", id="to-head"),
        pytest.param(b"GET", b"304", id="not-modified"),
        pytest.param(b"GET", b"100", id="continue"),
        pytest.param(b"GET", b"103", id="early-hints"),
        pytest.param(b"GET", b"101", id="switching"),
    ],
)
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing-said"),
        pytest.param([b"Content-Length: 4"], id="length"),
        pytest.param([b"Transfer-Encoding: chunked"], id="chunked"),
    ],
)
def test_some_responses_end_with_their_head_whatever_it_says(method, status, lines):
    head = response(*lines, start=b"HTTP/1.1 %b X" % status, method=method)
    assert head.body == BODY_NONE
    assert head.keep_alive


@pytest.mark.parametrize(
    ("lines", "keep_alive"),
    [
        pytest.param([], True, id="nothing-said"),
        pytest.param([b"Content-Length: 0"], True, id="length-0"),
        pytest.param([b"Content-Length: 4"], False, id="length"),
        pytest.param([b"Transfer-Encoding: chunked"], False, id="chunked"),
    ],
)
def test_a_204_that_announces_a_body_ends_the_connection(lines, keep_alive):
    head = response(*lines, start=b"HTTP/1.1 204 No Content")
    assert head.body == BODY_NONE
    assert head.keep_alive is keep_alive


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"Content-Length: 4", b"Content-Length: 4"], id="two-lengths"),
        pytest.param(
            [b"Content-Length: 4", b"Transfer-Encoding: chunked"], id="length-and-chunked"
        ),
        pytest.param(
            [b"Transfer-Encoding: chunked", b"Content-Length: 4"], id="chunked-and-length"
        ),
        pytest.param([b"Transfer-Encoding: chunked"] * 2, id="chunked-twice"),
        pytest.param([b"Transfer-Encoding: gzip"], id="another-coding"),
        pytest.param([b"Transfer-Encoding: gzip, chunked"], id="another-coding-and-chunked"),
        pytest.param([b"Content-Length: 0x4"], id="length-not-a-number"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_responses_that_leave_doubt_are_refused(lines, method):
    with pytest.raises(FramingError):
        response(*lines, method=method)


def test_chunks_from_http_1_0_are_refused():
    with pytest.raises(FramingError):
        response(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK")


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="line-break-before-it"),
        pytest.param(b"\nHTTP/1.1 200 OK", id="lf-before-it"),
        pytest.param(b"HTTP/2.0 200 OK", id="http-2"),
        pytest.param(b"HTTP/0.9 200 OK", id="http-0.9"),
        pytest.param(b"RTSP/1.0 200 OK", id="another-protocol"),
        pytest.param(b"HTTP/1.1 099 OK", id="below-100"),
        pytest.param(b"HTTP/1.1 600 OK", id="above-599"),
        pytest.param(b"HTTP/1.1 2000 OK", id="four-digits"),
        pytest.param(b"HTTP/1.1  200 OK", id="two-blanks"),
        pytest.param(b"HTTP/1.1 200OK", id="no-blank"),
        pytest.param(b"HTTP/1.1 200 O\x00K", id="nul-in-the-reason"),
        pytest.param(b"HTTP/1.1 200 O\x1bK", id="escape-in-the-reason"),
        pytest.param(b"HTTP/1.1 200 O\rK", id="cr-in-the-reason"),
    ],
)
def test_odd_status_lines_are_refused(start):
    with pytest.raises(FramingError) as refused:
        response(b"Content-Length: 0", start=start)
    assert refused.value.status == 502


@pytest.mark.parametrize(
    ("start", "status", "reason"),
    [
        pytest.param(b"HTTP/1.1 200", 200, b"", id="no-reason"),
        pytest.param(b"HTTP/1.1 200 ", 200, b"", id="empty-reason"),
        pytest.param(b"HTTP/1.1 404 Not\tFound", 404, b"Not\tFound", id="tab"),
        pytest.param(b"HTTP/1.1 599 \xfcber", 599, b"\xfcber", id="old-text"),
    ],
)
def test_reasons_are_passed_on_as_they_came(start, status, reason):
    head = response(start=start)
    assert (head.status, head.reason) == (status, reason)


def test_a_response_forwards_what_means_something_in_requests_only():
    lines = [b"Host: a", b"Expect: b", b"Authorization: c", b"X-DataRobot-Api-Key: d", b"E: f",
             b"Forwarded: g", b"traceparent: h"]  # fmt: skip
    assert response(*lines, b"X-Request-Id: replaced", b"Keep-Alive: 5").lines == lines


def test_a_response_keeps_the_protocol_it_switches_to():
    head = response(
        b"Upgrade: websocket", b"Connection: Upgrade", start=b"HTTP/1.1 101 Switching Protocols"
    )
    assert (head.upgrade, head.lines) == (b"websocket", [])


@pytest.mark.parametrize("documented", [module, chunks], ids=["heads", "chunks"])
def test_the_readme_lists_what_is_refused(documented):
    lines = (ROOT / "gateway" / "README.md").read_text("utf-8").splitlines()
    for row in table(documented, first="refused"):
        assert f"| {' | '.join(row)} |" in lines


@pytest.mark.parametrize(("method", "target"), [(b"OPTIONS", b"*"), (b"GET", b"/")])
def test_an_absolute_form_without_a_path_is_the_servers_as_a_whole(method, target):
    assert request(start=method + b" http://other HTTP/1.1").target == target
