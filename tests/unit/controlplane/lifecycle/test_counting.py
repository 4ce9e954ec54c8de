"""Whatever happens to reports, workers and recorders, a request is counted once."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle.counting import (
    WORKER_MEMORY_S,
    News,
    absorb,
    counters,
    fields_of,
    is_void,
    needs_sweep,
    sweep,
    sweep_hour,
)
from controlplane.model.reports import ProtonLoad
from controlplane.model.statistics import (
    LOST,
    SUMMARY,
    Bucket,
    Level,
    Tally,
    bucket_field,
    bucket_of_field,
    decode_bucket,
    decode_summary,
    seen_field,
)

DAY_S = 86_400.0
NOW_S = 20_000 * DAY_S + 10 * 3600 + 30 * 60 + 15
"""A quarter past half past ten in the morning, seconds that is."""
WORKLOAD = "a" * 22 + "00"


def load(started: int = 0, **more: object) -> ProtonLoad:
    fields = {"finished": {"2xx": started} if started else {}} | more
    return ProtonLoad(workload_id=WORKLOAD, started=started, **fields)


def news(
    of: ProtonLoad, *, clock_s: float, at: float = NOW_S, worker: str = "w1", proton: str = "p"
) -> News:
    return News(worker, proton, clock_s, at, of)


class Hash:
    """A workload's fields, as the store would keep them."""

    def __init__(self, since: float | None = None) -> None:
        self.fields: dict[str, bytes] = {}
        self.since = since

    def absorb(self, *told: News, now_s: float = NOW_S, under_way: int = 0) -> None:
        read = {name: self.fields.get(name) for name in fields_of(told, now_s=now_s)}
        changes = absorb(read, told, since=self.since, under_way=under_way, now_s=now_s)
        self.fields |= changes.sets

    def sweep(self, now_s: float, retention_s: float = 30 * DAY_S) -> None:
        read = {SUMMARY: self.fields.get(SUMMARY)}
        changes = absorb(read, (), since=self.since, under_way=0, now_s=now_s)
        sweep(
            changes,
            self.fields,
            workload_id=WORKLOAD,
            void=is_void(read, since=self.since),
            retention_s=retention_s,
            now_s=now_s,
        )
        self.fields |= changes.sets
        for name in changes.drops:
            del self.fields[name]

    def at(self, level: Level, index: int, proton: str = "p") -> Bucket:
        return decode_bucket(self.fields.get(bucket_field(level, index, proton)))

    def total(self, level: Level) -> Bucket:
        return sum_of(
            decode_bucket(value)
            for name, value in self.fields.items()
            if (place := bucket_of_field(name)) is not None and place[0] is level
        )

    @property
    def summary(self):
        return decode_summary(self.fields[SUMMARY])


def sum_of(buckets: Iterable[Bucket]) -> Bucket:
    return sum(buckets, Bucket())


@pytest.fixture
def stored() -> Hash:
    return Hash()


def test_endings_become_errors_by_whose_they_are():
    of = load(
        20,
        finished={"1xx": 1, "2xx": 4, "3xx": 2, "4xx": 3, "5xx": 2, "refused": 5, "aborted": 1},
        refused_user=2,
        cold_starts=1,
        load_seconds=7.5,
        response_seconds=3.5,
        response_time={3: 11},
    )
    assert counters(of) == Bucket(
        started=20,
        ended=18,
        user_errors=5,
        server_errors=5,
        refused=5,
        aborted=1,
        cold_starts=1,
        load_seconds=7.5,
        response_seconds=3.5,
        response_time={3: 11},
    )


