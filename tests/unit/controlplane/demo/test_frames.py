"""WebSocket frames of the sample service: whole, byte by byte, and with more behind."""

import pytest

from controlplane.demo.frames import CLOSE, accept_key, make_frame, take_frame

MASK = bytes([1, 2, 3, 4])


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as clients send it."""
    plain = make_frame(opcode, payload, final=final)
    head = plain[: len(plain) - len(payload)]
    mixed = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return bytes([head[0], head[1] | 0x80]) + head[2:] + MASK + mixed


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("wrap", [masked, make_frame], ids=["client", "server"])
def test_a_frame_comes_back_as_it_was(size: int, wrap):
    payload = bytes(index % 251 for index in range(size))
    received = bytearray(wrap(0x2, payload, final=False) + b"rest")
    assert take_frame(received) == (0x2, False, payload)
    assert received == b"rest"


@pytest.mark.parametrize("size", [0, 5, 126])
def test_a_frame_byte_by_byte_is_taken_with_its_last_byte(size: int):
    frame = masked(CLOSE, b"x" * size)
    received = bytearray()
    for byte in frame[:-1]:
        received.append(byte)
        assert take_frame(received) is None
    received.append(frame[-1])
    assert take_frame(received) == (CLOSE, True, b"x" * size)


def test_the_handshake_is_the_standard_s_example():
    # RFC 6455 section 1.3
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
