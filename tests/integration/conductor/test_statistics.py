"""The recorder over a real store: whatever dies, requests are counted once."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from controlplane.api.services import KINDS, Services
from controlplane.conductor.loop import LEASE
from controlplane.conductor.statistics import Recorder
from controlplane.conductor.term import Term
from controlplane.lifecycle.counting import RETOLD_S
from controlplane.model.kinds import Record
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.sections import Settings
from controlplane.model.statistics import (
    SUMMARY,
    VERSION,
    Bucket,
    Level,
    Summary,
    bucket_of_field,
    decode_bucket,
    decode_summary,
)
from controlplane.model.workloads import Workload
from controlplane.store.client import Put, Store
from controlplane.store.errors import FencedError
from controlplane.store.statistics import Statistics
from controlplane.store.watch import Mirror
from tests.fakes.waiting import DEADLINE_S
from tests.unit.controlplane.lifecycle import worlds

NOW_S = 1_800_000_000.0
WORKLOAD = worlds.workload()
PROTON = "c" * 24


class Scene:
    """A store with one workload, and whoever has the lease."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.statistics = Statistics(services.store)
        self.now_s = NOW_S
        self._holders = 0
        self._term: Term | None = None

    async def recorder(self) -> Recorder:
        """A new one, on a new lease; the one before does not know of it."""
        return Recorder(await self.term(), monotonic=lambda: 0.0)

    async def term(self) -> Term:
        """A new term."""
        store = self.services.store
        if self._term is not None:
            await store.release(self._term.lease)
        self._holders += 1
        lease = await store.acquire(LEASE, f"holder-{self._holders}", ttl_s=600)
        assert lease is not None
        self._term = Term(self.services, lease)
        return self._term

    async def write(self, record: Record) -> None:
        revision = await self.services.store.commit([Put(record)])
        await self.services.mirror.reached(revision, timeout_s=DEADLINE_S)

    async def report(
        self, started: int, *, worker: str = "w1", clock_s: float = 1.0, ttl_s: float = 600, **of
    ) -> None:
        """A worker says how many requests it has had."""
        load = ProtonLoad(
            workload_id=WORKLOAD.id,
            started=started,
            **({"finished": {"2xx": started}, "response_time": {700: started}} | of),
        )
        await self.services.store.publish_report(
            LoadReport(
                worker_id=worker,
                sent_at=self.now_s,
                clock_s=clock_s,
                revision=1,
                protons={PROTON: load},
            ),
            ttl_s=ttl_s,
        )

    async def dies(self, worker: str) -> None:
        """Wait until a worker's report has expired."""
        async with asyncio.timeout(DEADLINE_S):
            while worker in {r.worker_id for r in await self.services.store.collect_reports()}:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def totals(self) -> list[Bucket]:
        """Everything in the minutes, the hours, the days."""
        fields = await self.statistics.read_all(WORKLOAD.id)
        found = dict.fromkeys(Level, Bucket())
        for name, value in fields.items():
            place = bucket_of_field(name)
            if place is not None:
                found[place[0]] += decode_bucket(value)
        return list(found.values())

    async def started(self) -> int:
        """All requests that were counted; minutes, hours and days agree."""
        [started] = {bucket.started for bucket in await self.totals()}
        return started

    async def summary(self) -> Summary:
        return decode_summary((await self.statistics.read(WORKLOAD.id, [SUMMARY])).get(SUMMARY))

    async def version(self) -> int:
        return int((await self.statistics.read(WORKLOAD.id, [VERSION])).get(VERSION, b"0"))


@pytest.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    mirror = Mirror(store, KINDS)
    await mirror.start()
    found = Scene(Services(store=store, mirror=mirror, settings=Settings()))
    await found.write(WORKLOAD)
    yield found
    await mirror.stop()


async def test_what_workers_report_is_recorded(scene):
    recorder = await scene.recorder()
    await scene.report(3, load_seconds=1.5)
    await scene.report(4, worker="w2", finished={"2xx": 2, "5xx": 1}, in_flight=1)
    await recorder.step(scene.now_s)
    minutes, hours, days = await scene.totals()
    assert minutes == hours == days
    assert (days.started, days.ended, days.server_errors, days.load_seconds) == (7, 6, 1, 1.5)
    assert days.response_time == {700: 7}
    summary = await scene.summary()
    assert (summary.under_way, summary.protons) == (1, (PROTON,))


