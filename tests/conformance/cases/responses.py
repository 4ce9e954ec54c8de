"""What an origin answers: framing, heads, interim answers, and answers without a body."""

from tests.conformance.cases.building import (
    answer,
    fixed,
    in_step,
    replied,
    request,
    response,
    sent,
)
from tests.conformance.messages import Message
from tests.conformance.script import (
    PASS,
    Case,
    Check,
    Close,
    Continue,
    Echo,
    Group,
    Hear,
    OtherHears,
    Rest,
    Send,
    Transcript,
    Turn,
    Verdict,
    Whole,
    fail,
)
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    Look,
    bad_gateway,
    clean,
    cut,
    either,
    every,
    finals,
    forwarded,
    has,
    interims,
    lacks,
    received,
    refused,
    relayed,
    wanted,
)

CHUNKED = b"Transfer-Encoding: chunked"
OK = b"2\r\nok\r\n0\r\n\r\n"


def _then_close(data: bytes) -> Turn:
    return replied(data, Close())


def _r(name: str, section: str, title: str, turn: bytes | Turn, check: Check) -> Case:
    return response(f"response-{name}", section, title, turn, check)


_OK = relayed(200, b"ok")
_EITHER = either(_OK, bad_gateway)


def _trailer(message: Message) -> str:
    return "" if (b"X-Sum", b"1") in message.trailers else "the trailer is gone"


def _one_one(message: Message) -> str:
    return "" if message.first.startswith(b"HTTP/1.1 ") else "the origin's version was repeated"


