"""One connection to the server: commands out, replies back in the same order, pushes aside.

RESP3 on purpose: it tells messages of subscriptions from replies, so that one connection
carries everything. The grammar is `hiredis`; what is ours is the order of replies. What belongs
elsewhere: connecting again (`link`), what the commands mean (`records`, `reports`, ...).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import hiredis

from controlplane.store.replies import ConnectionLostError, OverloadError, error_from_reply

MAX_PENDING: Final = 100_000
"""Most commands without a reply. A server this far behind is away."""

CHECK_INTERVAL_S: Final = 0.5
"""How often the age of the oldest unanswered command is looked at."""

Argument = str | bytes | int | float


@dataclass(slots=True)
class _Pending:
    """A command that waits for its reply."""

    future: asyncio.Future[Any]
    sent_s: float
    echo: bytes | None = None
    """Set for subscriptions: the reply that ends them; errors may come before it."""


class Connection(asyncio.Protocol):
    """Matches replies to commands by their order, and by nothing else.

    Owned by one `Link`. Each command has a place in `_pending`; a caller that is cancelled
    cancels its future only: the place stays, and its reply is read and dropped.

    Invariants, each with a test of the same number:
        I1  the n-th reply goes to the n-th command, whoever has been cancelled meanwhile.
        I2  when the connection ends, every pending future ends with `ConnectionLostError`.
        I3  a command whose reply does not come within `reply_timeout_s` ends the connection.
    """

    def __init__(self, *, on_message: Callable[[str, bytes], None], reply_timeout_s: float) -> None:
        """Prepare one connection.

        Args:
            on_message: Called with channel and payload of each message of a subscription.
            reply_timeout_s: Longest wait for a reply.
        """
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._reply_timeout_s = reply_timeout_s
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._pending: deque[_Pending] = deque()
        self._unsent: list[bytes] = []
        self._check: asyncio.TimerHandle | None = None
        self.reason = "the connection to the store was closed"
        """Why it has ended, once it has."""
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection has ended, for whatever reason."""

    @property
    def usable(self) -> bool:
        """Whether a command sent now can reach the server, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, *command: Argument) -> asyncio.Future[Any]:
        """Queue one command; all of one loop iteration go out in one write.

        Returns:
            A future of the reply; it fails with a `StoreError`.
        """
        return self._queue(_pack(command), echo=None)

    def subscribe(self, channel: str) -> asyncio.Future[Any]:
        """Subscribe; the future is done once messages will come.

        SUBSCRIBE has no reply in RESP3 (its confirmation is a push), but its refusal is one: the
        ECHO behind it tells the two apart, and keeps the order of replies. (Not PING: a server
        whose disk is full refuses that.)
        """
        echo = f"subscribed {channel}".encode()
        return self._queue(_pack(("SUBSCRIBE", channel)) + _pack(("ECHO", echo)), echo=echo)

    def unsubscribe(self, channel: str) -> asyncio.Future[Any]:
        """End a subscription."""
        echo = f"unsubscribed {channel}".encode()
        return self._queue(_pack(("UNSUBSCRIBE", channel)) + _pack(("ECHO", echo)), echo=echo)

    def abort(self, reason: str) -> None:
        """End the connection now; pending commands fail with `reason`."""
        self.reason = reason
        if self._transport is not None:
            self._transport.abort()

    def _queue(self, data: bytes, *, echo: bytes | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self.usable:
            future.set_exception(ConnectionLostError(self.reason))
        elif len(self._pending) >= MAX_PENDING:
            future.set_exception(OverloadError("the store's server is too far behind"))
        else:
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent.append(data)
            self._pending.append(_Pending(future, self._loop.time(), echo))
            if self._check is None:
                self._check = self._loop.call_later(CHECK_INTERVAL_S, self._check_age)
        return future

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _check_age(self) -> None:
        self._check = None
        if not self._pending:
            return
        if self._loop.time() - self._pending[0].sent_s > self._reply_timeout_s:
            self.abort(f"the store's server did not answer within {self._reply_timeout_s:g} s")
            return
        self._check = self._loop.call_later(CHECK_INTERVAL_S, self._check_age)

    # -- called by the event loop -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is up."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand out every reply and message that is complete."""
        self._reader.feed(data)
        try:
            while (item := self._reader.gets()) is not False:
                if isinstance(item, hiredis.PushNotification):
                    self._push(item)
                else:
                    self._reply(item)
        except hiredis.ProtocolError as exc:
            self.abort(f"the store's server does not speak its protocol: {exc}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is pending; nobody is left waiting."""
        if exc is not None:
            self.reason = f"the connection to the store was lost: {exc}"
        if self._check is not None:
            self._check.cancel()
        self._unsent.clear()
        while self._pending:
            future = self._pending.popleft().future
            if not future.done():
                future.set_exception(ConnectionLostError(self.reason))
        if not self.lost.done():
            self.lost.set_result(None)

    def _push(self, item: list[Any]) -> None:
        if item and item[0] == b"message":
            self._on_message(item[1].decode(), item[2])

    def _reply(self, item: object) -> None:
        if not self._pending:
            self.abort("the store's server sent a reply that nobody asked for")
            return
        pending = self._pending[0]
        failed = isinstance(item, hiredis.ReplyError)
        if pending.echo is None or item == pending.echo:
            self._pending.popleft()
        if pending.future.done():
            return
        if failed:
            pending.future.set_exception(error_from_reply(str(item)))
        else:
            pending.future.set_result(item)


def _pack(command: tuple[Argument, ...]) -> bytes:
    return cast("bytes", hiredis.pack_command(command))  # type: ignore[arg-type]
