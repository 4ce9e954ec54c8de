"""Long bodies of known length: read into one buffer that is used again.

A protocol that is given `bytes` costs a copy of everything that is read: a tenth and more of the
CPU time of an answer of 1 MiB. Here the kernel writes into the worker's scratch buffer and, where
the client takes it all, reads from the same memory, which stays in the processor's cache.

Interpreted on purpose: asyncio knows a `BufferedProtocol` by its base class, and calls it only a
few times per MiB. Not for replicas behind TLS, whose bytes are copied by decryption anyway.
"""

import asyncio
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from gateway.net.flow import Exchange
    from gateway.net.upstream import UpstreamProtocol

SIZE: Final = 256 * 1024
"""Bytes: about what the loop reads at a time otherwise. Nearly all pieces of 1 MiB fill it."""

WORTH_IT: Final = 64 * 1024
"""Bytes that must still come. To copy so many takes 2.8 us, to change over and back 1.2 us."""

SMALL: Final = 64 * 1024
"""Bytes. A shorter piece is copied: if its client is slow, it must not keep a whole buffer."""


class Scratch:
    """What all long bodies of a worker are read into, one piece at a time."""

    __slots__ = ("view",)

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Leave the buffer to whoever still writes from it."""
        self.view = memoryview(bytearray(SIZE + 1))


class BulkReader(asyncio.BufferedProtocol):
    """Stands in for an `UpstreamProtocol` at its transport, from within a response to its end.

    Meanwhile the other's `data_received` is not called; all its other callbacks are.
    """

    __slots__ = ("_left", "_scratch", "_upstream")

    def __init__(self, upstream: "UpstreamProtocol", scratch: Scratch, left: int) -> None:
        """Prepare for the rest of one response's body.

        Args:
            upstream: Whose transport this will be put at.
            scratch: The worker's.
            left: Bytes that must still come; more than 0.
        """
        self._upstream = upstream
        self._scratch = scratch
        self._left = left

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for what is left, and for one byte that must not come."""
        return self._scratch.view[: self._left + 1]

    def buffer_updated(self, nbytes: int) -> None:
        """Response bytes: relay them."""
        upstream = self._upstream
        exchange = upstream.exchange
        if exchange is None:
            upstream.abort()
            return
        left = self._left - nbytes
        if left > 0:
            self._left = left
            self._relay(exchange, nbytes)
        else:
            upstream.transport.set_protocol(cast(asyncio.Protocol, upstream))
            self._relay(exchange, nbytes + left)
            upstream.complete(exchange, reusable=not left)

    def _relay(self, exchange: "Exchange", nbytes: int) -> None:
        scratch, client = self._scratch, exchange.client.transport
        piece = scratch.view[:nbytes]
        if nbytes < SMALL or client.get_write_buffer_size():
            exchange.relay(bytes(piece))
            return
        exchange.relay(piece)
        if client.get_write_buffer_size():
            scratch.renew()

    def eof_received(self) -> bool:
        """The replica ends in the middle of its answer."""
        return self._upstream.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._upstream.connection_lost(exc)

    def pause_writing(self) -> None:
        """The replica does not read the request's body fast enough."""
        self._upstream.pause_writing()

    def resume_writing(self) -> None:
        """The replica reads again."""
        self._upstream.resume_writing()
