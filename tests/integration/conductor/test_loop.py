"""One conductor at a time, over a real store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from controlplane.api.services import KINDS, Services
from controlplane.conductor.loop import LEASE, Conductor, Part
from controlplane.conductor.term import Term
from controlplane.model.people import User
from controlplane.model.sections import ConductorSettings, Settings
from controlplane.store.client import Put, Store
from controlplane.store.ids import ObjectIds
from controlplane.store.watch import Mirror
from tests.fakes.waiting import until

IDS = ObjectIds()


def user(name: str = "somebody") -> User:
    return User(id=IDS.new(), username=name, email=f"{name}@test", created_at=1.0)


class Counting:
    """A step that counts its calls, and fails where it is told to."""

    def __init__(self, term: Term, error: Exception | None = None) -> None:
        self.term = term
        self.calls = 0
        self._error = error

    async def step(self, now_s: float) -> None:
        self.calls += 1
        if self._error is not None:
            raise self._error


@pytest.fixture
async def services(store: Store) -> AsyncIterator[Services]:
    mirror = Mirror(store, KINDS)
    await mirror.start()
    settings = Settings(conductor=ConductorSettings(lease_ttl_s=0.6, tick_s=0.05))
    yield Services(store=store, mirror=mirror, settings=settings)
    await mirror.stop()


async def test_parts_step_again_and_again(services: Services):
    made: list[Counting] = []

    def parts(term: Term) -> list[Part]:
        made.append(Counting(term))
        return [Part(name="one", step=made[0])]

    async with Conductor(services, parts).running():
        await until(lambda: bool(made) and made[0].calls >= 3)
    calls = made[0].calls
    await asyncio.sleep(0.2)
    assert made[0].calls == calls


async def test_a_part_that_fails_does_not_stop_the_others(services: Services):
    bad: list[Counting] = []
    good: list[Counting] = []

    def parts(term: Term) -> list[Part]:
        bad.append(Counting(term, ValueError("broken")))
        good.append(Counting(term))
        return [Part(name="bad", step=bad[0]), Part(name="good", step=good[0])]

    async with Conductor(services, parts).running():
        await until(lambda: bool(good) and good[0].calls >= 3 and bad[0].calls >= 3)
    assert len(good) == 1


async def test_a_part_steps_at_once_when_its_records_change(services: Services):
    seldom: list[Counting] = []

    def parts(term: Term) -> list[Part]:
        seldom.append(Counting(term))
        kinds = frozenset({User})
        return [Part(name="seldom", step=seldom[0], kinds=kinds, every_s=3600)]

    async with Conductor(services, parts).running():
        await until(lambda: bool(seldom) and seldom[0].calls == 1)
        await services.store.commit([Put(user())])
        await until(lambda: seldom[0].calls == 2)


async def test_only_the_holder_of_the_lease_conducts_and_another_takes_over(services: Services):
    first, second = [], []
    one = Conductor(services, lambda term: first.append(term) or [])
    two = Conductor(services, lambda term: second.append(term) or [])
    async with contextlib.AsyncExitStack() as stack:
        async with one.running():
            await until(lambda: one.leading)
            await stack.enter_async_context(two.running())
            await asyncio.sleep(1)
            assert (len(first), len(second)) == (1, 0)
        await until(lambda: two.leading)
        assert len(second) == 1


async def test_commits_of_a_lost_term_are_refused_and_a_new_term_begins(services: Services):
    terms: list[Term] = []
    late: list[str] = []

    class Writing:
        def __init__(self, term: Term) -> None:
            self.term = term

        async def step(self, now_s: float) -> None:
            await self.term.commit([Put(user(f"user-{len(terms)}"))])
            late.append(f"user-{len(terms)}")

    def parts(term: Term) -> list[Part]:
        terms.append(term)
        return [Part(name="writing", step=Writing(term))]

    async with Conductor(services, parts).running():
        await until(lambda: "user-1" in late)
        # As after a long pause: the lease ran out, and somebody else held it for a while.
        await services.store.link.call("DEL", services.store.keys[f"lease:{LEASE}"])
        other = await services.store.acquire(LEASE, "another", ttl_s=0.3)
        assert other is not None
        names = {u.username for u in services.mirror.all(User).values()}
        await until(lambda: "user-2" in late)
    assert len(terms) == 2
    assert "user-1" in names


async def test_a_conductor_that_writes_nothing_learns_that_its_lease_is_gone(services: Services):
    made: list[Counting] = []

    def parts(term: Term) -> list[Part]:
        made.append(Counting(term))
        return [Part(name="idle", step=made[-1])]

    conductor = Conductor(services, parts)
    async with conductor.running():
        await until(lambda: bool(made))
        await services.store.link.call("DEL", services.store.keys[f"lease:{LEASE}"])
        assert await services.store.acquire(LEASE, "another", ttl_s=600) is not None
        await until(lambda: not conductor.leading)
        calls = made[0].calls
        await asyncio.sleep(0.3)
        assert (made[0].calls, len(made)) == (calls, 1)
