"""A client has ended its side of the connection: is it half-closed, or gone?

    its request is  its response is    then
    --------------  -----------------  -------------------------------------------------------
    not whole       any                gone: there will be no rest
    whole           not begun          half-closed; `100 Continue` finds out
    whole           chunked            half-closed; a zero finds out
    whole           begun < 1 s ago    half-closed: its end and our head crossed
    whole           begun before       gone, unless more requests of its own wait in line

One who is gone answers whatever is written with a reset. An interim response may be written at any
time before the response (RFC 9110 section 15.2), and a chunk's size may begin with zeros (RFC 9112
section 7.1). Whoever asks in HTTP/1.0 is not asked before its response.
"""

from typing import Final

from gateway.core.exchange import COMMITTED, Phase

CROSSING_S: Final = 1.0
STILL_THERE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def is_half_closed(
    phase: Phase, *, body_done: bool, chunked: bool, more: bool, since_s: float
) -> bool:
    """Whether to go on with the exchange of a client that sends no more.

    Args:
        phase: Of its exchange; no tunnel.
        body_done: Its request is whole.
        chunked: Its response has begun, in chunks.
        more: Requests of its own have been read ahead.
        since_s: Seconds since the request began.
    """
    if not body_done:
        return False
    return phase < COMMITTED or chunked or more or since_s < CROSSING_S


def question(phase: Phase, *, minor: int, chunked: bool) -> bytes:
    """What to write to find out whether it is still there; empty: nothing can be written."""
    if phase < COMMITTED:
        return STILL_THERE if minor else b""
    return b"0" if chunked else b""
