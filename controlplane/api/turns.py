"""Work over thousands of records, in turns with other requests on the same event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

SLICE_S: Final = 0.005
"""How long others wait while one request is worked on."""


async def in_turns(
    items: Iterable[T], *, clock: Callable[[], float] = time.perf_counter
) -> AsyncIterator[T]:
    """Each item, with a pause for others whenever the work on them has taken `SLICE_S`.

    Args:
        items: Must not change meanwhile.
        clock: Seconds.
    """
    until_s = clock() + SLICE_S
    for item in items:
        yield item
        if clock() >= until_s:
            await asyncio.sleep(0)
            until_s = clock() + SLICE_S
