"""Request lines, targets, methods and Host."""

import re

from tests.conformance.cases.building import alone, raw, request, sent
from tests.conformance.messages import Message
from tests.conformance.script import PASS, Check, Group, Transcript, Verdict, fail
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    Look,
    clean,
    closed,
    either,
    every,
    finals,
    forwarded,
    has,
    one_message,
    readable,
    received,
    refused,
    starts,
    wanted,
    went_through,
)

ASKED = (CASE, AFTER)


def _upper_hex(target: bytes) -> bytes:
    return re.sub(rb"%[0-9a-fA-F]{2}", lambda m: m[0].upper(), target)


LINES = Group(
    name="Request line",
    rule="Refused, or forwarded as one unambiguous request.",
    cases=(
        sent(
            "line-plain", "9112 3", "a plain GET, with another one behind it",
            request(), forwarded(*ASKED),
        ),
        sent(
            "line-empty-before", "9112 2.2", "an empty line before the request",
            b"\r\n" + request(), wanted(forwarded(*ASKED), legal=refused()),
        ),
        sent(
            "line-empty-between", "9112 2.2", "an empty line between two requests",
            request() + b"\r\n", wanted(forwarded(*ASKED), legal=every(clean, readable)),
        ),
        sent(
            "line-lf-before", "9112 2.2", "a bare LF before the request",
            b"\n" + request(), one_message(),
        ),
        sent(
            "line-two-spaces", "9112 3", "two spaces after the method",
            raw(b"GET  {P}/case HTTP/1.1"), one_message(),
        ),
        sent(
            "line-tab", "9112 3", "tabs instead of spaces",
            raw(b"GET\t{P}/case\tHTTP/1.1"), one_message(),
        ),
        sent(
            "line-trailing-space", "9112 3", "a space after the version",
            raw(b"GET {P}/case HTTP/1.1 "), one_message(),
        ),
        sent(
            "line-leading-space", "9112 3", "a space before the method",
            raw(b" GET {P}/case HTTP/1.1"), one_message(),
        ),
        sent(
            "line-four-words", "9112 3", "a fourth word on the line",
            raw(b"GET {P}/case HTTP/1.1 HTTP/1.1"), one_message(),
        ),
        sent(
            "line-no-target", "9112 3", "no target",
            raw(b"GET HTTP/1.1"), refused(),
        ),
        alone(
            "line-http-0.9", "9112 3", "no version (HTTP/0.9): refused, or answered and closed",
            b"GET {P}/case?a-line-of-more-than-24-bytes\r\n\r\n", every(clean, closed), ends=True,
        ),
        sent(
            "line-http-1.2", "9110 2.5", "HTTP/1.2",
            request(version=b"HTTP/1.2"), one_message(),
        ),
        sent(
            "line-http-2.0", "9110 2.5", "HTTP/2.0 in the syntax of HTTP/1",
            request(version=b"HTTP/2.0"), one_message(),
        ),
        sent(
            "line-http-1.10", "9112 2.3", "HTTP/1.10 is no version",
            request(version=b"HTTP/1.10"), one_message(),
        ),
        sent(
            "line-lower-version", "9112 2.3", "http/1.1 in lower case",
            request(version=b"http/1.1"), one_message(),
        ),
        sent(
            "line-bare-cr", "9112 2.2", "a bare CR instead of a space",
            raw(b"GET\r{P}/case HTTP/1.1"), one_message(),
        ),
        sent(
            "line-cr-in-target", "9112 2.2", "a bare CR in the target",
            request(target=b"{P}/case\rX"), one_message(),
        ),
        sent(
            "line-bare-lf", "9112 2.2", "all lines end in a bare LF",
            request().replace(b"\r\n", b"\n").replace(b"{A}", b""), one_message(),
        ),
    ),
)  # fmt: skip


def _allowed(seen: Transcript) -> Verdict:
    answers, _ = finals(seen)
    if answers and answers[0].status == 405 and not answers[0].all("allow"):
        return fail("405 without Allow")
    return PASS


def _star(seen: Transcript) -> Verdict:
    """Answered by the proxy itself, or forwarded as it is."""
    asked = [m.target for m in received(seen) if m.target != AFTER]
    if asked not in ([], [b"*"]):
        return fail(f"origin received {asked[0].decode('latin-1')}")
    answers, _ = finals(seen)
    if asked or (answers and answers[0].status < 300):
        return every(clean, readable)(seen)
    return fail(f"answered {answers[0].status}" if answers else "no answer")


