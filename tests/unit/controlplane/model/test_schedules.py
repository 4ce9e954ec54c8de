"""When schedules begin, at every change of the clocks, and which bounds hold."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.behavior import Schedule
from controlplane.model.schedules import Span, bounds_at, spans_of

HOUR_S = 3600.0
DAY = Span(100.0, 200.0, Schedule(cron="", duration_s=100, min_replicas=5, max_replicas=20))
NOON = Span(140.0, 160.0, Schedule(cron="", duration_s=20, min_replicas=30))
QUIET = Span(300.0, 400.0, Schedule(cron="", duration_s=100, max_replicas=1))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(89.0, (2, 10), id="the-groups"),
        pytest.param(90.0, (5, 10), id="a-minimum-counts-early"),
        pytest.param(100.0, (5, 20), id="it-begins"),
        pytest.param(130.0, (30, 30), id="another-ones-minimum-counts-early"),
        pytest.param(150.0, (30, 30), id="several-hold"),
        pytest.param(160.0, (5, 20), id="one-is-over"),
        pytest.param(200.0, (2, 10), id="all-are-over"),
        pytest.param(295.0, (2, 10), id="a-lower-maximum-does-not-count-early"),
        pytest.param(300.0, (1, 1), id="a-lower-maximum-lowers-the-minimum"),
    ],
)
def test_bounds(at, expected):
    assert bounds_at([DAY, NOON, QUIET], low=2, high=10, at=at, lead_s=10.0) == expected


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def begins(schedule: Schedule, moment: str) -> list[str]:
    zone = ZoneInfo(schedule.timezone)
    return [
        datetime.fromtimestamp(span.begin, zone).isoformat(timespec="minutes")
        for span in spans_of(schedule, at=at(moment))
    ]


def nightly(cron: str, timezone: str = "Europe/Vienna") -> Schedule:
    return Schedule(cron=cron, timezone=timezone, duration_s=HOUR_S, min_replicas=2)


def test_what_falls_into_the_hour_that_is_left_out_begins_right_after_it():
    skipped = nightly("30 2 * * *")
    assert begins(skipped, "2026-03-29T01:59+01:00") == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
    ]
    assert begins(skipped, "2026-03-29T03:00+02:00") == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]


@pytest.mark.parametrize(
    ("moment", "last", "following"),
    [
        ("2026-10-25T02:29+02:00", "2026-10-24T02:30+02:00", "2026-10-25T02:30+02:00"),
        ("2026-10-25T02:30+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("2026-10-25T02:10+01:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("2026-10-25T02:40+01:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("2026-10-25T05:00+01:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
    ],
)
def test_what_falls_into_the_doubled_hour_begins_once(moment, last, following):
    assert begins(nightly("30 2 * * *"), moment) == [last, following]


def test_every_hour_stays_every_hour_when_the_clocks_change():
    hourly = nightly("0 * * * *")
    assert begins(hourly, "2026-10-25T02:30+01:00") == [
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    ]
    assert begins(hourly, "2026-10-25T02:30+02:00") == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
    ]


@given(
    cron=st.sampled_from(["30 2 * * *", "0 3 * * 0", "15,45 1-3 * * *", "0 * * * *", "0 0 1 * *"]),
    timezone=st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    moment=st.integers(int(at("2026-01-01T00:00+00:00")), int(at("2027-01-01T00:00+00:00"))),
)
def test_the_last_begin_is_not_later_than_now_and_the_next_is(cron, timezone, moment):
    schedule = nightly(cron, timezone)
    last, following = spans_of(schedule, at=float(moment))
    assert last.begin <= moment < following.begin
    # Nothing lies between them: seen from any time in between, they are the same.
    between = (last.begin + following.begin) / 2
    assert spans_of(schedule, at=between) == [last, following]


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [
        ("0 8 * * *", "Atlantis/Capital"),
        ("whenever", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("0 0 */20 * 1L", "UTC"),
    ],
)
def test_a_schedule_that_cannot_be_read_or_never_begins_has_no_spans(cron, timezone):
    lost = Schedule(cron=cron, timezone=timezone, duration_s=60, min_replicas=5)
    assert spans_of(lost, at=at("2026-01-01T00:00+00:00")) == []
