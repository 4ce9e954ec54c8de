"""As much of WebSocket framing (RFC 6455 section 5.2) as the sample service's echo needs."""

import base64
import hashlib
from typing import Final

CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_HANDSHAKE: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_WIDE: Final = 126
"""A length of this says that the next 2 bytes hold it, `_WIDEST` the next 8."""
_WIDEST: Final = 127


def accept_key(key: bytes) -> bytes:
    """The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`."""
    digest = hashlib.sha1(key + _HANDSHAKE, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def take_frame(received: bytearray) -> tuple[int, bool, bytes] | None:
    """Take one whole frame off the front of `received`.

    Returns:
        Opcode, whether it is the last of its message, payload without mask; None: more is needed.
    """
    start, size = 2, received[1] & 0x7F if len(received) > 1 else 0
    if size in {_WIDE, _WIDEST}:
        wide = 2 if size == _WIDE else 8
        start, size = start + wide, int.from_bytes(received[2 : 2 + wide], "big")
    masked = len(received) > 1 and bool(received[1] & 0x80)
    end = start + 4 * masked + size
    if len(received) < max(end, start):
        return None
    opcode, final = received[0] & 0x0F, bool(received[0] & 0x80)
    payload = bytes(received[start + 4 * masked : end])
    if masked:
        key = bytes(received[start : start + 4]) * (size // 4 + 1)
        payload = bytes(a ^ b for a, b in zip(payload, key, strict=False))
    del received[:end]
    return opcode, final, payload


def make_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as servers send it: whole or a part (`final` false), not masked."""
    size = len(payload)
    first = (0x80 if final else 0) | opcode
    if size < _WIDE:
        return bytes([first, size]) + payload
    if size < 1 << 16:
        return bytes([first, _WIDE]) + size.to_bytes(2, "big") + payload
    return bytes([first, _WIDEST]) + size.to_bytes(8, "big") + payload
