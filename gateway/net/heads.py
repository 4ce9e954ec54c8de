"""llhttp as the judge of every head's grammar; the guards of `core.framing` come after it.

Heads are judged whole and alone, each by a parser of its own (0.6 us): a parser remembers how the
message before ended, by rules that are not ours, and one client's heads are no other client's.

Clients and replicas send the same heads over and over: what a head means follows from its bytes
alone, so it is remembered, within bounds. Heads that name a trace or a request id are different
every time and are not. Nobody changes a head after it is read.
"""

from typing import Final, Generic, TypeVar

import httptools

from gateway.core.framing import FramingError, read_request_head, read_response_head
from gateway.core.headers import KnownLines
from gateway.core.messages import RequestHead, ResponseHead
from gateway.core.rewriting import request_prefix, response_prefix
from gateway.core.routing import read_target

MAX_REMEMBERED: Final = 1024
MAX_REMEMBERED_BYTES: Final = 2048
MAX_MARKS: Final = 8192
"""At most 1024 heads of 2 KiB each way; beyond the count all are forgotten and learnt anew."""


class _Silent:
    """Receives no callbacks: without the methods, httptools does not call."""

    __slots__ = ()


_SILENT = _Silent()
_FRAMED_BY_LLHTTP: Final = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT"}
)
_PREFACE: Final = b"PRI * HTTP/2"
"""RFC 9113 section 3.4: what a client sends that takes HTTP/2 for granted."""


H = TypeVar("H", RequestHead, ResponseHead)


def _judge_request(raw: bytes) -> None:
    """Let llhttp judge a request's grammar.

    It knows a fixed list of methods, but an application may have its own (RFC 9110 section 9.1):
    those are judged as if they were GET, which is framed alike.
    """
    method, _, rest = raw.partition(b" ")
    if method not in _FRAMED_BY_LLHTTP:
        if raw.startswith(_PREFACE):
            raise FramingError(505, "HTTP/2 is not spoken here: use HTTP/1.1, or a proxy in front")
        raw = b"GET " + rest  # `read_request_head` looks whether it is a method at all
    parser = httptools.HttpRequestParser(_SILENT)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as exc:
        raise FramingError(400, f"malformed request: {exc}") from exc


class Memory(Generic[H]):
    """Heads that came at least twice. The first time only a hash is noted.

    A head that never comes again (a path or header of its own) would push out useful ones and cost
    more to keep than reading it did.
    """

    __slots__ = ("_once", "heads")

    def __init__(self) -> None:
        self.heads: dict[bytes, H] = {}
        self._once: set[int] = set()

    def note(self, raw: bytes, head: H) -> None:
        """Take notice of a head that was just read."""
        mark = hash(raw)
        if mark not in self._once:
            if len(self._once) >= MAX_MARKS:
                self._once.clear()
            self._once.add(mark)
        elif len(raw) <= MAX_REMEMBERED_BYTES:
            if len(self.heads) >= MAX_REMEMBERED:
                self.heads.clear()
            self.heads[raw] = head


class Heads:
    """Reads heads for one worker."""

    __slots__ = ("_known", "_max_headers", "_requests", "_responses")

    def __init__(self, *, max_headers: int) -> None:
        self._known = KnownLines()
        self._max_headers = max_headers
        self._requests: Memory[RequestHead] = Memory()
        self._responses: Memory[ResponseHead] = Memory()

    def request(self, raw: bytes) -> RequestHead:
        """Judge and index a request's head.

        Raises:
            FramingError: With the status to answer; the connection must end after it.
        """
        head = self._requests.heads.get(raw)
        if head is not None:
            return head
        _judge_request(raw)
        head = read_request_head(raw, self._known, max_headers=self._max_headers)
        if head.max_forwards != 0:  # else it ends here, wherever it was going
            head.invoke = read_target(head.target)
        invoke = head.invoke
        if invoke is not None:
            head.prefix = request_prefix(head, invoke.path, stripped=invoke.prefix)
        if head.traceparent is None and head.request_id is None:
            self._requests.note(raw, head)
        return head

    def response(self, raw: bytes, *, method: bytes) -> ResponseHead:
        """Judge and index a response's head.

        Raises:
            FramingError: The replica's answer cannot be trusted: 502.
        """
        if method == b"HEAD":
            return self._read_response(raw, method)
        head = self._responses.heads.get(raw)
        if head is None:
            head = self._read_response(raw, method)
            self._responses.note(raw, head)
        return head

    def _read_response(self, raw: bytes, method: bytes) -> ResponseHead:
        parser = httptools.HttpResponseParser(_SILENT)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as exc:
            raise FramingError(502, f"malformed response: {exc}") from exc
        head = read_response_head(raw, self._known, method=method)
        head.prefix = response_prefix(head, client_minor=1)
        return head
