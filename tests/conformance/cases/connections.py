"""Connections: how long they last, what passes through them when, and what they become."""

from tests.conformance.cases.building import (
    AFTER as NEXT,
)
from tests.conformance.cases.building import (
    CHUNKED,
    HELLO,
    answer,
    fixed,
    in_step,
    post,
    replied,
    request,
    response,
    sent,
)
from tests.conformance.cases.responses import old
from tests.conformance.messages import Message, read_responses
from tests.conformance.script import (
    ECHO,
    PASS,
    Answered,
    Case,
    Check,
    Close,
    Echo,
    Group,
    HalfClose,
    Hear,
    OtherHears,
    Rest,
    Send,
    Step,
    Tell,
    Told,
    Transcript,
    Turn,
    Verdict,
    Whole,
    fail,
)
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    bad_gateway,
    clean,
    closed,
    either,
    every,
    finals,
    forwarded,
    lacks,
    once,
    one_message,
    readable,
    received,
    refused,
    relayed,
    tunnelled,
    wanted,
)

ASKED = (CASE, AFTER)
OLD = b"HTTP/1.0"


def _no_close(message: Message) -> str:
    return "Connection: close went on" if b"close" in message.list("connection") else ""


def _not_chunked(message: Message) -> str:
    return "chunked for an HTTP/1.0 client" if message.framing == "chunked" else ""


def _stays(seen: Transcript) -> Verdict:
    return PASS if seen.client_end == "open" else fail("the connection was closed")


def _first_only(seen: Transcript) -> Verdict:
    """Nothing behind a request with `close` was served."""
    if any(m.target == AFTER for m in received(seen)):
        return fail("a request behind `close` was served")
    return every(relayed(200, CASE), closed)(seen)


def _says_close(message: Message) -> str:
    return "" if b"close" in message.list("connection") else "`Connection: close` is not announced"


def _eleven(message: Message) -> str:
    return "" if message.first.endswith(b" HTTP/1.1") else "in HTTP/1.0"


