"""What bytes say, read by the letter of RFC 9112: the ruler that verdicts measure with.

Reading is stricter than what recipients may tolerate, because the bytes that a proxy *sends* are
judged: a sender must not generate what does not match the grammar (RFC 9110 section 2.2). Only
control characters in values are let through where RFC 9110 section 5.5 lets them be retained.
"""

import re
from dataclasses import dataclass
from typing import Final

import h11

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([0-9]{3}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):([^\x00\r\n]*)")
_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb'|"'
    rb'(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*)'
)
_NO_BODY: Final = frozenset({204, 304})
_SWITCHING: Final = 101
_FINAL: Final = 200

Lines = tuple[tuple[bytes, bytes], ...]


class MalformedError(Exception):
    """The bytes do not match the grammar, or leave the end of a message in doubt."""


class _IncompleteError(Exception):
    """The message goes on after the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request or response."""

    first: bytes
    """Request line or status line."""
    lines: Lines
    """Names as they came, values without white space around them."""
    framing: str
    """How the body ends: `none`, `length`, `chunked`, or `close`."""
    body: bytes = b""
    trailers: Lines = ()
    complete: bool = True
    """False: the stream ends, or stands, before the message's end."""

    def all(self, name: str) -> list[bytes]:
        """Values of all lines with this name."""
        wanted = name.lower().encode()
        return [value for known, value in self.lines if known.lower() == wanted]

    def list(self, name: str) -> list[bytes]:
        """Lower-case elements of a comma-separated field."""
        parts = b",".join(self.all(name)).lower().split(b",")
        return [part.strip(b" \t") for part in parts if part.strip(b" \t")]

    @property
    def method(self) -> bytes:
        """The request's method."""
        return self.first.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """The request's target."""
        return self.first.split(b" ")[1]

    @property
    def status(self) -> int:
        """The response's status."""
        return int(self.first.split(b" ")[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A stream as messages, up to the first fault."""

    messages: tuple[Message, ...]
    fault: str = ""
    """Why reading stopped; empty when it did not."""
    tunnel: bytes = b""
    """What follows a 101."""

    @property
    def whole(self) -> tuple[Message, ...]:
        """The messages that came to their end."""
        return tuple(message for message in self.messages if message.complete)


def read_requests(stream: bytes) -> Reading:
    """Read all requests of a connection."""
    messages: list[Message] = []
    at = 0
    while at < len(stream):
        try:
            message, end = _request(stream, at)
        except MalformedError as exc:
            return Reading(messages=tuple(messages), fault=str(exc))
        messages.append(message)
        if not message.complete:
            break
        fault = _h11_differs(stream[at:], message, stream[end:])
        if fault:
            return Reading(messages=tuple(messages), fault=fault)
        at = end
    return Reading(messages=tuple(messages))


def read_responses(stream: bytes, methods: tuple[str, ...], *, ended: bool) -> Reading:
    """Read all responses of a connection.

    Args:
        stream: The bytes.
        methods: Methods of the requests in order: answers to HEAD have no body. Beyond them: GET.
        ended: The connection was closed in order after the last byte.
    """
    messages: list[Message] = []
    at, answered = 0, 0
    while at < len(stream):
        method = methods[answered] if answered < len(methods) else "GET"
        try:
            message, at = _response(stream, at, method, ended=ended)
        except MalformedError as exc:
            return Reading(messages=tuple(messages), fault=str(exc))
        messages.append(message)
        if not message.complete:
            break
        if message.status == _SWITCHING:
            return Reading(messages=tuple(messages), tunnel=stream[at:])
        answered += message.status >= _FINAL
    return Reading(messages=tuple(messages))


def _request(stream: bytes, at: int) -> tuple[Message, int]:
    try:
        first, lines, at = _head(stream, at)
    except _IncompleteError:
        return Message(first=b"- - -", lines=(), framing="none", complete=False), len(stream)
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise MalformedError(f"request line {_shown(first)}")
    framing, length = _framing(lines, minor=int(match[3]))
    if framing == "close":
        framing = "none"
    return _body(stream, at, Message(first=first, lines=lines, framing=framing), length)


def _response(stream: bytes, at: int, method: str, *, ended: bool) -> tuple[Message, int]:
    try:
        first, lines, at = _head(stream, at)
    except _IncompleteError:
        return Message(first=b"- 0 -", lines=(), framing="none", complete=False), len(stream)
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise MalformedError(f"status line {_shown(first)}")
    status = int(match[2])
    if not 100 <= status <= 999:
        raise MalformedError(f"status line {_shown(first)}")
    framing, length = _framing(lines, minor=int(match[1]))
    if method == "HEAD" or status in _NO_BODY or status < _FINAL:
        framing = "none"
    message = Message(first=first, lines=lines, framing=framing)
    if framing != "close":
        return _body(stream, at, message, length)
    return _with(message, stream[at:], complete=ended), len(stream)


def _head(stream: bytes, at: int) -> tuple[bytes, Lines, int]:
    end = stream.find(b"\r\n\r\n", at)
    if end < 0:
        for byte, name in ((b"\x00", "NUL"), (b"\n\n", "a bare LF")):
            if byte in stream[at:]:
                raise MalformedError(f"{name} in a head: {_shown(stream[at:])}")
        raise _IncompleteError
    first, *raw = stream[at:end].split(b"\r\n")
    return first, tuple(_field(line) for line in raw), end + 4


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise MalformedError(f"header line {_shown(line)}")
    return match[1], match[2].strip(b" \t")


def _framing(lines: Lines, *, minor: int) -> tuple[str, int]:
    lengths = [value for name, value in lines if name.lower() == b"content-length"]
    codings = [value for name, value in lines if name.lower() == b"transfer-encoding"]
    if codings:
        if lengths:
            raise MalformedError("both Content-Length and Transfer-Encoding")
        if not minor:
            raise MalformedError("Transfer-Encoding in an HTTP/1.0 message")
        if len(codings) > 1 or re.fullmatch(rb"([a-z]+, ?)*chunked", codings[0].lower()) is None:
            raise MalformedError(f"Transfer-Encoding {_shown(b', '.join(codings))}")
        if codings[0].lower().count(b"chunked") > 1:
            raise MalformedError("chunked twice")
        return "chunked", 0
    if not lengths:
        return "close", 0
    if len(lengths) > 1 or re.fullmatch(rb"[0-9]{1,18}", lengths[0]) is None:
        raise MalformedError(f"Content-Length {_shown(b' and '.join(lengths))}")
    return "length", int(lengths[0])


def _body(stream: bytes, at: int, message: Message, length: int) -> tuple[Message, int]:
    if message.framing == "none":
        return message, at
    if message.framing == "length":
        end = at + length
        return _with(message, stream[at:end], complete=end <= len(stream)), end
    pieces: list[bytes] = []
    trailers: list[tuple[bytes, bytes]] = []
    try:
        while piece := _chunk(stream, at):
            pieces.append(piece[0])
            at = piece[1]
        _, at = _line(stream, at)
        line, at = _line(stream, at)
        while line:
            trailers.append(_field(line))
            line, at = _line(stream, at)
    except _IncompleteError:
        return _with(message, b"".join(pieces), complete=False), len(stream)
    return _with(message, b"".join(pieces), trailers=tuple(trailers)), at


def _chunk(stream: bytes, at: int) -> tuple[bytes, int] | None:
    """One chunk's data and where the next one begins; None: the last one is next."""
    line, at = _line(stream, at)
    match = _SIZE.fullmatch(line)
    if match is None:
        raise MalformedError(f"chunk size line {_shown(line)}")
    size = int(match[1], 16)
    if not size:
        return None
    end = at + size
    if len(stream) < end + 2:
        raise _IncompleteError
    if stream[end : end + 2] != b"\r\n":
        raise MalformedError("chunk data does not end with its size")
    return stream[at:end], end + 2


def _line(stream: bytes, at: int) -> tuple[bytes, int]:
    end = stream.find(b"\r\n", at)
    if end < 0:
        raise _IncompleteError
    return stream[at:end], end + 2


def _with(message: Message, body: bytes, *, trailers: Lines = (), complete: bool = True) -> Message:
    return Message(
        first=message.first,
        lines=message.lines,
        framing=message.framing,
        body=body,
        trailers=trailers,
        complete=complete,
    )


def _h11_differs(stream: bytes, message: Message, rest: bytes) -> str:
    """Where h11 reads something else than one message of this kind; empty when it does not."""
    if message.all("transfer-encoding") not in ([], [b"chunked"], [b"Chunked"]):
        return ""  # h11 knows no other codings
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=2_000_000)
    body = b""
    try:
        reader.receive_data(stream)
        request = reader.next_event()
        while isinstance(event := reader.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError as exc:
        return f"h11 refuses it: {exc}"
    if not isinstance(request, h11.Request) or not isinstance(event, h11.EndOfMessage):
        return "h11 reads no whole request"
    read = (request.method, request.target, body, reader.trailing_data[0])
    if read != (message.method, message.target, message.body, rest):
        return "h11 reads another message"
    return ""


def _shown(data: bytes) -> str:
    text = repr(data[:60])[2:-1]
    return f"`{text}`" + ("..." if len(data) > 60 else "")
