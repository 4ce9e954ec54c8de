"""Long work gives the event loop back."""

import asyncio
from itertools import count

import pytest

from controlplane.api.turns import SLICE_S, in_turns


@pytest.mark.parametrize(
    ("items", "step_s", "turns"),
    [
        pytest.param(0, 1.0, 0, id="nothing-to-do"),
        pytest.param(1000, 0.0, 0, id="quick-work-is-done-at-once"),
        pytest.param(10, SLICE_S, 10, id="slow-items-take-a-turn-each"),
        pytest.param(100, SLICE_S * 0.3, 25, id="four-to-a-slice"),
    ],
)
async def test_others_get_their_turn_after_every_slice(items, step_s, turns):
    now = {"s": 0.0}
    others = 0

    async def look_on():
        nonlocal others
        for _ in count():
            await asyncio.sleep(0)
            others += 1

    def work(item):
        now["s"] += step_s
        return item

    looking = asyncio.create_task(look_on())
    await asyncio.sleep(0)
    others = 0
    done = [work(item) async for item in in_turns(range(items), clock=lambda: now["s"])]
    assert done == list(range(items))
    assert others == turns
    looking.cancel()
