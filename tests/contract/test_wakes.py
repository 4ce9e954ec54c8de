"""Wake-ups are heard at once, and not lost while nobody listens."""

import asyncio
from contextlib import aclosing

from tests.fakes.waiting import DEADLINE_S


async def take(wakes, count: int) -> list[str]:
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(wakes) for _ in range(count)]


async def test_a_wake_up_is_heard_by_another_process(store, second):
    async with aclosing(second.wakes()) as wakes:
        first = asyncio.create_task(take(wakes, 1))
        await asyncio.sleep(0)
        await store.wake("p1")
        assert await first == ["p1"]
        await store.wake("p2")
        assert await take(wakes, 1) == ["p2"]


async def test_a_wake_up_before_anybody_listened_is_heard_first(store, second):
    await store.wake("early")
    async with aclosing(second.wakes()) as wakes:
        assert await take(wakes, 1) == ["early"]


async def test_old_wake_ups_are_not_remembered(store, second):
    key = store.keys["wakes"]
    await store.link.call("ZADD", key, 1, "ancient")
    await store.wake("fresh")
    async with aclosing(second.wakes()) as wakes:
        assert await take(wakes, 1) == ["fresh"]


async def test_the_same_proton_waits_once(store, second):
    async with aclosing(second.wakes()) as wakes:
        await store.wake("a")
        assert await take(wakes, 1) == ["a"]
        for _ in range(20):
            await store.wake("b")
        await store.wake("c")
        await second.ping()  # everything published before has arrived
        assert await take(wakes, 2) == ["b", "c"]


async def test_every_listener_hears_it(store, second):
    async with aclosing(second.wakes()) as one, aclosing(second.wakes()) as other:
        both = asyncio.gather(take(one, 1), take(other, 1))
        await store.wake("p")
        assert await both == [["p"], ["p"]]


async def test_a_listener_that_leaves_is_unsubscribed(store, second):
    wakes = second.wakes()
    await store.wake("p")
    assert await take(wakes, 1) == ["p"]
    await wakes.aclose()
    assert second.link._handlers == {}
    await second.ping()
