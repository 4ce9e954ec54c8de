"""Where a message ends, and what of its head goes on: requests and responses.

A head arrives here whole and with its grammar proven by llhttp. These guards are ours, because
llhttp leaves them to its user (RFC 9112 unless noted):

    refused                                           section         status
    ------------------------------------------------  --------------  ------
    request line other than `method target version`   3               400
    method that is no token (a line break before it)  2.2, 3.1        400
    HTTP/1.1 request without Host, or with two        3.2             400
    Host that is no host with an optional port        3.2             400
    method of more than 64 bytes                      3               501
    target that is neither origin nor absolute form   3.2             400
    target with a fragment                            3.2             400
    target with a control character                   3.2             400
    absolute form without a host, or with a user      RFC 9110 4.2.4  400
    CONNECT                                           RFC 9110 9.3.6  405
    a version other than 1.0 and 1.1                  2.3             505
    the preface of HTTP/2                             RFC 9113 3.4    505
    Transfer-Encoding in HTTP/1.0                     6.1             400
    Transfer-Encoding other than exactly `chunked`    6.1             501
    Transfer-Encoding twice, or with Content-Length   6.1, 6.3        400
    Content-Length twice (even equal), or not digits  6.3             400
    more header lines than the limit                  RFC 6585 5      431
    two Authorization lines                           RFC 9110 11.6   400
    two api keys (X-DataRobot-Api-Key, -Token)        RFC 9110 5.3    400
    Max-Forwards that is not digits                   RFC 9110 7.6.2  400

A response is refused for the same framing, and for a status line other than HTTP/1.0 or HTTP/1.1
with a status from 100 to 599 (RFC 9110 section 15).
"""

import re
from functools import lru_cache
from typing import Final

from gateway.core.headers import (
    API_KEY,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    FORWARDED,
    HOST,
    MAX_FORWARDS,
    REQUEST_ID,
    TE,
    TRACEPARENT,
    TRACESTATE,
    TRANSFER_ENCODING,
    UPGRADE,
    KnownLines,
    connection_tokens,
    drop_named,
)
from gateway.core.messages import (
    BODY_CHUNKED,
    BODY_FIXED,
    BODY_NONE,
    BODY_TO_CLOSE,
    RequestHead,
    ResponseHead,
)