def test_requests_are_in_their_minute_hour_and_day(stored):
    stored.absorb(news(load(3), clock_s=1))
    minute = int(NOW_S // 60)
    assert stored.at(Level.MINUTE, minute).started == 3
    assert stored.at(Level.HOUR, minute // 60).started == 3
    assert stored.at(Level.DAY, 20_000).started == 3


def test_only_what_is_new_is_counted(stored):
    stored.absorb(news(load(3), clock_s=1))
    stored.absorb(news(load(5), clock_s=2, at=NOW_S + 60), now_s=NOW_S + 60)
    minute = int(NOW_S // 60)
    assert [stored.at(Level.MINUTE, m).started for m in (minute, minute + 1)] == [3, 2]
    assert stored.total(Level.DAY).started == 5


@pytest.mark.parametrize("clock_s", [1.0, 0.5])
def test_a_report_that_comes_twice_or_late_says_nothing(stored, clock_s):
    stored.absorb(news(load(3), clock_s=1))
    before = dict(stored.fields)
    stored.absorb(news(load(3 if clock_s == 1 else 2), clock_s=clock_s), now_s=NOW_S)
    assert {n: v for n, v in stored.fields.items() if n != SUMMARY} == {
        n: v for n, v in before.items() if n != SUMMARY
    }
    assert stored.summary.days == {20_000: Tally.of(stored.total(Level.DAY))}


def test_of_two_reports_of_one_worker_in_a_look_each_counts_what_it_adds(stored):
    stored.absorb(news(load(3), clock_s=1), news(load(4), clock_s=2))
    assert stored.total(Level.MINUTE).started == 4


def test_workers_count_beside_each_other_and_a_new_one_begins_at_zero(stored):
    stored.absorb(news(load(3), clock_s=9), news(load(2), clock_s=1, worker="w2"))
    stored.absorb(news(load(1), clock_s=0.5, worker="w3"))
    assert stored.total(Level.HOUR).started == 6


def test_a_last_report_that_is_found_late_counts_when_it_was_sent(stored):
    stored.absorb(news(load(3), clock_s=1, at=NOW_S - 3600))
    assert stored.at(Level.HOUR, int(NOW_S // 3600) - 1).started == 3
    assert stored.summary.last_request_at == NOW_S - 3600


def test_a_clock_that_is_ahead_counts_as_now(stored):
    stored.absorb(news(load(3), clock_s=1, at=NOW_S + 500))
    assert stored.at(Level.MINUTE, int(NOW_S // 60)).started == 3


def test_the_summary_has_all_protons_together(stored):
    stored.absorb(
        news(load(3, load_seconds=2.0), clock_s=1, proton="p"),
        news(load(4, finished={"2xx": 1, "5xx": 2}), clock_s=1, proton="q"),
        under_way=5,
    )
    summary = stored.summary
    assert summary.protons == ("p", "q")
    assert summary.workers == {"w1": NOW_S}
    assert (summary.under_way, summary.under_way_at) == (5, NOW_S)
    tally = summary.hours[int(NOW_S // 3600)]
    assert (tally.started, tally.ended, tally.failed, tally.load_seconds) == (7, 6, 2, 2.0)


@pytest.mark.parametrize(
    ("finished", "answered"),
    [
        pytest.param({"2xx": 1}, True, id="an-answer"),
        pytest.param({"5xx": 1, "refused": 1}, True, id="an-answer-beside-a-refusal"),
        pytest.param({"refused": 1}, False, id="the-gateway-answered"),
        pytest.param({"aborted": 1}, False, id="nobody-answered"),
        pytest.param({}, False, id="still-under-way"),
    ],
)
def test_the_last_response_is_a_replicas(stored, finished, answered):
    stored.absorb(news(load(2, finished=finished), clock_s=1))
    assert stored.summary.last_response_at == (NOW_S if answered else None)
    assert stored.summary.last_request_at == NOW_S


def test_load_alone_is_no_request(stored):
    stored.absorb(news(load(1, finished={}), clock_s=1))
    stored.absorb(
        news(load(1, finished={}, load_seconds=60.0), clock_s=2, at=NOW_S + 60), now_s=NOW_S + 60
    )
    assert stored.summary.last_request_at == NOW_S
    assert stored.total(Level.MINUTE).load_seconds == 60


def test_old_hours_and_days_leave_the_summary(stored):
    stored.absorb(news(load(1), clock_s=1))
    later = NOW_S + 8 * DAY_S
    stored.absorb(news(load(3), clock_s=2, at=later), now_s=later)
    assert list(stored.summary.days) == [20_008]
    assert list(stored.summary.hours) == [int(later // 3600)]


def test_what_was_counted_before_a_reset_is_void_after_it(stored):
    stored.absorb(news(load(10), clock_s=1))
    stored.since = NOW_S + 1
    assert is_void(stored.fields, since=stored.since)
    stored.absorb(news(load(12), clock_s=2, at=NOW_S + 2), now_s=NOW_S + 2)
    assert stored.at(Level.DAY, 20_000).started == 2
    assert stored.summary.days[20_000].started == 2
    assert stored.summary.since == NOW_S + 1


def test_where_what_was_seen_is_lost_a_workers_past_does_not_count_again(stored):
    stored.absorb(news(load(10), clock_s=1))
    stored.fields[seen_field("w1", "p")] = LOST
    stored.absorb(news(load(12), clock_s=2))
    assert stored.total(Level.DAY).started == 10
    stored.absorb(news(load(15), clock_s=3))
    assert stored.total(Level.DAY).started == 13


def test_a_report_from_before_a_reset_only_says_where_counting_begins(stored):
    stored.since = NOW_S
    stored.absorb(news(load(10), clock_s=1, at=NOW_S - 1))
    assert stored.total(Level.DAY) == Bucket()
    stored.absorb(news(load(11), clock_s=2, at=NOW_S + 1), now_s=NOW_S + 1)
    assert stored.total(Level.DAY).started == 1


@given(seed=st.integers(0, 10**6))
def test_every_request_is_counted_once_whatever_the_order_of_reports(seed):
    dice = random.Random(seed)
    stored = Hash()
    told: list[News] = []
    expected = 0
    for worker in range(dice.randint(1, 3)):
        started = 0
        sent = []
        for clock in range(1, dice.randint(2, 8)):
            started += dice.randint(0, 5)
            at = NOW_S + dice.randint(0, 10_000)
            sent.append(news(load(started), clock_s=clock, at=at, worker=f"w{worker}"))
        kept = [one for one in sent[:-1] if dice.random() < 0.7]  # the others are lost
        again = [one for one in kept if dice.random() < 0.3]
        told += [*kept, *again, sent[-1]]
        expected += started
    dice.shuffle(told)
    for one in told:
        stored.absorb(one, now_s=NOW_S + 10_000)
        if dice.random() < 0.2:
            stored.absorb(one, now_s=NOW_S + 10_000)
    for level in Level:
        assert stored.total(level).started == expected
        assert stored.total(level).ended == expected
    assert sum(tally.started for tally in stored.summary.days.values()) == expected


# -- what goes ------------------------------------------------------------------------------------


def test_a_workload_is_swept_once_an_hour(stored):
    stored.absorb(news(load(1), clock_s=1))
    told = {"since": None, "now_s": NOW_S}
    assert needs_sweep(stored.summary, WORKLOAD, **told)
    stored.sweep(NOW_S)
    assert not needs_sweep(stored.summary, WORKLOAD, **told)
    assert needs_sweep(stored.summary, WORKLOAD, since=None, now_s=NOW_S + 3600)
    assert needs_sweep(stored.summary, WORKLOAD, since=1.0, now_s=NOW_S)


def test_workloads_are_not_all_swept_in_the_same_minute():
    changes = {
        minute
        for number in range(60)
        for minute in range(60)
        if sweep_hour(f"{number:024x}", now_s=minute * 60.0)
        != sweep_hour(f"{number:024x}", now_s=minute * 60.0 - 60)
    }
    assert len(changes) == 60


@pytest.mark.parametrize(
    ("age_s", "retention_s", "left"),
    [
        pytest.param(0, 30 * DAY_S, "mhd", id="new"),
        pytest.param(2 * 3600, 30 * DAY_S, "mhd", id="two-hours"),
        pytest.param(5 * 3600, 30 * DAY_S, "hd", id="minutes-are-kept-for-hours"),
        pytest.param(7 * DAY_S, 30 * DAY_S, "hd", id="a-week"),
        pytest.param(10 * DAY_S, 30 * DAY_S, "d", id="hours-are-kept-for-days"),
        pytest.param(29 * DAY_S, 30 * DAY_S, "d", id="nearly-a-month"),
        pytest.param(32 * DAY_S, 30 * DAY_S, "", id="more-than-a-month"),
        pytest.param(23 * 3600, DAY_S, "hd", id="a-drafts-day"),
        pytest.param(3 * DAY_S, DAY_S, "", id="a-draft-forgets"),
    ],
)
def test_buckets_go_when_their_time_is_over(stored, age_s, retention_s, left):
    stored.absorb(news(load(1), clock_s=1))
    stored.sweep(NOW_S + age_s, retention_s)
    found = {name[0] for name in stored.fields if bucket_of_field(name) is not None}
    assert found == set(left)
    assert stored.summary.protons == (("p",) if left else ())


def test_a_reset_drops_what_is_void_and_keeps_what_was_seen(stored):
    stored.absorb(news(load(1), clock_s=1))
    stored.since = NOW_S + 1
    stored.sweep(NOW_S + 2)
    assert set(stored.fields) == {SUMMARY, seen_field("w1", "p")}


def test_workers_that_were_silent_for_a_day_are_forgotten(stored):
    stored.absorb(news(load(1), clock_s=1))
    later = NOW_S + WORKER_MEMORY_S + 1
    stored.absorb(news(load(1), clock_s=1, worker="w2", at=later), now_s=later)
    stored.sweep(later)
    assert stored.summary.workers == {"w2": later}
    assert seen_field("w1", "p") not in stored.fields
    assert seen_field("w2", "p") in stored.fields


def test_what_is_written_in_the_same_look_is_never_dropped(stored):
    stored.absorb(news(load(1), clock_s=1))
    long_ago = NOW_S - 20 * DAY_S
    told = (news(load(3), clock_s=1, worker="late", at=long_ago),)
    read = {name: stored.fields.get(name) for name in fields_of(told, now_s=NOW_S)}
    changes = absorb(read, told, since=None, under_way=0, now_s=NOW_S)
    sweep(
        changes,
        [*stored.fields, bucket_field(Level.MINUTE, int(long_ago // 60), "p")],
        workload_id=WORKLOAD,
        void=False,
        retention_s=30 * DAY_S,
        now_s=NOW_S,
    )
    assert not changes.drops & changes.sets.keys()