async def test_workloads_without_traffic_are_not_written(scene):
    recorder = await scene.recorder()
    await scene.report(3)
    await recorder.step(scene.now_s)
    for clock_s in range(2, 6):
        await scene.report(3, clock_s=clock_s)
        await recorder.step(scene.now_s)
    assert await scene.version() == 1


async def test_a_new_recorder_goes_on_where_the_old_one_was_killed(scene):
    await scene.report(3)
    await (await scene.recorder()).step(scene.now_s)
    await scene.report(5, clock_s=2)
    recorder = await scene.recorder()
    await recorder.step(scene.now_s)
    await recorder.step(scene.now_s)
    assert await scene.started() == 5


async def test_a_recorder_that_has_lost_its_lease_writes_nothing(scene):
    old = await scene.recorder()
    await scene.report(3)
    await old.step(scene.now_s)
    new = await scene.recorder()
    await scene.report(5, clock_s=2)
    with pytest.raises(FencedError):
        await old.step(scene.now_s)
    assert await scene.started() == 3
    await new.step(scene.now_s)
    assert await scene.started() == 5


async def test_the_last_report_of_a_worker_that_died_is_counted_and_forgotten(scene):
    await scene.report(3, in_flight=1, ttl_s=0.05)
    await scene.dies("w1")
    recorder = await scene.recorder()
    await recorder.step(scene.now_s)
    assert await scene.started() == 3
    assert (await scene.summary()).under_way == 0
    assert await scene.statistics.reports() == []


async def test_a_worker_that_comes_back_from_silence_counts_no_request_again(scene):
    recorder = await scene.recorder()
    await scene.report(3, ttl_s=0.05)
    await scene.dies("w1")
    await recorder.step(scene.now_s)
    await scene.report(4, clock_s=2)
    await recorder.step(scene.now_s)
    assert await scene.started() == 4


async def test_workers_that_were_idle_for_more_than_a_day_count_no_request_again(scene):
    recorder = await scene.recorder()
    counts = {"w1": 500, "w2": 500}
    for hour in range(26):
        scene.now_s = NOW_S + hour * 3600
        for worker, started in counts.items():
            await scene.report(started, worker=worker, clock_s=1 + hour)
        await recorder.step(scene.now_s)
    for clock_s, worker in enumerate(counts, 100):  # the first one's request brings the sweep
        scene.now_s += 3600
        await scene.report(501, worker=worker, clock_s=clock_s)
        await recorder.step(scene.now_s)
    days = (await scene.totals())[-1]
    assert days.started == 1002


async def test_the_statistics_of_an_idle_worker_do_not_expire(scene):
    recorder = await scene.recorder()
    await scene.report(500)
    await recorder.step(scene.now_s)
    store = scene.services.store
    key = store.keys[f"stats:{WORKLOAD.id}"]
    await store.link.call("EXPIRE", key, 60)
    scene.now_s += RETOLD_S
    await scene.report(500, clock_s=2)
    await recorder.step(scene.now_s)
    assert await store.link.call("TTL", key) > 60
    assert (await scene.totals())[-1].started == 500


async def test_a_dead_worker_is_not_kept_in_memory_by_its_report(scene):
    recorder = await scene.recorder()
    await scene.report(3)
    await recorder.step(scene.now_s)
    await recorder.step(scene.now_s + 2 * RETOLD_S)
    assert await scene.version() == 1


async def test_the_report_of_a_dead_worker_does_not_wait_for_a_purged_workload(scene):
    recorder = await scene.recorder()
    await scene.services.store.delete(Workload, WORKLOAD.id)
    await scene.services.mirror.reached(await scene.services.store.commit([]), timeout_s=20)
    await scene.report(3, ttl_s=0.05)
    await scene.dies("w1")
    await recorder.step(scene.now_s)
    assert await scene.statistics.reports() == []


async def test_the_report_of_a_dead_worker_waits_until_it_could_be_written(scene, monkeypatch):
    recorder = await scene.recorder()
    await scene.report(3, ttl_s=0.05)
    await scene.dies("w1")

    async def late(*_, **__) -> set[str]:
        return {WORKLOAD.id}

    with monkeypatch.context() as patch:
        patch.setattr(Statistics, "write", late)
        await recorder.step(scene.now_s)
    assert len(await scene.statistics.reports()) == 1
    await recorder.step(scene.now_s)
    assert await scene.started() == 3
    assert await scene.statistics.reports() == []


async def test_requests_of_a_worker_that_died_are_no_longer_under_way(scene):
    recorder = await scene.recorder()
    await scene.report(3, finished={}, in_flight=3, ttl_s=0.2)
    await recorder.step(scene.now_s)
    assert (await scene.summary()).under_way == 3
    await scene.dies("w1")
    await recorder.step(scene.now_s)
    assert (await scene.summary()).under_way == 0


