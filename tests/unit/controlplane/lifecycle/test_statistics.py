"""Which buckets answer for a stretch of time, and what they say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle.statistics import (
    NUMBERS,
    Asked,
    Horizon,
    Metric,
    RangeError,
    Window,
    counted,
    names,
    numbers,
    share,
    tiles,
    total,
    value,
    window,
)
from controlplane.model.statistics import (
    LENGTH_S,
    NOTHING,
    Bucket,
    Level,
    bucket_field,
)

HOUR_S = 3600.0
DAY_S = 86_400.0
NOW_S = 20_000 * DAY_S + 10 * HOUR_S + 30 * 60 + 15


def horizon(*, age_s: float = 100 * DAY_S, retention_s: float = 30 * DAY_S) -> Horizon:
    return Horizon(since_s=NOW_S - age_s, retention_s=retention_s, now_s=NOW_S)


def ago(seconds: float | None) -> float | None:
    return None if seconds is None else NOW_S - seconds


@pytest.mark.parametrize(
    ("start", "end", "age_s", "expected"),
    [
        pytest.param(None, None, 60, (60, 0), id="since-the-creation"),
        pytest.param(None, None, 90 * DAY_S, (30 * DAY_S, 0), id="as-far-as-it-is-kept"),
        pytest.param(600, 300, DAY_S, (600, 300), id="as-asked"),
        pytest.param(600, None, 60, (60, 0), id="not-before-the-creation"),
        pytest.param(600, -300, DAY_S, (600, 0), id="the-future-has-not-happened"),
        pytest.param(600, 300, 60, (600, 300), id="all-of-it-before-the-creation"),
        pytest.param(None, 300, 60, (300, 300), id="an-end-before-the-creation"),
    ],
)
def test_windows_reach_as_far_as_there_is_something(start, end, age_s, expected):
    found = window(ago(start), ago(end), horizon(age_s=age_s))
    assert found == Window(ago(expected[0]), ago(expected[1]))


@pytest.mark.parametrize(
    ("start", "end", "word"),
    [
        pytest.param(300, 600, "before endTime", id="backwards"),
        pytest.param(300, 300, "before endTime", id="empty"),
        pytest.param(-1, None, "not in the past", id="in-the-future"),
        pytest.param(0, -5, "not in the past", id="from-now-on"),
    ],
)
def test_stretches_that_cannot_be_are_refused(start, end, word):
    with pytest.raises(RangeError, match=word) as caught:
        window(ago(start), ago(end), horizon())
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("start_s", "end_s", "age_s", "expected"),
    [
        pytest.param(60, 0, 60, {"d": 1}, id="a-whole-short-life-is-the-running-day"),
        pytest.param(60, 0, DAY_S, {"m": 2}, id="the-last-minute"),
        pytest.param(3 * HOUR_S - 900, 0, DAY_S, {"m": 15, "h": 3}, id="minutes-then-hours"),
        pytest.param(6 * HOUR_S, 5 * HOUR_S, DAY_S, {"h": 2}, id="hours-where-no-minutes-are"),
        pytest.param(20 * DAY_S, 19 * DAY_S, 90 * DAY_S, {"d": 2}, id="days-where-no-hours-are"),
        pytest.param(2 * DAY_S, 0, 90 * DAY_S, {"h": 14, "d": 2}, id="days-and-the-hours-before"),
        pytest.param(2 * DAY_S, DAY_S, DAY_S, {}, id="before-its-life"),
    ],
)
def test_the_longest_buckets_inside_cover_a_stretch(start_s, end_s, age_s, expected):
    found = tiles(Window(NOW_S - start_s, NOW_S - end_s), horizon(age_s=age_s))
    counts = {level.value: sum(tile[0] is level for tile in found) for level in Level}
    assert {level: count for level, count in counts.items() if count} == expected


@given(
    start_s=st.floats(1, 40 * DAY_S),
    length_s=st.floats(1, 40 * DAY_S),
    age_s=st.floats(1, 100 * DAY_S),
)
def test_buckets_cover_the_stretch_once_without_gaps(start_s, length_s, age_s):
    seen = horizon(age_s=age_s)
    span = window(NOW_S - start_s, NOW_S - start_s + length_s, seen)
    found = tiles(span, seen)
    ends = [(index + 1) * LENGTH_S[level] for level, index in found]
    begins = [index * LENGTH_S[level] for level, index in found]
    assert begins[1:] == ends[:-1]
    if found:
        period = counted(found, span, seen)
        assert begins[0] <= span.start_s
        assert span.end_s <= ends[-1]
        assert seen.since_s <= period.start_s <= span.start_s
        assert span.end_s <= period.end_s <= NOW_S
    else:
        assert span.end_s <= seen.floor_s
        assert counted(found, span, seen) == span


def test_a_retention_does_not_let_older_hours_in():
    seen = horizon(retention_s=DAY_S)
    span = window(None, None, seen)
    found = tiles(span, seen)
    assert counted(found, span, seen).start_s == NOW_S // HOUR_S * HOUR_S - DAY_S


def test_fields_are_summed_where_they_are():
    here, there = Bucket(started=2), Bucket(started=3, response_time={4: 1})
    fields = names([(Level.HOUR, 7), (Level.HOUR, 8)], ["p", "q"])
    assert fields == [bucket_field(Level.HOUR, h, p) for p in "pq" for h in (7, 8)]
    assert total({fields[0]: here, fields[3]: there}, fields) == here + there
    assert total({}, fields) == NOTHING


BUSY = Bucket(
    started=120,
    ended=100,
    user_errors=10,
    server_errors=5,
    load_seconds=90.0,
    response_time={1: 50, 700: 40},
)


def test_numbers_are_those_of_the_stretch():
    found = numbers(BUSY, Window(0.0, 180.0), Asked(quantile=1.0, slow_s=1.0))
    assert found.total_requests == 120
    assert found.requests_per_minute == 40
    assert found.concurrent_requests == 0.5
    assert found.slow_requests == 40
    assert found.response_time_ms == pytest.approx(63_438, rel=0.01)
    assert (found.server_errors, found.user_errors) == (5, 10)
    assert found.total_error_rate == 0.15
    assert found.server_error_rate == 0.05
    assert found.user_error_rate == 0.1


def test_a_young_stretch_counts_as_a_minute():
    found = numbers(BUSY, Window(0.0, 0.0), Asked())
    assert found.requests_per_minute == 120
    assert found.concurrent_requests == 90


def test_nothing_has_no_response_time_and_no_errors():
    found = numbers(NOTHING, Window(0.0, 60.0), Asked())
    assert found.response_time_ms is None
    assert found.total_error_rate == 0


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Metric.TOTAL_REQUESTS, 120),
        (Metric.REQUESTS_PER_MINUTE, 60),
        (Metric.CONCURRENT_REQUESTS, 0.75),
        (Metric.REQUESTS_OVER_N, 40),
        (Metric.RESPONSE_TIME, pytest.approx(0.0015)),
        (Metric.TOTAL_ERROR_RATE, 0.15),
    ],
)
def test_every_metric_is_one_of_the_numbers(metric, expected):
    found = numbers(BUSY, Window(0.0, 120.0), Asked())
    assert value(metric, found, ended=BUSY.ended) == expected


def test_where_nothing_ended_there_is_no_error_rate():
    found = numbers(NOTHING, Window(0.0, 120.0), Asked())
    assert value(Metric.TOTAL_ERROR_RATE, found, ended=0) is None
    assert value(Metric.RESPONSE_TIME, found, ended=0) is None


def test_every_metric_can_be_reset_by_the_numbers_that_it_stands_on():
    assert set(NUMBERS) == set(Metric)
    assert {name for fields in NUMBERS.values() for name in fields} <= set(Bucket.__struct_fields__)


def test_a_part_of_nothing_is_nothing():
    assert share(0, 0) == 0
    assert not math.isnan(share(5, 0))
