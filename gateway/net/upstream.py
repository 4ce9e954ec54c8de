"""One connection to a replica: at most one exchange at a time, responses read strictly.

A response that cannot be trusted (malformed, or followed by bytes that nobody asked for) ends the
connection: what comes next on it could be taken for somebody else's answer.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.core import answers
from gateway.core.chunks import ChunkReader, write_chunks, write_end
from gateway.core.exchange import COMMITTED, TUNNEL
from gateway.core.framing import FramingError
from gateway.core.messages import BODY_CHUNKED, BODY_FIXED, BODY_NONE, BODY_TO_CLOSE, ResponseHead
from gateway.net.bulk import WORTH_IT, BulkReader

if TYPE_CHECKING:
    from gateway.net.endpoints import Endpoint
    from gateway.net.flow import Exchange
    from gateway.net.worker import Worker

_HEAD = -1
"""Reading state before and between responses; otherwise one of the BODY_ values."""

_BEGINNING = b"HTTP/1."
_SWITCHING_PROTOCOLS = 101
_OK = 200


class UpstreamProtocol:
    """A replica's side of an exchange: response bytes in, relayed to the client at once.

    An `asyncio.Protocol` in all but inheritance, which compiled classes cannot have.

    Called by the event loop only. It owns the transport and the reading state; the exchange owns
    what the response means.

        client too slow    the client pauses us      we stop reading from the replica
        replica too slow   loop calls pause_writing  we pause reading from the client

    Invariants:
        I1  it serves one exchange at a time; idle connections have none.
        I2  bytes without an exchange abort the connection.
        I3  after `connection_lost` nothing is written and it is in no pool.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_left",
        "_state",
        "_worker",
        "braked",
        "closed",
        "ended",
        "endpoint",
        "exchange",
        "idle_since_s",
        "reused",
        "transport",
    )

    def __init__(self, worker: "Worker", endpoint: "Endpoint") -> None:
        self._worker = worker
        self.endpoint = endpoint
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.exchange: Exchange | None = None
        self.closed = False
        self.braked = False
        """The replica is behind with reading: what is written now would only pile up."""
        self.ended = False
        """The replica will send no more into its tunnel."""
        self.reused = False
        self.idle_since_s = 0.0
        self._state = _HEAD
        self._left = 0
        self._buffer = b""
        self._chunks: ChunkReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Response bytes: relay them, whatever the state."""
        exchange = self.exchange
        if exchange is None:
            self.abort()
            return
        state = self._state
        if state == _HEAD:
            self._read_head(exchange, data)
        elif exchange.phase is TUNNEL:
            exchange.relay(data)
        elif state == BODY_FIXED:
            left = self._left - len(data)
            if left > 0:
                self._left = left
                exchange.relay(data)
            elif left == 0:
                exchange.relay(data)
                self.complete(exchange, reusable=True)
            else:
                exchange.relay(data[:left])
                self.complete(exchange, reusable=False)
        elif state == BODY_CHUNKED:
            self._read_chunks(exchange, data)
        elif exchange.client_chunked:
            exchange.relay(write_chunks([data]))
        else:
            exchange.relay(data)

    def eof_received(self) -> bool:
        """The replica will send no more. Only tunnels live on half-closed."""
        exchange = self.exchange
        if exchange is not None and exchange.phase is TUNNEL:
            return exchange.upstream_eof()
        # Else the loop would close only when all is written, to one who may read no more.
        self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: end or repeat its exchange."""
        self.closed = True
        exchange = self.exchange
        if exchange is None:
            if self in self.endpoint.idle:
                self.endpoint.idle.remove(self)
            return
        if self._state == BODY_TO_CLOSE and exc is None and exchange.phase is COMMITTED:
            if exchange.client_chunked:
                exchange.relay(write_end([]))
            self.complete(exchange, reusable=False)
            return
        self.exchange = None
        exchange.upstream_lost(bool(self._buffer))

    def pause_writing(self) -> None:
        """The replica does not read fast enough."""
        self.braked = True
        if self.exchange is not None:
            self.exchange.client.hold_reading()

    def resume_writing(self) -> None:
        """The replica reads again."""
        self.braked = False
        if self.exchange is not None:
            self.exchange.client.release_reading()

    def abort(self) -> None:
        """Drop the connection at once. Closing would wait for a dead peer (uvloop issue 471)."""
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    def _read_head(self, exchange: "Exchange", data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while data:  # as many interim heads as have come, then the final one
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:  # noqa: PLR2004 - not found
                self._incomplete(exchange, data)
                return
            try:
                head = self._worker.heads.response(data[:end], method=exchange.head.method)
            except FramingError:
                exchange.fail(answers.BAD_RESPONSE)
                return
            if head.status >= _OK:
                self._start_body(exchange, head, data, end)
                return
            data = data[end:]
            if head.status == _SWITCHING_PROTOCOLS:
                self._state = BODY_TO_CLOSE
                exchange.upgrade(head, data)
                return
            exchange.interim(head)
            if self.exchange is None:
                return

    def _incomplete(self, exchange: "Exchange", data: bytes) -> None:
        # Whoever speaks another protocol may wait for us now: no use in waiting for more of it.
        if len(data) > self._worker.settings.max_head_bytes or not data.startswith(
            _BEGINNING[: len(data)]
        ):
            exchange.fail(answers.BAD_RESPONSE)
        else:
            self._buffer = data

    def _start_body(self, exchange: "Exchange", head: ResponseHead, data: bytes, at: int) -> None:
        """Relay the head, and what has come of the body: `data` from `at` on."""
        out = exchange.respond(head)
        body = head.body
        self._state = body
        if body == BODY_FIXED:
            self._start_fixed(exchange, out, data, at, head.content_length or 0)
            return
        rest = data[at:]
        if body == BODY_NONE:
            exchange.relay(out)
            self.complete(exchange, reusable=not rest)
        elif body == BODY_CHUNKED:
            self._chunks = ChunkReader()
            exchange.relay(out)
            if rest:
                self._read_chunks(exchange, rest)
        else:
            exchange.relay(out)
            if rest:
                exchange.relay(write_chunks([rest]) if exchange.client_chunked else rest)

    def _start_fixed(
        self, exchange: "Exchange", out: bytes, data: bytes, at: int, length: int
    ) -> None:
        left = length - (len(data) - at)
        if left >= WORTH_IT and not self.endpoint.proton.tls:
            if len(data) > at:
                exchange.relay_parts(out, memoryview(data)[at:])
            else:
                exchange.relay(out)
            if not self.closed:
                self.transport.set_protocol(BulkReader(self, self._worker.scratch, left))
        elif left > 0:
            self._left = left
            exchange.relay(out + data[at:])
        else:
            exchange.relay(out + data[at : at + length])
            self.complete(exchange, reusable=not left)

    def _read_chunks(self, exchange: "Exchange", data: bytes) -> None:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - set with the state
        try:
            pieces, rest = chunks.feed(data)
        except FramingError:
            exchange.fail(answers.BAD_RESPONSE)
            return
        if exchange.client_chunked:
            out = write_chunks(pieces) if pieces else b""
            if chunks.done:
                out += write_end(chunks.trailers)
        else:
            out = b"".join(pieces)
        if out:
            exchange.relay(out)
        if chunks.done:
            self._chunks = None
            self.complete(exchange, reusable=not rest)

    def complete(self, exchange: "Exchange", *, reusable: bool) -> None:
        """The whole response has come."""
        self._state = _HEAD
        exchange.complete(reusable=reusable)