_MAX_REQUEST_ID: Final = 128
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2. Methods are not a fixed list: an application may have its own."""
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]*)?"
)
"""W3C Trace Context section 3.2.2; versions after 00 may have more parts."""
_TRACEPARENT_00: Final = 55
_COUNTED_DOWN: Final = frozenset({b"OPTIONS", b"TRACE"})
_MAX_FORWARDS_DIGITS: Final = 9
_MAX_LENGTH_DIGITS: Final = 19
"""All that fits in 63 bits. llhttp skips any number of zeros before it, and `int` would not."""
_VERSIONS: Final = frozenset({b"HTTP/1.1", b"HTTP/1.0"})
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Za-z:._~!$&'()*+,;=-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]*)?"
)
_MAX_METHOD: Final = 64
_MAX_HOST: Final = 261
"""A name of 255 bytes (RFC 1035 section 2.3.4) and a port."""
_TARGET: Final = re.compile(rb"[\x21-\x7e\x80-\xff]+")
"""No blanks and no control characters: llhttp takes a line feed for the end of an HTTP/0.9 line."""
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_NOT_TUNNELLED: Final = b"h2c"
"""HTTP/2 in a tunnel would carry requests that nobody here has checked."""


class FramingError(Exception):
    """A message whose end cannot be told for certain, or that breaks a rule or a limit.

    `status` is the answer to a client; a replica that sends such a message makes it 502.
    """

    def __init__(self, status: int, rule: str) -> None:
        super().__init__(rule)
        self.status = status
        self.rule = rule


def read_request_head(raw: bytes, known: KnownLines, *, max_headers: int) -> RequestHead:
    """Index a request's head.

    Args:
        raw: The head with its closing empty line, accepted by llhttp.
        known: The worker's memory of lines.
        max_headers: Most header lines.

    Raises:
        FramingError: See the table above.
    """
    parts = raw.split(b"\r\n")
    start = parts[0].split(b" ")
    if len(start) != 3 or _TOKEN.fullmatch(start[0]) is None:  # noqa: PLR2004 - method, target, version
        raise FramingError(400, "the request line is not `method target version`")
    if len(start[0]) > _MAX_METHOD:
        raise FramingError(501, f"the method is longer than {_MAX_METHOD} bytes")
    if _TARGET.fullmatch(start[1]) is None:
        raise FramingError(400, "the target has a control character")
    version = start[2]
    if version not in _VERSIONS:
        raise FramingError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    head = RequestHead(start[0], start[1], 1 if version == b"HTTP/1.1" else 0)
    if len(parts) - 3 > max_headers:
        raise FramingError(431, f"more than {max_headers} header lines")
    lines = head.lines
    meanings = known.known
    for line in parts[1:-2]:
        found = meanings.get(line) or known.learn(line)
        if not found[0]:  # PLAIN
            lines.append(line)
        elif (read := _REQUEST.get(found[0])) is not None:
            read(head, found[1], line)
    _settle_request(head)
    return head


def _settle_request(head: RequestHead) -> None:
    if head.host is None and head.minor:
        raise FramingError(400, "Host is missing")
    if head.body == BODY_CHUNKED:
        if head.content_length is not None:
            raise FramingError(400, "both Content-Length and Transfer-Encoding")
        if not head.minor:
            raise FramingError(400, "Transfer-Encoding in an HTTP/1.0 request")
    elif head.content_length:
        head.body = BODY_FIXED
    head.keep_alive = (head.keep_alive or bool(head.minor)) and not head.close
    if head.named is not None or head.upgrade is not None:
        _settle_connection(head)
    if head.tracestate is not None and head.traceparent is not None:
        head.lines += head.tracestate
    if not head.target.startswith(b"/") or b"#" in head.target or head.method == b"CONNECT":
        _settle_target(head)


def _settle_connection(head: RequestHead) -> None:
    if head.named is not None:
        head.lines = drop_named(head.lines, head.named)
    if head.upgrade is not None and (
        not head.upgrading or not head.minor or _NOT_TUNNELLED in connection_tokens(head.upgrade)
    ):
        head.upgrade = None  # RFC 9110 section 7.8: ignored unless Connection names it


def _settle_target(head: RequestHead) -> None:
    target = head.target
    if head.method == b"CONNECT":
        raise FramingError(405, "CONNECT is not offered: this gateway is no forward proxy")
    if b"#" in target:
        raise FramingError(400, "the target has a fragment")
    if target == b"*" and head.method == b"OPTIONS":
        return
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise FramingError(400, "the target is neither an absolute path nor an absolute URL")
    authority, path = absolute.groups()
    if not authority or not is_host(authority):
        raise FramingError(400, "the target names no valid host")
    # RFC 9112 section 3.2.2: the target's authority replaces the Host header
    if not path and head.method == b"OPTIONS":
        head.target = b"*"  # RFC 9112 section 3.2.4
    else:
        head.target = path if path.startswith(b"/") else b"/" + path
    head.host = authority


def is_host(value: bytes) -> bool:
    """Whether this may be a Host: a host with an optional port (RFC 9110 section 7.2)."""
    return len(value) <= _MAX_HOST and _matches_host(value)


@lru_cache(maxsize=1024)
def _matches_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _host(head: RequestHead, value: bytes, _line: bytes) -> None:
    if head.host is not None:
        raise FramingError(400, "Host is given twice")
    if not is_host(value):
        raise FramingError(400, "Host is not a host with an optional port")
    head.host = value


def _connection(head: RequestHead | ResponseHead, value: bytes, _line: bytes) -> None:
    if value == b"keep-alive":  # what nearly every client sends
        head.keep_alive = True
        return
    for token in connection_tokens(value):
        if token == b"close":
            head.close = True
        elif token == b"keep-alive":
            head.keep_alive = True
        elif token == b"upgrade":
            head.upgrading = True
        else:
            if head.named is None:
                head.named = []
            head.named.append(token)


def _content_length(head: RequestHead | ResponseHead, value: bytes, _line: bytes) -> None:
    if head.content_length is not None:
        raise FramingError(400, "Content-Length is given twice")
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise FramingError(400, "Content-Length is not a number")
    head.content_length = int(value)


def _transfer_encoding(head: RequestHead | ResponseHead, value: bytes, _line: bytes) -> None:
    if head.body == BODY_CHUNKED:
        raise FramingError(400, "Transfer-Encoding is given twice")
    if value.lower() != b"chunked":
        raise FramingError(501, "no transfer coding but chunked is understood")
    head.body = BODY_CHUNKED


def _upgrade(head: RequestHead | ResponseHead, value: bytes, _line: bytes) -> None:
    head.upgrade = value


def _forward(head: RequestHead, _value: bytes, line: bytes) -> None:
    head.lines.append(line)


def _authorization(head: RequestHead, value: bytes, _line: bytes) -> None:
    if head.authorization is not None:
        raise FramingError(400, "Authorization is given twice")
    head.authorization = value


def _api_key(head: RequestHead, value: bytes, _line: bytes) -> None:
    if head.api_key is not None:
        raise FramingError(400, "the api key is given twice")
    head.api_key = value


def _request_id(head: RequestHead, value: bytes, _line: bytes) -> None:
    # Anything longer or stranger is replaced: it is echoed into logs and answers.
    if 0 < len(value) <= _MAX_REQUEST_ID and value.isascii() and len(value.split()) == 1:
        head.request_id = value


def _traceparent(head: RequestHead, value: bytes, line: bytes) -> None:
    # Invalid ones begin a new trace (W3C Trace Context section 4.3), as if there were none.
    if head.traceparent is None and _is_traceparent(value):
        head.traceparent = value
        head.lines.append(line)


def _is_traceparent(value: bytes) -> bool:
    found = _TRACEPARENT.fullmatch(value)
    return found is not None and (not value.startswith(b"00") or len(value) == _TRACEPARENT_00)


def _tracestate(head: RequestHead, _value: bytes, line: bytes) -> None:
    if head.tracestate is None:
        head.tracestate = []
    head.tracestate.append(line)


def _te(head: RequestHead, value: bytes, _line: bytes) -> None:
    # Trailers pass through here, other transfer codings do not (RFC 9110 section 10.1.4)
    head.trailers = head.trailers or b"trailers" in connection_tokens(value)


def _max_forwards(head: RequestHead, value: bytes, line: bytes) -> None:
    if head.method not in _COUNTED_DOWN:
        head.lines.append(line)
        return
    if head.max_forwards is not None or not value.isdigit() or len(value) > _MAX_FORWARDS_DIGITS:
        raise FramingError(400, "Max-Forwards is not one number")
    head.max_forwards = int(value)


def _date(head: ResponseHead, _value: bytes, line: bytes) -> None:
    head.dated = True
    head.lines.append(line)


def _forwarded(head: RequestHead, _value: bytes, line: bytes) -> None:
    if head.forwarded is None:
        head.forwarded = []
    head.forwarded.append(line)


_REQUEST: Final = {
    HOST: _host,
    CONNECTION: _connection,
    CONTENT_LENGTH: _content_length,
    TRANSFER_ENCODING: _transfer_encoding,
    UPGRADE: _upgrade,
    AUTHORIZATION: _authorization,
    API_KEY: _api_key,
    REQUEST_ID: _request_id,
    TRACEPARENT: _traceparent,
    TRACESTATE: _tracestate,
    FORWARDED: _forwarded,
    TE: _te,
    MAX_FORWARDS: _max_forwards,
    DATE: _forward,
}


_RESPONSE: Final = {
    CONNECTION: _connection,
    CONTENT_LENGTH: _content_length,
    TRANSFER_ENCODING: _transfer_encoding,
    UPGRADE: _upgrade,
    DATE: _date,
}
_FORWARDED_IN_RESPONSE: Final = frozenset(
    {HOST, AUTHORIZATION, API_KEY, TRACEPARENT, TRACESTATE, FORWARDED, MAX_FORWARDS}
)
_NO_BODY: Final = frozenset({204, 304})


def read_response_head(raw: bytes, known: KnownLines, *, method: bytes) -> ResponseHead:
    """Index a response's head.

    Args:
        raw: The head with its closing empty line, accepted by llhttp.
        known: The worker's memory of lines.
        method: The request's method: an answer to HEAD has no body whatever it says.

    Raises:
        FramingError: The end of the body cannot be told for certain.
    """
    parts = raw.split(b"\r\n")
    first = _STATUS_LINE.fullmatch(parts[0])
    if first is None:
        raise FramingError(502, "the status line is not `HTTP/1.x status reason`")
    head = ResponseHead(int(first[2]), first[3] or b"", int(first[1]))
    lines = head.lines
    meanings = known.known
    for line in parts[1:-2]:
        found = meanings.get(line) or known.learn(line)
        if not found[0] or found[0] in _FORWARDED_IN_RESPONSE:
            lines.append(line)
        elif (read := _RESPONSE.get(found[0])) is not None:
            read(head, found[1], line)
    _settle_response(head, method)
    return head


def _settle_response(head: ResponseHead, method: bytes) -> None:
    if head.body == BODY_CHUNKED:
        if head.content_length is not None or not head.minor:
            raise FramingError(502, "Transfer-Encoding with Content-Length, or in HTTP/1.0")
    elif head.content_length is None:
        head.body = BODY_TO_CLOSE
    elif head.content_length:
        head.body = BODY_FIXED
    if head.status == 204 and head.body in {BODY_FIXED, BODY_CHUNKED}:  # noqa: PLR2004
        head.close = True  # what it announces but may not send would look like the next response
    if method == b"HEAD" or head.status in _NO_BODY or head.status < 200:  # noqa: PLR2004
        # RFC 9112 section 6.3 rules 1: such a response ends with its head
        head.body = BODY_NONE
    head.keep_alive = (
        (head.keep_alive or bool(head.minor)) and not head.close and head.body != BODY_TO_CLOSE
    )
    if head.named is not None:
        head.lines = drop_named(head.lines, head.named)
