"""One exchange in motion: what moves between a client connection and a replica connection.

`core.exchange` says what the phases mean and what may follow what; this module does it. It ends
exactly once: every path goes through `_end`, which releases the slot, counts and logs.
"""

from typing import TYPE_CHECKING

from gateway.core import answers, rewriting
from gateway.core.answers import Answer
from gateway.core.exchange import ASSIGNED, COMMITTED, QUEUED, SENT, TUNNEL, Event, next_phase
from gateway.core.health import Sign
from gateway.core.load import ABORTED, REFUSED, UPGRADED
from gateway.core.messages import BODY_CHUNKED, BODY_NONE, RequestHead, ResponseHead
from gateway.core.retries import RetryBudget, Verdict, after_loss, given_up
from gateway.net.access_log import Line, path_of
from gateway.net.endpoints import close_idle
from gateway.net.half_close import half_close

if TYPE_CHECKING:
    from gateway.core.quotas import Usage
    from gateway.net.dispatcher import Dispatcher
    from gateway.net.downstream import DownstreamProtocol
    from gateway.net.endpoints import Endpoint, ProtonRoute
    from gateway.net.sessions import Session
    from gateway.net.spans import Span
    from gateway.net.upstream import UpstreamProtocol

_SERVER_ERROR = 500
_LOSS_ANSWER = {Verdict.UNREACHABLE: answers.UNREACHABLE, Verdict.RESET: answers.RESET}

_MAX_INTERIMS = 1000
"""1xx answers to one request: a sign of life every second for a quarter of an hour, no flood."""
_NO_ANSWER = (answers.BAD_RESPONSE, answers.REPLICA_TIMEOUT)


