"""Hearing wake-ups: at once by subscription, and afterwards what was said while nobody heard."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from controlplane.store.errors import StoreUnavailableError, WrongTypeError
from controlplane.store.link import Link
from controlplane.store.unreadable import Unreadable


async def listen(
    link: Link, *, channel: str, key: str, unreadable: Unreadable
) -> AsyncGenerator[str, None]:
    """Yield proton ids as they are woken; see `Store.wakes`.

    Args:
        link: The connection.
        channel: Where wake-ups are published.
        key: Sorted set of the recent ones.
        unreadable: Where it is told that the key holds something else.
    """
    waiting: dict[str, None] = {}
    news = asyncio.Event()
    missed = asyncio.Event()

    def heard(payload: bytes) -> None:
        waiting[payload.decode()] = None
        news.set()

    def came_up() -> None:
        missed.set()
        news.set()

    link.on_up(came_up)
    try:
        with contextlib.suppress(StoreUnavailableError):
            await link.subscribe(channel, heard)  # when away: in place once the link is up
        came_up()
        while True:
            await news.wait()
            news.clear()
            if missed.is_set():
                missed.clear()
                try:
                    recent: list[bytes] = await link.call("ZRANGE", key, 0, -1)
                    waiting.update(dict.fromkeys(raw.decode() for raw in recent))
                except StoreUnavailableError:
                    pass  # then it comes up later
                except WrongTypeError as exc:
                    unreadable.tell_key(key, exc)
            while waiting:
                proton_id = next(iter(waiting))
                del waiting[proton_id]
                yield proton_id
    finally:
        link.remove_on_up(came_up)
        await link.unsubscribe(channel, heard)
