"""The lease over virtual time: standby, leading, doubtful, lost."""

import asyncio
import contextlib

import pytest

from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import LEADERS, Leadership
from controlplane.store.errors import StoreFullError, StoreUnavailableError
from tests.fakes.lease_store import LeaseStore
from tests.fakes.virtual_time import run_virtual

TTL_S = 3.0


def leadership(store: LeaseStore, holder: str) -> Leadership:
    clock = asyncio.get_running_loop().time
    return Leadership(store, holder=holder, ttl_s=TTL_S, clock=clock)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def kept(one: Leadership):
    keeper = asyncio.create_task(one.keep())
    try:
        yield keeper
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


def test_a_leader_renews_and_a_standby_waits():
    async def scenario() -> None:
        store = LeaseStore()
        first, second = leadership(store, "a"), leadership(store, "b")
        await first.campaign()
        assert first.leading
        waiting = asyncio.create_task(second.campaign())
        async with kept(first):
            await asyncio.sleep(100)
            assert first.leading
            assert not second.leading
            assert second.polled
            assert not waiting.done()
        await asyncio.wait_for(waiting, TTL_S * 2)
        assert second.leading
        assert not first.leading
        assert store.journal[LEADERS] == [b"b", b"a"]

    run_virtual(scenario())


def test_resigning_hands_over_before_the_lease_runs_out():
    async def scenario() -> None:
        store = LeaseStore()
        first, second = leadership(store, "a"), leadership(store, "b")
        await first.campaign()
        await first.resign()
        assert not first.in_term
        before_s = asyncio.get_running_loop().time()
        await second.campaign()
        assert asyncio.get_running_loop().time() == before_s
        await first.resign()  # has nothing to give back any more
        assert second.leading

    run_virtual(scenario())


def test_resigning_without_the_store_is_only_logged():
    async def scenario() -> None:
        store = LeaseStore()
        one = leadership(store, "a")
        await one.campaign()
        store.away = True
        await one.resign()
        assert not one.in_term

    run_virtual(scenario())


def test_campaigning_outlives_a_store_that_is_away():
    async def scenario() -> None:
        store = LeaseStore()
        store.away = True
        one = leadership(store, "a")
        waiting = asyncio.create_task(one.campaign())
        await asyncio.sleep(50)
        assert not waiting.done()
        assert not one.polled
        store.away = False
        await asyncio.wait_for(waiting, TTL_S)
        assert one.leading

    run_virtual(scenario())


def test_a_store_that_is_away_makes_doubtful_and_not_lost():
    async def scenario() -> None:
        store = LeaseStore()
        one = leadership(store, "a")
        await one.campaign()
        async with kept(one) as keeper:
            store.away = True
            await asyncio.sleep(TTL_S * 20)
            assert not one.leading
            assert one.in_term
            with pytest.raises(StoreUnavailableError):
                await one.commit([])
            store.away = False
            await asyncio.sleep(TTL_S)
            assert one.leading
            assert not keeper.done()
            # The token is new: a write with the old one is refused, found out, and repeated.
            before = len(store.commits)
            await one.commit([])
            assert len(store.commits) == before + 1

    run_virtual(scenario())


def test_a_write_after_the_lease_ran_out_renews_it_first():
    async def scenario() -> None:
        store = LeaseStore()
        one = leadership(store, "a")
        await one.campaign()
        store._lease = None  # it ran out, nobody took it
        async with kept(one):
            await one.commit([])
            assert one.leading

    run_virtual(scenario())


@pytest.mark.parametrize("back", [False, True], ids=["still-theirs", "given-back"])
def test_a_lease_that_another_held_is_lost_even_when_it_is_free_again(back):
    async def scenario() -> None:
        store = LeaseStore()
        one, other = leadership(store, "a"), leadership(store, "b")
        await one.campaign()
        store._lease = None
        await other.campaign()
        if back:
            await other.resign()
        async with kept(one) as keeper:
            with pytest.raises(LeadershipLostError):
                await one.commit([])
            with pytest.raises(LeadershipLostError):
                await keeper
        assert not one.in_term
        with pytest.raises(LeadershipLostError):
            await one.commit([])
        if back:
            await one.campaign()
            assert one.leading

    run_virtual(scenario())


def test_a_full_store_is_the_writers_problem():
    async def scenario() -> None:
        store = LeaseStore()
        one = leadership(store, "a")
        await one.campaign()
        store.full = StoreFullError("disk")
        with pytest.raises(StoreFullError):
            await one.commit([])
        assert one.leading

    run_virtual(scenario())