METHODS = Group(
    name="Methods",
    rule="Forwarded as they are; a refusal is legal.",
    cases=(
        *(
            sent(
                f"method-{name.decode().lower()}", "9110 9.1", f"{name.decode()} is forwarded",
                request(method=name), wanted(
                    forwarded(*ASKED, looks=(starts(name + b" "),)), legal=refused()
                ),
            )
            for name in (b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"BREW")
        ),
        sent(
            "method-lower-case", "9110 9.1", "`get` is not GET",
            request(method=b"get"),
            wanted(forwarded(*ASKED, looks=(starts(b"get "),)), legal=refused()),
        ),
        sent(
            "method-punctuation", "9110 9.1", "a method of token characters, `M-X.Y~1`",
            request(method=b"M-X.Y~1"),
            wanted(forwarded(*ASKED, looks=(starts(b"M-X.Y~1 "),)), legal=refused()),
        ),
        sent(
            "method-no-token", "9110 9.1", "`GE(T` is no token",
            request(method=b"GE(T"), refused(),
        ),
        sent(
            "method-options-star", "9110 9.3.7", "OPTIONS * is answered, or forwarded as `*`",
            request(method=b"OPTIONS", target=b"*"), wanted(_star, legal=refused()),
        ),
        sent(
            "method-connect", "9110 9.3.6", "CONNECT through a reverse proxy is refused",
            raw(b"CONNECT h:80 HTTP/1.1", host=b"Host: h:80"), wanted(refused(), legal=clean),
        ),
        sent(
            "method-405-allow", "9110 15.5.6", "a 405 (here to TRACE) comes with Allow",
            request(method=b"TRACE"), every(_allowed, went_through),
        ),
    ),
)  # fmt: skip


def _kept(target: bytes) -> Check:
    """Forwarded unchanged; a proxy that answers, refuses or normalises is legal."""
    return wanted(
        forwarded(target, AFTER, same=_upper_hex), legal=every(clean, readable, went_through)
    )


def _unlike(*others: bytes) -> Check:
    def check(seen: Transcript) -> Verdict:
        found = [m.target for m in received(seen) if m.target in others]
        return fail(f"origin received {found[0].decode('latin-1')}") if found else PASS

    return every(check, clean, readable)


def _not_host(value: bytes) -> Look:
    def look(message: Message) -> str:
        return f"Host is {value.decode()}" if value in message.all("host") else ""

    return look


LONG = b"/" + b"x" * 7900

