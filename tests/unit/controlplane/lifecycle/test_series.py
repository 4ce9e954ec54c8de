"""Series: whole buckets in UTC, without gaps, as far back as such buckets are kept."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle.plans import UnfitError
from controlplane.lifecycle.series import Resolution, piece_tiles, pieces, series_start
from controlplane.lifecycle.statistics import Horizon, Window
from controlplane.model.statistics import LENGTH_S, Level

HOUR_S = 3600.0
DAY_S = 86_400.0
NOW = datetime(2026, 11, 22, 10, 30, 15, tzinfo=UTC)
NOW_S = NOW.timestamp()


def horizon(*, age_s: float = 100 * DAY_S) -> Horizon:
    return Horizon(since_s=NOW_S - age_s, retention_s=30 * DAY_S, now_s=NOW_S)


def text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    ("resolution", "back_s", "expected"),
    [
        (Resolution.MINUTE, 60, ["11-22 10:29", "11-22 10:30"]),
        (Resolution.FIVE_MINUTES, 600, ["11-22 10:20", "11-22 10:25", "11-22 10:30"]),
        (Resolution.HOUR, HOUR_S, ["11-22 09:00", "11-22 10:00"]),
        (Resolution.DAY, DAY_S, ["11-21 00:00", "11-22 00:00"]),
        # 22 November 2026 is a Sunday
        (Resolution.WEEK, 7 * DAY_S, ["11-09 00:00", "11-16 00:00"]),
        (Resolution.MONTH, 22 * DAY_S, ["10-01 00:00", "11-01 00:00"]),
    ],
)
def test_buckets_begin_where_the_clock_says(resolution, back_s, expected):
    found = pieces(Window(NOW_S - back_s, NOW_S), resolution)
    assert [text(piece.start_s) for piece in found] == expected
    assert found[-1].end_s == NOW_S


@given(
    start_s=st.floats(0, 30 * DAY_S),
    resolution=st.sampled_from(
        [Resolution.HOUR, Resolution.DAY, Resolution.WEEK, Resolution.MONTH]
    ),
)
def test_buckets_follow_each_other_and_are_made_of_stored_ones(start_s, resolution):
    span = Window(NOW_S - start_s - 1, NOW_S)
    found = pieces(span, resolution)
    assert found[0].start_s <= span.start_s
    assert [piece.end_s for piece in found[:-1]] == [piece.start_s for piece in found[1:]]
    seen = [tile for piece in found for tile in piece_tiles(piece, resolution)]
    assert len(seen) == len(set(seen))
    [level] = {level for level, _ in seen}
    assert level is (Level.HOUR if resolution is Resolution.HOUR else Level.DAY)
    assert seen[0][1] * LENGTH_S[level] == found[0].start_s


def test_an_empty_stretch_has_no_buckets():
    assert pieces(Window(NOW_S, NOW_S), Resolution.DAY) == []


@pytest.mark.parametrize(
    ("resolution", "age_s", "expected_s"),
    [
        pytest.param(Resolution.MINUTE, DAY_S, 3 * HOUR_S, id="three-hours-of-minutes"),
        pytest.param(Resolution.FIVE_MINUTES, DAY_S, 3 * HOUR_S, id="and-of-five-minutes"),
        pytest.param(Resolution.HOUR, 90 * DAY_S, 8 * DAY_S, id="eight-days-of-hours"),
        pytest.param(Resolution.DAY, 90 * DAY_S, 30 * DAY_S, id="a-month-of-days"),
        pytest.param(Resolution.MONTH, 90 * DAY_S, 30 * DAY_S, id="months-are-made-of-days"),
        pytest.param(Resolution.DAY, 60, 60, id="not-before-the-creation"),
    ],
)
def test_without_a_start_a_series_goes_as_far_back_as_it_can(resolution, age_s, expected_s):
    assert series_start(None, resolution, horizon(age_s=age_s)) == NOW_S - expected_s


@pytest.mark.parametrize(
    ("resolution", "start_s", "remedy"),
    [
        pytest.param(Resolution.MINUTE, 4 * HOUR_S, "resolution=PT1H", id="minutes"),
        pytest.param(Resolution.FIVE_MINUTES, DAY_S, "resolution=PT1H", id="five-minutes"),
        pytest.param(Resolution.HOUR, 9 * DAY_S, "resolution=P1D", id="hours"),
    ],
)
def test_shorter_buckets_than_are_kept_are_refused_with_the_remedy(resolution, start_s, remedy):
    with pytest.raises(UnfitError, match=remedy):
        series_start(NOW_S - start_s, resolution, horizon())


@pytest.mark.parametrize(
    ("resolution", "start_s", "age_s"),
    [
        pytest.param(Resolution.MINUTE, 3 * HOUR_S, DAY_S, id="exactly-as-far-as-they-are-kept"),
        pytest.param(Resolution.MINUTE, 9 * DAY_S, 60, id="the-workload-is-younger"),
        pytest.param(Resolution.DAY, 90 * DAY_S, DAY_S, id="days-are-always-there"),
        pytest.param(Resolution.HOUR, 60, DAY_S, id="a-minute-ago"),
    ],
)
def test_a_start_within_reach_is_taken_as_asked(resolution, start_s, age_s):
    found = series_start(NOW_S - start_s, resolution, horizon(age_s=age_s))
    assert found == NOW_S - start_s
