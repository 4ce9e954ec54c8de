"""Has a client gone that we do not read from? The loop polls only what it reads."""

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.net.downstream import DownstreamProtocol

_CLOSE_WAIT = 8
"""tcp_states.h: the first byte of struct tcp_info."""

LOOK_S = 0.3
"""A round trip to most clients; three looks in the second in which a replica must be told."""


class Watch:
    """Looks at one client's socket from time to time, while the client is `unwatched`."""

    __slots__ = ("_asked", "_client", "_looking", "_loop")

    def __init__(self, client: "DownstreamProtocol", loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self._looking = False
        self._asked = False

    def begin(self) -> None:
        """Look until there is no need to; begun again, nothing changes."""
        if not self._looking:
            self._looking = True
            self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._looking = False
        client = self._client
        if client.unwatched:
            sock = client.transport.get_extra_info("socket")
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                client.transport.abort()  # it answered with a reset
                return
            if not self._asked and not client.half_closed and _has_ended(sock):
                # Its end stands behind bytes that we have not read.
                self._asked = True
                client.ask()
            self.begin()


def _has_ended(sock: socket.socket) -> bool:
    """Whether the other side has ended its direction, read or not. Linux; elsewhere: not known."""
    if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return False
    state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == _CLOSE_WAIT
