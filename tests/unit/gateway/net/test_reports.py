"""When the autoscaler hears that somebody waits."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controlplane.model.reports import LoadReport, WorkerNumbers
from controlplane.model.sections import GatewaySettings
from controlplane.store.client import Store
from controlplane.store.errors import StoreError, StoreUnavailableError, WrongTypeError
from gateway.net.access_log import AccessLog
from gateway.net.endpoints import ProtonRoute
from gateway.net.policies import Policies
from gateway.net.reports import Reporter
from gateway.net.routes import Routes
from gateway.net.worker import Worker
from tests.fakes.virtual_time import run_virtual


class QuietStore:
    """Takes every report, and remembers when it was told to wake whom."""

    available = True

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.woken: list[tuple[str, float]] = []
        self.whole: list[LoadReport] = []
        self.numbers: list[WorkerNumbers] = []
        self.refuses: StoreError | None = None
        """Every report, for this reason."""
        self.unwakeable: dict[str, StoreError] = {}
        """Protons that cannot be woken, and why."""

    async def publish_report(self, report: LoadReport, *, ttl_s: float) -> None:
        """The beat."""
        self._take()
        self.whole.append(report)

    async def publish_numbers(self, numbers: WorkerNumbers, *, ttl_s: float) -> None:
        """Between two beats."""
        self._take()
        self.numbers.append(numbers)

    def _take(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def hear_usage(self, heard: object) -> None:
        """No other worker says anything."""
        await asyncio.Event().wait()

    async def wake(self, proton_id: str) -> None:
        """Somebody waits."""
        self.woken.append((proton_id, round(self._clock(), 3)))
        if proton_id in self.unwakeable:
            raise self.unwakeable[proton_id]


class Watched(set[Any]):
    """Tunnels that know how often they were looked at."""

    looks = 0

    def __iter__(self) -> Iterator[Any]:
        self.looks += 1
        return super().__iter__()


class Scene:
    """A reporter for one proton, on virtual time."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        worker = Worker(GatewaySettings(), worker_id="w", access_log=AccessLog("off"))
        worker.monotonic = clock
        self.tunnels = worker.tunnels = Watched()
        self.proton = ProtonRoute("p", "w", now_s=0.0)
        self.protons = {"p": self.proton}
        routes = SimpleNamespace(
            protons=self.protons, retired={}, revision=1, policies=Policies(worker.settings)
        )
        self.store = QuietStore(clock)
        self.reporter = Reporter(worker, cast(Routes, routes), cast(Store, self.store))
        self.reporter.start()

    def waits(self, caller: str) -> None:
        """A request joins the queue."""
        self.proton.room.enter(caller, cast(Any, caller))
        self.reporter.wake(self.proton)

    def served(self, caller: str) -> None:
        self.proton.room.leave(caller, cast(Any, caller))


def played(scenario: Callable[[Scene], Coroutine[Any, Any, None]]) -> list[tuple[str, float]]:
    """Wake-ups of a scenario."""

    async def play() -> list[tuple[str, float]]:
        scene = Scene()
        await scenario(scene)
        await scene.reporter.stop()
        return scene.store.woken

    return run_virtual(play())


def test_the_first_who_waits_wakes_at_once() -> None:
    async def scenario(scene: Scene) -> None:
        scene.waits("a")
        await asyncio.sleep(0.04)

    assert played(scenario) == [("p", 0.0)]


def test_many_who_come_during_the_pause_are_told_of_once_at_its_end() -> None:
    async def scenario(scene: Scene) -> None:
        for number in range(10):
            scene.waits(str(number))
            await asyncio.sleep(0.004)
        await asyncio.sleep(0.5)

    assert played(scenario) == [("p", 0.0), ("p", 0.05)]


