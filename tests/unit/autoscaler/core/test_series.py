"""Thin rows say the same as all the numbers would."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.clocks import Clocks
from autoscaler.core.series import Series
from tests.unit.autoscaler.core.reports_for_tests import load

WINDOW_S = 10.0


def between(points: list[tuple[float, float]], clock_s: float) -> float:
    """A number at a moment: even between the points, flat before the first and after the last."""
    index = bisect_right(points, (clock_s, float("inf")))
    if index == 0:
        return points[0][1]
    if index == len(points):
        return points[-1][1]
    (a_s, a), (b_s, b) = points[index - 1], points[index]
    return a + (clock_s - a_s) / (b_s - a_s) * (b - a)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.one_of(st.none(), st.integers(0, 5)),
        ),
        max_size=40,
    ),
    st.integers(0, 12),
)
def test_rows_with_gaps_and_quiet_stretches_lose_nothing_of_the_window(steps, back_s):
    """Each report comes 1 to 4 s after the last, and adds some load, or says nothing (None)."""
    clock_s, total = 0.0, 0.0
    clocks, series = Clocks(0.0), Series(0, (0.0, 0.0, 0.0))
    points = [(0.0, 0.0)]
    for passed_s, more in steps:
        clock_s += passed_s
        number = clocks.add(clock_s, keep_from_s=clock_s - WINDOW_S)
        total += more or 0
        points.append((clock_s, total))
        if more is not None:
            counters = load(total, started=int(total), queued_seconds=total / 2)
            active = series.add(number, counters, keep_from=clocks.first)
            assert active == (more > 0)
    start_s = max(0.0, clock_s - min(back_s, WINDOW_S))
    added = total - between(points, start_s)
    assert series.since(clocks.at(start_s)) == pytest.approx((added, added / 2, added))
    assert len(series) <= len(points)
    assert len(clocks._clocks) <= WINDOW_S + 1


def test_a_series_that_stands_still_shrinks_to_one_row():
    clocks, series = Clocks(0.0), Series(0, (0.0, 0.0, 0.0))
    for second in range(1, 40):
        number = clocks.add(float(second), keep_from_s=second - WINDOW_S)
        series.add(number, load(min(second, 20)), keep_from=clocks.first)
    assert len(series) == 1
    assert series.since(clocks.at(30.0)) == (0.0, 0.0, 0.0)


def test_a_moment_before_all_reports_is_before_the_first():
    clocks = Clocks(5.0)
    clocks.add(7.0, keep_from_s=0.0)
    assert clocks.at(4.0) == (0, 0.0)
    assert clocks.at(6.5) == (1, 0.75)
    assert clocks.at(7.0) == (2, 0.0)


def test_starts_of_a_younger_series_all_count():
    clocks = Clocks(0.0)
    clocks.add(1.0, keep_from_s=-9.0)
    series = Series(1, (0.0, 0.0, 4.0))
    clocks.add(2.0, keep_from_s=-9.0)
    series.add(2, load(1.0, started=6), keep_from=clocks.first)
    assert series.starts_since(clocks.at(0.5)) == 6
    assert series.starts_since(clocks.at(1.5)) == 1
