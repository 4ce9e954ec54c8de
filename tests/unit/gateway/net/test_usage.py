"""How soon workers know what the others let through, and when one that is gone is forgotten."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from controlplane.model.reports import UsageNews
from controlplane.model.sections import GatewaySettings
from controlplane.model.traffic import Quota, Traffic
from controlplane.store.client import Store
from controlplane.store.errors import StoreUnavailableError
from gateway.core.quotas import QuotaBook, Usage
from gateway.net.access_log import AccessLog
from gateway.net.policies import Policies
from gateway.net.usage import UsageTeller
from gateway.net.worker import Worker
from tests.fakes.virtual_time import run_virtual


class Channel:
    """A store of which only the channel is used; it can be away."""

    def __init__(self) -> None:
        self.available = True
        self.said: list[float] = []
        self._listeners: list[Callable[[UsageNews], None]] = []

    async def tell_usage(self, news: UsageNews) -> None:
        if not self.available:
            raise StoreUnavailableError("away")
        self.said.append(round(asyncio.get_running_loop().time(), 4))
        for listener in self._listeners:
            listener(news)

    async def hear_usage(self, heard: Callable[[UsageNews], None]) -> None:
        self._listeners.append(heard)
        await asyncio.Event().wait()


class Side:
    """One worker with a quota on one workload."""

    def __init__(self, name: str, channel: Channel, quota: Quota) -> None:
        settings = GatewaySettings()
        worker = Worker(settings, worker_id=name, access_log=AccessLog("off"))
        self.clock = worker.monotonic = asyncio.get_running_loop().time
        self.policies = Policies(settings)
        self.policies.apply("w", Traffic(quota=quota), ())
        self.teller = UsageTeller(worker, self.policies, cast(Store, channel))
        self.teller.start()

    @property
    def book(self) -> QuotaBook:
        book = self.policies.book("w")
        assert book is not None
        return book

    def sends(self, caller: str = "c") -> Usage | None:
        """A request; None when it is refused."""
        taken = self.book.take(caller, self.clock())
        return taken if isinstance(taken, Usage) else None


def played(
    scenario: Callable[[Channel, Side, Side], Coroutine[Any, Any, None]],
    quota: Quota = Quota(requests_per_minute=3, concurrent_requests=3),  # noqa: B008 - frozen
) -> None:
    """A scenario with two workers."""

    async def play() -> None:
        channel = Channel()
        sides = [Side(name, channel, quota) for name in ("here", "there")]
        await asyncio.sleep(0.001)
        await scenario(channel, *sides)
        for side in sides:
            await side.teller.stop()

    run_virtual(play())


def test_the_first_request_is_told_at_once_and_many_after_a_pause() -> None:
    async def scenario(channel: Channel, here: Side, there: Side) -> None:
        assert here.sends()
        await asyncio.sleep(0.001)
        assert here.sends()
        assert here.sends()
        await asyncio.sleep(0.001)
        assert len(channel.said) == 1
        await asyncio.sleep(0.01)
        assert len(channel.said) == 2
        assert there.sends() is None

    played(scenario)


def test_without_requests_nothing_is_said() -> None:
    async def scenario(channel: Channel, here: Side, there: Side) -> None:
        usage = here.sends()
        assert usage is not None
        usage.end()
        await asyncio.sleep(60)
        assert len(channel.said) == 1

    played(scenario)


def test_a_worker_that_says_nothing_any_more_is_forgotten_with_its_running_requests() -> None:
    async def scenario(channel: Channel, here: Side, there: Side) -> None:
        for _ in range(3):
            assert there.sends()
        await asyncio.sleep(30)
        assert here.sends() is None, "they run for long, and the worker says so"
        channel.available = False
        await there.teller.stop()  # as if it was killed: its last word is not heard
        channel.available = True
        await asyncio.sleep(40)
        assert here.sends()

    played(scenario)


def test_an_orderly_end_is_told() -> None:
    async def scenario(channel: Channel, here: Side, there: Side) -> None:
        running = [there.sends() for _ in range(3)]
        await asyncio.sleep(0.002)
        for usage in running:
            assert usage is not None
            usage.end()
        await there.teller.stop()
        assert here.sends()

    played(scenario, Quota(concurrent_requests=3))


def test_while_the_store_is_away_each_counts_for_itself() -> None:
    async def scenario(channel: Channel, here: Side, there: Side) -> None:
        channel.available = False
        for side in (here, there):
            assert all(side.sends() for _ in range(3))
            assert side.sends() is None
        await asyncio.sleep(0.1)
        channel.available = True

    played(scenario)


def test_news_of_workloads_without_a_quota_here_are_passed_over() -> None:
    async def scenario(channel: Channel, here: Side, there: Side) -> None:
        there.policies.apply("w", Traffic(), ())
        assert here.sends()
        await asyncio.sleep(0.01)
        assert there.policies.book("w") is None

    played(scenario)
