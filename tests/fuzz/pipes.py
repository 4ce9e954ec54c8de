"""Connections without sockets: a protocol at one end, a test at the other.

They behave as uvloop's transports do (asyncio's are milder): writes after the end raise, a pause
holds back what comes, closing waits until everything is taken, a half-closed connection whose
reading is resumed tells its end again.
"""

import asyncio
import socket
from collections import deque
from typing import Any, Protocol

HIGH_WATER = 200
"""Unread bytes above which the protocol is told to stop writing. Small: inputs are small too."""


class Watcher(Protocol):
    """Hears what a protocol writes and is given."""

    def wrote(self, pipe: "Pipe", data: bytes) -> None:
        """The protocol wrote."""

    def given(self, pipe: "Pipe", data: bytes) -> None:
        """The protocol is about to be given bytes of its peer."""


class _Socket:
    """What a protocol asks of the socket below: nothing that it is not told otherwise."""

    family = socket.AF_UNIX

    def getsockopt(self, _level: int, _option: int) -> int:
        return 0


class Pipe(asyncio.Transport):
    """One connection. Methods in the imperative are the protocol's, the others the peer's."""

    def __init__(self, protocol: Any, watcher: Watcher, *, peer: str = "127.0.0.1") -> None:
        super().__init__(extra={"peername": (peer, 1), "socket": _Socket()})
        self.protocol = protocol
        self._heard: list[bytes] = []
        self.unread = b""
        """Written, not read by the peer yet."""
        self.most_unread = 0
        self.closing = False
        self.aborted = False
        self.lost = False
        self.eof_written = False
        self._watcher = watcher
        self._losing = False
        self._stalled = False
        self._told_to_pause = False
        self._inbox: deque[bytes] = deque()
        self._peer_ended = False
        self.reading = True
        self._was_reset = False
        protocol.connection_made(self)

    @property
    def heard(self) -> bytes:
        """What the peer has read."""
        return b"".join(self._heard)

    @property
    def told_end(self) -> bool:
        """Whether the protocol has told its peer, in order, that it says no more."""
        return self.eof_written or (self.closing and not self.aborted and not self._was_reset)

    @property
    def ended_in_order(self) -> bool:
        """Whether the peer has ended in order, and the protocol knows."""
        return self._peer_ended and not self._inbox and not self._was_reset

    # ---- the protocol's side

    def write(self, data: Any) -> None:
        assert isinstance(data, bytes)
        assert not self.lost, "written after connection_lost"
        assert not self.eof_written, "written after write_eof"
        # Where the loop closes because the peer has ended, the protocol may not know yet.
        assert not self.closing or self.aborted or self._peer_ended, "written after close"
        if self._losing or not data:
            return
        self._watcher.wrote(self, data)
        if self._stalled:
            self.unread += data
            self.most_unread = max(self.most_unread, len(self.unread))
            if len(self.unread) > HIGH_WATER and not self._told_to_pause:
                self._told_to_pause = True
                self.protocol.pause_writing()
        else:
            self._heard.append(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        assert not self.lost, "write_eof after connection_lost"
        self.eof_written = True

    def pause_reading(self) -> None:
        if not self.closing:
            self.reading = False

    def resume_reading(self) -> None:
        if not self.closing and not self.reading:
            self.reading = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return len(self.unread)

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.reading = False
            if not self.unread:
                self._lose(None)

    def abort(self) -> None:
        if not self._losing:
            self.aborted = True
            self.closing = True
            self.reading = False
            self._lose(None)

    # ---- the peer's side

    def send(self, data: bytes) -> None:
        if data and not self._peer_ended:
            self._inbox.append(data)
            self._deliver()

    def end(self) -> None:
        """Send no more, in order."""
        self._peer_ended = True
        self._deliver()

    def reset(self) -> None:
        """End without order; what is under way is lost."""
        if not self._losing:
            self._was_reset = True
            self.closing = True
            self.reading = False
            self._lose(ConnectionResetError())

    def stall(self) -> None:
        """Read no more."""
        self._stalled = True

    def read(self) -> None:
        """Read again, all there is."""
        self._stalled = False
        if self._losing:
            return
        self._heard.append(self.unread)
        self.unread = b""
        if self._told_to_pause:
            self._told_to_pause = False
            self.protocol.resume_writing()
        if self.closing:
            self._lose(None)

    # ---- what the loop does

    def _deliver(self) -> None:
        while self._inbox and self.reading and not self.closing:
            data = self._inbox.popleft()
            self._watcher.given(self, data)
            self.protocol.data_received(data)
        if self._peer_ended and not self._inbox and self.reading and not self.closing:
            keep = self.protocol.eof_received()
            self.reading = False
            if not keep:
                self.close()

    def _lose(self, exc: Exception | None) -> None:
        if not self._losing:
            self._losing = True
            asyncio.get_running_loop().call_soon(self._lost, exc)

    def _lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.protocol.connection_lost(exc)
