"""The virtual clock is a clock: ordered, exact, and it never really waits."""

import asyncio
import time

import pytest

from tests.fakes import virtual_time
from tests.fakes.virtual_time import run_virtual


def test_an_hour_passes_at_once():
    async def scenario() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    before_s = time.monotonic()
    assert run_virtual(scenario()) == pytest.approx(3600)
    assert time.monotonic() - before_s < 60


def test_timers_run_in_their_order_whatever_order_they_were_set_in():
    async def scenario() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[str, float]] = []
        for name, delay_s in [("c", 30), ("a", 0.5), ("b", 2)]:
            loop.call_later(delay_s, lambda name=name: seen.append((name, round(loop.time(), 3))))
        await asyncio.sleep(31)
        return seen

    assert run_virtual(scenario()) == [("a", 0.5), ("b", 2), ("c", 30)]


def test_time_stands_still_while_there_is_something_to_do():
    async def scenario() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 0


def test_timeouts_fire_on_virtual_time():
    async def scenario() -> None:
        async with asyncio.timeout(600):
            await asyncio.sleep(601)

    with pytest.raises(TimeoutError):
        run_virtual(scenario())


def test_work_in_threads_still_wakes_the_loop():
    async def scenario() -> int:
        return await asyncio.to_thread(lambda: 7)

    assert run_virtual(scenario()) == 7


def test_a_scenario_that_waits_for_nothing_is_an_error_not_a_hang(monkeypatch):
    monkeypatch.setattr(virtual_time, "STUCK_S", 0.01)

    async def scenario() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing is scheduled"):
        run_virtual(scenario())