FRAMING = Group(
    name="Response framing",
    rule="The client reads the same body, or sees that it is not whole; ambiguity is a 502.",
    cases=(
        _r("length", "9112 6.3", "a body with its length", fixed(b"ok"), _OK),
        _r("empty", "9112 6.3", "Content-Length: 0", fixed(b""), relayed(200, b"")),
        _r("chunked", "9112 7.1", "a chunked body", answer(CHUNKED, body=OK), _OK),
        _r("chunked-extension", "9112 7.1.1", "extensions and leading zeros",
           answer(CHUNKED, body=b'0002;a="b;c"\r\nok\r\n00;x\r\n\r\n'), _OK),
        _r("chunked-upper", "9112 7", "`Chunked`",
           answer(b"Transfer-Encoding: Chunked", body=OK), _OK),
        _r("trailer", "9110 6.5", "a trailer is relayed (it may be dropped)",
           answer(CHUNKED, b"Trailer: X-Sum", body=b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"),
           wanted(relayed(200, b"ok", looks=(_trailer,)), legal=_OK)),
        _r("trailer-length", "9110 6.5.1", "Content-Length as a trailer changes nothing",
           answer(CHUNKED, body=b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), _EITHER),
        _r("pieces", "9112 2.2", "an answer in pieces, cut where it hurts",
           (Whole(), Send(b"HT"), Rest(0.02), Send(b"TP/1.1 200 OK\r"), Rest(0.02),
            Send(b"\nTransfer-Encoding: chunked\r\n\r"), Rest(0.02), Send(b"\n2"), Rest(0.02),
            Send(b"\r\no"), Rest(0.02), Send(b"k\r"), Rest(0.02), Send(b"\n0\r\n\r"),
            Rest(0.02), Send(b"\n")), _OK),
        _r("megabyte", "9112 6.2", "a body of 1,000,000 bytes", fixed(b"0123456789" * 100_000),
           relayed(200, b"0123456789" * 100_000)),
        response("response-gzip", "9110 7.7", "coded content stays as it is",
                 fixed(b"\x1f\x8b\x08\x00ok", b"Content-Encoding: gzip"),
                 relayed(200, b"\x1f\x8b\x08\x00ok", looks=(has("content-encoding", b"gzip"),)),
                 lines=(b"Accept-Encoding: gzip",)),
        _r("close", "9112 6.3", "a body that ends with the connection",
           _then_close(answer(body=b"ok")), _OK),
        _r("close-1.0", "9112 6.3", "the same in HTTP/1.0",
           _then_close(answer(version=b"HTTP/1.0", body=b"ok")), _OK),
        _r("length-1.0", "9112 9.3", "HTTP/1.0 with Content-Length",
           _then_close(fixed(b"ok", version=b"HTTP/1.0")), _OK),
        _r("version", "9112 2.3", "the proxy answers with its own version",
           _then_close(fixed(b"ok", version=b"HTTP/1.0")),
           relayed(200, b"ok", looks=(_one_one,))),
        _r("cut-length", "9112 8", "shorter than its length: the client can tell",
           _then_close(answer(b"Content-Length: 10", body=b"ok")), cut),
        _r("cut-chunked", "9112 8", "without its last chunk: the client can tell",
           _then_close(answer(CHUNKED, body=b"2\r\nok\r\n")), cut),
        _r("cut-chunk", "9112 8", "ends inside a chunk: the client can tell",
           _then_close(answer(CHUNKED, body=b"5\r\nok")), cut),
        _r("cut-head", "9112 8", "ends inside its head",
           _then_close(b"HTTP/1.1 200 OK\r\nContent-Le"), bad_gateway),
        _r("nothing", "9110 15.6.3", "the origin closes without an answer: 502, or asked once more",
           (Whole(), Close()), either(bad_gateway, relayed(503), relayed(200, CASE))),
        _r("cl-te", "9112 6.3", "Content-Length and chunked",
           answer(b"Content-Length: 20", CHUNKED, body=OK), _EITHER),
        _r("te-cl", "9112 6.3", "chunked and a short Content-Length",
           answer(CHUNKED, b"Content-Length: 3", body=OK), _EITHER),
        _r("cl-two", "9112 6.3", "two different lengths: exactly 502",
           answer(b"Content-Length: 2", b"Content-Length: 3", body=b"ok!"),
           every(bad_gateway, relayed(502))),
        _r("cl-list", "9112 6.3", "`2, 3`",
           answer(b"Content-Length: 2, 3", body=b"ok!"), bad_gateway),
        _r("cl-two-equal", "9112 6.3", "two equal lengths",
           answer(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"), _EITHER),
        _r("cl-plus", "9112 6.3", "`+2`",
           answer(b"Content-Length: +2", body=b"ok"), bad_gateway),
        _r("cl-letters", "9112 6.3", "`two`",
           answer(b"Content-Length: two", body=b"ok"), bad_gateway),
        _r("cl-minus", "9112 6.3", "`-2`",
           answer(b"Content-Length: -2", body=b"ok"), bad_gateway),
        _r("cl-overflow", "9112 6.3", "2^64 + 2",
           answer(b"Content-Length: 18446744073709551618", body=b"ok"), bad_gateway),
        _r("te-gzip", "9112 6.1", "`gzip, chunked`: relayed as it is, or a 502",
           answer(b"Transfer-Encoding: gzip, chunked", body=OK), _EITHER),
        _r("te-x", "9112 6.1", "`xchunked`",
           _then_close(answer(b"Transfer-Encoding: xchunked", body=OK)),
           either(bad_gateway, relayed(200, OK))),
        _r("te-twice", "9112 6.1", "`chunked, chunked`",
           _then_close(answer(b"Transfer-Encoding: chunked, chunked", body=OK)), _EITHER),
        _r("te-1.0", "9112 6.1", "chunked in HTTP/1.0",
           _then_close(answer(CHUNKED, version=b"HTTP/1.0", body=OK)),
           either(_OK, relayed(200, OK), bad_gateway)),
        *(
            _r(f"chunk-{name}", "9112 7.1", title,
               _then_close(answer(CHUNKED, body=body)), cut)
            for name, title, body in (
                ("letters", "size `g`", b"g\r\nok\r\n0\r\n\r\n"),
                ("minus", "size `-2`", b"-2\r\nok\r\n0\r\n\r\n"),
                ("prefix", "size `0x2`", b"0x2\r\nok\r\n0\r\n\r\n"),
                ("overflow", "a size over 64 bits", b"10000000000000002\r\nok\r\n0\r\n\r\n"),
                ("long", "data longer than its size", b"1\r\nok\r\n0\r\n\r\n"),
            )
        ),
        _r("chunk-lf", "9112 7.1", "bare LFs in the chunks",
           _then_close(answer(CHUNKED, body=OK.replace(b"\r\n", b"\n"))), either(cut, _OK)),
    ),
)  # fmt: skip


def _unfolded(message: Message) -> str:
    words = b" ".join(message.all("x-y")).split()
    return "" if words in ([b"a", b"b"], []) else f"X-Y is {words}"


HEADS = Group(
    name="Response heads",
    rule="Malformed ones are a 502, or repaired before they go on.",
    cases=(
        *(
            _r(f"head-{name}", section, title, _then_close(data), check)
            for name, section, title, data, check in (
                ("garbage", "9112 4", "no HTTP at all", b"SSH-2.0-x\r\n\r\n", bad_gateway),
                ("status-long", "9112 4", "status `2000`", fixed(b"ok", status=b"2000 OK"),
                 bad_gateway),
                ("no-reason", "9112 4", "an empty reason", fixed(b"ok", status=b"200 "), _OK),
                ("http-2", "9110 2.5", "version HTTP/2.0", fixed(b"ok", version=b"HTTP/2.0"),
                 _EITHER),
                ("space-colon", "9112 5.1", "a space before a colon goes no further",
                 fixed(b"ok", b"X-Y : 1"), _EITHER),
                ("fold", "9112 5.2", "a folded line is unfolded or refused",
                 fixed(b"ok", b"X-Y: a", b" b"),
                 either(relayed(200, b"ok", looks=(_unfolded,)), bad_gateway)),
                ("nul", "9110 5.5", "NUL in a value goes no further",
                 fixed(b"ok", b"X-Y: a\x00b"), _EITHER),
                ("cr", "9110 5.5", "a bare CR in a value goes no further",
                 fixed(b"ok", b"X-Y: a\rb"), _EITHER),
                ("lf", "9112 2.2", "all lines end in a bare LF",
                 fixed(b"ok").replace(b"\r\n", b"\n"), _EITHER),
                ("name", "9110 5.1", "a name that is no token goes no further",
                 fixed(b"ok", b"X Y: 1"), _EITHER),
                ("no-colon", "9112 5", "a line without a colon goes no further",
                 fixed(b"ok", b"X-Y"), _EITHER),
                ("no-name", "9112 5", "a line without a name goes no further",
                 fixed(b"ok", b": 1"), _EITHER),
            )
        ),
        _r("head-8-bit", "9110 5.5", "bytes above 127 in a value are opaque",
           fixed(b"ok", b"X-Y: caf\xe9"), relayed(200, b"ok", looks=(has("x-y", b"caf\xe9"),))),
        _r("head-status-299", "9110 15", "an unknown status, 299",
           fixed(b"ok", status=b"299 Odd"), relayed(299, b"ok")),
        _r("head-order", "9110 5.3", "lines of one name keep their order",
           fixed(b"ok", b"X-Y: 1", b"X-Z: 0", b"X-Y: 2"),
           relayed(200, b"ok", looks=(has("x-y", b"1", b"2"),))),
        _r("head-underscore", "9110 5.1", "a name with an underscore",
           fixed(b"ok", b"X_Y: 1"), relayed(200, b"ok", looks=(has("x_y", b"1"),))),
    ),
)  # fmt: skip


def _silent(
    name: str,
    section: str,
    title: str,
    turn: bytes | Turn,
    *looks: Look,
    status: int = 200,
    method: bytes = b"GET",
) -> Case:
    check = relayed(status, b"", looks=looks)
    if status == 204:  # with the length of a body it is malformed
        check = either(check, bad_gateway)
    return response(f"bodiless-{name}", section, title, turn, check, method=method)


def _right_length(message: Message) -> str:
    return "" if message.all("content-length") in ([], [b"2"]) else "another Content-Length"


BODILESS = Group(
    name="HEAD, 204, 205, 304",
    rule="They end with their head, whatever it says, and the next answer is the next one's.",
    cases=(
        _silent("head", "9110 9.3.2", "HEAD with Content-Length",
                answer(b"Content-Length: 2"), _right_length, method=b"HEAD"),
        _silent("head-chunked", "9110 9.3.2", "HEAD with Transfer-Encoding",
                answer(CHUNKED), method=b"HEAD"),
        _silent("head-nothing", "9110 9.3.2", "HEAD without framing",
                answer(b"X-Y: 1"), method=b"HEAD"),
        _silent("head-body", "9110 9.3.2", "HEAD answered with a body",
                fixed(b"ok"), method=b"HEAD"),
        _silent("head-404", "9110 9.3.2", "HEAD answered with 404",
                answer(b"Content-Length: 9", status=b"404 Not Found"), status=404,
                method=b"HEAD"),
        _silent("204", "9110 15.3.5", "a plain 204", answer(status=b"204 No Content"), status=204),
        _silent("204-length", "9110 8.6", "204 goes on without Content-Length",
                answer(b"Content-Length: 2", status=b"204 No Content"),
                lacks("content-length"), status=204),
        _silent("204-chunked", "9112 6.1", "204 goes on without Transfer-Encoding",
                answer(CHUNKED, status=b"204 No Content", body=b"0\r\n\r\n"),
                lacks("transfer-encoding"), status=204),
        _silent("204-body", "9110 15.3.5", "204 with a body",
                fixed(b"ok", status=b"204 No Content"), status=204),
        _silent("205", "9110 15.3.6", "a plain 205", answer(b"Content-Length: 0",
                status=b"205 Reset Content"), status=205),
        response("bodiless-205-body", "9110 15.3.6", "205 with a body",
                 fixed(b"ok", status=b"205 Reset Content"),
                 either(relayed(205, b"ok"), relayed(205, b""), bad_gateway)),
        _silent("304", "9110 15.4.5", "304 with the length that a 200 would have",
                answer(b"Content-Length: 2", b'ETag: "x"', status=b"304 Not Modified"),
                has("etag", b'"x"'), _right_length, status=304),
        _silent("304-body", "9110 15.4.5", "304 with a body",
                fixed(b"ok", status=b"304 Not Modified"), _right_length, status=304),
        _silent("304-chunked", "9112 6.1", "304 with Transfer-Encoding",
                answer(CHUNKED, status=b"304 Not Modified"), status=304),
    ),
)  # fmt: skip


def _expecting(case_id: str, section: str, title: str, turns: tuple[Turn, ...], check: Check,
               *, version: bytes = b"HTTP/1.1", waits: bool = True) -> Case:  # fmt: skip
    head = request(b"Expect: 100-continue", b"Content-Length: 5", method=b"POST", version=version)
    return Case(
        id=f"interim-{case_id}",
        section=section,
        title=title,
        client=(Send(head), *((Hear(b" 100 "),) if waits else ()), Send(b"hello")),
        turns=turns,
        check=check,
        methods=("POST",),
    )


def _no_interim(seen: Transcript) -> Verdict:
    reading, _ = finals(seen)
    if b" 100 " in seen.client or b" 103 " in seen.client:
        return fail("an HTTP/1.0 client got a 1xx")
    return relayed(200)(seen) if reading else fail("no answer")


def _after_100(seen: Transcript) -> Verdict:
    """100 may come before the answer; nothing else is different."""
    return every(relayed(200, CASE), in_step)(seen)


def _not_switched(seen: Transcript) -> Verdict:
    return fail("the client got a 101") if b" 101 " in seen.client else clean(seen)


def old(check: Check) -> Check:
    """For HTTP/1.0: it may be refused, or be passed on, and then it is the origin's to obey."""
    return wanted(check, legal=either(refused(426, 505), _spoken_old))


def _spoken_old(seen: Transcript) -> Verdict:
    asked = received(seen)
    if asked and asked[0].first.endswith(b"HTTP/1.0"):
        return PASS
    return fail("an HTTP/1.0 client got what it cannot read")


_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n"
_PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"

INTERIM = Group(
    name="Expect and 1xx",
    rule="100 comes before the body, other 1xx are relayed, and HTTP/1.0 never sees one.",
    cases=(
        _expecting("continue", "9110 10.1.1", "100 from the origin reaches the client",
                   ((Continue(), Whole(), Echo()),), forwarded(CASE, body=b"hello")),
        _expecting("continue-none", "9110 10.1.1", "the origin answers 417 instead of 100",
                   ((Send(fixed(b"no", b"Connection: close", status=b"417 Expectation Failed")),
                     Close()),),
                   relayed(417, b"no"), waits=False),
        _expecting("continue-at-once", "9110 10.1.1", "the client does not wait for 100",
                   ((Continue(), Whole(), Echo()),), forwarded(CASE, body=b"hello"),
                   waits=False),
        _expecting("continue-1.0", "9110 10.1.1", "Expect in HTTP/1.0 is ignored",
                   ((Whole(), Echo()),), old(_no_interim), version=b"HTTP/1.0", waits=False),
        sent("interim-expect-unknown", "9110 10.1.1", "another expectation: 417, or forwarded",
             request(b"Expect: x-miracle"), either(refused(417), forwarded(CASE, AFTER))),
        sent("interim-expect-empty", "9110 10.1.1", "Expect: 100-continue without a body",
             request(b"Expect: 100-continue"), _after_100),
        response("interim-then-nothing", "9110 15.2", "103, and then the end",
                 _then_close(_HINTS), either(bad_gateway, relayed(200))),
        response("interim-103", "9110 15.2", "103 is relayed (it may be dropped)",
                 _HINTS + fixed(b"ok"), wanted(every(_OK, interims(103)), legal=_OK)),
        Case(
            id="interim-103-before", section="8297 2",
            title="103 arrives before the final answer is sent", client=(Send(request()),),
            turns=((Whole(), Send(_HINTS), OtherHears(b" 103 "), Send(fixed(b"ok"))),),
            check=wanted(every(_OK, interims(103)), legal=clean),
        ),
        response("interim-102-103", "9110 15.2", "several 1xx keep their order",
                 _PROCESSING + _HINTS + fixed(b"ok"),
                 wanted(every(_OK, interims(102, 103)), legal=_OK)),
        response("interim-100-unasked", "9110 15.2.1", "100 that nobody asked for",
                 _CONTINUE + fixed(b"ok"), _OK),
        response("interim-100-length", "9110 8.6", "a 1xx with Content-Length has no body",
                 b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + fixed(b"ok"),
                 either(_OK, bad_gateway)),
        response("interim-1.0", "9110 15.2", "a 1xx never reaches an HTTP/1.0 client",
                 _HINTS + fixed(b"ok"), old(every(_OK, _no_interim)), version=b"HTTP/1.0"),
        Case(
            id="interim-101-unasked", section="9110 15.2.2",
            title="101 that nobody asked for is no tunnel", client=(Send(request()),),
            turns=(replied(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                           b"Upgrade: x\r\n\r\nhello"),),
            check=wanted(bad_gateway, legal=_not_switched),
        ),
    ),
)  # fmt: skip

GROUPS = (FRAMING, HEADS, BODILESS, INTERIM)
