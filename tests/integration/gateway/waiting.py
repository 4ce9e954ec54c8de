"""Waiting for conditions: as long as it takes, and no longer than a deadline."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.integration.gateway.wire import DEADLINE_S, Wire


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, with turns of the loop in between."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for tells no event
            await asyncio.sleep(0.002)


async def until_async(condition: Callable[[], Awaitable[object]]) -> None:
    """The same for a condition that has to ask somebody."""
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.005)


async def blocked(wire: Wire) -> bool:
    """Whether the other side takes no more: what is written stays here for a while."""
    size = wire.writer.transport.get_write_buffer_size()
    if not size:
        return False
    await asyncio.sleep(0.2)
    return wire.writer.transport.get_write_buffer_size() == size
