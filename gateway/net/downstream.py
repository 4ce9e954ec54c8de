"""One client connection: requests in, exchanges out, response bytes back."""

import asyncio
import math
import re
from typing import TYPE_CHECKING, cast

from gateway.core import answers
from gateway.core.answers import Answer, bad_request
from gateway.core.exchange import COMMITTED, SENT, TUNNEL
from gateway.core.forwarded import joined_lines
from gateway.core.framing import FramingError
from gateway.core.leaving import is_half_closed, question
from gateway.core.messages import BODY_FIXED, BODY_NONE, RequestHead
from gateway.core.peers import forwarded_lines, peer_address
from gateway.net.bodies import RequestBody
from gateway.net.half_close import half_close
from gateway.net.watch import Watch

if TYPE_CHECKING:
    from gateway.net.dispatcher import Dispatcher
    from gateway.net.flow import Exchange

_EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")
_LINGER_S = 5.0
_PIPELINE_BYTES = 65_536
"""Requests read ahead while one is being answered; beyond it we stop reading."""

_REQUESTS_PER_TURN = 32
"""Requests that are refused on the spot, one after the other: about a millisecond."""

_FIRST_S = 1.0
"""How long a draining worker waits for a connection's first request. It is on its way: clients
connect when they have one, and do not repeat it when the connection was new. A second is a slow
network's round trip, or a lost packet."""


_FIRST, _IDLE, _HEAD, _SLOT, _BODY, _RESPONSE, _STREAM, _LINGER = range(8)
_NO_REQUEST = (_FIRST, _IDLE)


