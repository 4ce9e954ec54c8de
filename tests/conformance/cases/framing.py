"""Where a request's body ends: Content-Length, chunks, and what hides requests in them."""

from tests.conformance.cases.building import (
    CHUNKED,
    HELLO,
    HIDDEN,
    alone,
    post,
    raw,
    request,
    sent,
)
from tests.conformance.messages import Message
from tests.conformance.script import Case, Check, Group, HalfClose, Send
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    either,
    every,
    forwarded,
    lacks,
    one_message,
    refused,
    untouched,
    wanted,
)

ASKED = (CASE, AFTER)
SMUGGLE = b"{B}0\r\n\r\n" + HIDDEN + b"{E}"
"""Read by length: a body. Read as chunks: an empty body, and one more request."""


def _length(name: str, title: str, value: bytes, check: Check, section: str = "9112 6.3") -> Case:
    data = post(b"Content-Length:" + value, body=b"hello")
    return sent(f"length-{name}", section, title, data, check)


_INVALID = refused(400, closes=True)

LENGTH = Group(
    name="Content-Length in requests",
    rule="One number of plain digits; an invalid one is a 400 and ends the connection.",
    cases=(
        _length("plain", "a body of 5", b" 5", forwarded(*ASKED, body=b"hello")),
        _length("white", "tab and spaces around the number", b"\t 5 ",
                forwarded(*ASKED, body=b"hello")),
        _length("zeros", "leading zeros", b" 005", one_message(body=b"hello")),
        _length("plus", "`+5`", b" +5", _INVALID),
        _length("minus", "`-5`", b" -5", _INVALID),
        _length("hex", "`0x5`", b" 0x5", _INVALID),
        _length("underscore", "`0_5`", b" 0_5", _INVALID),
        _length("inner-space", "`5 5`", b" 5 5", _INVALID),
        _length("empty", "no number", b"", _INVALID),
        _length("overflow", "2^64 + 5", b" 18446744073709551621", _INVALID),
        _length("list-equal", "`5, 5`", b" 5, 5", one_message(body=b"hello")),
        _length("list-unequal", "`5, 6`", b" 5, 6", _INVALID),
        sent(
            "length-two-equal", "9112 6.3", "two equal lines",
            post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
            one_message(body=b"hello"),
        ),
        sent(
            "length-two-unequal", "9112 6.3", "two different lines",
            post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), _INVALID,
        ),
        sent(
            "length-zero", "9110 8.6", "Content-Length: 0",
            post(b"Content-Length: 0"), forwarded(*ASKED, body=b""),
        ),
        sent(
            "length-none", "9112 6.3", "a POST without framing has no body",
            post(), either(forwarded(*ASKED, body=b""), refused(411)),
        ),
        sent(
            "length-get", "9110 9.3.1", "a GET with a body keeps it, or is refused",
            request(b"Content-Length: 5", body=b"hello"),
            either(forwarded(*ASKED, body=b"hello"), refused()),
        ),
        sent(
            "length-delete", "9110 9.3.5", "a DELETE with a body keeps it, or is refused",
            request(b"Content-Length: 5", method=b"DELETE", body=b"hello"),
            either(forwarded(*ASKED, body=b"hello"), refused()),
        ),
        sent(
            "length-megabyte", "9112 6.2", "a body of 1,000,000 bytes",
            post(b"Content-Length: 1000000", body=b"0123456789" * 100_000),
            forwarded(*ASKED, body=b"0123456789" * 100_000),
        ),
        sent(
            "length-1.0", "9112 6.3", "a body in HTTP/1.0",
            post(b"Content-Length: 5", version=b"HTTP/1.0", body=b"hello"),
            wanted(forwarded(body=b"hello"), legal=refused(426, 505)), answers=1,
        ),
        Case(
            id="length-cut", section="9112 8", title="a body that ends early is never whole",
            client=(Send(post(b"Content-Length: 10", body=b"hello")), HalfClose()),
            check=every(untouched, refused()),
        ),
    ),
)  # fmt: skip


def _chunks(name: str, title: str, body: bytes, check: Check, section: str = "9112 7.1") -> Case:
    return sent(f"chunk-{name}", section, title, post(CHUNKED, body=body), check)


def _trailer_kept(message: Message) -> str:
    if (b"x-sum", b"1") in [(name.lower(), value) for name, value in message.trailers]:
        return ""
    return "the trailer is gone"


