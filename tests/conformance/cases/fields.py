"""Header lines: their grammar, which ones end at a proxy, and what a proxy adds."""

import re

from tests.conformance.cases.building import alone, fixed, post, raw, request, response, sent
from tests.conformance.messages import Message
from tests.conformance.script import Case, Group
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    forwarded,
    has,
    lacks,
    one_message,
    refused,
    relayed,
    wanted,
)

ASKED = (CASE, AFTER)


def _unfolded(message: Message) -> str:
    words = b" ".join(message.all("x-y")).split()
    return "" if words == [b"a", b"b"] else f"X-Y is {words}"


def _without_control(message: Message) -> str:
    values = b"".join(value for _, value in message.lines)
    return "a control character went on" if re.search(rb"[\x00\r\n]", values) else ""


LINES = Group(
    name="Header lines",
    rule="Valid ones reach the origin as they came; invalid ones never do.",
    cases=(
        sent(
            "field-space-colon", "9112 5.1", "a space before the colon is a 400",
            request(b"X-Y : 1"), refused(400),
        ),
        sent(
            "field-tab-colon", "9112 5.1", "a tab before the colon is a 400",
            request(b"X-Y\t: 1"), refused(400),
        ),
        *(
            sent(
                f"field-name-{name}", "9110 5.1", f"{title} in a name",
                request(b"X" + text + b"Y: 1"), one_message(),
            )
            for name, title, text in (
                ("space", "a space", b" "),
                ("parenthesis", "a parenthesis", b"("),
                ("slash", "a slash", b"/"),
                ("quote", "a double quote", b'"'),
                ("8-bit", "a byte above 127", b"\xe9"),
                ("control", "a control character", b"\x01"),
                ("nul", "NUL", b"\x00"),
            )
        ),
        sent("field-no-name", "9112 5", "a line without a name", request(b": 1"), one_message()),
        sent("field-no-colon", "9112 5", "a line without a colon", request(b"X-Y"), one_message()),
        sent(
            "field-fold", "9112 5.2", "a folded line: refused, or unfolded",
            request(b"X-Y: a", b" b"), one_message(looks=(_unfolded,)),
        ),
        sent(
            "field-fold-tab", "9112 5.2", "a line folded with a tab",
            request(b"X-Y: a", b"\tb"), one_message(looks=(_unfolded,)),
        ),
        sent(
            "field-fold-first", "9112 2.2", "white space before the first line",
            raw(b"GET {P}/case HTTP/1.1\r\n X-Y: 1"), one_message(looks=(lacks("x-y"),)),
        ),
        sent(
            "field-cr", "9110 5.5", "a bare CR in a value: refused, or replaced",
            request(b"X-Y: a\rb"), one_message(looks=(_without_control,)),
        ),
        sent(
            "field-nul", "9110 5.5", "NUL in a value: refused, or replaced",
            request(b"X-Y: a\x00b"), one_message(looks=(_without_control,)),
        ),
        sent(
            "field-lf", "9112 2.2", "a bare LF ends a line, or is refused",
            request(b"X-Y: a\nX-Z: b"), one_message(looks=(_without_control,)),
        ),
        sent(
            "field-8-bit", "9110 5.5", "bytes above 127 in a value are opaque",
            request(b"X-Y: caf\xe9 \xc3\xa9"),
            forwarded(*ASKED, looks=(has("x-y", b"caf\xe9 \xc3\xa9"),)),
        ),
        sent(
            "field-empty", "9110 5.5", "an empty value", request(b"X-Y:"),
            forwarded(*ASKED, looks=(has("x-y", b""),)),
        ),
        sent(
            "field-white", "9112 5.1", "white space around a value means nothing",
            request(b"X-Y: \t a b \t "), forwarded(*ASKED, looks=(has("x-y", b"a b"),)),
        ),
        sent(
            "field-order", "9110 5.3", "lines of one name keep their order",
            request(b"X-Y: 1", b"X-Z: 0", b"x-y: 2", b"X-Y: 3"),
            forwarded(*ASKED, looks=(has("x-y", b"1", b"2", b"3"),)),
        ),
        sent(
            "field-quoted", "9110 5.6.4", "quoted strings stay as they are",
            request(b'X-Y: "a, \\"b\\"";c="d;e"'),
            forwarded(*ASKED, looks=(has("x-y", b'"a, \\"b\\"";c="d;e"'),)),
        ),
        sent(
            "field-unknown", "9110 5.1", "unknown fields are forwarded",
            request(b"Zz-Unheard-Of: 1"), forwarded(*ASKED, looks=(has("zz-unheard-of", b"1"),)),
        ),
        sent(
            "field-underscore", "9110 5.1", "also with an underscore in the name",
            request(b"X_Y: 1"),
            wanted(forwarded(*ASKED, looks=(has("x_y", b"1"),)), legal=forwarded(*ASKED)),
        ),
        sent(
            "field-punctuation", "9110 5.1", "also with `.`, `!` and `~`",
            request(b"X.Y!Z~: 1"),
            wanted(forwarded(*ASKED, looks=(has("x.y!z~", b"1"),)), legal=forwarded(*ASKED)),
        ),
        sent(
            "field-hundred", "9110 5.4", "eighty lines of 64 bytes",
            request(*(b"X-%02d: %b" % (n, b"v" * 56) for n in range(80))),
            forwarded(*ASKED, looks=(has("x-79", b"v" * 56),)),
        ),
        sent(
            "field-long", "9110 5.4", "a value of 4,000 bytes", request(b"X-Y: " + b"v" * 4000),
            forwarded(*ASKED, looks=(has("x-y", b"v" * 4000),)),
        ),
        alone(
            "field-too-large", "9110 5.4", "2 MiB of headers are a 4xx, or cut",
            request(*(b"X-%d: %b" % (n, b"v" * 8000) for n in range(250))), refused(),
        ),
    ),
)  # fmt: skip


