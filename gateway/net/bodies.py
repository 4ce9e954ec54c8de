"""A request's body on its way from the client to the exchange."""

from typing import TYPE_CHECKING

from gateway.core import answers
from gateway.core.answers import bad_request
from gateway.core.chunks import ChunkReader, write_chunks, write_end
from gateway.core.framing import FramingError
from gateway.core.messages import BODY_CHUNKED, RequestHead

if TYPE_CHECKING:
    from gateway.net.flow import Exchange


class RequestBody:
    """Finds the end of one body; what lies behind it belongs to the next request.

    Bodies of fixed length are counted and passed on as they come; chunked ones are decoded and
    coded anew. `trusted` turns false when the end cannot be told any more: the connection must
    end with the answer.
    """

    __slots__ = ("_chunks", "_left", "_limit_bytes", "_size_bytes", "trusted")

    def __init__(self, head: RequestHead, *, limit_bytes: int) -> None:
        """Begin a body.

        Args:
            head: The request's.
            limit_bytes: Largest chunked body; 0: no limit. (Fixed ones are refused by their head.)
        """
        self._chunks = ChunkReader() if head.body == BODY_CHUNKED else None
        self._left = head.content_length or 0
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self.trusted = True

    def take(self, exchange: "Exchange", data: bytes) -> bytes:
        """Pass body bytes on; returns what belongs to the next request."""
        if self._chunks is not None:
            return self._take_chunks(exchange, self._chunks, data)
        left = self._left
        size = len(data)
        if size <= left:
            self._left = left - size
            exchange.proton.meter.bytes_in += size
            exchange.send_body(data, last=size == left)
            return b""
        self._left = 0
        exchange.proton.meter.bytes_in += left
        exchange.send_body(data[:left], last=True)
        return data[left:]

    def _take_chunks(self, exchange: "Exchange", chunks: ChunkReader, data: bytes) -> bytes:
        try:
            pieces, rest = chunks.feed(data)
        except FramingError as exc:
            self.trusted = False
            exchange.fail(bad_request(exc.status, exc.rule))
            return b""
        size = sum(map(len, pieces))
        self._size_bytes += size
        exchange.proton.meter.bytes_in += size
        if self._limit_bytes and self._size_bytes > self._limit_bytes:
            self.trusted = False
            exchange.fail(answers.BODY_TOO_LARGE)
            return b""
        out = write_chunks(pieces) if pieces else b""
        if chunks.done:
            out += write_end(chunks.trailers)
        if out:
            exchange.send_body(out, last=chunks.done)
        return rest