class DownstreamProtocol:
    """One client connection: bytes in, exchange out, response parts back as bytes.

    An `asyncio.Protocol` in all but inheritance, which compiled classes cannot have.

    Called by the event loop, and by the one live exchange. It owns the transport, the framing of
    requests and the connection's deadlines; it does not own routing, admission or repeats: it
    asks the dispatcher and obeys.

        client too fast   unsent body or read-ahead too large    we pause reading from the client
        client too slow   loop calls pause_writing()             we pause reading from the replica

    Invariants:
        I1  at most one exchange is live; the next head is read when it has ended.
        I2  nothing is written after `connection_lost`.
        I3  it has a deadline for whatever it waits for, but for connecting, which has its own; and
            no timer: one sweep looks at all connections.
    """

    __slots__ = (
        "_advancing", "_body", "_buffer", "_deferred", "_dispatcher", "_exchange", "_lost",
        "_paused", "_peer_lines", "_requests", "_scanned", "_silence_s", "_waiting_for", "_watch",
        "_worker", "braked", "deadline_s", "ends_s", "half_closed", "keep_alive", "peer", "tls",
        "transport", "trusted",
    )  # fmt: skip

    def __init__(self, dispatcher: "Dispatcher") -> None:
        # process
        self._dispatcher = dispatcher
        self._worker = dispatcher.worker
        # connection
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer = ""
        self._peer_lines = b""
        self.tls = False
        self.trusted = False
        """The peer is a proxy of ours: what it says of its clients counts."""
        self._requests = 0
        """Counted where their number is limited."""
        self.deadline_s = math.inf
        """When what we wait for is late, by the worker's monotonic clock; `Clients.sweep` looks."""
        self.ends_s = math.inf
        """When the exchange must have ended, where its workload limits the time of its requests."""
        self._silence_s = dispatcher.worker.settings.idle_timeout_s
        """How long nothing may move in a response or a tunnel."""
        self._waiting_for = _FIRST
        self._buffer = b""
        self._scanned = 0
        """How much of the buffer is known to hold no end of a head."""
        self._paused = False
        self._lost = False
        self._watch: Watch | None = None
        """Made when it is needed: an idle connection must be small."""
        self.half_closed = False
        """The client will send no more."""
        self.braked = False
        """The client is behind with reading: what is written now would only pile up."""
        self._advancing = False
        self._deferred = False
        """Requests in the buffer are read on in the loop's next turn."""
        # exchange
        self._exchange: Exchange | None = None
        self._body: RequestBody | None = None
        self.keep_alive = True

    # ---- the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self.transport = cast(asyncio.Transport, transport)
        self.peer = peer_address(transport.get_extra_info("peername"))
        self.tls = transport.get_extra_info("ssl_object") is not None
        self._peer_lines = forwarded_lines(self.peer, tls=self.tls)
        self.trusted = self._worker.trusted.trusts(self.peer)
        refusal = self._worker.clients.enter(self)
        if refusal is not None:
            # At once and without lingering: floods are answered as cheaply as can be.
            self._worker.answers[refusal.code] += 1
            self.transport.write(self._worker.render(refusal, self._worker.new_trace(), close=True))
            self._waiting_for = _LINGER
            transport.close()
            return
        self._expect(self._worker.settings.first_byte_timeout_s, _FIRST)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: a head, a body, read-ahead, or a tunnel's."""
        exchange = self._exchange
        if exchange is None:
            if self._waiting_for == _LINGER:
                return
            self._buffer = self._buffer + data if self._buffer else data
            if not self._deferred:
                self._advance()
            elif len(self._buffer) > _PIPELINE_BYTES:  # libuv reads up to 32 times in a turn
                self.hold_reading()
        elif exchange.phase is TUNNEL:
            self._touch(self._silence_s)
            exchange.tunnel(data)
        elif exchange.body_done:
            self._buffer += data
            if len(self._buffer) > _PIPELINE_BYTES:
                self.hold_reading()
        else:
            if self._waiting_for == _BODY:  # not while a replica is what we wait for
                self._touch(self._worker.settings.body_timeout_s)
            elif self._waiting_for == _STREAM:
                self._touch(self._silence_s)
            self._take_body(exchange, data)

    def eof_received(self) -> bool:
        """The client will send no more; True keeps the other direction open."""
        exchange = self._exchange
        self.half_closed = True
        if self.tls:
            return False  # asyncio's TLS transports close with their peer
        if exchange is None:
            # Requests that wait for a slow reader, or for their turn.
            return (self.braked or self._deferred) and bool(self._buffer)
        if exchange.phase is TUNNEL:
            self._expect_the_end()
            return exchange.client_eof()
        if not is_half_closed(
            exchange.phase,
            body_done=exchange.body_done,
            chunked=exchange.client_chunked,
            more=bool(self._buffer),
            since_s=self._worker.monotonic() - exchange.started_s,
        ):
            return False
        self.ask()
        self._look_after()
        return True

    def ask(self) -> None:
        """Write what a client that is there ignores, and one that is gone answers with a reset."""
        exchange = self._exchange
        if exchange is not None and exchange.phase <= COMMITTED:
            minor, chunked = exchange.head.minor, exchange.client_chunked
            self.transport.write(question(exchange.phase, minor=minor, chunked=chunked))

    def _look_after(self) -> None:
        if self._watch is None:
            self._watch = Watch(self, self._dispatcher.loop)
        self._watch.begin()

    @property
    def unwatched(self) -> bool:
        """An exchange is live and we do not read: the loop would not see the client go."""
        return self._exchange is not None and not self._lost and (self._paused or self.half_closed)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._lost = True
        self._worker.clients.leave(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        self._buffer = b""

    def pause_writing(self) -> None:
        """The client reads too slowly: stop reading from the replica, and further requests."""
        self.braked = True
        transport = self._upstream_transport()
        if transport is not None:
            transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.braked = False
        transport = self._upstream_transport()
        if transport is not None:
            transport.resume_reading()
        if (
            self._exchange is None
            and self._waiting_for != _LINGER
            and not self._lost
            and not self.transport.is_closing()
        ):
            self.release_reading()
            self._advance()

    def _upstream_transport(self) -> asyncio.Transport | None:
        upstream = self._exchange.upstream if self._exchange is not None else None
        if upstream is None or upstream.closed or upstream.transport.is_closing():
            return None
        return upstream.transport

    # ---- the exchange calls

    def write(self, data: bytes | memoryview, body: memoryview | None = None) -> None:
        """Response bytes; a view's memory must stay as it is while the transport has it."""
        if not self._lost:
            self.deadline_s = self._worker.monotonic() + self._silence_s
            self._waiting_for = _STREAM
            if body is None:
                self.transport.write(data)
            else:
                self.transport.writelines((data, body))

    def write_interim(self, data: bytes) -> None:
        """A 1xx answer: what we wait for stays the same."""
        if not self._lost:
            if self._waiting_for == _RESPONSE:
                self._touch(self._worker.settings.response_timeout_s)
            self.transport.write(data)

    def write_eof(self) -> bool:
        """End the response direction of a tunnel; False when the connection cannot."""
        if self._lost or not half_close(self.transport):
            return False
        self._expect_the_end()
        return True

    def _expect_the_end(self) -> None:
        """One direction of a tunnel has ended: the other does not stay open for long in silence."""
        self._silence_s = self._worker.settings.half_closed_timeout_s
        self._expect(self._silence_s, _STREAM)

    def start_tunnel(self) -> None:
        """From now on bytes pass both ways."""
        self.ends_s = math.inf
        self.keep_alive = False
        exchange, early = self._exchange, self._buffer
        self._buffer = b""
        self.release_reading()
        if early and exchange is not None:
            exchange.tunnel(early)
        if self.half_closed and exchange is not None:
            self._expect_the_end()
            exchange.client_eof()

    def silent_s(self, now_s: float) -> float:
        """For how long nothing has moved in a tunnel."""
        return max(0.0, now_s - (self.deadline_s - self._silence_s))

    def await_slot(self) -> None:
        """The exchange is queued."""
        self._expect(self._worker.settings.cold_start_timeout_s, _SLOT)

    def await_connection(self) -> None:
        """The exchange has or will get a slot: connecting has time limits of its own."""
        self.deadline_s = math.inf
        self._waiting_for = _SLOT

    def await_response(self, now_s: float, *, body_done: bool) -> None:
        """The request is sent, as far as it has come."""
        settings = self._worker.settings
        if body_done:
            self.deadline_s = now_s + settings.response_timeout_s
            self._waiting_for = _RESPONSE
        else:
            self.deadline_s = now_s + settings.body_timeout_s
            self._waiting_for = _BODY
        if self._paused:
            self.release_reading()

    def peer_lines(self, head: RequestHead) -> bytes:
        """Forwarded and X-Forwarded-* of this connection; a client's own only when trusted."""
        if head.forwarded is not None and self.trusted:
            return joined_lines(head.forwarded, self.peer, tls=self.tls)
        return self._peer_lines

    def hold_reading(self) -> None:
        """Stop reading from the client."""
        if not self._paused and not self._lost and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self._look_after()
            if self._waiting_for == _BODY:  # it is the replica's turn
                self._touch(self._worker.settings.idle_timeout_s)

    def release_reading(self) -> None:
        """Read from the client again, once most of what was read ahead is used up."""
        if self._paused and not self._lost and not self.transport.is_closing():
            if len(self._buffer) > max(_PIPELINE_BYTES, self._worker.settings.max_head_bytes):
                return
            self._paused = False
            self.transport.resume_reading()
            if self._waiting_for == _BODY:
                self._expect(self._worker.settings.body_timeout_s, _BODY)

    def answer(
        self,
        answer: Answer,
        *,
        request_id: bytes,
        retry_after: int | None = None,
        body_done: bool = True,
    ) -> None:
        """Answer in the replica's place, and end the exchange."""
        self._worker.answers[answer.code] += 1
        exchange = self._exchange
        if not body_done or self._worker.draining:
            self.keep_alive = False
        if not self._lost:
            self.transport.write(
                self._worker.render(
                    answer,
                    request_id,
                    close=not self.keep_alive,
                    retry_after=retry_after,
                    head_only=exchange is not None and exchange.head.method == b"HEAD",
                )
            )
        self.exchange_done(self._worker.monotonic(), body_done=body_done)

    def exchange_done(self, now_s: float, *, body_done: bool) -> None:
        """The exchange has ended: on to the next request, or to the connection's end."""
        self._exchange = None
        self._body = None
        self.ends_s = math.inf
        if self._lost:
            return
        if not self.keep_alive or (self.half_closed and not self._buffer):
            if body_done and not self._buffer:
                self.transport.close()
            else:
                self._linger()
            return
        if self._paused:
            self.release_reading()
        self.deadline_s = now_s + self._worker.settings.keep_alive_timeout_s
        self._waiting_for = _IDLE
        if self._buffer and not self._advancing:
            self._advance()

    def close(self) -> None:
        """End the connection when everything is written."""
        if not self._lost:
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection: the client must see that the response is not whole."""
        if not self._lost:
            self.transport.abort()

    @property
    def idle(self) -> bool:
        """It waits for a request, nothing of one has come, and all answers have been taken."""
        return (
            self._waiting_for in _NO_REQUEST
            and not self._buffer
            and not self.transport.get_write_buffer_size()
        )

    def drain(self) -> None:
        """The worker is shutting down: end now if idle, else after the live exchange."""
        self.keep_alive = False
        if self._exchange is not None or self._lost or self._buffer:
            return
        if self._waiting_for == _FIRST:
            self._expect(_FIRST_S, _FIRST)
        else:
            self.transport.close()

    # ---- heads

    def _advance(self) -> None:
        """Read requests from the buffer while no exchange is live."""
        self._advancing = True
        begun = 0
        try:
            while self._exchange is None and self._buffer and not self._lost:
                begun += 1
                if begun > _REQUESTS_PER_TURN:  # others have their turn, then it goes on
                    self._deferred = True
                    self._dispatcher.loop.call_soon(self._resume)
                    if len(self._buffer) > _PIPELINE_BYTES:
                        self.hold_reading()
                    return
                if self.braked:  # goes on when the client has read what it asked for before
                    if len(self._buffer) > _PIPELINE_BYTES:
                        self.hold_reading()
                    return
                if self._waiting_for == _LINGER or not self._next_request():
                    return
            if self._paused and self._exchange is None:
                self.release_reading()
        finally:
            self._advancing = False

    def _resume(self) -> None:
        self._deferred = False
        self._advance()

    def _next_request(self) -> bool:
        """Start the next exchange; False when its head is not whole yet or is refused."""
        data = self._buffer
        if data.startswith(b"\r\n"):  # RFC 9112 section 2.2: empty lines before a request
            data = _EMPTY_LINES.sub(b"", data, count=1)
        # A head that comes byte by byte must not be searched from its beginning each time.
        end = data.find(b"\r\n\r\n", max(0, self._scanned - 3)) + 4
        settings = self._worker.settings
        if end < 4 or end > settings.max_head_bytes:  # noqa: PLR2004 - not found
            return self._incomplete(data, found=end >= 4)  # noqa: PLR2004
        raw = data[:end]
        self._buffer = data[end:]
        self._scanned = 0
        try:
            head = self._worker.heads.request(raw)
        except FramingError as exc:
            self._refuse_connection(bad_request(exc.status, exc.rule))
            return False
        if len(head.target) > settings.max_target_bytes:
            self._refuse_connection(
                bad_request(414, f"the target exceeds {settings.max_target_bytes} bytes")
            )
            return False
        self.keep_alive = head.keep_alive
        if settings.max_requests_per_connection:
            self._requests += 1
            if self._requests >= settings.max_requests_per_connection:
                self.keep_alive = False
        self._begin(head)
        return True

    def _incomplete(self, data: bytes, *, found: bool) -> bool:
        self._buffer = data
        self._scanned = len(data)
        settings = self._worker.settings
        if found or len(data) > settings.max_head_bytes:
            self._refuse_connection(
                bad_request(431, f"the request head exceeds {settings.max_head_bytes} bytes")
            )
        elif self.half_closed:
            self.transport.close()
        elif data and self._waiting_for != _HEAD:
            self._expect(settings.head_timeout_s, _HEAD)
        return False

    def _begin(self, head: RequestHead) -> None:
        now_s = self._worker.monotonic()
        exchange = self._dispatcher.begin(self, head, now_s)
        if exchange is None:
            return
        self._exchange = exchange
        self.await_connection()
        proton = exchange.proton
        limit = proton.max_body_bytes
        if limit and head.content_length is not None and head.content_length > limit:
            exchange.refuse(answers.BODY_TOO_LARGE)
            return
        if proton.request_timeout_s:
            self.ends_s = now_s + proton.request_timeout_s
        if head.body != BODY_NONE:
            self._body = RequestBody(head, limit_bytes=limit)
            if self._buffer:
                early, self._buffer = self._buffer, b""
                self._take_body(exchange, early)
        if self._is_live(exchange):  # its body may have been its end
            self._dispatcher.admit(exchange, now_s)

    def _is_live(self, exchange: "Exchange") -> bool:
        # Not in place: mypy, and so the compiled code, believes that what was assigned stays.
        return self._exchange is exchange

    def refuse(self, head: RequestHead, answer: Answer, request_id: bytes) -> None:
        """Answer a request that never became an exchange (no route, no token)."""
        whole = self._drop_body(head)
        self._worker.answers[answer.code] += 1
        self._worker.log_refusal(answer, request_id, head, self.peer)
        self.transport.write(
            self._worker.render(
                answer, request_id, close=not self.keep_alive, head_only=head.method == b"HEAD"
            )
        )
        self.exchange_done(self._worker.monotonic(), body_done=whole)

    def answer_options(self, head: RequestHead, request_id: bytes) -> None:
        """Answer an OPTIONS that asks about the gateway itself."""
        whole, date_line = self._drop_body(head), self._worker.date_line()
        close = not self.keep_alive
        self.transport.write(
            answers.options(request_id=request_id, date_line=date_line, close=close)
        )
        self.exchange_done(self._worker.monotonic(), body_done=whole)

    def _drop_body(self, head: RequestHead) -> bool:
        """Skip the body of a request that goes nowhere; False: it is still to come."""
        whole = head.body == BODY_NONE or (
            head.body == BODY_FIXED and len(self._buffer) >= (head.content_length or 0)
        )
        if whole and head.content_length:
            self._buffer = self._buffer[head.content_length :]
        if not whole or self._worker.draining:
            self.keep_alive = False
        return whole

    def _refuse_connection(self, answer: Answer) -> None:
        """Answer what cannot be trusted, or will not be read, and end the connection."""
        self._worker.answers[answer.code] += 1
        self.keep_alive = False
        self._buffer = b""
        request_id = self._worker.new_trace()
        self._worker.log_refusal(answer, request_id, None, self.peer)
        self.transport.write(self._worker.render(answer, request_id, close=True))
        self._linger()

    def _take_body(self, exchange: "Exchange", data: bytes) -> None:
        body = self._body
        if body is None:
            return
        rest = body.take(exchange, data)
        if not body.trusted:
            self.keep_alive = False
        elif exchange.body_done:
            self._buffer = rest
            if exchange.phase is SENT:
                self._expect(self._worker.settings.response_timeout_s, _RESPONSE)

    # ---- time

    def _linger(self) -> None:
        """Close without losing the answer (RFC 9112 section 9.6).

        Closing with unread bytes would reset the connection and could destroy what the client
        has not read yet, so they are read and dropped for a while. A client that is behind with
        reading gets the time that it always gets.
        """
        self._buffer = b""
        self.release_reading()
        half_close(self.transport)
        self._expect(self._worker.settings.idle_timeout_s if self.braked else _LINGER_S, _LINGER)

    def _touch(self, seconds: float) -> None:
        self.deadline_s = self._worker.monotonic() + seconds

    def _expect(self, seconds: float, waiting_for: int) -> None:
        """Set the deadline for what comes next."""
        self.deadline_s = self._worker.monotonic() + seconds
        self._waiting_for = waiting_for

    def expired(self, now_s: float) -> None:
        """A deadline has passed."""
        if self.ends_s <= now_s and self._exchange is not None:
            self.ends_s = math.inf
            self._exchange.out_of_time()
            return
        waiting_for, exchange = self._waiting_for, self._exchange
        if waiting_for == _LINGER or self.transport.is_closing():
            self.transport.abort()
        elif waiting_for == _HEAD:
            self._refuse_connection(answers.HEAD_TIMEOUT)
        elif exchange is None:
            # A client that has not read its last answer holds the closing up, but not for ever.
            self.transport.close()
            self._expect(self._worker.settings.idle_timeout_s, _STREAM)
        elif waiting_for == _SLOT:
            exchange.refuse(answers.COLD_START_TIMEOUT)
        elif waiting_for == _BODY and not exchange.body_done:
            # Whose body we do not read is not the one that stopped.
            exchange.fail(answers.REPLICA_TIMEOUT if self._paused else answers.BODY_TIMEOUT)
        elif exchange.phase is TUNNEL:
            exchange.client_gone()
            self.transport.close()
            self._expect(_LINGER_S, _LINGER)
        else:
            exchange.fail(answers.REPLICA_TIMEOUT)
