"""What comes every day is expected, what came once is not; noise says nothing."""

import random

import msgspec
import pytest

from autoscaler.core.forecast import (
    GRACE_S,
    HOUR_S,
    Expected,
    Outlook,
    Past,
    expected,
    holds_until,
)

MONDAY = 4  # 1970-01-05, days since the epoch
TODAY = MONDAY + 7 * 100 + 3
"""A Thursday."""


def hour_of(day: int, hour: int) -> int:
    return day * 24 + hour


def at(hour: float, *, day: int = TODAY) -> float:
    return (day * 24 + hour) * HOUR_S


def office(day: int, hour: int) -> float:
    """20 from eight to six on working days."""
    return 20.0 if day % 7 not in {2, 3} and 8 <= hour < 18 else 0.0


def days(shape, *, count: int = 7, today: int = TODAY) -> Past:
    hours = {
        hour_of(day, hour): load
        for day in range(today - count, today)
        for hour in range(24)
        if (load := shape(day, hour))
    }
    return Past(hours=hours, since_hour=hour_of(today - count, 0))


def replicas(past: Past, *, now: float, targets=(10.0,), horizon_s: float = 120.0) -> int:
    found = expected(past, targets, at=now, horizon_s=horizon_s)
    return found.replicas if found is not None else 0


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        pytest.param(at(7.9), 0, id="six-minutes-before"),
        pytest.param(at(8) - 119, 2, id="one-cold-start-before"),
        pytest.param(at(8) - 1, 2, id="just-before"),
        pytest.param(at(8) + GRACE_S - 1, 2, id="until-what-comes-has-come"),
        pytest.param(at(8) + GRACE_S + 1, 0, id="then-others-know-better"),
        pytest.param(at(9) - 60, 2, id="the-next-hour-too"),
        pytest.param(at(18) - 60, 0, id="not-the-evening"),
        pytest.param(at(3), 0, id="nor-the-night"),
    ],
)
def test_the_daily_rise_is_expected_one_cold_start_early(now, wanted):
    assert replicas(days(office), now=now) == wanted


def test_it_says_why():
    found = expected(days(office), (10.0,), at=at(8) - 1, horizon_s=120)
    note = "20 expected at 08:00 UTC, as on 4 of 5 days"
    assert found == Expected(replicas=2, load=20.0, note=note)
    rising = Past(minutes=[float(minute) for minute in range(15)])
    found = expected(rising, (10.0,), at=at(8), horizon_s=300)
    assert found is not None
    assert found.note == "19 expected in 300 s, rising by 1 a minute"


def test_weekends_are_days_of_their_own():
    saturday, sunday, monday = TODAY + 2, TODAY + 3, TODAY + 4
    for day in (saturday, sunday):
        assert replicas(days(office, today=day), now=at(8, day=day) - 1) == 0
    assert replicas(days(office, today=monday), now=at(8, day=monday) - 1) == 2


@pytest.mark.parametrize(
    ("came_on", "wanted"),
    [
        pytest.param({1}, 0, id="yesterday-only"),
        pytest.param({1, 2}, 0, id="twice"),
        pytest.param({1, 2, 7}, 0, id="on-three-of-five"),
        pytest.param({1, 2, 3, 7}, 2, id="on-four-of-five"),
    ],
)
def test_what_two_thirds_of_the_days_have_not_reached_is_not_expected(came_on, wanted):
    past = days(lambda day, hour: 20.0 if hour == 8 and TODAY - day in came_on else 0.0)
    assert replicas(past, now=at(8) - 1) == wanted


@pytest.mark.parametrize(
    ("known_days", "wanted"),
    [
        pytest.param(0, 0, id="none"),
        pytest.param(1, 0, id="one-day-proves-nothing"),
        pytest.param(2, 2, id="two-days"),
    ],
)
def test_a_season_needs_days(known_days, wanted):
    assert replicas(days(office, count=known_days), now=at(8) - 1) == wanted


def test_nothing_is_expected_without_a_past_or_without_a_target():
    assert expected(Past(), (10.0,), at=at(8), horizon_s=60) is None
    assert expected(days(office), (), at=at(8) - 1, horizon_s=60) is None


def test_of_several_targets_the_smallest_decides():
    assert replicas(days(office), now=at(8) - 1, targets=(10.0, 4.0)) == 5


