"""Floods against a gateway in a process of its own, and how to see that they hurt nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil

from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, Script
from tests.integration.gateway.waiting import blocked
from tests.integration.gateway.wire import DEADLINE_S, Head, Message, Wire

MIB = 1024 * 1024
GROWTH_BYTES = 24 * MIB
"""What a gateway may grow under a flood that would be hundreds of MiB if it were kept. Measured
floods stay below 10 MiB; the rest is room for the allocator."""

AT_MOST_BYTES = 160 * MIB
"""A flood that is not held up ends here: more than the gateway may grow, many times over."""

HELD_UP_BYTES = 48 * MIB
"""What the kernel's buffers and the gateway may swallow before a sender is held up."""

Handler = Callable[[Wire, Head], Any]


def by_path(**handlers: Handler) -> Script:
    """A replica that floods or is flooded on some paths, and answers `ok` on all others."""

    async def script(wire: Wire) -> None:
        while True:
            try:
                head = await wire.head()
            except TimeoutError:
                return  # not used any more
            handler = handlers.get(head.target.strip("/").partition("/")[0])
            if handler is not None:
                await handler(wire, head)
                return
            await wire.body(head, Message(head))
            wire.send(OK)

    return script


async def pour(wire: Wire, piece: bytes, *, at_most: int = AT_MOST_BYTES) -> int:
    """Write a piece again and again until the other side takes no more; the bytes it took.

    Whoever is refused, or cut off, stops as well.
    """
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < at_most and not wire.writer.transport.is_closing():
            wire.writer.write(piece)
            sent += len(piece)
            try:
                async with asyncio.timeout(0.5):
                    await wire.writer.drain()
            except TimeoutError:
                if await blocked(wire):
                    break
    return sent - wire.writer.transport.get_write_buffer_size()


async def pour_for_ever(wire: Wire, piece: bytes) -> None:
    """Write a piece again and again until the connection or the test ends."""
    with contextlib.suppress(ConnectionError):
        while not wire.writer.transport.is_closing():
            wire.writer.write(piece)
            await wire.writer.drain()


class Flooded:
    """A gateway under observation: how much it grows, and whether others are served."""

    def __init__(self, rig: Rig, gateway: ChildGateway) -> None:
        self.rig = rig
        self._process = psutil.Process(gateway.process.pid)
        self._before = 0

    def mark(self) -> None:
        """Everything from here on is growth."""
        self._before = self._process.memory_info().rss

    def grown(self) -> int:
        """Bytes of resident memory since `mark`."""
        return int(self._process.memory_info().rss) - self._before

    async def others_are_served(self, count: int = 20) -> None:
        """Users with nothing to do with the flood: all their requests complete."""
        kept = await self.rig.client()
        for number in range(count):
            kept.send(request("POST", f"/ok/{number}", body=b"x" * 1000))
            assert (await kept.answer()).body == b"ok"
        kept.close()
        answers = await asyncio.gather(
            *(self.rig.ask("GET", f"/ok/{number}") for number in range(count))
        )
        assert [answer.status for answer in answers] == [200] * count

    async def check(self) -> None:
        """In the middle of a flood, and after it."""
        await self.others_are_served()
        grown = self.grown()
        assert grown < GROWTH_BYTES, f"grown by {grown / MIB:.1f} MiB"


async def flooded(rig: Rig, **settings: Any) -> Flooded:
    """A gateway that has warmed up, marked. Its replica is the test's to announce before."""
    return Flooded(rig, await rig.start_child(**settings))


@contextlib.asynccontextmanager
async def crowd(rig: Rig, size: int, **options: Any) -> AsyncIterator[list[Wire]]:
    """So many client connections."""
    wires = [await rig.client(**options) for _ in range(size)]
    yield wires
    for wire in wires:
        wire.abort()


async def all_ended(wires: list[Wire]) -> None:
    """Wait until the gateway has ended every connection, in whatever way."""
    async with asyncio.timeout(DEADLINE_S * 3):
        await asyncio.gather(*(wire.rest() for wire in wires))