def _hop(case_id: str, title: str, line: bytes, gone: str) -> Case:
    """The RFC only says SHOULD about those that Connection does not name."""
    return sent(
        f"hop-{case_id}", "9110 7.6.1", title, request(line),
        wanted(forwarded(*ASKED, looks=(lacks(gone),)), legal=forwarded(*ASKED)),
    )  # fmt: skip


def _no_option(message: Message) -> str:
    left = [option for option in message.list("connection") if option == b"x-y"]
    return "Connection still names it" if left else ""


def _own_keep_alive(message: Message) -> str:
    return "the origin's Keep-Alive" if b"timeout=77" in message.all("keep-alive") else ""


def _te(message: Message) -> str:
    left = [coding for coding in message.list("te") if coding != b"trailers"]
    if left:
        return "TE was forwarded"
    if message.all("te") and b"te" not in message.list("connection"):
        return "TE without Connection: TE"
    return ""


HOPS = Group(
    name="Hop-by-hop",
    rule="What is meant for the proxy ends at the proxy, in both directions.",
    cases=(
        sent(
            "hop-named", "9110 7.6.1", "a field that Connection names",
            request(b"Connection: X-Y", b"X-Y: 1"),
            forwarded(*ASKED, looks=(lacks("x-y"), _no_option)),
        ),
        sent(
            "hop-named-lists", "9110 7.6.1", "two Connection lines, empty elements, any case",
            request(b"Connection: X-Z", b"cOnNeCtIoN: ,, x-Y ,keep-alive", b"X-y: 1"),
            forwarded(*ASKED, looks=(lacks("x-y"),)),
        ),
        _hop("keep-alive", "Keep-Alive", b"Keep-Alive: timeout=5", "keep-alive"),
        _hop("proxy-connection", "Proxy-Connection", b"Proxy-Connection: keep-alive",
             "proxy-connection"),
        _hop("upgrade", "Upgrade that Connection does not name", b"Upgrade: websocket", "upgrade"),
        sent(
            "hop-te", "9110 10.1.4", "TE goes on as `trailers` with Connection, or not at all",
            request(b"TE: trailers, deflate;q=0.5", b"Connection: TE"),
            forwarded(*ASKED, looks=(_te,)),
        ),
        sent(
            "hop-names-length", "9110 7.6.1", "naming Content-Length there changes nothing",
            post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
            one_message(body=b"hello"),
        ),
        sent(
            "hop-names-te", "9110 7.6.1", "nor does naming Transfer-Encoding",
            post(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked",
                 body=b"5\r\nhello\r\n0\r\n\r\n"),
            one_message(body=b"hello"),
        ),
        response(
            "hop-response-named", "9110 7.6.1", "a response field that Connection names",
            fixed(b"ok", b"Connection: X-Y", b"X-Y: 1"), relayed(200, b"ok", looks=(lacks("x-y"),)),
        ),
        response(
            "hop-response-proxy-connection", "9110 7.6.1", "Proxy-Connection of a response",
            fixed(b"ok", b"Proxy-Connection: keep-alive"),
            wanted(relayed(200, b"ok", looks=(lacks("proxy-connection"),)),
                   legal=relayed(200, b"ok")),
        ),
        response(
            "hop-response-keep-alive", "9110 7.6.1", "Keep-Alive of a response",
            fixed(b"ok", b"Connection: keep-alive", b"Keep-Alive: timeout=77"),
            wanted(relayed(200, b"ok", looks=(_own_keep_alive,)), legal=relayed(200, b"ok")),
        ),
        response(
            "hop-response-upgrade", "9110 7.8", "Upgrade that Connection does not name",
            fixed(b"ok", b"Upgrade: h2c"),
            wanted(relayed(200, b"ok", looks=(lacks("upgrade"),)), legal=relayed(200, b"ok")),
        ),
    ),
)  # fmt: skip

GROUPS = (LINES, HOPS)
