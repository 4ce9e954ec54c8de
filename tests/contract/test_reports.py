"""Load reports live as long as their workers; the hour's starts outlive them."""

import asyncio

import msgspec
import pytest

from controlplane.model.reports import (
    LoadReport,
    OpenStreams,
    ProtonLoad,
    ProtonNumbers,
    WorkerNumbers,
)
from controlplane.store.client import Store
from tests.fakes.waiting import DEADLINE_S

NOW_S = 1_000_000 * 60.0 + 30
MINUTE = 1_000_000


def report(worker: str = "w1", *, sent_at: float = 0, starts=None, **protons) -> LoadReport:
    if starts is not None:
        protons["p"] = ProtonLoad(workload_id="w", starts_by_minute=starts)
    return LoadReport(worker_id=worker, sent_at=sent_at, clock_s=0, revision=1, protons=protons)


async def test_nobody_has_reported_at_first(store):
    assert await store.collect_reports() == []


async def test_the_last_report_of_every_worker_is_collected(store, second):
    load = ProtonLoad(
        workload_id="w", started=5, finished={"2xx": 4}, in_flight=1, response_time={3: 4}
    )
    await store.publish_report(report("w1", sent_at=1), ttl_s=60)
    await second.publish_report(report("w2", p=load), ttl_s=60)
    await store.publish_report(report("w1", sent_at=2), ttl_s=60)
    found = sorted(await store.collect_reports(), key=lambda one: one.worker_id)
    assert found == [report("w1", sent_at=2), report("w2", p=load)]


async def test_a_worker_that_falls_silent_is_no_longer_collected(store):
    await store.publish_report(report("w1"), ttl_s=0.01)
    await store.publish_report(report("w2"), ttl_s=60)
    async with asyncio.timeout(DEADLINE_S):
        while len(await store.collect_reports()) != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert await store.link.call("HLEN", store.keys["reports"]) == 2, "it is still to be counted"
    assert [one.worker_id for one in await store.collect_numbers()] == ["w2"]
    assert await store.link.call("HLEN", store.keys["numbers"]) == 1, "nobody counts these"


async def test_a_report_that_nobody_has_counted_for_an_hour_is_forgotten(store):
    long_ago = "1000 {}"
    await store.link.call("HSET", store.keys["reports"], "w1", long_ago)
    assert await store.collect_reports() == []
    assert await store.link.call("HLEN", store.keys["reports"]) == 0


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"99999999999999 {broken", id="no-json"),
        pytest.param(b"99999999999999 []", id="another-kind-of-json"),
        pytest.param(b'99999999999999 {"workerId":"\xff"}', id="no-utf-8"),
        pytest.param(b"99999999999999", id="no-body"),
        pytest.param(b"soon {}", id="no-time"),
    ],
)
async def test_a_report_that_cannot_be_read_hides_no_other(store, value, caplog):
    for name in ("reports", "numbers"):
        await store.link.call("HSET", store.keys[name], "broken", value)
    await store.publish_report(report("w1"), ttl_s=60)
    for _ in range(3):
        assert await store.collect_reports() == [report("w1")]
        assert [one.worker_id for one in await store.collect_numbers()] == ["w1"]
    told = [record for record in caplog.records if "cannot be read" in record.message]
    assert [record.worker_id for record in told] == ["broken"], "once, not at every look"


async def test_decisions_read_of_a_report_what_they_need(store):
    load = ProtonLoad(
        workload_id="w",
        started=9,
        finished={"2xx": 3, "refused": 2},
        in_flight=3,
        queued=1,
        load_seconds=0.1 + 0.2,
        queued_seconds=1 / 3,
        response_time={3: 4},
    )
    whole = msgspec.structs.replace(
        report("w1", p=load),
        draining=True,
        endpoints={"r": 3},
        streams={"r": OpenStreams(open=2, silent_s=1.5, client="unix")},
    )
    await store.publish_report(whole, ttl_s=60)
    assert await store.collect_reports() == [whole]
    assert await store.collect_numbers() == [
        WorkerNumbers(
            worker_id="w1",
            clock_s=0,
            revision=1,
            draining=True,
            endpoints=whole.endpoints,
            streams=whole.streams,
            protons={"p": ProtonNumbers(9, 3, 1, 0.1 + 0.2, 1 / 3, 2)},
        )
    ]


async def test_numbers_of_a_worker_that_has_not_spoken_again_are_those_of_the_last_look(store):
    def says(clock_s: float, started: int) -> LoadReport:
        load = ProtonLoad(workload_id="w", started=started)
        return LoadReport(
            worker_id="w1", sent_at=0, clock_s=clock_s, revision=1, protons={"p": load}
        )

    await store.publish_report(says(1.5, 3), ttl_s=60)
    [first] = await store.collect_numbers()
    [again] = await store.collect_numbers()
    assert again is first, "not decoded a second time"
    await store.publish_report(says(2.5, 4), ttl_s=60)
    [later] = await store.collect_numbers()
    assert (later.clock_s, later.protons["p"].started) == (2.5, 4)
    assert first.protons["p"].started == 3


async def test_numbers_whose_beginning_does_not_say_when_are_decoded_at_every_look(store):
    def says(started: int) -> WorkerNumbers:
        numbers = {"p": ProtonNumbers(started)}
        return WorkerNumbers(worker_id="w" * 200, clock_s=1.5, revision=1, protons=numbers)

    for started in (3, 4):
        await store.publish_numbers(says(started), ttl_s=60)
        assert await store.collect_numbers() == [says(started)]


