"""News: told at once to all who listen now, and kept nowhere. Whoever was away has missed it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

import msgspec

from controlplane.model.reports import UsageNews
from controlplane.model.spans import SpanNews
from controlplane.store.errors import StoreUnavailableError
from controlplane.store.link import Link

N = TypeVar("N", UsageNews, SpanNews)


async def tell(link: Link, *, channel: str, news: UsageNews | SpanNews) -> None:
    """Tell all who listen now."""
    await link.call("PUBLISH", channel, msgspec.msgpack.encode(news))


async def hear(link: Link, cls: type[N], *, channel: str, heard: Callable[[N], None]) -> None:
    """Have `heard` called with all news, one's own included, until cancelled."""
    decoder = msgspec.msgpack.Decoder(cls)

    def take(payload: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):  # of another version
            heard(decoder.decode(payload))

    try:
        with contextlib.suppress(StoreUnavailableError):  # in place once the link is up
            await link.subscribe(channel, take)
        await asyncio.Event().wait()
    finally:
        await link.unsubscribe(channel, take)
