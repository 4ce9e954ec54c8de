"""How much of a process is spent on decoding telemetry at a time."""

import asyncio
from typing import Final

from controlplane.telemetry.otlp import OtlpError

MAX_AT_ONCE: Final = 2
"""Requests that are decoded at a time, each in a thread: they share the interpreter."""
MAX_WAITING: Final = 32
"""Requests that may wait for that; beyond it, 503 at once."""


class Gate:
    """Bounds how many requests are decoded, and how many wait for it."""

    def __init__(self) -> None:
        self._running = asyncio.Semaphore(MAX_AT_ONCE)
        self._present = 0

    async def __aenter__(self) -> None:
        if self._present >= MAX_AT_ONCE + MAX_WAITING:
            raise OtlpError(503, "Too many requests at once.", retry_after_s=1)
        self._present += 1
        try:
            await self._running.acquire()
        except BaseException:
            self._present -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._running.release()
        self._present -= 1