async def test_a_workload_that_is_not_known_yet_is_recorded_when_it_is(scene):
    recorder = await scene.recorder()
    await scene.services.store.delete(Workload, WORKLOAD.id)
    await scene.services.mirror.reached(await scene.services.store.commit([]), timeout_s=20)
    await scene.report(3)
    await recorder.step(scene.now_s)
    assert await scene.version() == 0
    await scene.write(WORKLOAD)
    await recorder.step(scene.now_s)
    assert await scene.started() == 3


async def test_a_reset_makes_what_was_before_void_and_drops_it(scene):
    recorder = await scene.recorder()
    await scene.report(3)
    await recorder.step(scene.now_s)
    await scene.write(worlds.workload(stats_since=NOW_S + 1))
    scene.now_s = NOW_S + 2
    await scene.report(5, clock_s=2)
    await recorder.step(scene.now_s)
    assert await scene.started() == 2


async def test_what_cannot_be_read_holds_up_no_other_workload(scene):
    other = worlds.workload(id="d" * 24)
    await scene.write(other)
    recorder = await scene.recorder()
    await scene.report(3)
    await recorder.step(scene.now_s)
    key = scene.services.store.keys[f"stats:{WORKLOAD.id}"]
    for name in (await scene.statistics.read_all(WORKLOAD.id)).keys() - {VERSION}:
        await scene.services.store.link.call("HSET", key, name, b"{broken")
    body = b'99999999999999 {"worker_id":"x","sent_at":1,"clock_s":1,"protons":{"p":{"started":1}}}'
    reports = scene.services.store.keys["reports"]
    await scene.services.store.link.call("HSET", reports, "x", body, "y", b"{broken")
    await scene.report(5, clock_s=2)
    theirs = ProtonLoad(workload_id=other.id, started=4)
    await scene.services.store.publish_report(
        LoadReport(
            worker_id="w2", sent_at=NOW_S, clock_s=1, revision=1, protons={"e" * 24: theirs}
        ),
        ttl_s=600,
    )
    await recorder.step(scene.now_s)
    found = await scene.statistics.read_many({other.id: (VERSION,)})
    assert found[other.id] == {VERSION: b"1"}
    await scene.report(7, clock_s=3)
    await recorder.step(scene.now_s)
    assert await scene.started() == 2, "what came since, and not the worker's whole past"


async def test_old_buckets_are_dropped(scene):
    await scene.write(worlds.artifact())
    recorder = await scene.recorder()
    await scene.report(3)
    await recorder.step(scene.now_s)
    scene.now_s += 3 * 86_400
    await scene.report(5, clock_s=2)
    await recorder.step(scene.now_s)
    assert [bucket.started for bucket in await scene.totals()] == [2, 2, 2], "it is a draft's"


async def test_a_look_that_takes_long_is_followed_by_a_rest(scene):
    times = iter([0.0, 2.0, 19.9, 20.0, 20.0])
    recorder = Recorder(await scene.term(), monotonic=lambda: next(times))
    for clock_s, expected in ((1, 1), (2, 1), (3, 3)):
        await scene.report(clock_s, clock_s=clock_s)
        await recorder.step(scene.now_s)
        assert await scene.started() == expected


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_or_counted_twice_whatever_dies(scene, seed):
    dice = random.Random(seed)
    workers: dict[str, list[int]] = {}
    served = 0
    recorder = await scene.recorder()
    for turn in range(60):
        scene.now_s += dice.choice([0.0, 1.0, 59.0, 3000.0])
        if not workers or dice.random() < 0.1:
            workers[f"w{turn}"] = [0, 0]
        worker = dice.choice(list(workers))
        counts = workers[worker]
        more = dice.randint(0, 4)
        served += more
        counts[0] += more
        counts[1] += 1
        await scene.report(counts[0], worker=worker, clock_s=counts[1])
        if dice.random() < 0.1:
            del workers[worker]  # killed: it reports no more
        if dice.random() < 0.2:
            recorder = await scene.recorder()
        step = asyncio.ensure_future(recorder.step(scene.now_s))
        if dice.random() < 0.3:  # killed in the middle
            await asyncio.sleep(dice.choice([0, 0, 0.0005, 0.001]))
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
            recorder = await scene.recorder()
        await step if not step.done() else None
    await (await scene.recorder()).step(scene.now_s)
    days = (await scene.totals())[-1]
    assert days.started == served
    assert days.ended == served
