"""Cancelled callers: nobody ever gets somebody else's reply."""

import asyncio
import contextlib
import random

import pytest

from controlplane.model.people import User
from controlplane.store.client import Put
from tests.fakes.people import record_id, user
from tests.fakes.waiting import until

RECORDS = 100


@pytest.fixture
async def filled(store):
    await store.commit([Put(user(number, f"n{number}")) for number in range(RECORDS)])
    return store


@pytest.mark.parametrize("seed", range(5))
async def test_replies_never_mix_when_callers_are_cancelled_by_the_hundred(filled, seed):
    chance = random.Random(seed)

    async def read(number: int) -> tuple[int, str]:
        found = await filled.get(User, record_id(number))
        assert found is not None
        return number, found.record.username

    async def write(number: int) -> tuple[int, str]:
        version = await filled.put(user(RECORDS + number, f"n{number}"))
        found = await filled.get(User, record_id(RECORDS + number))
        assert found is not None
        assert found.version >= version
        return number, found.record.username

    for _ in range(10):
        tasks = [
            asyncio.create_task((read if chance.random() < 0.8 else write)(number))
            for number in range(RECORDS)
        ]
        for task in chance.sample(tasks, 60):
            if chance.random() < 0.3:
                await asyncio.sleep(0)
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, asyncio.CancelledError)
            else:
                assert result[1] == f"n{result[0]}"
    assert await read(7) == (7, "n7")


async def test_callers_that_time_out_leave_the_connection_in_order(filled):
    for _ in range(50):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await filled.list(User)
        found = await filled.get(User, record_id(3))
        assert found is not None
        assert found.record.username == "n3"


async def test_a_cancelled_commit_happens_wholly_or_not_at_all(filled):
    for number in range(50):
        pair = [Put(user(1, f"c{number}")), Put(user(2, f"c{number}"))]
        task = asyncio.create_task(filled.commit(pair))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        names = [item.record.username for item in (await filled.list(User))[1:3]]
        assert names in (["n1", "n2"], [names[0]] * 2)


async def test_cancelled_callers_of_a_dead_connection_keep_nothing_alive(filled):
    tasks = [asyncio.create_task(filled.get(User, record_id(n))) for n in range(50)]
    await asyncio.sleep(0)
    filled.link._connection.abort("cut by the test")
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    # The others were sent again on the next connection.
    assert [result.record.username for result in results[1::2]] == [
        f"n{n}" for n in range(1, 50, 2)
    ]
    await until(lambda: not filled.link._connection._pending)
