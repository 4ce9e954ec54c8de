"""Times that clients send, and numbers as they are shown."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle.overviews import Compared
from controlplane.lifecycle.statistics import Asked, Numbers
from controlplane.model.statistics import Tally
from controlplane.wire.statistics import (
    MetricsShape,
    ResetQuery,
    SeriesQuery,
    StatsQuery,
    TotalsFormatted,
)
from tests.unit.controlplane.wire.refusals import refused

SEVEN = datetime(2026, 11, 21, 19, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-11-21T19:00:00Z", SEVEN, id="utc"),
        pytest.param("2026-11-21t19:00:00z", SEVEN, id="lower-case"),
        pytest.param("2026-11-21T20:00:00+01:00", SEVEN, id="a-zone"),
        pytest.param("2026-11-21T13:30:00-05:30", SEVEN, id="a-zone-behind"),
        pytest.param("2026-11-21T20:00:00 01:00", SEVEN, id="an-unescaped-plus"),
        pytest.param("2026-11-21 19:00:00Z", SEVEN, id="a-space"),
        pytest.param("2026-11-21T19:00:00.5Z", SEVEN + 0.5, id="a-fraction"),
        pytest.param("2026-11-21T19:00:00.123456789Z", SEVEN + 0.123456, id="nanoseconds"),
        pytest.param("2026-11-21T18:59:60Z", SEVEN - 1, id="a-leap-second"),
    ],
)
def test_times_are_rfc_3339(text, expected):
    assert StatsQuery.model_validate({"startTime": text}).start_time == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-11-21T19:00:00", id="no-zone"),
        pytest.param("2026-11-21", id="a-date"),
        pytest.param("1700000000", id="epoch-seconds"),
        pytest.param("2026-13-21T19:00:00Z", id="no-such-month"),
        pytest.param("2026-11-21T25:00:00Z", id="no-such-hour"),
        pytest.param("2026-11-21T19:00:61Z", id="no-such-second"),
        pytest.param("2026-11-21T19:00:00+99:00", id="no-such-zone"),
        pytest.param("0000-01-01T00:00:00Z", id="no-such-year"),
        pytest.param("2026-11-21T19:00:00Z ", id="something-behind-it"),
        pytest.param("٢٠٢٦-11-21T19:00:00Z", id="other-digits"),
        pytest.param(7, id="a-number"),
        pytest.param("", id="nothing"),
    ],
)
@pytest.mark.parametrize("query", [StatsQuery, SeriesQuery, ResetQuery])
def test_anything_else_is_refused(query, text):
    [(where, message)] = refused(query, {"endTime": text})
    assert where == "endTime"
    assert "RFC 3339" in message


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - a zone is added
def test_times_that_we_write_can_be_sent_back(moment):
    text = moment.replace(tzinfo=UTC).isoformat(timespec="microseconds")
    found = StatsQuery.model_validate({"startTime": text}).start_time
    assert found == moment.replace(tzinfo=UTC).timestamp()


def test_defaults_are_the_contracts():
    assert StatsQuery().asked() == Asked(quantile=0.5, slow_s=2.0)
    assert SeriesQuery().resolution == "P1D"
    assert ResetQuery().metric_name is None


def test_a_little_is_more_than_nothing():
    found = MetricsShape.of(
        Numbers(
            total_requests=1,
            requests_per_minute=0.001,
            concurrent_requests=0.001,
            response_time_ms=None,
            slow_requests=0,
            server_errors=0,
            user_errors=0,
            total_error_rate=1 / 3,
            server_error_rate=0,
            user_error_rate=0,
        )
    )
    assert (found.requests_per_minute, found.concurrent_requests) == (1, 1)
    assert (found.response_time, found.total_error_rate) == (0, 0.333333)


def test_totals_tell_what_became_of_requests():
    now = Tally(10, 9, 2, 1, 6.0, 4, 1.0)
    before = Tally(5, 5, 2, 0, 4.0, 4, 0.5)
    found = TotalsFormatted.of(Compared(now, before, 3), total=7, active=2)
    assert found.model_dump() == {
        "workloads": {"total": 7, "active": 2},
        "requests": {"total": 10, "succeeded": 6, "failed": 2, "trend": 1.0},
        "errorRate": {"rate": 0.222222, "trend": -0.444444},
        "responseTime": {"millis": 250, "trend": 1.0},
        "concurrentRequests": {"count": 3, "trend": 0.5},
    }
