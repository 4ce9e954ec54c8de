"""What workers tell each other about used quotas is heard at once, by all, and kept nowhere."""

import asyncio

from controlplane.model.reports import UsageNews
from tests.fakes.waiting import DEADLINE_S

NEWS = UsageNews("worker-1", {"workload": {"caller": (3, 2), "other": (0, 1)}})


async def test_everybody_who_listens_hears_it_and_nobody_later(store, second):
    heard: list[list[UsageNews]] = [[], []]
    listening = [asyncio.create_task(second.hear_usage(found.append)) for found in heard]
    await second.ping()  # the subscription was sent before it
    async with asyncio.timeout(DEADLINE_S):
        while not all(heard):
            await store.tell_usage(NEWS)
            await asyncio.sleep(0.01)
    assert heard[0][0] == heard[1][0] == NEWS
    late: list[UsageNews] = []
    listening.append(asyncio.create_task(second.hear_usage(late.append)))
    await second.ping()
    assert late == []
    for task in listening:
        task.cancel()
    await asyncio.wait(listening)
    assert second.link._handlers == {}


async def test_what_cannot_be_read_is_passed_over(store, second):
    heard: list[UsageNews] = []
    listening = asyncio.create_task(second.hear_usage(heard.append))
    await second.ping()
    async with asyncio.timeout(DEADLINE_S):
        while not heard:
            for payload in (b"", b"\xff", b'{"json": 1}'):
                await store.link.call("PUBLISH", store.keys["usage"], payload)
            await store.tell_usage(NEWS)
            await asyncio.sleep(0.01)
    assert heard[0] == NEWS
    listening.cancel()
    await asyncio.wait([listening])
