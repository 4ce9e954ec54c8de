"""Counting is exact in any order of events, and the histogram is as good as it says."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controlplane.model.histograms import middle_s, quantile_s
from gateway.core.load import (
    ABORTED,
    CLASSES,
    KEPT_MINUTES,
    REFUSED,
    UPGRADED,
    LoadMeter,
    bucket,
)

STEPS = st.floats(0, 100)
ENDINGS = st.integers(0, len(CLASSES) - 1)
DURATIONS = st.floats(32e-6, 1e5)


class Counting(RuleBasedStateMachine):
    """Requests in any legal order, each with its own stop-watch; the meter must agree."""

    def __init__(self):
        super().__init__()
        self.now_s = 1000.0
        self.meter = LoadMeter("w", now_s=self.now_s)
        self.waiting: list[float] = []
        self.sent: list[float] = []
        self.load_s = 0.0
        self.queued_s = 0.0
        self.started = 0

    def pass_time(self, step_s):
        before_s = self.now_s
        self.now_s += step_s
        elapsed_s = self.now_s - before_s  # what is left of the step after rounding
        self.load_s += elapsed_s * (len(self.waiting) + len(self.sent))
        self.queued_s += elapsed_s * len(self.waiting)

    @rule(step_s=STEPS, minute=st.integers(0, 3))
    def start(self, step_s, minute):
        self.pass_time(step_s)
        self.meter.start(self.now_s, minute)
        self.waiting.append(self.now_s)
        self.started += 1

    @precondition(lambda self: self.waiting)
    @rule(step_s=STEPS)
    def send(self, step_s):
        self.pass_time(step_s)
        self.meter.send(self.now_s)
        self.sent.append(self.waiting.pop(0))

    @precondition(lambda self: self.sent)
    @rule(step_s=STEPS)
    def take_back(self, step_s):
        self.pass_time(step_s)
        self.meter.take_back(self.now_s)
        self.waiting.append(self.sent.pop())

    @precondition(lambda self: self.waiting)
    @rule(step_s=STEPS, ending=ENDINGS)
    def finish_waiting(self, step_s, ending):
        self.pass_time(step_s)
        self.meter.finish(self.now_s, ending, sent=False)
        self.waiting.pop()

    @precondition(lambda self: self.sent)
    @rule(step_s=STEPS, ending=ENDINGS)
    def finish_sent(self, step_s, ending):
        self.pass_time(step_s)
        self.meter.finish(self.now_s, ending, sent=True)
        self.sent.pop()

    @rule(step_s=STEPS)
    def advance(self, step_s):
        self.pass_time(step_s)
        self.meter.advance(self.now_s)

    @rule(back_s=STEPS)
    def look_back(self, back_s):
        before = (self.meter.load_seconds, self.meter.queued_seconds)
        self.meter.advance(self.now_s - back_s)
        assert (self.meter.load_seconds, self.meter.queued_seconds) == before

    @invariant()
    def nothing_is_lost_or_counted_twice(self):
        meter = self.meter
        assert meter.in_flight == len(self.sent)
        assert meter.queued == len(self.waiting)
        assert meter.started == self.started
        assert meter.started == sum(meter.finished) + meter.in_flight + meter.queued
        assert sum(meter.starts_by_minute.values()) == self.started

    @invariant()
    def integrals_are_the_sums_of_all_durations(self):
        self.meter.advance(self.now_s)
        assert math.isclose(self.meter.load_seconds, self.load_s, rel_tol=1e-9, abs_tol=1e-6)
        assert math.isclose(self.meter.queued_seconds, self.queued_s, rel_tol=1e-9, abs_tol=1e-6)


TestCounting = Counting.TestCase
TestCounting.settings = settings(stateful_step_count=40, max_examples=60)


@given(spans=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=20))
def test_the_integral_is_the_sum_of_the_single_durations(spans):
    """Overlapping requests, each started and finished at its own times."""
    meter = LoadMeter("w", now_s=0.0)
    events = []
    for begin_s, length_s in spans:
        events += [(begin_s, 0), (begin_s + length_s, 1)]
    for at_s, ends in sorted(events):
        if ends:
            meter.finish(at_s, 1, sent=False)
        else:
            meter.start(at_s, 0)
    exact_s = sum((begin_s + length_s) - begin_s for begin_s, length_s in spans)
    assert math.isclose(meter.load_seconds, exact_s, rel_tol=1e-9, abs_tol=1e-6)
    assert meter.queued_seconds == meter.load_seconds


def test_an_average_is_a_difference_of_integrals_by_time():
    meter = LoadMeter("w", now_s=0.0)
    meter.start(1.0, 0)
    meter.start(2.0, 0)
    meter.finish(4.0, 1, sent=False)
    meter.advance(10.0)
    assert meter.load_seconds / 10 == pytest.approx((1 * 1 + 2 * 2 + 1 * 6) / 10)


def test_classes_have_the_places_that_callers_use():
    assert CLASSES[UPGRADED] == "1xx"
    assert CLASSES[REFUSED] == "refused"
    assert CLASSES[ABORTED] == "aborted"
    assert [CLASSES[status // 100 - 1] for status in (200, 304, 404, 599)] == [
        "2xx", "3xx", "4xx", "5xx",
    ]  # fmt: skip


def test_a_new_meter_has_counted_nothing():
    meter = LoadMeter("w", now_s=5.0)
    assert (meter.started, meter.finished, meter.cold_starts) == (0, [0] * len(CLASSES), 0)
    assert (meter.load_seconds, meter.queued_seconds, meter.response_seconds) == (0, 0, 0)
    assert (meter.bytes_in, meter.bytes_out) == (0, 0)
    assert meter.response_time == meter.starts_by_minute == {}


def test_what_is_refused_for_its_callers_sake_does_not_count_for_the_hour():
    meter = LoadMeter("w", now_s=0.0)
    meter.start(0.0, 7)
    meter.start(0.0, 7)
    meter.discount(7)
    assert (meter.started, meter.queued, meter.starts_by_minute) == (2, 2, {7: 1})


def test_a_minute_that_has_passed_meanwhile_is_left_alone():
    meter = LoadMeter("w", now_s=0.0)
    meter.start(0.0, 7)
    meter.discount(8)
    meter.discount(7)
    meter.discount(7)
    assert meter.starts_by_minute == {7: 0}


def test_the_minute_an_hour_ago_is_kept_because_part_of_it_is_in_the_hour():
    meter = LoadMeter("w", now_s=0.0)
    meter.start(0.0, 100)
    meter.start(0.0, 160)
    assert meter.starts_by_minute == {100: 1, 160: 1}
    meter.start(0.0, 161)
    assert meter.starts_by_minute == {160: 1, 161: 1}


@given(steps=st.lists(st.integers(0, 200), max_size=100))
def test_minutes_of_the_last_hour_are_kept_and_no_more(steps):
    meter = LoadMeter("w", now_s=0.0)
    exact: Counter[int] = Counter()
    minute = 29_000_000
    for step in steps:
        minute += step
        meter.start(0.0, minute)
        exact[minute] += 1
        assert len(meter.starts_by_minute) <= KEPT_MINUTES
        assert meter.starts_by_minute == {
            m: count for m, count in exact.items() if m > minute - KEPT_MINUTES
        }


@given(minutes=st.lists(st.integers(0, 1000), max_size=300))
def test_minutes_stay_bounded_when_the_wall_clock_is_set_back_again_and_again(minutes):
    meter = LoadMeter("w", now_s=0.0)
    for minute in [*range(150, 0, -1), *minutes]:
        meter.start(0.0, minute)
        assert len(meter.starts_by_minute) < 2 * KEPT_MINUTES


@given(st.floats(0, 1e6))
def test_the_middle_of_a_bucket_is_near_all_its_values(seconds):
    found_s = middle_s(bucket(seconds))
    # the microsecond is the clock's grain here; below 32 of them it is all there is
    assert math.isclose(found_s, seconds, rel_tol=0.0157, abs_tol=0.501e-6)


@given(first=st.floats(0, 1e6), second=st.floats(0, 1e6))
def test_buckets_keep_the_order_of_durations(first, second):
    low, high = sorted((first, second))
    assert bucket(low) <= bucket(high)
    assert middle_s(bucket(low)) <= middle_s(bucket(high))


def test_buckets_have_no_gaps():
    indices = [bucket(micros / 1e6 + 1e-9) for micros in range(5000)]
    assert sorted(set(indices)) == list(range(indices[-1] + 1))


def test_a_day_of_durations_needs_few_buckets():
    assert bucket(86_400) < 1100


@given(
    durations=st.lists(DURATIONS, min_size=1, max_size=200),
    q=st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]),
)
def test_quantiles_are_within_2_percent(durations, q):
    meter = LoadMeter("w", now_s=0.0)
    for duration_s in durations:
        meter.time(duration_s)
    exact_s = sorted(durations)[max(1, math.ceil(round(q * len(durations), 6))) - 1]
    found_s = quantile_s(meter.response_time, q)
    assert found_s == pytest.approx(exact_s, rel=0.02)
    assert meter.response_seconds == pytest.approx(sum(durations))


def test_nothing_has_no_quantile():
    assert quantile_s({}, 0.5) is None


@given(one=st.lists(DURATIONS, max_size=50), other=st.lists(DURATIONS, max_size=50))
def test_merged_histograms_are_the_histogram_of_both(one, other):
    meters = [LoadMeter("w", now_s=0.0) for _ in range(3)]
    for duration_s in one:
        meters[0].time(duration_s)
    for duration_s in other:
        meters[1].time(duration_s)
    for duration_s in one + other:
        meters[2].time(duration_s)
    merged = Counter(meters[0].response_time) + Counter(meters[1].response_time)
    assert merged == meters[2].response_time