TARGETS = Group(
    name="Targets",
    rule="Path and query reach the origin as they came, and never as another path.",
    cases=(
        *(
            sent(f"target-{name}", "9110 7.7", title, request(target=b"{P}" + target),
                 _kept(target))
            for name, title, target in (
                ("encoded", "`/a%20b/%C3%A9` stays encoded", b"/a%20b/%C3%A9"),
                ("empty-query", "`/case?` keeps its question mark", b"/case?"),
                ("two-slashes", "`//a//b` keeps its slashes", b"//a//b"),
                ("params", "`/a;v=1/b@c:d` stays as it is", b"/a;v=1/b@c:d"),
                ("question-marks", "a query with `?`, `/` and `:`", b"/case?next=http://x/?y"),
                ("dot-segments", "`/a/./b/../c` stays as it is", b"/a/./b/../c"),
                ("long", "a request line of 8,000 octets", LONG),
            )
        ),
        sent(
            "target-encoded-slash", "3986 2.2", "`/a%2Fb` does not become `/a/b`",
            request(target=b"{P}/a%2Fb"),
            every(_unlike(b"/a/b"), wanted(
                forwarded(b"/a%2Fb", AFTER, same=_upper_hex), legal=went_through)),
        ),
        sent(
            "target-encoded-crlf", "9112 3.2", "`%0d%0a` does not become a line break",
            request(target=b"{P}/case%0d%0aX-Bad:%20y"),
            either(refused(), forwarded(b"/case%0d%0aX-Bad:%20y", AFTER, same=_upper_hex)),
        ),
        sent(
            "target-encoded-nul", "9112 3.2", "`%00` does not become NUL",
            request(target=b"{P}/case%00"),
            either(refused(), forwarded(b"/case%00", AFTER)),
        ),
        sent(
            "target-fragment", "9112 3.2", "`#` never reaches the origin",
            request(target=b"{P}/case#part"),
            either(refused(), forwarded(CASE, AFTER), forwarded(b"/case%23part", AFTER)),
        ),
        sent(
            "target-space", "9112 3.2", "a space in the target",
            request(target=b"{P}/case x"), one_message(),
        ),
        sent(
            "target-control", "9112 3.2", "a control character in the target",
            request(target=b"{P}/case\x01"), either(refused(), forwarded(b"/case%01", AFTER)),
        ),
        sent(
            "target-nul", "9112 3.2", "NUL in the target",
            request(target=b"{P}/case\x00"), either(refused(), forwarded(b"/case%00", AFTER)),
        ),
        sent(
            "target-8-bit", "9112 3.2", "a byte above 127 never reaches the origin unencoded",
            request(target=b"{P}/case\xe9"),
            either(refused(), forwarded(b"/case%E9", AFTER, same=_upper_hex)),
        ),
        sent(
            "target-quote", "9112 3.2", "a double quote in the target",
            request(target=b'{P}/case"x'),
            either(refused(), forwarded(b"/case%22x", AFTER), forwarded(b'/case"x', AFTER)),
        ),
        sent(
            "target-relative", "9112 3.2", "a target without a slash is refused",
            request(target=b"case"), refused(),
        ),
        sent(
            "target-authority", "9112 3.2.3", "authority form with GET is refused",
            request(target=b"h:80"), refused(),
        ),
        sent(
            "target-asterisk", "9112 3.2.4", "`*` with GET is refused",
            request(target=b"*"), refused(),
        ),
        sent(
            "target-absolute", "9112 3.2.2", "absolute form is accepted",
            request(target=b"http://h{P}/case"),
            wanted(forwarded(*ASKED), legal=forwarded(b"http://h/case", AFTER)),
        ),
        sent(
            "target-absolute-upper", "9110 4.2.3", "scheme and host have no case; a port is fine",
            request(target=b"HTTP://H:80{P}/case", host=b"Host: H:80"),
            wanted(forwarded(*ASKED), legal=every(clean, readable, went_through)),
        ),
        sent(
            "target-absolute-host", "9112 3.2.2", "absolute form wins over another Host",
            request(target=b"http://h{P}/case", host=b"Host: other.example"),
            either(
                refused(),
                forwarded(*ASKED, looks=(_not_host(b"other.example"),)),
                forwarded(b"http://h/case", AFTER, looks=(_not_host(b"other.example"),)),
            ),
        ),
        sent(
            "target-absolute-user", "9110 4.2.4", "user information in absolute form",
            request(target=b"http://user:word@h{P}/case"),
            wanted(
                either(refused(), forwarded(*ASKED, looks=(_not_host(b"user:word@h"),))),
                legal=every(clean, readable),
            ),
        ),
        sent(
            "target-absolute-no-host", "9110 4.2.1", "`http:///case` is refused",
            request(target=b"http://{P}/case"), either(refused(), forwarded(*ASKED)),
        ),
        alone(
            "target-100-kilobytes", "9112 3", "a target of 100 KiB is refused or forwarded",
            request(target=b"{P}/" + b"x" * 102_400),
            either(refused(), forwarded(b"/" + b"x" * 102_400)),
        ),
    ),
)  # fmt: skip


HOST = Group(
    name="Host",
    rule="Exactly one, and valid; anything else is a 400.",
    cases=(
        sent("host-missing", "9112 3.2", "HTTP/1.1 without Host", request(host=None), refused(400)),
        sent(
            "host-two", "9112 3.2", "two different Host lines",
            request(b"Host: other.example"), refused(400),
        ),
        sent(
            "host-two-equal", "9112 3.2", "the same Host twice",
            request(b"Host: h"), refused(400),
        ),
        *(
            sent(
                f"host-{name}", "9112 3.2", f"Host: `{value.decode('latin-1')}` is invalid",
                request(host=b"Host: " + value), refused(400),
            )
            for name, value in (
                ("space", b"a b"),
                ("path", b"h/x"),
                ("user", b"user@h"),
                ("port", b"h:port"),
                ("bracket", b"[::1"),
            )
        ),
        sent(
            "host-space-colon", "9112 5.1", "a space before Host's colon",
            request(host=b"Host : h"), refused(400),
        ),
        sent(
            "host-empty", "9110 7.2", "an empty Host", request(host=b"Host:"), one_message(),
        ),
        sent(
            "host-ipv6", "9110 7.2", "`[::1]:8080` is valid",
            request(host=b"Host: [::1]:8080"), forwarded(*ASKED),
        ),
        sent(
            "host-last", "9112 3.2", "Host as the last line",
            raw(b"GET {P}/case HTTP/1.1", b"X-First: 1", b"hOsT: h", host=None),
            forwarded(*ASKED, looks=(has("x-first", b"1"),)),
        ),
        alone(
            "host-1.0-missing", "9112 3.2", "HTTP/1.0 needs no Host; the origin gets one",
            request(version=b"HTTP/1.0", host=None),
            wanted(forwarded(CASE, closes=True), legal=refused(426, 505)), ends=True,
        ),
    ),
)  # fmt: skip

GROUPS = (LINES, METHODS, TARGETS, HOST)