def test_who_comes_during_the_pause_after_all_others_were_served_is_not_forgotten() -> None:
    async def scenario(scene: Scene) -> None:
        scene.waits("a")
        await asyncio.sleep(0.01)
        scene.served("a")
        await asyncio.sleep(0.01)
        scene.waits("b")
        await asyncio.sleep(0.1)

    assert played(scenario) == [("p", 0.0), ("p", 0.05)]


def test_who_has_been_served_by_the_end_of_the_pause_wakes_nobody() -> None:
    async def scenario(scene: Scene) -> None:
        scene.waits("a")
        scene.waits("b")
        scene.served("a")
        scene.served("b")
        await asyncio.sleep(3)

    assert played(scenario) == [("p", 0.0)]


def test_a_wake_up_is_repeated_every_second_while_somebody_waits() -> None:
    async def scenario(scene: Scene) -> None:
        scene.waits("a")
        await asyncio.sleep(2.75)

    assert played(scenario) == [("p", 0.0), ("p", 1.0), ("p", 2.0)]


def test_a_pause_does_not_outlive_the_reporter() -> None:
    async def scenario(scene: Scene) -> None:
        scene.waits("a")
        scene.waits("b")
        await asyncio.sleep(0.01)
        await scene.reporter.stop()
        await asyncio.sleep(1)

    assert played(scenario) == [("p", 0.0)]


def test_a_wake_up_brings_the_numbers_and_the_beat_whole_reports_however_often_somebody_wakes() -> (
    None
):
    async def scenario(scene: Scene) -> None:
        meter = scene.proton.meter
        for number in range(40):
            meter.start(asyncio.get_running_loop().time(), minute=0)
            scene.waits(str(number))
            await asyncio.sleep(0.06)
        assert [report.clock_s for report in scene.store.whole] == pytest.approx(
            [0.5, 1.0, 1.5, 2.0], abs=0.1
        )
        told = [numbers.protons["p"] for numbers in scene.store.numbers]
        assert [one.queued for one in told[:3]] == [1, 2, 3]
        last = scene.reporter.report()
        assert scene.reporter.numbers() == last.numbers()

    played(scenario)


def test_reports_that_fail_hold_back_no_wake_up_and_are_told_of_once(caplog: Any) -> None:
    async def scenario(scene: Scene) -> None:
        scene.store.refuses = WrongTypeError("another type")
        for number in range(10):
            await asyncio.sleep(0.1)
            scene.waits(str(number))
        await asyncio.sleep(0.05)
        scene.store.refuses = None
        await asyncio.sleep(0.5)
        assert scene.store.whole

    with caplog.at_level(logging.INFO, "gateway.net.reports"):
        woken = played(scenario)
    assert [at_s for _, at_s in woken] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert [record.getMessage() for record in caplog.records] == [
        "cannot report load: another type",
        "load is reported again",
    ]


@pytest.mark.parametrize("away", [False, True])
def test_a_wake_up_that_fails_is_repeated_and_holds_up_others_only_while_the_store_is_away(
    away: bool,
) -> None:
    async def scenario(scene: Scene) -> None:
        scene.store.unwakeable = {
            name: StoreUnavailableError("away") if away else WrongTypeError("another type")
            for name in "pq"
        }
        other = scene.protons["q"] = ProtonRoute("q", "w", now_s=0.0)
        other.room.enter("b", cast(Any, "b"))
        scene.reporter.wake(other)
        scene.waits("a")
        await asyncio.sleep(0.1)
        assert len(scene.store.woken) == (1 if away else 2)
        scene.store.woken.clear()
        scene.store.unwakeable = {}
        await asyncio.sleep(0.5)

    assert sorted(played(scenario)) == [("p", 0.5), ("q", 0.5)]


def test_tunnels_are_counted_on_the_beat_and_not_with_every_wake_up() -> None:
    async def scenario(scene: Scene) -> None:
        for number in range(40):
            scene.waits(str(number))
            await asyncio.sleep(0.06)
        assert len(scene.store.woken) == 40
        assert 4 <= scene.tunnels.looks <= 6

    played(scenario)