@pytest.mark.parametrize(
    ("minutes", "horizon_s", "wanted"),
    [
        pytest.param(range(15), 300, 2, id="a-steady-rise-goes-on"),
        pytest.param(range(15), 6000, 3, id="but-not-beyond-twice-of-what-was-seen"),
        pytest.param(range(15), 60, 0, id="too-near-to-matter"),
        pytest.param(range(9), 300, 0, id="too-short"),
        pytest.param(range(15, 0, -1), 300, 0, id="a-fall"),
        pytest.param([5] * 15, 300, 0, id="nothing-moves"),
        pytest.param([0, 1, 2, 3, 4, 90, 6, 7, 8, 9, 10, 11, 12, 13, 14], 300, 2, id="one-spike"),
        pytest.param([3, 9, 1, 8, 2, 9, 4, 7, 5, 9, 3, 8, 6, 9, 4], 300, 0, id="noise"),
    ],
)
def test_a_trend_is_a_line_that_rises_steadily(minutes, horizon_s, wanted):
    past = Past(minutes=[float(value) for value in minutes])
    assert replicas(past, now=at(8), horizon_s=horizon_s) == wanted


def test_noise_makes_no_trend_and_no_season():
    chance = random.Random(7)
    trends = seasons = 0
    for _ in range(500):
        minutes = [chance.gauss(20, 5) for _ in range(15)]
        trends += replicas(Past(minutes=minutes), now=at(8), horizon_s=300) > 0
    for _ in range(200):
        burst = {(day, chance.randrange(24)) for day in range(TODAY - 7, TODAY)}
        past = days(lambda day, hour, burst=burst: 20.0 * ((day, hour) in burst))
        seasons += any(replicas(past, now=at(hour) - 1) for hour in range(24))
    assert trends <= 2
    assert seasons == 0


def test_of_the_hours_a_proton_expects_its_share_and_of_its_own_minutes_all():
    half = msgspec.structs.replace(days(office), share=0.5)
    found = expected(half, (2.0,), at=at(8) - 1, horizon_s=120)
    note = "10 expected at 08:00 UTC (0.5 of the workload's 20), as on 4 of 5 days"
    assert found == Expected(replicas=5, load=10.0, note=note)
    assert replicas(msgspec.structs.replace(half, share=0.0), now=at(8) - 1) == 0
    rising = Past(minutes=[float(minute) for minute in range(15)], share=0.0)
    assert replicas(rising, now=at(8), horizon_s=300) == 2


@pytest.mark.parametrize(
    ("now", "horizon_s", "until"),
    [
        pytest.param(at(8), 120, at(8) + GRACE_S, id="the-present-hour-ends-to-count"),
        pytest.param(at(8) + GRACE_S, 120, at(9) - 120, id="the-next-one-begins-to"),
        pytest.param(at(9) - 120, 120, at(9), id="it-begins"),
        pytest.param(at(9) - 1, 5000, at(9), id="a-long-horizon-has-begun-already"),
        pytest.param(at(8.5), 5000, at(10) - 5000, id="and-the-hour-after-it"),
    ],
)
def test_an_expectation_holds_until_another_hour_counts(now, horizon_s, until):
    assert holds_until(at=now, horizon_s=horizon_s) == until


@pytest.mark.parametrize("horizon_s", [7.0, 120.0, 3000.0, 9000.0])
def test_what_is_kept_of_an_expectation_is_what_would_be_worked_out_anew(horizon_s):
    chance = random.Random(3)
    outlook, past = Outlook(), days(office)
    asked = {"horizon_s": horizon_s, "targets": (10.0,)}
    for second in range(0, 30 * HOUR_S, 11):
        now = at(0) + second
        if second % 1441 == 0:
            minutes = sorted(chance.uniform(0, 50) for _ in range(15))
            past = msgspec.structs.replace(past, minutes=minutes)
        assert outlook.expected(past, at=now, **asked) == expected(past, at=now, **asked)


def test_an_expectation_is_worked_out_anew_when_anything_is_another():
    outlook, past, now = Outlook(), days(office), at(8) - 1
    kept = outlook.expected(past, (10.0,), at=now, horizon_s=60)
    assert outlook.expected(past, (10.0,), at=now + 0.5, horizon_s=60) is kept
    assert outlook.expected(past, (5.0,), at=now, horizon_s=60) == Expected(
        replicas=4, load=20.0, note="20 expected at 08:00 UTC, as on 4 of 5 days"
    )
    assert outlook.expected(past, (5.0,), at=now, horizon_s=0.5) is None
    assert outlook.expected(Past(), (10.0,), at=now, horizon_s=60) is None
    assert outlook.expected(past, (10.0,), at=at(7.5), horizon_s=60) is None, "the clock went back"