def _not_merged(message: Message) -> str:
    return "a trailer became a header" if message.all("x-sum") else ""


_GOOD = forwarded(*ASKED, body=b"hello")
_SAFE = one_message(body=b"hello")
_BROKEN = refused(closes=True)

CHUNKS = Group(
    name="Chunked requests",
    rule="Read by the letter; a malformed one never reaches the origin as a whole request.",
    cases=(
        _chunks("plain", "one chunk", HELLO, _GOOD),
        _chunks("several", "several chunks", b"2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n", _GOOD),
        _chunks("upper", "sizes in upper and lower case hexadecimal",
                b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
                forwarded(*ASKED, body=b"0123456789" * 2)),
        _chunks("zeros", "leading zeros", b"0005\r\nhello\r\n000\r\n\r\n", _GOOD),
        _chunks("empty", "no chunk but the last", b"0\r\n\r\n", forwarded(*ASKED, body=b"")),
        _chunks("extension", "an extension is ignored", b"5;a=b\r\nhello\r\n0;c\r\n\r\n", _GOOD,
                "9112 7.1.1"),
        _chunks("extension-quoted", "a quoted extension with `;` in it",
                b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', _GOOD, "9112 7.1.1"),
        _chunks("extension-space", "white space around an extension's `;`",
                b"5 ; a = b\r\nhello\r\n0\r\n\r\n", _SAFE, "9112 7.1.1"),
        _chunks("extension-flood", "an extension of 64 KiB",
                b"5;" + b"x" * 65_536 + b"\r\nhello\r\n0\r\n\r\n", _SAFE, "9112 7.1.1"),
        _chunks("trailer", "a trailer never becomes a header",
                b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
                forwarded(*ASKED, body=b"hello", looks=(_not_merged,)), "9110 6.5.1"),
        _chunks("trailer-kept", "a trailer is forwarded as a trailer (it may be dropped)",
                b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
                wanted(forwarded(*ASKED, body=b"hello", looks=(_trailer_kept,)), legal=_GOOD),
                "9110 6.5.2"),
        _chunks("trailer-length", "Content-Length as a trailer changes nothing",
                b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", _SAFE, "9110 6.5.1"),
        _chunks("trailer-fold", "a folded trailer",
                b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n", _SAFE, "9112 5.2"),
        _chunks("trailer-nul", "NUL in a trailer",
                b"5\r\nhello\r\n0\r\nX-Sum: 1\x00\r\n\r\n", _SAFE, "9110 5.5"),
        _chunks("many", "1,000 chunks of one byte", b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n",
                forwarded(*ASKED, body=b"x" * 1000)),
        _chunks("trailer-no-colon", "a trailer without a colon",
                b"5\r\nhello\r\n0\r\nno colon\r\n\r\n", _SAFE, "9112 7.1.2"),
        _chunks("size-letters", "size `g`", b"g\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("size-empty", "no size", b"\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("size-minus", "size `-5`", b"-5\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("size-plus", "size `+5`", b"+5\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("size-prefix", "size `0x5`", b"0x5\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("size-space-before", "a space before the size", b" 5\r\nhello\r\n0\r\n\r\n", _SAFE),
        _chunks("size-space-after", "a space after the size", b"5 \r\nhello\r\n0\r\n\r\n", _SAFE),
        _chunks("size-two", "two sizes", b"5 5\r\nhello\r\n0\r\n\r\n", _SAFE),
        _chunks("size-overflow", "a size over 64 bits",
                b"10000000000000005\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("data-long", "data longer than its size", b"4\r\nhello\r\n0\r\n\r\n", _BROKEN),
        _chunks("data-no-crlf", "no line break after the data", b"5\r\nhello0\r\n\r\n", _BROKEN),
        Case(
            id="chunk-cut", section="9112 8", title="a body without its last chunk is never whole",
            client=(Send(post(CHUNKED, body=b"5\r\nhello\r\n")), HalfClose()),
            check=every(untouched, refused()),
        ),
        Case(
            id="chunk-cut-inside", section="9112 8", title="nor one that ends inside a chunk",
            client=(Send(post(CHUNKED, body=b"5\r\nhe")), HalfClose()),
            check=every(untouched, refused()),
        ),
    ),
)  # fmt: skip


def _hides(
    name: str, title: str, *lines: bytes, section: str = "9112 6.1", closes: bool = False
) -> Case:
    """Lengths and chunks disagree: `/hidden` is a body to one reader, a request to the other."""
    data = post(b"Content-Length: {N}", *lines, body=SMUGGLE)
    if not closes:
        return sent(f"smuggle-{name}", section, title, data, one_message())
    check = one_message(after=False, closes=True)
    return alone(f"smuggle-{name}", section, title, data, check, ends=True)


def _odd(name: str, title: str, *lines: bytes, section: str = "9112 6.1") -> Case:
    """Transfer-Encoding is there to one reader, and not to the other."""
    data = post(*lines, body=HELLO)
    return sent(f"smuggle-{name}", section, title, data, one_message(body=b"hello"))


def _folded(message: Message) -> str:
    return "a folded line went on" if any(b"\n" in v for _, v in message.lines) else ""


SMUGGLING = Group(
    name="Smuggling",
    rule="Refused, or one unambiguous request; the one hidden in its bytes never gets through.",
    cases=(
        _hides("cl-te", "Content-Length, then chunked (CL.TE)", CHUNKED, closes=True),
        alone(
            "smuggle-te-cl", "9112 6.1", "chunked, then Content-Length (TE.CL)",
            post(CHUNKED, b"Content-Length: 4",
                 body=b"{X}\r\n{B}" + HIDDEN + b"{E}\r\n0\r\n\r\n"),
            one_message(after=False, closes=True), ends=True,
        ),
        alone(
            "smuggle-cl-0-te", "9112 6.1", "Content-Length: 0 with chunked",
            post(b"Content-Length: 0", CHUNKED,
                 body=b"{X}\r\n{B}" + HIDDEN + b"{E}\r\n0\r\n\r\n"),
            one_message(after=False, closes=True), ends=True,
        ),
        sent(
            "smuggle-cl-0", "9110 9.3.1", "a request as the body of a GET (CL.0)",
            request(b"Content-Length: {N}", body=b"{B}" + HIDDEN + b"{E}"),
            one_message(),
        ),
        sent(
            "smuggle-cl-0-head", "9110 9.3.2", "a request as the body of a HEAD",
            request(b"Content-Length: {N}", method=b"HEAD", body=b"{B}" + HIDDEN + b"{E}"),
            one_message(), methods=("HEAD", "GET"),
        ),
        sent(
            "smuggle-cl-0-options", "9110 9.3.7", "a request as the body of an OPTIONS",
            request(b"Content-Length: {N}", method=b"OPTIONS", body=b"{B}" + HIDDEN + b"{E}"),
            one_message(),
        ),
        _hides("te-x", "`xchunked`", b"Transfer-Encoding: xchunked"),
        _hides("te-identity", "`identity`", b"Transfer-Encoding: identity"),
        _hides("te-identity-chunked", "`identity, chunked`",
               b"Transfer-Encoding: identity, chunked", closes=True),
        _hides("te-chunked-identity", "`chunked, identity`",
               b"Transfer-Encoding: chunked, identity", closes=True),
        _hides("te-twice", "`chunked, chunked`", b"Transfer-Encoding: chunked, chunked",
               closes=True),
        _hides("te-two-lines", "`chunked` on two lines", CHUNKED, CHUNKED, closes=True),
        _hides("te-x-first", "`x`, and `chunked` on another line", b"Transfer-Encoding: x",
               CHUNKED),
        _hides("te-comma", "`,chunked`", b"Transfer-Encoding: ,chunked"),
        _hides("te-quoted", '`"chunked"`', b'Transfer-Encoding: "chunked"'),
        _hides("te-parameter", "`chunked;q=1`", b"Transfer-Encoding: chunked;q=1"),
        _hides("te-vertical-tab", "a vertical tab before `chunked`",
               b"Transfer-Encoding: \x0bchunked"),
        _hides("te-nul", "NUL after `chunked`", b"Transfer-Encoding: chunked\x00"),
        sent(
            "smuggle-te-gzip", "9112 6.1", "`gzip, chunked`: refused, or forwarded as it is",
            post(b"Transfer-Encoding: gzip, chunked", body=HELLO), one_message(body=b"hello"),
        ),
        _odd("te-tab", "a tab before `chunked`", b"Transfer-Encoding:\tchunked"),
        _odd("te-upper", "`CHUNKED`", b"TRANSFER-ENCODING: CHUNKED"),
        _hides("te-space-colon", "a space before the colon", b"Transfer-Encoding : chunked",
               section="9112 5.1"),
        _hides("te-tab-colon", "a tab before the colon", b"Transfer-Encoding\t: chunked",
               section="9112 5.1"),
        _hides("te-underscore", "`Transfer_Encoding`", b"Transfer_Encoding: chunked",
               section="9110 5.1"),
        _hides("te-nul-name", "NUL in the name", b"Transfer\x00-Encoding: chunked",
               section="9110 5.1"),
        _hides("te-folded", "on a folded line", b"X-Y: z", b" Transfer-Encoding: chunked",
               section="9112 5.2"),
        _odd("te-folded-value", "the value on a folded line", b"Transfer-Encoding:",
               b" chunked", section="9112 5.2"),
        _odd("te-bare-lf", "behind a bare LF", b"X-Y: z\nTransfer-Encoding: chunked",
               section="9112 2.2"),
        _hides("te-bare-cr", "behind a bare CR", b"X-Y: z\rTransfer-Encoding: chunked",
               section="9112 2.2"),
        _hides("te-cr-first", "behind a bare CR at a line's beginning",
               b"X-Y: z\r\n\rTransfer-Encoding: chunked", section="9112 2.2"),
        sent(
            "smuggle-cl-two", "9112 6.3", "two lengths, one of which hides a request",
            post(b"Content-Length: 0", b"Content-Length: {N}", body=b"{B}" + HIDDEN + b"{E}"),
            refused(400, closes=True),
        ),
        sent(
            "smuggle-cl-underscore", "9110 5.1", "`Content_Length` means nothing",
            request(b"Content_Length: 5"), forwarded(*ASKED, looks=(lacks("content-length"),)),
        ),
        alone(
            "smuggle-cl-nul", "9110 5.1", "NUL in the name of Content-Length",
            post(b"Content-Length\x00: {N}", body=b"{B}" + HIDDEN + b"{E}"), refused(),
        ),
        alone(
            "smuggle-te-1.0", "9112 6.1", "chunked in HTTP/1.0",
            post(CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0", body=HELLO) + HIDDEN,
            one_message(after=False, closes=True), ends=True,
        ),
        alone(
            "smuggle-te-not-last", "9112 6.3", "`chunked, gzip`: a 400, and the end",
            post(b"Transfer-Encoding: chunked, gzip", body=HELLO) + HIDDEN,
            refused(400, 501, closes=True),
        ),
        alone(
            "smuggle-chunk-lf", "9112 7.1", "a bare LF after a size hides a request",
            post(CHUNKED, body=b"0\n\r\n" + HIDDEN),
            one_message(after=False), ends=True,
        ),
        alone(
            "smuggle-chunk-lf-extension", "9112 7.1.1", "a bare LF in an extension hides one",
            post(CHUNKED, body=b"2;\nxx\r\n{X}\r\n{B}0\r\n\r\n" + HIDDEN + b"{E}\r\n0\r\n\r\n"),
            one_message(after=False), ends=True,
        ),
        alone(
            "smuggle-chunk-lf-data", "9112 7.1", "a bare LF after the data hides a request",
            post(CHUNKED, body=b"5\r\nhello\n0\r\n\r\n" + HIDDEN),
            one_message(after=False), ends=True,
        ),
        alone(
            "smuggle-chunk-cr", "9112 7.1", "a bare CR in a size line hides a request",
            post(CHUNKED, body=b"0\r\r\n\r\n" + HIDDEN),
            one_message(after=False), ends=True,
        ),
        alone(
            "smuggle-chunk-end", "9112 7.1", "`0\\r\\nX` in place of the last line break",
            post(CHUNKED, body=b"0\r\nX\r\n" + HIDDEN),
            one_message(after=False), ends=True,
        ),
        alone(
            "smuggle-request-line", "9112 2.2", "a request line behind a bare CR",
            raw(b"GET {P}/case HTTP/1.1\rGET {P}/hidden HTTP/1.1"),
            one_message(after=False), ends=True,
        ),
        alone(
            "smuggle-space-line", "9112 2.2", "white space between request line and headers",
            raw(b"POST {P}/case HTTP/1.1", b" Transfer-Encoding: chunked", b"Host: h",
                b"Content-Length: {N}", host=None, body=SMUGGLE).replace(
                b"{A} Transfer-Encoding: chunked\r\nHost: h\r\n",
                b" Transfer-Encoding: chunked\r\nHost: h\r\n{A}"),
            one_message(after=False, looks=(_folded,)), ends=True,
        ),
    ),
)  # fmt: skip

GROUPS = (LENGTH, CHUNKS, SMUGGLING)
