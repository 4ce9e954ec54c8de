"""Rows of lists, and many workloads together."""

import pytest

from controlplane.lifecycle.overviews import STALE_S, Totals, trend, under_way, week
from controlplane.model.statistics import NO_SUMMARY, Summary, Tally

HOUR_S = 3600.0
DAY_S = 86_400.0
NOW_S = 20_000 * DAY_S + 10 * HOUR_S + 30 * 60
HOUR = int(NOW_S // HOUR_S)
LOCKED_S = 30 * DAY_S


def tally(started: int, failed: int = 0) -> Tally:
    return Tally(started, started, failed, 0, float(started), started, started * 0.1)


def test_a_week_is_told_day_by_day_oldest_first():
    days = {20_000 - age: tally(10 * (age + 1), age) for age in range(8)}
    found = week(
        Summary(days=days, last_request_at=5.0, under_way=3, under_way_at=NOW_S),
        retention_s=LOCKED_S,
        now_s=NOW_S,
    )
    assert found.requests == [70, 60, 50, 40, 30, 20, 10]
    assert found.errors == [6, 5, 4, 3, 2, 1, 0]
    assert found.total_requests == 280
    assert found.error_rate == 21 / 280
    assert found.response_time_ms == pytest.approx(100)
    assert (found.under_way, found.last_request_at) == (3, 5.0)


def test_a_draft_has_the_days_of_its_retention():
    days = {20_000 - age: tally(10) for age in range(7)}
    found = week(Summary(days=days), retention_s=DAY_S, now_s=NOW_S)
    assert found.requests == [0, 0, 0, 0, 0, 10, 10]


def test_nothing_counted_is_a_week_of_zeros():
    found = week(NO_SUMMARY, retention_s=LOCKED_S, now_s=NOW_S)
    assert found.requests == [0] * 7
    assert (found.total_requests, found.error_rate, found.response_time_ms) == (0, 0, 0)


@pytest.mark.parametrize(("age_s", "expected"), [(0.0, 4), (STALE_S - 1, 4), (STALE_S, 0)])
def test_a_load_that_nobody_confirms_is_over(age_s, expected):
    summary = Summary(under_way=4, under_way_at=NOW_S - age_s)
    assert under_way(summary, now_s=NOW_S) == expected


def compared(*summaries):
    totals = Totals(now_s=NOW_S)
    for summary in summaries:
        totals.add(summary)
    return totals.compared()


def test_windows_of_a_day_meet_in_an_hour_that_is_shared_by_length():
    summary = Summary(
        hours={
            HOUR: tally(1),
            HOUR - 23: tally(2),
            HOUR - 24: tally(100, 10),
            HOUR - 25: tally(4),
            HOUR - 47: tally(8),
            HOUR - 48: tally(1000),
        },
        under_way=2,
        under_way_at=NOW_S,
    )
    found = compared(summary, NO_SUMMARY)
    assert found.now.started == 3
    assert found.before.started == 4 + 8 + 50
    assert (found.before.failed, found.before.load_seconds) == (5, 62.0)
    assert found.before.response_seconds == pytest.approx(6.2)
    assert found.under_way == 2


def test_workloads_add_up():
    one = Summary(hours={HOUR: tally(3, 1)})
    found = compared(one, one, one)
    assert (found.now.started, found.now.failed) == (9, 3)


@pytest.mark.parametrize(
    ("now", "before", "expected"), [(15, 10, 0.5), (5, 10, -0.5), (7, 0, 0), (0, 0, 0), (0, 4, -1)]
)
def test_a_trend_is_the_change_as_a_part_of_what_was(now, before, expected):
    assert trend(now, before) == expected
