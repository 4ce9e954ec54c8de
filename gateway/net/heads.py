"""llhttp as the judge of every head's grammar; the guards of `core.framing` come after it.

Heads are judged whole and alone, so one parser serves a whole worker. It is thrown away whenever
the message leaves it in the middle of something (a body, a close, an upgrade, an error).
"""

import httptools

from gateway.core.framing import (
    BODY_NONE,
    FramingError,
    RequestHead,
    ResponseHead,
    read_request_head,
    read_response_head,
)
from gateway.core.headers import KnownLines


class _Silent:
    """Receives no callbacks: without the methods, httptools does not call."""

    __slots__ = ()


_SILENT = _Silent()


class Heads:
    """Reads heads for one worker."""

    __slots__ = ("_known", "_max_headers", "_parser")

    def __init__(self, *, max_headers: int) -> None:
        self._known = KnownLines()
        self._max_headers = max_headers
        self._parser = httptools.HttpRequestParser(_SILENT)

    def request(self, raw: bytes) -> RequestHead:
        """Judge and index a request's head.

        Raises:
            FramingError: With the status to answer; the connection must end after it.
        """
        try:
            self._parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self._parser = httptools.HttpRequestParser(_SILENT)
        except httptools.HttpParserError as exc:
            self._parser = httptools.HttpRequestParser(_SILENT)
            raise FramingError(400, f"malformed request: {exc}") from exc
        try:
            head = read_request_head(raw, self._known, max_headers=self._max_headers)
        except FramingError:
            self._parser = httptools.HttpRequestParser(_SILENT)
            raise
        if head.body != BODY_NONE or not head.keep_alive:
            self._parser = httptools.HttpRequestParser(_SILENT)
        return head

    def response(self, raw: bytes, *, method: bytes) -> ResponseHead:
        """Judge and index a response's head.

        Raises:
            FramingError: The replica's answer cannot be trusted: 502.
        """
        parser = httptools.HttpResponseParser(_SILENT)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as exc:
            raise FramingError(502, f"malformed response: {exc}") from exc
        return read_response_head(raw, self._known, method=method)
