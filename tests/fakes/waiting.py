"""Waiting for a condition, with a generous deadline instead of a guess at how long it takes."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 30.0
"""Never reached unless something is broken."""


async def until(condition: Callable[[], object], *, what: str = "the condition") -> None:
    """Return once `condition()` is true.

    Raises:
        AssertionError: It did not come true in `DEADLINE_S`.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + DEADLINE_S
    while not condition():
        assert loop.time() < deadline_s, f"{what} did not come true"
        await asyncio.sleep(0.005)