KEEP_ALIVE = Group(
    name="Keep-alive, pipelining, HTTP/1.0",
    rule="A connection lasts as long as both sides agreed; answers come in the order of requests.",
    cases=(
        Case(
            id="alive-two", section="9112 9.3", title="two requests, one after the other",
            client=(Send(request()), Answered(1), Send(NEXT)), answers=2,
            check=every(forwarded(*ASKED), _stays),
        ),
        Case(
            id="alive-close", section="9112 9.6", title="`Connection: close` ends the connection",
            client=(Send(request(b"Connection: close")),), ends=True,
            check=forwarded(CASE, closes=True),
        ),
        Case(
            id="alive-close-wins", section="9112 9.3", title="`close` wins over `keep-alive`",
            client=(Send(request(b"Connection: keep-alive, close")),), ends=True,
            check=forwarded(CASE, closes=True),
        ),
        Case(
            id="alive-close-announced", section="9112 9.6", title="and the answer announces it",
            client=(Send(request(b"Connection: close")),),
            check=wanted(relayed(200, CASE, looks=(_says_close,)), legal=relayed(200, CASE)),
        ),
        sent(
            "alive-close-pipelined", "9112 9.6", "nothing behind `close` is served",
            request(b"Connection: close"), _first_only, answers=1,
        ),
        Case(
            id="alive-pipelined", section="9112 9.3.2", title="five pipelined GETs",
            client=(Send(b"".join(request(target=b"{P}/%d" % n) for n in range(5))),), answers=5,
            check=forwarded(*(b"/%d" % n for n in range(5))),
        ),
        Case(
            id="alive-pipelined-bodies", section="9112 9.3.2", title="pipelined POSTs and a GET",
            client=(Send(post(b"Content-Length: 5", body=b"hello")
                         + post(CHUNKED, body=HELLO, target=b"{P}/two") + NEXT),), answers=3,
            check=forwarded(CASE, b"/two", AFTER, body=b"hello"),
        ),
        Case(
            id="alive-pipelined-head", section="9112 9.3.2", title="a pipelined HEAD and a GET",
            client=(Send(request(method=b"HEAD") + NEXT),), answers=2, methods=("HEAD", "GET"),
            turns=(replied(answer(b"Content-Length: 5")), ECHO),
            check=every(relayed(200, b""), relayed(200, AFTER, at=1)),
        ),
        Case(
            id="alive-byte-by-byte", section="9112 2.2", title="a request in pieces",
            client=(Send(b"PO"), Rest(0.02), Send(post(CHUNKED, body=b"5\r\nhe")[2:]), Rest(0.02),
                    Send(b"llo\r"), Rest(0.02), Send(b"\n0\r\n\r"), Rest(0.02), Send(b"\n")),
            check=forwarded(CASE, body=b"hello"),
        ),
        Case(
            id="alive-1.0", section="9112 9.3", title="HTTP/1.0 ends the connection",
            client=(Send(request(version=OLD)),), ends=True,
            check=wanted(forwarded(CASE, closes=True), legal=refused(426, 505)),
        ),
        Case(
            id="alive-1.0-keep-alive", section="9112 9.3", title="HTTP/1.0 with keep-alive",
            client=(Send(request(b"Connection: keep-alive", version=OLD)), Answered(1),
                    Send(request(b"Connection: keep-alive", version=OLD, target=b"{P}/after"))),
            answers=2, check=wanted(every(relayed(200, CASE), in_step), legal=refused(426, 505)),
        ),
        response(
            "alive-1.0-chunked", "9112 6.1", "HTTP/1.0 is never answered in chunks",
            answer(CHUNKED, body=b"2\r\nok\r\n0\r\n\r\n"),
            old(relayed(200, b"ok", looks=(_not_chunked,))), version=OLD,
        ),
        response(
            "alive-1.0-close", "9112 6.3", "HTTP/1.0 and a body that ends with the connection",
            replied(answer(body=b"ok"), Close()),
            old(relayed(200, b"ok", looks=(_not_chunked,), closes=True)), version=OLD,
        ),
        sent(
            "alive-origin-version", "9112 2.3", "the origin is spoken to in HTTP/1.1",
            request(b"Connection: close", version=OLD),
            wanted(forwarded(CASE, looks=(_eleven,)),
                   legal=either(forwarded(CASE), refused(426, 505))), answers=1,
        ),
        response(
            "alive-origin-close", "9112 9.6", "an origin's `close` is not the client's",
            replied(fixed(b"ok", b"Connection: close"), Close()),
            wanted(every(relayed(200, b"ok", looks=(_no_close,)), relayed(200, AFTER, at=1)),
                   legal=relayed(200, b"ok")),
        ),
    ),
)  # fmt: skip


def _dirty(case_id: str, section: str, title: str, turn: Turn, *, told: bool = False,
           check: Check | None = None, method: bytes = b"GET") -> Case:  # fmt: skip
    return Case(
        id=f"dirty-{case_id}",
        section=section,
        title=title,
        client=(
            Send(request(method=method)),
            Answered(1),
            *((Told(), Rest()) if told else ()),
            Send(NEXT),
        ),
        turns=(turn,),
        check=every(check or relayed(200, b"ok"), in_step, once(AFTER)),
        answers=2,
        methods=(method.decode(), "GET"),
    )


_POISON = fixed(b"poison", status=b"200 Poison")
_STRAY = fixed(b"", b"Connection: close", status=b"408 Request Timeout")
_POST = post(b"Content-Length: 5", body=b"hello")