class Exchange:
    """One request with its response.

    Attributes by lifetime:
        whole exchange  client, head, proton, caller, request_id, phase, started_s, cold
        one attempt     endpoint, upstream, sent, sent_s
        request         outgoing (head and body so far, while a repeat is possible), body_done
        response        status, client_chunked, reusable, bytes_out
        by settings     session (affinity), usage (quota); None where the workload has none;
                        span (tracing); None where nobody samples the request
    """

    __slots__ = (
        "attempts",
        "body_done",
        "bytes_out",
        "caller",
        "client",
        "client_chunked",
        "code",
        "cold",
        "dispatcher",
        "endpoint",
        "head",
        "interims",
        "outgoing",
        "phase",
        "proton",
        "replayable",
        "request_id",
        "reusable",
        "sent",
        "sent_s",
        "session",
        "span",
        "started_s",
        "status",
        "upstream",
        "usage",
        "waited_s",
    )

    def __init__(
        self,
        client: "DownstreamProtocol",
        head: RequestHead,
        proton: "ProtonRoute",
        dispatcher: "Dispatcher",
        *,
        caller: str,
        request_id: bytes,
        outgoing: bytes,
        now_s: float,
    ) -> None:
        self.client = client
        self.head = head
        self.proton = proton
        self.dispatcher = dispatcher
        self.caller = caller
        self.request_id = request_id
        self.started_s = now_s
        self.waited_s = 0.0
        self.phase = QUEUED
        self.endpoint: Endpoint | None = None
        self.upstream: UpstreamProtocol | None = None
        self.sent = False
        self.sent_s = 0.0
        self.cold = False
        """It found no replica ready."""
        self.attempts = 0
        self.outgoing = outgoing
        self.replayable = True
        self.body_done = head.body == BODY_NONE
        self.status = 0
        self.code = ""
        self.interims = 0
        self.client_chunked = False
        self.reusable = True
        self.bytes_out = 0
        self.session: Session | None = None
        self.span: Span | None = None
        self.usage: Usage | None = None

    # ---- towards the replica

    def assign(self, endpoint: "Endpoint", now_s: float) -> None:
        """Take a slot of an endpoint, and send when there is a connection."""
        self.phase = ASSIGNED
        self.endpoint = endpoint
        if not self.attempts:
            self.waited_s = now_s - self.started_s
        self.attempts += 1
        self.sent = True
        endpoint.in_flight += 1
        self.proton.meter.send(now_s)
        idle = endpoint.idle
        while idle:
            upstream = idle.pop()
            if not upstream.closed:
                upstream.reused = True
                self.send(upstream, now_s)
                return
        self.dispatcher.connect(self, endpoint)

    def send(self, upstream: "UpstreamProtocol", now_s: float) -> None:
        """Write what there is of the request."""
        self.upstream = upstream
        upstream.exchange = self
        self.phase = SENT
        self.sent_s = now_s
        # Before the write: it may find the replica slow, and put the brake on again.
        self.client.await_response(now_s, body_done=self.body_done)
        outgoing = self.outgoing
        upstream.transport.write(outgoing)
        if len(outgoing) > self.dispatcher.worker.settings.replay_bytes:
            self.replayable = False
            self.outgoing = b""

    def send_body(self, piece: bytes, *, last: bool) -> None:
        """Pass a piece of the request's body on (already framed as the replica gets it)."""
        self.body_done = self.body_done or last
        if self.phase >= SENT and self.upstream is not None:
            self.upstream.transport.write(piece)
            if self.phase is SENT and self.replayable:
                self._keep(piece)
        else:
            self.outgoing += piece
            if len(self.outgoing) > self.dispatcher.worker.settings.replay_bytes:
                self.client.hold_reading()

    def _keep(self, piece: bytes) -> None:
        if len(self.outgoing) + len(piece) > self.dispatcher.worker.settings.replay_bytes:
            self.replayable = False
            self.outgoing = b""
        else:
            self.outgoing += piece

    # ---- towards the client

    def interim(self, head: ResponseHead) -> None:
        """Relay a 1xx answer; an HTTP/1.0 client would not understand it."""
        self.interims += 1
        if self.interims > _MAX_INTERIMS:
            self.fail(answers.BAD_RESPONSE)
        elif self.head.minor:
            self.client.write_interim(rewriting.interim(head))

    def respond(self, head: ResponseHead) -> bytes:
        """The response head as the client will see it. From now on nothing is repeated."""
        self.phase = COMMITTED
        self.outgoing = b""
        self.status = head.status
        self.reusable = head.keep_alive
        endpoint = self.endpoint
        if endpoint is not None and endpoint.troubled:
            self.dispatcher.outliers.notice(endpoint, Sign.ANSWERED)
        client = self.client
        prefix = head.prefix
        if self.head.minor:
            self.client_chunked = head.body >= BODY_CHUNKED
        else:
            prefix = rewriting.response_prefix(head, client_minor=0)
            if head.body >= BODY_CHUNKED:
                client.keep_alive = False
        worker = self.dispatcher.worker
        if not head.dated or self.session is not None or worker.timings is not None:
            prefix = self._with_more(prefix, head)
        if not self.body_done or worker.draining:
            client.keep_alive = False
        if not client.keep_alive:
            return b"%bConnection: close\r\nX-Request-Id: %b\r\n\r\n" % (prefix, self.request_id)
        if not self.head.minor:
            prefix += b"Connection: keep-alive\r\n"
        return b"%bX-Request-Id: %b\r\n\r\n" % (prefix, self.request_id)

    def _with_more(self, prefix: bytes, head: ResponseHead) -> bytes:
        """The response head with the lines that not every one has."""
        worker = self.dispatcher.worker
        if not head.dated:  # RFC 9110 section 6.6.1: who forwards a response adds a missing one
            prefix += worker.date_line()
        if self.session is not None:
            prefix = self.session.sessions.answered(self, head, prefix)
        if worker.timings is not None:
            prefix += worker.timings.lines(self, self._now_s())
        return prefix

    def relay(self, data: bytes | memoryview) -> None:
        """Response bytes to the client, at once."""
        self.bytes_out += len(data)
        self.client.write(data)

    def relay_parts(self, head: bytes, body: memoryview) -> None:
        """The same for a head and the beginning of a body, without a copy of either."""
        self.bytes_out += len(head) + len(body)
        self.client.write(head, body)

    def complete(self, *, reusable: bool) -> None:
        """The whole response is relayed."""
        upstream = self.upstream
        self.upstream = None
        now_s = self.dispatcher.worker.monotonic()
        if upstream is not None:
            upstream.exchange = None
            if self.client.braked and not upstream.closed and not upstream.transport.is_closing():
                upstream.transport.resume_reading()  # the next exchange has another client
            self.dispatcher.give_back(
                upstream,
                now_s,
                reusable=reusable and self.reusable and self.body_done and not upstream.braked,
            )
        self._end(self.status // 100 - 1, Event.COMPLETE, now_s)
        self.client.exchange_done(now_s, body_done=self.body_done)

    # ---- tunnels

    def upgrade(self, head: ResponseHead, rest: bytes) -> None:
        """The replica switched protocols: from here on bytes pass both ways, unread."""
        if self.head.upgrade is None or not self.body_done:
            # RFC 9110 sections 15.2.2, 7.8: nobody asked for it, or the request has not ended,
            # and its rest would be taken for the new protocol
            self.fail(answers.BAD_RESPONSE)
            return
        self.phase = next_phase(self.phase, Event.UPGRADED)
        self.dispatcher.worker.tunnels.add(self)
        self.status = head.status
        self.outgoing = b""
        answer = rewriting.switching(head, self.request_id)
        if self.session is not None:
            answer = self.session.sessions.answered(self, head, answer[:-2]) + b"\r\n"
        self.relay(answer + rest)
        self.client.start_tunnel()

    def tunnel(self, data: bytes) -> None:
        """Bytes from the client into the tunnel."""
        if self.upstream is not None and not self.upstream.closed:
            self.upstream.transport.write(data)

    def client_eof(self) -> bool:
        """The client will send no more into the tunnel; True keeps the other direction open."""
        upstream = self.upstream
        if upstream is None or upstream.closed or not upstream.transport.can_write_eof():
            return False
        if upstream.ended:
            # Both are done. Ends when the rest is written, and the client with it; nothing else
            # would: a connection that is half-closed both ways has no more events.
            upstream.transport.close()
            return True
        return half_close(upstream.transport)

    def upstream_eof(self) -> bool:
        """The replica will send no more into the tunnel; True keeps the other direction open."""
        if self.upstream is not None:
            self.upstream.ended = True
        return not self.client.half_closed and self.client.write_eof()

    # ---- endings

    def upstream_lost(self, answered: bool) -> None:
        """The replica's connection broke.

        Args:
            answered: Part of a response head had come.
        """
        upstream, self.upstream = self.upstream, None
        if self.phase is TUNNEL:
            self.dispatcher.worker.tunnels.discard(self)
            self._end(UPGRADED, Event.LOST, self._now_s())
            self.client.close()
            return
        if self.phase is COMMITTED:
            # Never appended to a response that has begun: the client must see it is cut.
            self._end(ABORTED, Event.LOST, self._now_s())
            self.client.abort()
            return
        if self.phase is not SENT:
            return
        if self.endpoint is not None:
            # Whatever ended this connection has likely ended its idle neighbours: do not find out
            # one request at a time.
            close_idle(self.endpoint)
        if upstream is not None:
            sign = Sign.KEPT_LOST if upstream.reused else Sign.FRESH_LOST
            self.dispatcher.outliers.notice(self.endpoint, sign)
        self._loss(touched=True, answered=answered)

    def connect_failed(self) -> None:
        """No connection to the replica: it has seen nothing of the request."""
        self.dispatcher.outliers.notice(self.endpoint, Sign.CONNECT_FAILED)
        if self.phase is ASSIGNED:
            self._loss(touched=False, answered=False)

    def _loss(self, *, touched: bool, answered: bool) -> None:
        verdict = after_loss(
            method=self.head.method,
            touched=touched,
            body_kept=self.replayable and not answered,
            attempts=self.attempts,
            max_attempts=self.dispatcher.worker.settings.max_attempts,
        )
        if verdict is Verdict.AGAIN and not self._within_budget():
            verdict = given_up(touched=touched)
        if verdict is not Verdict.AGAIN:
            self.refuse(_LOSS_ANSWER[verdict])
            return
        self.phase = next_phase(self.phase, Event.LOST_SAFE)
        lost = self.endpoint
        self._release()
        self.dispatcher.again(self, lost)

    def _within_budget(self) -> bool:
        proton, settings = self.proton, self.dispatcher.worker.settings
        if proton.budget is None:
            proton.budget = RetryBudget(
                ratio=settings.retry_budget_ratio, at_least=settings.retry_budget_min
            )
        return proton.budget.take(started=proton.meter.started, now_s=self._now_s())

    def fail(self, answer: Answer) -> None:
        """The replica misbehaved: answer if nothing was sent yet, else cut the connection."""
        if self.phase is SENT and answer in _NO_ANSWER:
            self.dispatcher.outliers.notice(self.endpoint, Sign.NO_ANSWER)
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.exchange = None
            upstream.abort()
        if self.phase is COMMITTED:
            self.code = answer.code
            self._end(ABORTED, Event.LOST, self._now_s())
            self.client.abort()
        elif self.phase < COMMITTED:
            self.refuse(answer)

    def refuse(self, answer: Answer, *, retry_after: int | None = None) -> None:
        """Answer in the replica's place; nothing of a response has been sent.

        Args:
            answer: What to say.
            retry_after: Seconds, where the answer is not one that tells by itself.
        """
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.exchange = None
            upstream.abort()
        self.status = answer.status
        self.code = answer.code
        if answer.status < _SERVER_ERROR:
            self.proton.meter.refused_user += 1
        self._end(REFUSED, Event.REFUSED, self._now_s())
        if answer is answers.QUEUE_FULL or answer is answers.COLD_START_TIMEOUT:
            retry_after = answers.retry_after_s(cold_start_p90_s=self.proton.cold_start_p90_s)
        self.client.answer(
            answer, request_id=self.request_id, retry_after=retry_after, body_done=self.body_done
        )

    def out_of_time(self) -> None:
        """The workload gives its requests no more time than this."""
        if self.phase is COMMITTED:
            self.fail(answers.REQUEST_TIMEOUT)
        elif self.phase < COMMITTED:
            self.refuse(answers.REQUEST_TIMEOUT)

    def client_gone(self) -> None:
        """The client vanished: tell the replica by closing, and count."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.exchange = None
            upstream.abort()
        if self.phase <= TUNNEL:
            ending = UPGRADED if self.phase is TUNNEL else ABORTED
            if ending == UPGRADED:
                self.dispatcher.worker.tunnels.discard(self)
            self._end(ending, Event.CLIENT_GONE, self._now_s())

    def _release(self) -> None:
        """Give the slot back; the exchange waits again."""
        endpoint, self.endpoint = self.endpoint, None
        if self.sent and endpoint is not None:
            self.sent = False
            endpoint.in_flight -= 1
            self.proton.meter.take_back(self._now_s())

    def _now_s(self) -> float:
        return self.dispatcher.worker.monotonic()

    def _end(self, ending: int, event: Event, now_s: float) -> None:
        """The only way out: phase, slot, counters, log, and the next in the queue."""
        self.phase = next_phase(self.phase, event)
        dispatcher = self.dispatcher
        worker = dispatcher.worker
        proton = self.proton
        endpoint = self.endpoint
        if self.sent and endpoint is not None:
            endpoint.in_flight -= 1
        elif not self.sent:
            worker.queued_bytes -= proton.room.leave(self.caller, self)
        if self.usage is not None:
            self.usage.end()
        meter = proton.meter
        meter.finish(now_s, ending, sent=self.sent)
        meter.bytes_out += self.bytes_out
        elapsed_s = now_s - self.started_s
        if ending < REFUSED and ending != UPGRADED:
            meter.time(elapsed_s)
        worker.exchanges -= 1
        if self.span is not None:
            self.span.end(self, ending, elapsed_s)
        log = worker.access_log
        failed = ending >= REFUSED or self.status >= _SERVER_ERROR
        if (failed or log.mode == "all") and log.wants(worker.random, failed=failed):
            self._log(now_s, ending)
        if proton.room.size:
            dispatcher.pump(proton)

    def _log(self, now_s: float, ending: int) -> None:
        worker = self.dispatcher.worker
        worker.access_log.write(
            Line(
                time=worker.wall(),
                method=self.head.method.decode("ascii", "replace"),
                path=path_of(self.head.target),
                status=self.status,
                ending=("ok", "refused", "aborted")[max(0, ending - REFUSED + 1)],
                workload=self.proton.workload_id,
                proton=self.proton.id,
                replica=self.endpoint.replica_id if self.endpoint is not None else "",
                request_id=self.request_id.decode("latin-1"),
                code=self.code,
                duration_ms=round((now_s - self.started_s) * 1000, 3),
                queued_ms=round(self.waited_s * 1000, 3),
                bytes_out=self.bytes_out,
                attempts=self.attempts,
                client=self.client.peer,
            )
        )
