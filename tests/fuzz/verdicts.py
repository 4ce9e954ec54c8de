"""What must hold on a stage, whatever was played."""

from gateway.core.exchange import DONE, FAILED, TUNNEL
from gateway.core.headers import KINDS
from gateway.net.flow import Exchange
from tests.fuzz import oracle
from tests.fuzz.oracle import Headers, Message
from tests.fuzz.pipes import HIGH_WATER, Pipe
from tests.fuzz.stage import Attempt, Stage

_OWN_BYTES = 1500
"""What the gateway adds to a piece that it passes on: a head of its own, a proxy's lines."""


def check_now(stage: Stage) -> None:
    """After every act: nothing escaped, the counters add up, nothing piles up.

    Raises:
        AssertionError: Something does not hold.
    """
    assert not stage.failures, stage.failures
    protons = [*stage.routes.protons.values(), *stage.routes.retired.values()]
    for proton in protons:
        meter = proton.meter
        assert meter.started == sum(meter.finished) + meter.in_flight + meter.queued
        assert min(meter.in_flight, meter.queued, *meter.finished) >= 0
        assert proton.room.size == meter.queued
        held = [endpoint.in_flight for endpoint in proton.endpoints.values()]
        assert sum(held) == meter.in_flight
        assert all(e.in_flight <= e.limit for e in proton.endpoints.values())
        for endpoint in proton.endpoints.values():
            for upstream in endpoint.idle:
                assert upstream.exchange is None
                assert not upstream.closed
    live = sum(p.meter.in_flight + p.meter.queued for p in protons)
    assert stage.worker.exchanges == live
    assert len(stage.journal.lines) == sum(sum(p.meter.finished) for p in protons)
    settings = stage.worker.settings
    at_most = HIGH_WATER + stage.largest + _OWN_BYTES
    for client in stage.clients:
        assert client.most_unread <= at_most
        protocol = client.protocol
        if client.lost:
            assert protocol not in set(stage.worker.clients)
            assert protocol._exchange is None
            assert not protocol._buffer
        if protocol._exchange is not None and not client.closing:
            assert protocol._exchange.phase not in {DONE, FAILED}
            assert (
                len(protocol._exchange.outgoing)
                <= settings.replay_bytes + stage.largest + _OWN_BYTES
            )
    for pipe in stage.upstreams:
        assert pipe.most_unread <= at_most + settings.replay_bytes + settings.max_head_bytes


def check_over(stage: Stage) -> None:
    """When everybody has left: nothing is kept.

    Raises:
        AssertionError: Something is.
    """
    check_now(stage)
    assert stage.worker.exchanges == 0
    assert len(stage.worker.clients) == 0
    assert all(pipe.closing for pipe in stage.clients + stage.upstreams)
    begun = [b.exchange for all_begun in stage.begun.values() for b in all_begun]
    assert all(e.phase in {DONE, FAILED} for e in begun if e is not None)


def check_said(stage: Stage) -> None:
    """What everybody was told is what somebody had said to them.

    Raises:
        AssertionError: A message is ambiguous, another than it was, or somebody else's.
    """
    meant: dict[Exchange, Message] = {}
    for client in stage.clients:
        asked = oracle.read_requests(stage.sent[client])
        begun = stage.begun.get(client, [])
        assert len(begun) <= len(asked), "h11 sees fewer requests"
        for one, message in zip(begun, asked, strict=False):
            assert one.head.method == message.method
            assert one.head.minor == int(message.version[2:])
            if one.exchange is not None:
                meant[one.exchange] = message
    for attempt in stage.attempts:
        _check_request(attempt, meant[attempt.exchange])
    _check_reuse(stage)
    for client in stage.clients:
        _check_responses(stage, client)


def _tunnelled(exchange: Exchange) -> bool:
    return exchange.phase is TUNNEL or exchange.status == 101


def _check_request(attempt: Attempt, meant: Message) -> None:
    exchange = attempt.exchange
    seen = oracle.read_request(attempt.request)
    assert seen is not None, "h11 refuses what a replica gets"
    oracle.check_request_rewritten(meant, seen)
    assert not seen.broken
    assert meant.body.startswith(seen.body)
    if seen.whole:
        assert meant.whole
        assert meant.body == seen.body
        assert seen.trailers == _forwarded(meant.trailers)
    if _tunnelled(exchange):
        assert meant.rest.startswith(seen.rest)
        return
    assert not seen.rest, "more than one request"
    if exchange.body_done and exchange.upstream is attempt.pipe.protocol:
        assert seen.whole, "the request is done, and not whole for the replica"


def _forwarded(trailers: Headers) -> Headers:
    return [(name, value) for name, value in trailers if name.replace(b"_", b"-") not in KINDS]


def _response_to(attempt: Attempt) -> Message | None:
    pipe, head = attempt.pipe, attempt.exchange.head
    return oracle.read_response(
        attempt.response,
        method=head.method,
        upgrading=head.upgrade is not None,
        ended=pipe.ended_in_order,
    )


def _check_reuse(stage: Stage) -> None:
    """A replica connection serves the next exchange only when the last one is over and whole."""
    for pipe in stage.upstreams:
        attempts = [attempt for attempt in stage.attempts if attempt.pipe is pipe]
        for attempt in attempts[:-1]:
            request, response = oracle.read_request(attempt.request), _response_to(attempt)
            assert request is not None
            assert response is not None
            assert request.whole
            assert response.whole
            assert not response.rest
            assert response.status != 101
            assert attempt.exchange.phase is DONE


def _check_responses(stage: Stage, client: Pipe) -> None:
    begun = stage.begun.get(client, [])
    asked = [(one.head.method, one.head.upgrade is not None) for one in begun]
    got, unreadable = oracle.read_responses(client.heard, asked=asked, ended=client.told_end)
    assert not unreadable, unreadable
    assert len(got) <= len(begun) + 1, "more answers than questions"
    for place, seen in enumerate(got):
        last = place == len(got) - 1
        assert seen.whole or last
        if not seen.whole and client.told_end:
            assert client.ended_in_order, "a cut response looks like an orderly end"
        if seen.all(b"x-tidegate-error"):
            assert seen.whole
            continue
        one = begun[place]
        assert one.exchange is not None
        attempt = next(a for a in reversed(stage.attempts) if a.exchange is one.exchange)
        meant = _response_to(attempt)
        assert meant is not None, "h11 refuses what the gateway took for an answer"
        oracle.check_response_rewritten(meant, seen)
        assert seen.all(b"x-request-id") == [one.exchange.request_id]
        assert meant.body.startswith(seen.body)
        if seen.whole:
            assert meant.whole
            assert meant.body == seen.body
            if seen.all(b"transfer-encoding"):
                assert seen.trailers == _forwarded(meant.trailers)
        if seen.status == 101:
            assert meant.rest.startswith(seen.rest)