async def test_minutes_that_cannot_be_read_hide_no_others(store):
    await store.publish_report(report("w1", starts={MINUTE: 3}), ttl_s=60)
    key = store.keys["hour:p"]
    await store.link.call("HSET", key, "then w2", "1", f"{MINUTE} w3", "many")
    assert await store.hourly_starts("p", now_s=NOW_S) == 3
    assert await store.link.call("HLEN", key) == 1


async def test_starts_are_summed_over_workers_and_minutes(store, second):
    await store.publish_report(report("w1", starts={MINUTE: 3, MINUTE - 1: 4}), ttl_s=60)
    await second.publish_report(report("w2", starts={MINUTE: 10}), ttl_s=60)
    assert await store.hourly_buckets("p", now_s=NOW_S) == {MINUTE - 1: 4, MINUTE: 13}
    assert await store.hourly_starts("p", now_s=NOW_S) == 17
    assert await store.hourly_starts("other", now_s=NOW_S) == 0


async def test_hours_of_many_protons_are_read_together(store):
    names = [f"p{number}" for number in range(130)]
    for number, name in enumerate(names):
        one = report(f"w-{name}", starts={MINUTE: number + 1, MINUTE - 60: 1})
        one = msgspec.structs.replace(one, protons={name: one.protons["p"]})
        await store.publish_report(one, ttl_s=60)
    found = await store.hourly_buckets_of([*names, "unknown"], now_s=NOW_S)
    assert found == {
        **{name: {MINUTE: number + 1} for number, name in enumerate(names)},
        "unknown": {},
    }
    assert await store.hourly_buckets_of([], now_s=NOW_S) == {}
    assert await store.link.call("HLEN", store.keys["hour:p0"]) == 1


async def test_reporting_again_counts_nothing_twice(store):
    for starts in (1, 1, 5, 5):
        await store.publish_report(report(starts={MINUTE: starts}), ttl_s=60)
    assert await store.hourly_starts("p", now_s=NOW_S) == 5


@pytest.mark.parametrize(
    ("minutes_ago", "counts"),
    [
        pytest.param(0, True, id="the-running-minute"),
        pytest.param(59, True, id="the-sixtieth-minute"),
        pytest.param(60, False, id="an-hour-ago"),
        pytest.param(600, False, id="long-ago"),
    ],
)
async def test_the_hour_has_sixty_minutes(store, minutes_ago, counts):
    await store.publish_report(report(starts={MINUTE - minutes_ago: 7}), ttl_s=60)
    assert await store.hourly_starts("p", now_s=NOW_S) == (7 if counts else 0)
    assert await store.link.call("HLEN", store.keys["hour:p"]) == (1 if counts else 0)


async def test_the_hour_outlives_the_worker_and_its_successor_adds_to_it(store, settings):
    async with await Store.connect(settings, client_name="worker") as worker:
        await worker.publish_report(report("w1", starts={MINUTE: 3}), ttl_s=60)
    async with await Store.connect(settings, client_name="worker") as worker:
        await worker.publish_report(report("w1-again", starts={MINUTE: 2}), ttl_s=60)
    assert await store.hourly_starts("p", now_s=NOW_S) == 5


async def test_unchanged_minutes_are_not_written_again(store):
    await store.publish_report(report(starts={MINUTE - 1: 3, MINUTE: 1}), ttl_s=60)
    await store.link.call("DEL", store.keys["hour:p"])
    await store.publish_report(report(starts={MINUTE - 1: 3, MINUTE: 2}), ttl_s=60)
    assert await store.hourly_buckets("p", now_s=NOW_S) == {MINUTE: 2}


async def test_a_server_that_comes_back_empty_in_the_middle_of_a_report_gets_the_whole_hour(store):
    earlier = {MINUTE - 1: 3, MINUTE: 1}
    await store.publish_report(report(starts=earlier), ttl_s=60)
    hourly = store._hourly
    writing = asyncio.create_task(hourly.write(report(starts={**earlier, MINUTE: 2})))
    await asyncio.sleep(0)
    assert not writing.done()
    hourly.forget_written()
    await writing
    await store.link.call("DEL", store.keys["hour:p"])
    await store.publish_report(report(starts={**earlier, MINUTE: 2}), ttl_s=60)
    assert await store.hourly_buckets("p", now_s=NOW_S) == {MINUTE - 1: 3, MINUTE: 2}


async def test_minutes_that_a_worker_no_longer_reports_are_forgotten_by_its_memory(store):
    await store.publish_report(report(starts={MINUTE - 1: 3, MINUTE: 1}), ttl_s=60)
    await store.publish_report(report(starts={MINUTE: 1}), ttl_s=60)
    assert store._hourly._written == {"w1": {"p": {MINUTE: 1}}}
    await store.publish_report(report(), ttl_s=60)
    assert store._hourly._written == {"w1": {}}
    assert await store.hourly_starts("p", now_s=NOW_S) == 4


async def test_buckets_of_a_dead_proton_expire(store):
    await store.publish_report(report(starts={MINUTE: 3}), ttl_s=60)
    assert 3600 < await store.link.call("TTL", store.keys["hour:p"]) <= 7200


async def test_a_report_of_ten_thousand_protons_fits(store):
    protons = {
        f"{n:024x}": ProtonLoad(workload_id=f"{n:024x}", started=n, load_seconds=n / 7)
        for n in range(10_000)
    }
    await store.publish_report(report(**protons), ttl_s=60)
    assert await store.collect_reports() == [report(**protons)]
