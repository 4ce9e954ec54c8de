"""The one owner of a process's connection to the store: opens it, keeps it, opens it again.

    link     means                                          a call
    -------  ---------------------------------------------  --------------------------------------
    down     no connection; the owner tries, with back-off  waits, at most its own deadline
    up       connected, checked, scripts loaded             is sent with the loop iteration's write
    closed   `close` was called                             fails at once

Every call of the store's is safe to repeat (reads, sets of cumulative values, commits that carry
an id), so a call whose connection is lost is sent again on the next one until its deadline.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from controlplane.store.address import Address
from controlplane.store.connection import Argument, Connection
from controlplane.store.errors import (
    StoreError,
    StoreSettingsError,
    StoreUnavailableError,
    VolatileStoreError,
    WrongTypeError,
)
from controlplane.store.handshake import open_connection
from controlplane.store.replies import MovedError, NoScriptError, OverloadError
from controlplane.store.scripts import Script
from controlplane.store.wrong_type import named

logger = logging.getLogger(__name__)

FIRST_BACKOFF_S: Final = 0.02
"""The embedded server is back within 50 ms of a crash: look soon."""

MAX_BACKOFF_S: Final = 1.0

STEADY_S: Final = 1.0
"""A connection that lived this long was a good one: the back-off starts anew."""

MessageHandler = Callable[[bytes], None]


class Link:
    """Owns the connection and its task; nobody else sends or reads.

    Invariants, each with a test of the same number:
        I1  a call ends within `call_timeout_s`: with its reply or with a `StoreError`.
        I2  a cancelled call changes nothing for any other.
        I3  subscriptions are in place before a connection counts as up.
    """

    def __init__(
        self,
        address: Address,
        *,
        client_name: str,
        meta_key: str,
        allow_volatile: bool = False,
        call_timeout_s: float = 5.0,
    ) -> None:
        """Prepare a link; `open` starts it.

        Args:
            address: The server.
            client_name: Shown by the server's CLIENT LIST.
            meta_key: Key of the hash that holds the revision counter.
            allow_volatile: Accept a server that keeps nothing over a restart.
            call_timeout_s: Longest time from a call to its end, waiting for a connection included.
        """
        self.address = address
        """Where the next connection goes: a cluster's node may have sent us on."""
        self._first_address = address
        self._client_name = client_name
        self._meta_key = meta_key
        self._allow_volatile = allow_volatile
        self._call_timeout_s = call_timeout_s
        self._connection: Connection | None = None
        self._up = asyncio.Event()
        self._closed = False
        self._owner: asyncio.Task[None] | None = None
        self._last_error: StoreError | None = None
        self._handlers: dict[str, list[MessageHandler]] = {}
        self._on_up: list[Callable[[], None]] = []

    @property
    def available(self) -> bool:
        """Whether the connection is up now."""
        return self._connection is not None and self._connection.usable

    async def open(self, *, timeout_s: float) -> None:
        """Start the owner task and wait for the first connection.

        Raises:
            StoreUnavailableError: Not reached in time.
            StoreSettingsError: The server refuses us; trying again would not help.
            VolatileStoreError: The server keeps nothing over a restart.
        """
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(first), name="store-link")
        try:
            async with asyncio.timeout(timeout_s):
                await first
        except BaseException as exc:
            await self.close()
            if isinstance(exc, TimeoutError):
                raise self._away() from exc
            raise

    async def close(self) -> None:
        """End the connection and the owner task; pending calls fail."""
        self._closed = True
        if self._owner is not None:
            self._owner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._owner
        self._up.set()  # let waiting calls see that it is over

    # -- calls --------------------------------------------------------------------------------

    async def call(self, *command: Argument) -> Any:  # noqa: ANN401 - a reply is any RESP value
        """Send one command and wait for its reply, over as many connections as it takes.

        Raises:
            StoreUnavailableError: No reply within `call_timeout_s`.
            StoreError: What the server answered.
        """
        keys = [str(argument) for argument in command[1:2]]
        return await self._within_deadline(lambda connection: connection.send(*command), keys)

    async def run(self, script: Script, keys: list[str], *arguments: Argument) -> Any:  # noqa: ANN401
        """Run one script, as `call`."""

        async def attempt(connection: Connection) -> object:
            try:
                return await connection.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await connection.send("EVAL", script.text, len(keys), *keys, *arguments)

        return await self._within_deadline(attempt, keys)

    async def _within_deadline(
        self, attempt: Callable[[Connection], Any], keys: Sequence[str] = ()
    ) -> Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._call_timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                while True:
                    connection = await self._usable()
                    try:
                        return await attempt(connection)
                    except OverloadError:
                        raise
                    except WrongTypeError as exc:
                        raise await named(connection, keys, exc) from exc
                    except StoreUnavailableError as exc:
                        self._last_error = exc
                        self._retire(connection, exc)
        except TimeoutError as exc:
            raise self._away() from exc

    async def _usable(self) -> Connection:
        while True:
            if self._closed:
                raise StoreUnavailableError("the store's client is closed")
            if self._connection is not None and self._connection.usable:
                return self._connection
            self._up.clear()
            await self._up.wait()

    def _retire(self, connection: Connection, exc: StoreUnavailableError) -> None:
        """A server that says it cannot serve us now is tried again on a new connection."""
        if isinstance(exc, MovedError):
            self.address = self.address.moved(exc.host, exc.port)
        connection.abort(str(exc))

    def _away(self) -> StoreUnavailableError:
        why = f": {self._last_error}" if self._last_error else ""
        return StoreUnavailableError(f"the store at {self.address} is away{why}")

    # -- subscriptions ------------------------------------------------------------------------

    async def subscribe(self, channel: str, handler: MessageHandler) -> None:
        """Have `handler` called with every message of a channel, from now on.

        Messages sent while the link is down are lost: see `on_up`.
        """
        handlers = self._handlers.setdefault(channel, [])
        handlers.append(handler)
        if len(handlers) == 1:
            await self._within_deadline(lambda connection: connection.subscribe(channel))

    async def unsubscribe(self, channel: str, handler: MessageHandler) -> None:
        """End `subscribe`; never fails, a lost connection has ended it too."""
        handlers = self._handlers.get(channel, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers and self._handlers.pop(channel, None) is not None:
            connection = self._connection
            if connection is not None and connection.usable:
                with contextlib.suppress(StoreError):
                    await connection.unsubscribe(channel)

    def on_up(self, callback: Callable[[], None]) -> None:
        """Have `callback` called each time the link comes up again."""
        self._on_up.append(callback)

    def remove_on_up(self, callback: Callable[[], None]) -> None:
        """End `on_up`."""
        self._on_up.remove(callback)

    def _on_message(self, channel: str, payload: bytes) -> None:
        for handler in list(self._handlers.get(channel, ())):
            handler(payload)

    # -- the owner ----------------------------------------------------------------------------

    async def _own(self, first: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        while True:
            since_s = loop.time()
            try:
                await self._live(first)
            except StoreError as exc:
                self._note(exc, first)
            except Exception as exc:
                logger.exception("the store's connection failed in an unforeseen way")
                self._note(StoreError(repr(exc)), first)
            if loop.time() - since_s > STEADY_S:
                backoff_s = FIRST_BACKOFF_S
            # Jitter: many processes lose the same server at the same moment.
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)

    async def _live(self, first: asyncio.Future[None]) -> None:
        """One connection, from its opening to its end."""
        connection = await self._connect()
        self._connection = connection
        self._last_error = None
        self._up.set()
        if not first.done():
            first.set_result(None)
        logger.info("connected to the store", extra={"address": str(self.address)})
        try:
            for callback in list(self._on_up):
                callback()
            await asyncio.shield(connection.lost)
        finally:
            self._up.clear()
            self._connection = None
            connection.abort("the store's client is closed")
            await connection.lost
        logger.info("the store's connection has ended", extra={"reason": connection.reason})

    def _note(self, exc: StoreError, first: asyncio.Future[None]) -> None:
        """Remember why there is no connection, and say so once."""
        if first.done() and str(exc) != str(self._last_error):
            logger.warning("the store is away", extra={"error": str(exc)})
        self._last_error = exc
        self.address = self._first_address
        if isinstance(exc, MovedError):
            self.address = self.address.moved(exc.host, exc.port)
        if isinstance(exc, (StoreSettingsError, VolatileStoreError)) and not first.done():
            first.set_exception(exc)

    async def _connect(self) -> Connection:
        return await open_connection(
            self.address,
            client_name=self._client_name,
            meta_key=self._meta_key,
            epoch=secrets.token_hex(8),
            allow_volatile=self._allow_volatile,
            channels=self._handlers,
            on_message=self._on_message,
            timeout_s=self._call_timeout_s,
        )
