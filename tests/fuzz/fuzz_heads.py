"""Heads and chunks: what the gateway accepts, h11 reads as the same message; so do its own bytes.

The first byte of an input chooses what the rest is; anything is possible behind a whole message.

    byte  the rest is
    ----  ------------------------------------------------------------------------------
    q     a request
    a     an answer to GET
    h     an answer to HEAD
    k     a chunked body
    1-9   a chunked body that arrives in pieces of so many bytes

The samples of `seeds` are where fuzzing begins.
"""

from gateway.core.chunks import MAX_SIZE_LINE, MAX_TRAILERS, ChunkReader, write_chunks, write_end
from gateway.core.framing import FramingError
from gateway.core.headers import KINDS
from gateway.core.messages import (
    BODY_CHUNKED,
    BODY_FIXED,
    BODY_NONE,
    BODY_TO_CLOSE,
    RequestHead,
)
from gateway.net.heads import Heads
from tests.fuzz import oracle

MAX_BYTES = 60_000
_END = b"\r\n\r\n"
_EXTRA = b"X-DataRobot-User-Id: u\r\nX-Request-Id: r\r\n\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
_HEADS = Heads(max_headers=100)
"""One for all inputs: what is remembered of a head must not change what a later one means."""


def check(data: bytes) -> None:
    """One input of the fuzzer.

    Raises:
        AssertionError: The gateway and h11 disagree.
    """
    data = data[:MAX_BYTES]
    kind, rest = data[:1], data[1:]
    if kind == b"q":
        check_request(rest)
    elif kind == b"a":
        check_response(rest, b"GET")
    elif kind == b"h":
        check_response(rest, b"HEAD")
    elif kind == b"k":
        check_chunks(rest, len(rest) or 1)
    elif kind.isdigit() and kind != b"0":
        check_chunks(rest, int(kind))


def check_request(data: bytes) -> None:
    """A head and whatever follows."""
    end = data.find(_END) + 4
    if end < 4:
        return
    raw = data[:end]
    head = _accepted(raw)
    if head is None:
        assert _accepted(raw) is None, "refused once, and then accepted"
        return
    meant = oracle.read_request(data)
    assert meant is not None, "h11 refuses it"
    assert (meant.method, meant.version) == (head.method, b"1.%d" % head.minor)
    if head.body == BODY_CHUNKED:
        assert meant.all(b"transfer-encoding") == [b"chunked"]
    else:
        assert not meant.all(b"transfer-encoding")
        assert meant.whole is (len(data) - end >= (head.content_length or 0))
        assert (head.body == BODY_FIXED) is bool(head.content_length)
        if meant.whole:
            assert meant.rest == data[end + (head.content_length or 0) :]
    if head.invoke is None:
        return
    body = _rewritten_body(data[end:], head.body)
    if body is None:
        return
    seen = oracle.read_request(head.prefix + _EXTRA + body)
    assert seen is not None, "h11 refuses what a replica gets"
    oracle.check_request_rewritten(meant, seen)
    assert (seen.whole, seen.body) == (meant.whole, meant.body)
    if seen.whole and head.body == BODY_CHUNKED:
        assert seen.rest == b""


def _accepted(raw: bytes) -> RequestHead | None:
    try:
        return _HEADS.request(raw)
    except FramingError:
        return None


def _rewritten_body(data: bytes, kind: int) -> bytes | None:
    """A request's body as it goes on; None when it is refused."""
    if kind != BODY_CHUNKED:
        return data
    reader = ChunkReader()
    try:
        pieces, _ = reader.feed(data)
    except FramingError:
        return None
    out = write_chunks(pieces) if pieces else b""
    return out + write_end(reader.trailers) if reader.done else out


def check_response(data: bytes, method: bytes) -> None:
    """A head of a final answer, and whatever follows."""
    end = data.find(_END) + 4
    if end < 4:
        return
    try:
        head = _HEADS.response(data[:end], method=method)
    except FramingError:
        return
    if head.status < 200:
        assert head.body == BODY_NONE
        return
    meant = oracle.read_response(data, method=method)
    assert meant is not None, "h11 refuses it"
    assert (meant.status, meant.version) == (head.status, b"1.%d" % head.minor)
    if head.body == BODY_NONE:
        assert meant.whole
        assert meant.rest == data[end:]
    elif head.body == BODY_FIXED:
        length = head.content_length or 0
        assert meant.whole is (len(data) - end >= length)
        assert meant.body == data[end : end + length]
        assert not meant.whole or meant.rest == data[end + length :]
    elif head.body == BODY_TO_CLOSE:
        assert not meant.whole
        assert meant.body == data[end:]
        assert not head.keep_alive
    if head.body in {BODY_CHUNKED, BODY_TO_CLOSE}:
        return
    seen = oracle.read_response(
        head.prefix + b"X-Request-Id: r\r\n\r\n" + data[end:], method=method
    )
    assert seen is not None, "h11 refuses what a client gets"
    oracle.check_response_rewritten(meant, seen)
    assert (seen.whole, seen.body, seen.rest) == (meant.whole, meant.body, meant.rest)


def check_chunks(data: bytes, size: int) -> None:
    """A chunked body in pieces of `size` bytes."""
    whole = _read([data])
    assert _read([data[at : at + size] for at in range(0, len(data), size)]) == whole
    if whole is None:
        return
    payload, trailers, rest, done = whole
    meant = oracle.read_request(_POST + data)
    assert meant is not None
    assert not meant.broken or not done, "h11 refuses it"
    if done:
        assert meant.whole
        assert (meant.body, meant.rest) == (payload, rest)
        forwarded = [t for t in meant.trailers if t[0].replace(b"_", b"-") not in KINDS]
        assert len(forwarded) == len(trailers)
        again = (write_chunks([payload]) if payload else b"") + write_end(trailers)
        seen = oracle.read_request(_POST + again)
        assert seen is not None
        assert (seen.whole, seen.body, seen.trailers, seen.rest) == (True, payload, forwarded, b"")
    elif not meant.broken:
        assert not meant.whole
        assert meant.body == payload


def _read(parts: list[bytes]) -> tuple[bytes, list[bytes], bytes, bool] | None:
    """What `ChunkReader` makes of parts; None when it refuses them."""
    reader = ChunkReader()
    payload = rest = b""
    for part in parts:
        if reader.done:
            rest += part
            continue
        try:
            pieces, rest = reader.feed(part)
        except FramingError:
            return None
        assert b"" not in pieces
        assert len(reader._buffer) <= max(MAX_SIZE_LINE, MAX_TRAILERS)
        payload += b"".join(pieces)
    return payload, reader.trailers, rest, reader.done