DIRTY = Group(
    name="Upstream connections",
    rule="What an origin sends unasked is nobody's answer; what it may have acted on is not "
    "repeated.",
    cases=(
        _dirty("more-bytes", "9112 6.3", "bytes behind the answer",
               replied(fixed(b"ok") + b"poison")),
        _dirty("two-answers", "9112 9.3.2", "two answers to one request",
               replied(fixed(b"ok") + _POISON)),
        _dirty("two-chunked", "9112 9.3.2", "a chunked answer, and one more",
               replied(answer(CHUNKED, body=b"2\r\nok\r\n0\r\n\r\n") + _POISON)),
        _dirty("answer-while-idle", "9112 9.3.2", "one more answer while the connection is idle",
               replied(fixed(b"ok"), OtherHears(b"ok"), Send(_POISON), Tell()), told=True),
        _dirty("408-while-idle", "9110 15.5.9", "408 and the end while the connection is idle",
               replied(fixed(b"ok"), OtherHears(b"ok"), Send(_STRAY), Close(), Tell()), told=True),
        _dirty("closed-while-idle", "9112 9.3.1", "the origin ends an idle connection",
               replied(fixed(b"ok"), OtherHears(b"ok"), Close(), Tell()), told=True,
               check=every(relayed(200, b"ok"), relayed(200, AFTER, at=1))),
        _dirty("head-body", "9110 9.3.2", "HEAD answered with another answer as its body",
               replied(answer(b"Content-Length: %d" % len(_POISON), body=_POISON)),
               check=relayed(200, b""), method=b"HEAD"),
        _dirty("204-body", "9110 15.3.5", "204 with another answer behind it",
               replied(answer(status=b"204 No Content") + _POISON), check=relayed(204, b"")),
        _dirty("304-body", "9110 15.4.5", "304 with another answer behind it",
               replied(answer(status=b"304 Not Modified") + _POISON), check=relayed(304, b"")),
        _dirty("early-answer", "9112 9.3", "`close`, and yet another answer",
               replied(fixed(b"ok", b"Connection: close") + _POISON)),
        Case(
            id="dirty-post-once", section="9110 9.2.2", title="a POST is not sent twice",
            client=(Send(_POST),), turns=((Whole(), Close()),),
            check=every(once(CASE), either(bad_gateway, relayed(503))),
        ),
        Case(
            id="dirty-post-once-reused", section="9110 9.2.2",
            title="nor when its connection had served others",
            client=(Send(request(target=b"{P}/first")), Answered(1), Send(_POST)), answers=2,
            turns=(ECHO, (Whole(), Close())),
            check=every(once(CASE), relayed(200, b"/first"),
                        either(closed, relayed(502, at=1), relayed(503, at=1))),
        ),
    ),
)  # fmt: skip


def _held_back(seen: Transcript) -> Verdict:
    """What came was in order, but not when it was sent."""
    return clean(seen)


def _in_pieces(head: bytes, *pieces: bytes, end: Turn = ()) -> Turn:
    steps: list[Step] = [Whole(), Send(head)]
    for piece in pieces:
        steps += [Send(piece), OtherHears(piece.strip().split(b"\r\n")[-1])]
    return (*steps, *end)


def _stream(case_id: str, title: str, turn: Turn, body: bytes, section: str = "9112 7.1") -> Case:
    return Case(
        id=f"stream-{case_id}", section=section, title=title, client=(Send(request()),),
        turns=(turn,), check=wanted(relayed(200, body), legal=_held_back),
    )  # fmt: skip


_EVENTS = b"Content-Type: text/event-stream"
_BIG = b"Content-Length: 1000000"
_HALF = b"x" * 100_000

