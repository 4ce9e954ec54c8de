"""Totals and timelines: bounded, and the same whatever the resolution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.replay.outcome import Outcome, Row, Timeline, bucket
from controlplane.model.histograms import middle_s


@given(st.floats(0.0, 1e5))
def test_a_bucket_is_within_two_percent_of_its_durations(seconds):
    assert middle_s(bucket(seconds)) == pytest.approx(seconds, rel=0.02, abs=1e-6)


def test_a_timeline_stays_small_and_loses_nothing():
    timeline = Timeline(max_rows=8)
    for second in range(100):
        at_s = sum(row.length_s for row in timeline.rows)
        if second and at_s != timeline.rows[-1].at_s + timeline.rows[-1].length_s:
            raise AssertionError
        timeline.add(
            Row(
                at_s,
                timeline.step_s,
                arrivals=1,
                ready=second,
                ready_seconds=2.0,
                waits={second % 3: 1},
            )
        )
        assert len(timeline.rows) < 8
    rows = timeline.rows
    assert sum(row.arrivals for row in rows) == 100
    assert sum(row.ready_seconds for row in rows) == 200.0
    assert sum(sum(row.waits.values()) for row in rows) == 100
    assert rows[-1].ready == 99
    assert {row.length_s for row in rows[:-1]} == {timeline.step_s}


def test_joined_rows_keep_peaks_and_add_counts():
    row = Row(0.0, 1.0, arrivals=1, max_queued=5, wanted=2, ready=1, running=2, cold=1, refused=1)
    row.add(Row(1.0, 1.0, arrivals=2, max_queued=3, wanted=4, ready=0, running=4, load_seconds=3))
    assert (row.length_s, row.arrivals, row.max_queued, row.wanted) == (2.0, 3, 5, 4)
    assert (row.ready, row.running, row.cold, row.refused, row.demand) == (1, 4, 1, 1, 1.5)


def test_delayed_are_those_who_waited_long_and_those_who_waited_in_vain():
    outcome = Outcome(scaler="x", queue_full=1, timed_out=2, cut=4)
    outcome.waits = {bucket(0.05): 10, bucket(0.2): 5, 0: 100}
    assert outcome.delayed == 8
    assert outcome.delayed_beyond(0.01) == 18
    assert outcome.failed == 7
    assert outcome.waited_s(0.5) == 0.0


def test_nothing_served_has_no_waiting_times():
    outcome = Outcome(scaler="x")
    assert outcome.waited_s(0.5) is None
    assert outcome.mean_wait_s is None
    assert Row(0.0, 0.0).demand == 0.0
