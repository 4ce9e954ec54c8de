"""What gateway workers tell each other about used quotas: at once, and only to who listens.

Nothing is kept: whoever was away counts what came meanwhile as not used.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from controlplane.model.reports import UsageNews
from controlplane.store.errors import StoreUnavailableError
from controlplane.store.link import Link

_DECODER: Final = msgspec.msgpack.Decoder(UsageNews)


async def tell(link: Link, *, channel: str, news: UsageNews) -> None:
    """Tell all who listen now."""
    await link.call("PUBLISH", channel, msgspec.msgpack.encode(news))


async def hear(link: Link, *, channel: str, heard: Callable[[UsageNews], None]) -> None:
    """Have `heard` called with all news, one's own included, until cancelled."""

    def take(payload: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):  # of another version: it counts for itself
            heard(_DECODER.decode(payload))

    try:
        with contextlib.suppress(StoreUnavailableError):  # in place once the link is up
            await link.subscribe(channel, take)
        await asyncio.Event().wait()
    finally:
        await link.unsubscribe(channel, take)
