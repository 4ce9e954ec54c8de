import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.recording import Durations, Recorder, requests_of, together

GET, FIRST = ("GET", "/stream"), ("FIRST", "/stream")


@given(st.lists(st.floats(0.02, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_wrong_by_one_percent_at_most(values, q):
    durations = Durations()
    for value in values:
        durations.add(value)
    rank = max(1, -int(-q * len(values) // 1))
    assert durations.quantile(q) == pytest.approx(sorted(values)[rank - 1], rel=0.0101)


def test_no_durations_have_no_quantile_and_no_mean():
    assert Durations().quantile(0.5) is None
    assert Durations().mean_ms is None


def test_a_duration_of_nothing_is_counted():
    durations = Durations()
    durations.add(0.0)
    assert durations.quantile(1) == 0.0


@given(st.lists(st.lists(st.floats(0.1, 1e4), max_size=9), max_size=5))
def test_merging_is_the_same_as_counting_together(lists):
    parts, whole = [Durations() for _ in lists], Durations()
    for part, values in zip(parts, lists, strict=True):
        for value in values:
            part.add(value)
            whole.add(value)
    merged = together(parts)
    assert (merged.buckets, merged.count, merged.max_ms) == (
        whole.buckets,
        whole.count,
        whole.max_ms,
    )
    assert merged.sum_ms == pytest.approx(whole.sum_ms)


def test_parts_of_requests_are_no_requests():
    recorder = Recorder()
    recorder.started = 3
    recorder.ended(0.5, FIRST, 10, None)
    recorder.ended(0.9, GET, 100, None)
    recorder.ended(2.1, GET, 5, "503 queue_full")
    assert requests_of(recorder.kinds).count == recorder.ended_count == 2
    assert requests_of(recorder.kinds).errors == {"503 queue_full": 1}
    assert recorder.unfinished == 1
    assert recorder.kinds[FIRST].count == 1
    assert requests_of(recorder.by_kind([0])).count == 1
    assert requests_of(recorder.by_kind([1])).count == 0
    assert recorder.by_kind(range(3)).keys() == recorder.kinds.keys()
    assert recorder.length_s == 3


def test_a_run_of_which_nothing_is_known_has_no_length():
    assert Recorder().length_s == 0
