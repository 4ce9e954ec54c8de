"""An event loop whose clock jumps: hours of timers run in milliseconds, in the right order.

def test_the_lease_is_renewed() -> None:
    run_virtual(scenario())
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STUCK_S = 5.0
"""Real time without any event or timer after which a test counts as stuck."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: it tells the loop's clock to be there already."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:  # no timer: only a thread or a socket can wake the loop
            events = super().select(STUCK_S)
            if not events:
                raise RuntimeError("nothing is scheduled: the test would wait for ever")
            return events
        events = super().select(0)
        if not events and timeout > 0:
            self.now_s += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time; starts at 0 s."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """The loop's clock: it moves only when nothing else is left to do."""
        return self._jumping.now_s


def run_virtual(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on virtual time, and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario)
