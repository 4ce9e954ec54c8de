"""The chunked transfer coding (RFC 9112 section 7.1): read strictly, written plainly.

Both directions are decoded and coded anew, so that extensions, odd sizes and whatever else two
parsers might read differently end here.

    refused                                            why
    -------------------------------------------------  -----------------------------------
    size not hexadecimal, empty, or over 16 digits     overflow in somebody's parser
    white space after a size (legal only before `;`)   llhttp and h11 refuse it, others skip it
    a size line over 4 KiB                             extension floods
    bare LF or CR anywhere in a size line              two parsers, two ends
    chunk data not followed by CRLF                    the same
    trailers over 16 KiB                               header floods after the body
    a trailer line without a name                      obs-fold and garbage

Trailers that mean something in a head (framing, identity, routing) are dropped: RFC 9110 section
6.5.1 forbids them, and applications that merge trailers into the head would believe them.
"""

import re
from typing import Final

from gateway.core.framing import FramingError
from gateway.core.headers import PLAIN, meaning

MAX_SIZE_LINE: Final = 4096
MAX_TRAILERS: Final = 16_384

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_WHOLE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")

LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE_LINE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkReader:
    """Decodes one chunked body, fed in pieces of any size.

    `done` turns true with the last byte of the trailers; what `feed` returns as rest belongs to
    the next message. Memory is bounded: only an unfinished line is kept.
    """

    __slots__ = ("_buffer", "_left", "_state", "_trailer_bytes", "done", "trailers")

    def __init__(self) -> None:
        self._state = _SIZE_LINE
        self._buffer = b""
        self._left = 0
        self._trailer_bytes = 0
        self.trailers: list[bytes] = []
        self.done = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take bytes in.

        Returns:
            Pieces of payload in order, and the rest after the end of the body.

        Raises:
            FramingError: See the table above; nothing after it can be trusted.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        at = 0
        size = len(data)
        while at < size and not self.done:
            if self._state == _SIZE_LINE and (match := _WHOLE_LINE.match(data, at)) is not None:
                # Most chunks come whole, and there may be very many small ones.
                begin = match.end()
                end = begin + int(match[1], 16)
                if begin < end and data[end : end + 2] == b"\r\n":
                    pieces.append(data[begin:end])
                    at = end + 2
                    continue
            if self._state == _DATA:
                end = min(at + self._left, size)
                pieces.append(data[at:end])
                self._left -= end - at
                at = end
                if not self._left:
                    self._state = _DATA_END
                continue
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                self._keep(data[at:])
                return pieces, b""
            self._line(data[at:line_end])
            at = line_end + 2
        return pieces, data[at:]

    def _keep(self, part: bytes) -> None:
        limit = MAX_TRAILERS if self._state == _TRAILERS else MAX_SIZE_LINE
        if len(part) > limit or (self._state == _DATA_END and part != b"\r"):
            raise FramingError(400, "a chunk's line is too long or its end is missing")
        if b"\n" in part:
            raise FramingError(400, "a bare LF in a chunked body")
        self._buffer = part

    def _line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            if line:
                raise FramingError(400, "chunk data is longer than its size")
            self._state = _SIZE_LINE
        elif self._state == _SIZE_LINE:
            match = _SIZE.fullmatch(line) if len(line) <= MAX_SIZE_LINE else None
            if match is None:
                raise FramingError(400, "a chunk's size is not a plain hexadecimal number")
            self._left = int(match[1], 16)
            self._state = _DATA if self._left else _TRAILERS
        elif not line:
            self.done = True
            self._state = _DONE
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MAX_TRAILERS or _TRAILER.fullmatch(line) is None:
                raise FramingError(400, "trailers are malformed or too large")
            if meaning(line)[0] == PLAIN:
                self.trailers.append(line)


def write_chunks(pieces: list[bytes]) -> bytes:
    """Code pieces of payload as one chunk: what came together goes on together."""
    payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def write_end(trailers: list[bytes]) -> bytes:
    """The last chunk with the trailers."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n" + b"\r\n".join(trailers) + b"\r\n\r\n"
