"""From an address to a connection that calls may use: sign in, check, load, subscribe."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from controlplane.store import scripts
from controlplane.store.address import Address
from controlplane.store.connection import Connection
from controlplane.store.errors import (
    StoreError,
    StoreFullError,
    StoreSettingsError,
    StoreUnavailableError,
    VolatileStoreError,
    WrongTypeError,
)
from controlplane.store.wrong_type import named

logger = logging.getLogger(__name__)

REMEDY: Final = (
    "turn on `appendonly yes` (or `save` points) on the server, or accept the loss with "
    "store.allow_volatile=true"
)


async def open_connection(
    address: Address,
    *,
    client_name: str,
    meta_key: str,
    epoch: str,
    allow_volatile: bool,
    channels: Iterable[str],
    on_message: Callable[[str, bytes], None],
    timeout_s: float,
) -> Connection:
    """Connect, and make the connection ready for use.

    Args:
        address: The server.
        client_name: For the server's CLIENT LIST.
        meta_key: Key of the hash that holds the revision counter.
        epoch: Random text, the name of a new history should one begin (see `scripts`).
        allow_volatile: Accept a server that keeps nothing over a restart.
        channels: Subscriptions to put in place.
        on_message: Called with channel and payload of each message.
        timeout_s: For all of it, and later for each reply.

    Raises:
        StoreUnavailableError: Not reached, not ready, or too slow.
        StoreSettingsError: Wrong password, missing rights, or too old a server.
        VolatileStoreError: The server keeps nothing over a restart.
    """
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await _dial(address, on_message=on_message, reply_timeout_s=timeout_s)
            await _sign_in(connection, address, client_name)
            await _prepare(connection, meta_key, epoch, allow_volatile=allow_volatile)
            await asyncio.gather(*(connection.subscribe(channel) for channel in channels))
    except BaseException as exc:
        if connection is not None:
            connection.abort("the handshake with the store failed")
        if isinstance(exc, TimeoutError):
            raise StoreUnavailableError(f"{address} did not answer in {timeout_s:g} s") from exc
        if isinstance(exc, OSError):
            raise StoreUnavailableError(f"{address}: {exc.strerror or exc}") from exc
        raise
    return connection


async def _dial(
    address: Address, *, on_message: Callable[[str, bytes], None], reply_timeout_s: float
) -> Connection:
    loop = asyncio.get_running_loop()

    def factory() -> Connection:
        return Connection(on_message=on_message, reply_timeout_s=reply_timeout_s)

    if address.path is not None:
        return (await loop.create_unix_connection(factory, address.path))[1]
    context = await asyncio.to_thread(address.ssl_context) if address.tls else None
    return (await loop.create_connection(factory, address.host or "", address.port, ssl=context))[1]


async def _sign_in(connection: Connection, address: Address, client_name: str) -> None:
    auth: list[str] = []
    if address.password is not None:
        auth = ["AUTH", address.username or "default", address.password]
    try:
        await connection.send("HELLO", 3, *auth, "SETNAME", client_name)
        if address.database:
            await connection.send("SELECT", address.database)
    except StoreUnavailableError:
        raise
    except StoreSettingsError as exc:
        raise StoreSettingsError(f"{address}: {exc}; check the user and password") from exc
    except StoreError as exc:
        raise StoreSettingsError(f"{address} refuses the connection: {exc}") from exc


async def _prepare(
    connection: Connection, meta_key: str, epoch: str, *, allow_volatile: bool
) -> None:
    loads = [connection.send("SCRIPT", "LOAD", script.text) for script in scripts.ALL]
    info, *_ = await asyncio.gather(connection.send("INFO", "server"), *loads)
    if not allow_volatile:
        await _check_durable(connection)
    run_id = _field(info, "run_id")
    try:
        await connection.send("EVALSHA", scripts.OPEN.sha, 1, meta_key, run_id, epoch)
    except WrongTypeError as exc:
        raise StoreSettingsError(str(await named(connection, [meta_key], exc))) from exc
    except StoreFullError as exc:
        # Reads are still worth having: they tell every gateway where to route.
        logger.warning("the store takes no writes", extra={"error": str(exc)})


async def _check_durable(connection: Connection) -> None:
    try:
        appendonly, save = await asyncio.gather(
            connection.send("CONFIG", "GET", "appendonly"),
            connection.send("CONFIG", "GET", "save"),
        )
    except StoreUnavailableError:
        raise
    except StoreError as exc:
        raise VolatileStoreError(
            f"cannot tell whether the store's server keeps its data (CONFIG GET: {exc}); allow "
            f"CONFIG|GET to this user, or {REMEDY}"
        ) from exc
    if _value(appendonly) != "yes" and not _value(save):
        raise VolatileStoreError(f"the store's server keeps nothing over a restart; {REMEDY}")


def _value(reply: dict[bytes, bytes]) -> str:
    return next(iter(reply.values()), b"").decode()


def _field(info: Any, name: str) -> str:  # noqa: ANN401 - bytes, or a verbatim string's text
    text = info.decode() if isinstance(info, bytes) else str(info)
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return str(line.partition(":")[2])
    return ""