STREAMS = Group(
    name="Streams and early answers",
    rule="Each piece passes before the next one is sent; an answer may come before the request "
    "ends.",
    cases=(
        _stream("events", "server-sent events, event by event",
                _in_pieces(answer(_EVENTS, CHUNKED), b"b\r\ndata: one\n\n\r\n",
                           b"b\r\ndata: two\n\n\r\n", end=(Send(b"0\r\n\r\n"),)),
                b"data: one\n\ndata: two\n\n"),
        _stream("chunks", "chunks of any type, chunk by chunk",
                _in_pieces(answer(CHUNKED), b"3\r\none\r\n", b"3\r\ntwo\r\n",
                           end=(Send(b"0\r\n\r\n"),)), b"onetwo"),
        _stream("length", "a body with its length, piece by piece",
                _in_pieces(answer(b"Content-Length: 6"), b"one", b"two"), b"onetwo"),
        _stream("close", "a body that ends with the connection, piece by piece",
                _in_pieces(answer(_EVENTS), b"data: one\n\n", b"data: two\n\n", end=(Close(),)),
                b"data: one\n\ndata: two\n\n"),
        Case(
            id="stream-head", section="9112 6", title="the head before any of the body",
            client=(Send(request()),),
            turns=((Whole(), Send(answer(_EVENTS, CHUNKED, b"X-Y: 1")), OtherHears(b"\r\n\r\n"),
                    Send(b"2\r\nok\r\n0\r\n\r\n")),),
            check=wanted(relayed(200, b"ok"), legal=_held_back),
        ),
        Case(
            id="stream-request", section="9112 7.1", title="a request's body, chunk by chunk",
            client=(Send(post(CHUNKED, body=b"3\r\none\r\n")), OtherHears(b"one"),
                    Send(b"3\r\ntwo\r\n"), OtherHears(b"two"), Send(b"0\r\n\r\n")),
            check=wanted(forwarded(CASE, body=b"onetwo"), legal=_held_back),
        ),
        Case(
            id="stream-both", section="9112 9.3", title="both directions at once",
            client=(Send(post(CHUNKED, body=b"3\r\none\r\n")), Hear(b"uno"),
                    Send(b"3\r\ntwo\r\n"), Hear(b"due"), Send(b"0\r\n\r\n")),
            turns=((Send(answer(CHUNKED)), Hear(b"one"), Send(b"3\r\nuno\r\n"), Hear(b"two"),
                    Send(b"3\r\ndue\r\n"), Whole(), Send(b"0\r\n\r\n")),),
            check=wanted(relayed(200, b"unodue"), legal=_held_back),
        ),
        Case(
            id="stream-early-413", section="9110 15.5.14",
            title="413 and the end, while the body is coming",
            client=(Send(post(_BIG, body=_HALF)),),
            turns=((Hear(b"xxx"), Send(fixed(b"no", b"Connection: close",
                                             status=b"413 Content Too Large")), Close()),),
            check=wanted(relayed(413, b"no"), legal=every(readable, clean)),
        ),
        Case(
            id="stream-early-200", section="9112 9.3",
            title="an answer before the body has come; the connection stays in step",
            client=(Send(post(b"Content-Length: 200000", body=_HALF)), Answered(1),
                    Send(_HALF + NEXT)),
            turns=((Hear(b"xxx"), Send(fixed(b"ok"))),), answers=2,
            check=wanted(every(relayed(200, b"ok"), in_step), legal=_held_back),
        ),
        Case(
            id="stream-half-closed", section="9293 3.6",
            title="a client that half-closed is answered (it may be cut)",
            client=(Send(request()), HalfClose()),
            turns=((Whole(), Rest(), Echo()),),
            check=wanted(forwarded(CASE), legal=clean),
        ),
        Case(
            id="stream-half-closed-body", section="9293 3.6",
            title="also after a body",
            client=(Send(post(CHUNKED, body=HELLO)), HalfClose()),
            turns=((Whole(), Rest(), Echo()),),
            check=wanted(forwarded(CASE, body=b"hello"), legal=clean),
        ),
        Case(
            id="stream-half-closed-pipelined", section="9293 3.6",
            title="also with two requests under way",
            client=(Send(request() + NEXT), HalfClose()), answers=2,
            turns=((Whole(), Rest(), Echo()),),
            check=wanted(forwarded(*ASKED), legal=clean),
        ),
    ),
)  # fmt: skip

_UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")
_HANDSHAKE = (*_UPGRADE, b"Sec-WebSocket-Version: 13",
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_WEBSOCKET = _SWITCH % b"websocket"


def _preface(seen: Transcript) -> Verdict:
    """A SETTINGS frame, or an error in HTTP/1 and the end."""
    if seen.client[3:4] == b"\x04":
        return clean(seen)
    reading = read_responses(seen.client, (), ended=seen.client_end == "eof")
    if not reading.messages or reading.messages[0].status < 400:
        return fail("no clear refusal")
    return every(clean, closed)(seen)


def _own_error(seen: Transcript) -> Verdict:
    answers, _ = finals(seen)
    if answers and answers[0].status >= 400:
        return clean(seen)
    return fail("no error")


def _any_error(seen: Transcript) -> Verdict:
    return PASS if not seen.client or _own_error(seen) is PASS else fail("neither 101 nor error")


def _untunnelled(seen: Transcript) -> Verdict:
    answers, _ = finals(seen)
    if not answers:
        return fail("no final answer")
    return every(clean, readable, in_step)(seen)


UPGRADES = Group(
    name="Upgrades and HTTP/2",
    rule="101 makes a tunnel of bytes, nothing else does; HTTP/2 is spoken or refused.",
    cases=(
        Case(
            id="upgrade-websocket", section="6455 4", title="a WebSocket's bytes pass both ways",
            client=(Send(request(*_HANDSHAKE)), Hear(b"\r\n\r\n"), Send(b"ping"), Hear(b"pong"),
                    Send(b"bye")),
            turns=((Send(_WEBSOCKET), Hear(b"ping"), Send(b"pong"), Hear(b"bye"), Close()),),
            check=every(tunnelled(b"pong", b"pingbye"), closed),
        ),
        Case(
            id="upgrade-first-bytes", section="9110 7.8", title="bytes right behind the 101",
            client=(Send(request(*_HANDSHAKE)), Hear(b"hello"), Send(b"bye")),
            turns=((Send(_WEBSOCKET + b"hello"), Hear(b"bye"), Close()),),
            check=tunnelled(b"hello", b"bye"),
        ),
        Case(
            id="upgrade-other", section="9110 7.8", title="any other protocol (it may be refused)",
            client=(Send(request(b"Connection: Upgrade", b"Upgrade: my-protocol")),
                    Hear(b"\r\n\r\n"), Send(b"ping"), Hear(b"pong"), Send(b"bye")),
            turns=((Send(_SWITCH % b"my-protocol"), Hear(b"ping"), Send(b"pong"), Hear(b"bye"),
                    Close()),),
            check=wanted(tunnelled(b"pong", b"pingbye"), legal=every(clean, _any_error)),
        ),
        Case(
            id="upgrade-half-closed", section="9293 3.6",
            title="a tunnel half-closed by the client brings the rest (it may end)",
            client=(Send(request(*_HANDSHAKE)), Hear(b"\r\n\r\n"), Send(b"last"), HalfClose()),
            turns=((Send(_WEBSOCKET), Hear(b"last"), Rest(), Send(b"rest"), Close()),),
            check=wanted(tunnelled(b"rest", b"last"), legal=closed),
        ),
        Case(
            id="upgrade-refused", section="9110 7.8", title="an upgrade answered with 200",
            client=(Send(request(*_HANDSHAKE)), Answered(1), Send(NEXT)), answers=2,
            check=every(relayed(200, CASE), in_step),
        ),
        Case(
            id="upgrade-body", section="9110 7.8", title="an upgrade with a body, not granted",
            client=(Send(request(*_UPGRADE, b"Content-Length: 5", method=b"POST", body=b"hello")
                         + NEXT),), answers=2,
            check=every(one_message(body=b"hello"), in_step),
        ),
        Case(
            id="upgrade-pipelined", section="9110 7.8",
            title="a request behind an upgrade that is refused is one of its own",
            client=(Send(request(*_HANDSHAKE) + NEXT),), answers=2,
            turns=(replied(fixed(b"no", status=b"426 Upgrade Required")),),
            check=every(relayed(426, b"no"), in_step),
        ),
        Case(
            id="upgrade-1.0", section="9110 7.8", title="Upgrade in HTTP/1.0 is ignored",
            client=(Send(request(*_HANDSHAKE, version=OLD)),),
            check=old(forwarded(CASE, looks=(lacks("upgrade"),))),
        ),
        Case(
            id="upgrade-h2c", section="9113 3.1",
            title="`h2c` is not passed on: its requests would go unchecked",
            client=(Send(request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                 b"HTTP2-Settings: AAMAAABkAAQAAP__")),),
            check=wanted(
                either(forwarded(CASE, looks=(lacks("upgrade", "http2-settings"),)), _own_error),
                legal=every(clean, readable),
            ),
        ),
        Case(
            id="upgrade-preface", section="9113 3.4", title="HTTP/2 preface: spoken, or refused",
            client=(Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),),
            check=wanted(_preface, legal=every(clean, closed)),
        ),
        Case(
            id="upgrade-fake-version", section="6455 4.4",
            title="426 to a WebSocket of another version opens no tunnel",
            client=(Send(request(*_UPGRADE, b"Sec-WebSocket-Version: 777",
                                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
                    Answered(1), Send(NEXT)), answers=2,
            turns=(replied(fixed(b"no", b"Sec-WebSocket-Version: 13",
                                 status=b"426 Upgrade Required")),),
            check=_untunnelled,
        ),
    ),
)  # fmt: skip


GROUPS = (KEEP_ALIVE, DIRTY, STREAMS, UPGRADES)
