"""What the gateways count under an index is read back as the duration that it was."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.histograms import SUB_BITS, middle_s, quantile_s, slower_than
from gateway.core import load

DURATIONS = st.floats(32e-6, 1e5)


def histogram(durations: list[float]) -> dict[int, int]:
    meter = load.LoadMeter("w", now_s=0.0)
    for duration_s in durations:
        meter.time(duration_s)
    return meter.response_time


def test_gateways_and_readers_cut_a_power_of_two_alike():
    assert load._SUB_BITS == SUB_BITS


@given(DURATIONS)
def test_a_bucket_is_read_as_what_was_counted_in_it(seconds):
    assert middle_s(load.bucket(seconds)) == pytest.approx(seconds, rel=0.0157)


@given(
    st.lists(DURATIONS, min_size=1, max_size=100),
    st.floats(0, 1),
)
def test_any_quantile_is_within_2_percent(durations, q):
    rank = max(1, math.ceil(round(q * len(durations), 6)))
    exact_s = sorted(durations)[rank - 1]
    assert quantile_s(histogram(durations), q) == pytest.approx(exact_s, rel=0.02)


@pytest.mark.parametrize(
    ("durations", "q", "exact_s"),
    [
        pytest.param([1.0, 5.0], 0.95, 5.0, id="p95-of-two-is-the-larger"),
        pytest.param([1.0, 5.0], 0.5, 1.0, id="half-of-two-do-not-exceed-the-smaller"),
        pytest.param([float(n) for n in range(1, 11)], 0.95, 10.0, id="p95-of-ten-is-the-largest"),
        pytest.param([float(n) for n in range(1, 21)], 0.95, 19.0, id="p95-of-twenty"),
        pytest.param([float(n) for n in range(1, 101)], 0.07, 7.0, id="no-error-of-floats"),
        pytest.param([1.0, 5.0], 0.0, 1.0, id="none-of-them-is-the-smallest"),
        pytest.param([1.0, 5.0], 1.0, 5.0, id="all-of-them-is-the-largest"),
    ],
)
def test_a_quantile_is_the_smallest_that_its_share_does_not_exceed(durations, q, exact_s):
    assert quantile_s(histogram(durations), q) == pytest.approx(exact_s, rel=0.02)


@given(st.lists(DURATIONS, max_size=100), DURATIONS)
def test_slow_ones_are_counted_but_for_those_near_the_threshold(durations, threshold_s):
    found = slower_than(histogram(durations), threshold_s)
    assert found >= sum(duration > threshold_s * 1.02 for duration in durations)
    assert found <= sum(duration > threshold_s * 0.98 for duration in durations)


def test_nothing_has_no_quantile_and_nothing_slow():
    assert quantile_s({}, 0.5) is None
    assert slower_than({}, 0.0) == 0
