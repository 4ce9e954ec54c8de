"""Ending one direction of a connection while the other one stays open."""

import asyncio


def half_close(transport: asyncio.Transport) -> bool:
    """Send a FIN after what is written; False when the connection cannot, or is gone already.

    Asyncio's own transport, unlike uvloop's, raises when the peer has reset the connection and the
    loop has not told yet. Whoever ends a direction expects no news in return: `connection_lost`
    brings it, as ever.
    """
    if not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:
        transport.abort()
        return False
    return True
