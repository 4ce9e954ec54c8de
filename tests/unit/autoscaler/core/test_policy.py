"""What each policy wishes, and the arithmetic in its note."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.notes import said
from autoscaler.core.policy import (
    CONCURRENCY,
    IN_FLIGHT,
    ceil_ratio,
    cpu_wish,
    hourly_rate,
    hourly_wish,
    load_wish,
)
from tests.unit.autoscaler.core.reports_for_tests import steady


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        pytest.param(20.0, 10, 2, id="exact"),
        pytest.param(20.1, 10, 3, id="one-tenth-over-rounds-up"),
        pytest.param(20.004, 10, 2, id="noise-of-the-clocks-does-not"),
        pytest.param(0.0, 10, 0, id="nothing"),
        pytest.param(0.01, 10, 1, id="next-to-nothing"),
        pytest.param(1.0, 0, 100, id="a-target-of-0-is-the-smallest-target"),
    ],
)
def test_ceil_ratio(value, target, expected):
    assert ceil_ratio(value, target) == expected


@pytest.mark.parametrize(
    ("view", "current", "stable", "panic"),
    [
        pytest.param(steady(20), 2, 2, 2, id="even"),
        pytest.param(steady(20.1), 2, 3, 2, id="one-request-over"),
        pytest.param(steady(22.1), 2, 3, 3, id="a-tenth-over-at-once"),
        pytest.param(
            steady(19, mean_panic=21.9, demand_panic=21.9), 2, 2, 2, id="noise-of-the-short-window"
        ),
        pytest.param(
            steady(19, mean_panic=21.9, demand_panic=21.9, queued=1, demand_now=19),
            2,
            2,
            3,
            id="is-none-while-requests-wait",
        ),
        pytest.param(steady(0), 5, 0, 0, id="none"),
        pytest.param(
            steady(10, mean_panic=50, demand_panic=50), 1, 1, 5, id="short-window-is-higher"
        ),
        pytest.param(
            steady(30, queued=15, mean_panic=2, demand_panic=2, demand_now=30),
            1,
            3,
            3,
            id="requests-that-wait-count-at-once",
        ),
        pytest.param(
            steady(300, queued=300, demand_stable=10, demand_panic=20, demand_now=20),
            4,
            4,
            4,
            id="long-waiting-holds-what-was-asked-for",
        ),
        pytest.param(
            steady(
                300,
                queued=300,
                mean_stable=5,
                demand_stable=5,
                mean_panic=5,
                demand_panic=5,
                demand_now=10,
            ),
            4,
            1,
            4,
            id="so-does-a-queue-that-the-means-do-not-know-yet",
        ),
        pytest.param(
            steady(300, queued=300, demand_stable=10, demand_panic=20, demand_now=20),
            1,
            1,
            2,
            id="long-waiting-does-not-raise-beyond-demand",
        ),
    ],
)
def test_load_wish(view, current, stable, panic):
    wish = load_wish(CONCURRENCY, 10, view, current=current)
    assert (wish.stable, wish.panic) == (stable, panic)


def test_without_reports_there_is_no_opinion():
    wish = load_wish(CONCURRENCY, 10, None, current=3)
    assert wish.stable is None
    assert wish.panic is None


@pytest.mark.parametrize(
    ("view", "current", "stable", "panic"),
    [
        pytest.param(steady(32), 3, 3, 3, id="a-little-more"),
        pytest.param(steady(33.1), 3, 4, 4, id="too-much-more"),
        pytest.param(steady(18.1), 2, 2, 2, id="a-little-less"),
        pytest.param(steady(17.9), 2, 2, 2, id="rounding-keeps-it-anyway"),
        pytest.param(steady(9.9), 2, 1, 1, id="much-less"),
        pytest.param(steady(32, mean_panic=60, demand_panic=60), 3, 3, 6, id="a-burst-counts"),
        pytest.param(steady(32, queued=2), 3, 4, 4, id="waiting-requests-are-not-tolerated"),
        pytest.param(steady(0.5), 0, 1, 1, id="nothing-to-keep"),
    ],
)
def test_within_the_tolerance_nothing_changes(view, current, stable, panic):
    wish = load_wish(CONCURRENCY, 10, view, current=current, tolerance=0.1)
    assert (wish.stable, wish.panic) == (stable, panic)


def test_a_wish_that_is_kept_says_so():
    wish = load_wish(CONCURRENCY, 10, steady(32), current=3, tolerance=0.1)
    assert said(wish.note) == "32 is within 0.1 of 3 x 10: 3"


def test_only_concurrency_may_reach_zero():
    assert load_wish(CONCURRENCY, 1, None, current=0).floor == 0
    assert load_wish(IN_FLIGHT, 1, None, current=0).floor == 1
    assert hourly_wish(1, None).floor == 1


def test_the_note_is_the_arithmetic():
    wish = load_wish(CONCURRENCY, 10, steady(20.1), current=3)
    assert said(wish.note) == "ceil(20.1 / 10) = 3"
    wish = load_wish(CONCURRENCY, 10, steady(10, mean_panic=55, demand_panic=55), current=1)
    assert said(wish.note) == "ceil(10 / 10) = 1, 6 for 55 lately"
    wish = load_wish(
        CONCURRENCY, 10, steady(40, queued=7, mean_stable=3, demand_stable=3), current=1
    )
    assert said(wish.note) == "ceil(3 / 10) = 1, 4 for 7 waiting"


# -- hourly -------------------------------------------------------------------------------------

MINUTE = 1_000_000
AT = MINUTE * 60.0 + 15.0


@pytest.mark.parametrize(
    ("buckets", "age_s", "expected"),
    [
        pytest.param({}, 7200, 0, id="nothing"),
        pytest.param({MINUTE: 5, MINUTE - 59: 7}, 7200, 12, id="all-of-the-hour"),
        pytest.param({MINUTE - 60: 40}, 7200, 30, id="the-oldest-minute-by-its-share"),
        pytest.param({MINUTE - 61: 40}, 7200, 0, id="older-does-not-count"),
        pytest.param({MINUTE + 1: 3}, 7200, 0, id="a-clock-that-is-ahead-does-not-count-yet"),
        pytest.param({MINUTE: 10}, 1800, 20, id="a-young-proton-is-extrapolated"),
        pytest.param({MINUTE: 10}, 3600, 10, id="an-hour-old-is-not"),
        pytest.param({MINUTE: 10}, 1, 120, id="but-not-from-one-second"),
        pytest.param({MINUTE: 10}, -5, 120, id="nor-from-the-future"),
    ],
)
def test_hourly_rate(buckets, age_s, expected):
    assert hourly_rate(buckets, at=AT, created_at=AT - age_s) == pytest.approx(expected)


def test_hourly_wish():
    assert hourly_wish(100, 250).stable == 3
    assert said(hourly_wish(100, 250).note) == "ceil(250 / 100) = 3"
    assert hourly_wish(100, None).stable is None


@given(
    buckets=st.dictionaries(st.integers(MINUTE - 70, MINUTE), st.integers(0, 1000)),
    into_s=st.floats(0, 59.9),
)
def test_the_hourly_rate_slides_without_jumps_down_of_whole_minutes(buckets, into_s):
    at = MINUTE * 60 + into_s
    before = hourly_rate(buckets, at=at, created_at=0)
    after = hourly_rate(buckets, at=at + 0.1, created_at=0)
    assert after >= before - max(buckets.values(), default=0) * 0.1 / 60 * 2 - 1e-6


# -- CPU ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percents", "pending", "current", "expected"),
    [
        pytest.param([], 0, 3, None, id="no-replica"),
        pytest.param([None, None], 0, 3, None, id="none-measured"),
        pytest.param([50, 50], 0, 2, 2, id="on-target"),
        pytest.param([54, 55], 0, 2, 2, id="within-the-tolerance"),
        pytest.param([56, 56], 0, 2, 3, id="above-it"),
        pytest.param([44, 44], 0, 2, 2, id="below-but-rounding-up-keeps"),
        pytest.param([20, 20], 0, 2, 1, id="below"),
        pytest.param([90], 2, 3, 3, id="growing-counts-starting-replicas-as-idle"),
        pytest.param([200], 1, 2, 4, id="growing-in-spite-of-them"),
        pytest.param([90, None], 0, 2, 2, id="growing-counts-unmeasured-as-idle"),
        pytest.param([10, None], 0, 2, 2, id="shrinking-counts-unmeasured-as-full"),
        pytest.param([10, 10, 10, None], 0, 4, 3, id="shrinking-in-spite-of-them"),
        pytest.param([10, None, None], 0, 3, 3, id="unmeasured-may-not-turn-the-direction"),
        pytest.param([20, 20, 20], 0, 1, 1, id="shrinking-never-adds"),
        pytest.param([60], 0, 3, 3, id="growing-never-takes-away"),
    ],
)
def test_cpu_wish(percents, pending, current, expected):
    wish = cpu_wish(50, percents, pending=pending, current=current, tolerance=0.1)
    assert wish.stable == expected
    assert wish.floor == 1


def test_the_cpu_note_is_the_arithmetic():
    wish = cpu_wish(50, [80, 80], pending=0, current=2, tolerance=0.1)
    assert said(wish.note) == "ceil(2 x 80% / 50%) = 4"
    wish = cpu_wish(50, [52], pending=0, current=1, tolerance=0.1)
    assert said(wish.note) == "52% of 50% over 1: keep 1"


percentages = st.lists(st.one_of(st.none(), st.floats(0, 400)), min_size=1, max_size=8)


@given(
    percents=percentages,
    more=st.floats(0, 100),
    pending=st.integers(0, 5),
    current=st.integers(0, 20),
)
def test_more_cpu_never_wants_fewer_replicas(percents, more, pending, current):
    higher = [None if p is None else p + more for p in percents]
    low = cpu_wish(60, percents, pending=pending, current=current, tolerance=0.1).stable
    high = cpu_wish(60, higher, pending=pending, current=current, tolerance=0.1).stable
    assert (low is None) == (high is None)
    if low is not None and high is not None:
        assert high >= low
