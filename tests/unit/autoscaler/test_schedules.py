"""When schedules hold, what is said of it, and how long that is kept."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.schedules import Scheduled
from autoscaler.schedules import Calendar
from controlplane.model.behavior import Schedule
from controlplane.model.schedules import bounds_at, spans_of

HOUR_S = 3600.0
OFFICE = Schedule(
    cron="0 8 * * 1-5",
    timezone="Europe/Vienna",
    duration_s=10 * HOUR_S,
    min_replicas=5,
    max_replicas=20,
    name="office",
)
NIGHT = Schedule(cron="0 22 * * *", timezone="Europe/Vienna", duration_s=HOUR_S, max_replicas=2)
NEWS = Schedule(cron="30 8 * * *", timezone="Europe/Vienna", duration_s=HOUR_S, min_replicas=9)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def found(text: str, *schedules: Schedule, lead_s: float = 0.0) -> Scheduled:
    return Calendar().scheduled("p", schedules, low=1, high=10, at=at(text), lead_s=lead_s)


def bounds(text: str, *schedules: Schedule, lead_s: float = 0.0) -> tuple[int, int]:
    scheduled = found(text, *schedules, lead_s=lead_s)
    return scheduled.low, scheduled.high


# 23 November 2026 is a Monday.


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-23T07:59:59+01:00", (1, 10)),
        ("2026-11-23T08:00:00+01:00", (5, 20)),
        ("2026-11-23T07:00:00+00:00", (5, 20)),
        ("2026-11-23T17:59:59+01:00", (5, 20)),
        ("2026-11-23T18:00:00+01:00", (1, 10)),
        ("2026-11-28T12:00:00+01:00", (1, 10)),
    ],
)
def test_a_schedule_holds_from_its_begin_to_its_end(moment, expected):
    assert bounds(moment, OFFICE) == expected


def test_a_schedule_keeps_to_its_time_of_day_in_summer():
    assert bounds("2026-07-06T08:00:00+02:00", OFFICE) == (5, 20)
    assert bounds("2026-07-06T08:00:00+01:00", OFFICE) == (5, 20)
    assert bounds("2026-07-06T07:59:00+02:00", OFFICE) == (1, 10)


@pytest.mark.parametrize(
    ("schedules", "moment", "expected"),
    [
        pytest.param((OFFICE, NEWS), "2026-11-23T09:00+01:00", (9, 20), id="highest-of-each"),
        pytest.param((NEWS, OFFICE), "2026-11-23T09:00+01:00", (9, 20), id="in-any-order"),
        pytest.param((OFFICE, NEWS), "2026-11-23T10:00+01:00", (5, 20), id="one-is-over"),
        pytest.param((NIGHT,), "2026-11-23T22:30+01:00", (1, 2), id="a-lower-maximum"),
        pytest.param((OFFICE, NIGHT), "2026-11-23T22:30+01:00", (1, 2), id="the-other-is-over"),
        pytest.param((NEWS,), "2026-11-23T09:00+01:00", (9, 10), id="the-groups-own-maximum"),
    ],
)
def test_where_several_hold_the_highest_bounds_win(schedules, moment, expected):
    assert bounds(moment, *schedules) == expected


def test_a_minimum_above_the_groups_maximum_raises_it():
    much = Schedule(cron="0 8 * * *", duration_s=60, min_replicas=30)
    assert bounds("2026-11-23T08:00+00:00", much) == (30, 30)


def test_a_maximum_below_the_groups_minimum_lowers_it():
    # Refused by the API; a later edit of the group's minimum must not break the decision.
    one = Schedule(cron="0 8 * * *", duration_s=60, max_replicas=2)
    scheduled = Calendar().scheduled(
        "p", (one,), low=4, high=9, at=at("2026-11-23T08:00+00:00"), lead_s=0
    )
    assert (scheduled.low, scheduled.high) == (2, 2)


# -- a cold start early -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-23T07:58:59+01:00", (1, 10)),
        ("2026-11-23T07:59:00+01:00", (5, 10)),
        ("2026-11-23T07:59:59+01:00", (5, 10)),
        ("2026-11-23T08:00:00+01:00", (5, 20)),
    ],
)
def test_replicas_are_started_a_cold_start_before_the_begin(moment, expected):
    assert bounds(moment, OFFICE, lead_s=60) == expected


def test_a_lower_minimum_does_not_count_early():
    less = Schedule(cron="0 8 * * *", duration_s=60, min_replicas=0, max_replicas=1)
    assert bounds("2026-11-23T07:59:30+00:00", less, lead_s=60) == (1, 10)


# -- what is said -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "by", "following"),
    [
        (
            "2026-11-23T07:00+01:00",
            "",
            "from 2026-11-23T07:59+01:00 between 5 and 10",
        ),
        (
            "2026-11-23T07:59:30+01:00",
            "'office' from 2026-11-23T08:00+01:00, 60 s early",
            "from 2026-11-23T08:00+01:00 between 5 and 20",
        ),
        (
            "2026-11-23T09:00+01:00",
            "'office' until 2026-11-23T18:00+01:00"
            " and '30 8 * * * Europe/Vienna' until 2026-11-23T09:30+01:00",
            "from 2026-11-23T09:30+01:00 between 5 and 20",
        ),
        (
            "2026-11-27T20:00+01:00",
            "",
            "from 2026-11-28T08:29+01:00 between 9 and 10",
        ),
    ],
)
def test_the_record_says_which_holds_until_when_and_what_comes(moment, by, following):
    scheduled = found(moment, OFFICE, NEWS, lead_s=60)
    assert (scheduled.by, scheduled.following) == (by, following)


def test_a_change_that_changes_nothing_is_not_told():
    same = Schedule(cron="0 8 * * *", duration_s=60, min_replicas=1, max_replicas=10)
    assert found("2026-11-23T07:00+00:00", same).following == ""


def nightly(cron: str, timezone: str = "Europe/Vienna") -> Schedule:
    return Schedule(cron=cron, timezone=timezone, duration_s=HOUR_S, min_replicas=2)


def test_a_duration_is_elapsed_time():
    over = nightly("30 2 * * *")
    assert bounds("2026-10-25T02:29+01:00", over) == (2, 10)
    assert bounds("2026-10-25T02:30+01:00", over) == (1, 10)


# -- what cannot be read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [("0 8 * * *", "Atlantis/Capital"), ("whenever", "UTC"), ("0 0 31 2 *", "UTC")],
)
def test_a_schedule_that_cannot_be_read_changes_nothing(cron, timezone):
    lost = Schedule(cron=cron, timezone=timezone, duration_s=60, min_replicas=5)
    scheduled = found("2026-11-23T08:00+00:00", lost)
    assert scheduled == Scheduled(low=1, high=10)


# -- the calendar -------------------------------------------------------------------------------


def test_a_calendar_gives_the_same_answer_until_something_changes():
    calendar = Calendar()
    asked = {"low": 1, "high": 10, "lead_s": 0.0}
    first = calendar.scheduled("p", (OFFICE,), at=at("2026-11-23T08:00+01:00"), **asked)
    assert calendar.scheduled("p", (OFFICE,), at=at("2026-11-23T17:59+01:00"), **asked) is first
    later = calendar.scheduled("p", (OFFICE,), at=at("2026-11-23T18:00+01:00"), **asked)
    assert (later.low, later.high) == (1, 10)
    back = calendar.scheduled("p", (OFFICE,), at=at("2026-11-23T12:00+01:00"), **asked)
    assert (back.low, back.high) == (5, 20), "the wall clock was set back"
    assert calendar.scheduled(
        "p", (OFFICE,), low=1, high=30, at=at("2026-11-23T12:00+01:00"), lead_s=0.0
    ) == Scheduled(
        low=5,
        high=20,
        by=back.by,
        following="from 2026-11-23T18:00+01:00 between 1 and 30",
    )


def test_a_calendar_forgets_whom_it_is_not_asked_to_keep():
    calendar = Calendar()
    asked = {"low": 1, "high": 10, "lead_s": 0.0, "at": at("2026-11-23T08:00+01:00")}
    kept = calendar.scheduled("p", (OFFICE,), **asked)
    gone = calendar.scheduled("q", (OFFICE,), **asked)
    calendar.retain({"p"})
    assert calendar.scheduled("p", (OFFICE,), **asked) is kept
    assert calendar.scheduled("q", (OFFICE,), **asked) is not gone


@settings(max_examples=25)
@given(
    moment=st.integers(int(at("2026-03-20T00:00+00:00")), int(at("2026-04-05T00:00+00:00"))),
    lead_s=st.sampled_from([0.0, 45.0, 4000.0]),
)
def test_a_calendar_that_is_asked_every_minute_knows_every_change(moment, lead_s):
    calendar = Calendar()
    schedules = (OFFICE, NIGHT, NEWS, nightly("30 2 * * *"))
    for second in range(moment, moment + 7200, 300):
        kept = calendar.scheduled("p", schedules, low=1, high=10, at=float(second), lead_s=lead_s)
        spans = [span for schedule in schedules for span in spans_of(schedule, at=second)]
        exact = bounds_at(spans, low=1, high=10, at=float(second), lead_s=lead_s)
        assert (kept.low, kept.high) == exact, datetime.fromtimestamp(second, UTC)
