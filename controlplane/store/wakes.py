"""Hearing wake-ups: at once by subscription, and afterwards what was said while nobody heard."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from controlplane.store.errors import StoreUnavailableError
from controlplane.store.link import Link


async def listen(link: Link, *, channel: str, key: str) -> AsyncGenerator[str, None]:
    """Yield proton ids as they are woken; see `Store.wakes`.

    Args:
        link: The connection.
        channel: Where wake-ups are published.
        key: Sorted set of the recent ones.
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
                with contextlib.suppress(StoreUnavailableError):  # then it comes up later
                    recent: list[bytes] = await link.call("ZRANGE", key, 0, -1)
                    waiting.update(dict.fromkeys(raw.decode() for raw in recent))
            while waiting:
                proton_id = next(iter(waiting))
                del waiting[proton_id]
                yield proton_id
    finally:
        link.remove_on_up(came_up)
        await link.unsubscribe(channel, heard)
