"""Statistics of requests: questions and answers."""

import math
import re
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from controlplane.lifecycle.overviews import Compared, Week, trend
from controlplane.lifecycle.series import Resolution
from controlplane.lifecycle.statistics import Asked, Metric, Numbers, Window, share
from controlplane.wire.base import Input, Number, Shape, maybe_timestamp, timestamp

MAX_SLOW_MS: Final = 86_400_000

_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+ -]\d\d:\d\d)", re.ASCII
)
_RATE_DIGITS: Final = 6


def _moment(value: object) -> float:
    """Epoch seconds of an RFC 3339 time.

    A plus sign that was sent unescaped in a query arrives as a space.
    """
    found = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        date, time, seconds, fraction, zone = found.groups()
        # A leap second counts as the one before it.
        whole = f"{date}T{time}{min(int(seconds), 59):02}" if int(seconds) <= 60 else ""  # noqa: PLR2004
        offset = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
        try:
            return datetime.fromisoformat(f"{whole}{(fraction or '')[:7]}{offset}").timestamp()
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError(
        "datetime_parsing",
        "Send an RFC 3339 time with its zone, such as 2026-11-21T19:00:00Z.",
    )


Moment = Annotated[
    float,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment that clients send: RFC 3339 with a zone."""


class _Stretch(Input):
    proton_id: str | None = Field(None, description="One of the workload's protons.")
    start_time: Moment | None = Field(None, description="RFC 3339 with a zone.")
    end_time: Moment | None = Field(None, description="RFC 3339 with a zone. Absent: now.")


class _Responses(_Stretch):
    response_time_quantile: float = Field(
        0.5, ge=0, le=1, description="Which response time; 0.5 is the median."
    )
    slow_requests_threshold: float = Field(
        2000, ge=0, le=MAX_SLOW_MS, description="Slow is what took longer than this, milliseconds."
    )

    def asked(self) -> Asked:
        """What to find out about responses."""
        return Asked(self.response_time_quantile, self.slow_requests_threshold / 1000)


class StatsQuery(_Responses):
    """Query of a workload's statistics. Without a proton they are the active one's."""


class SeriesQuery(_Responses):
    """Query of one number over time."""

    resolution: Resolution = Field(
        Resolution.DAY, description="Length of a bucket, in UTC. Weeks begin on Mondays."
    )


class ResetQuery(_Stretch):
    """What to reset. Without a proton: all of the workload's; without times: everything."""

    metric_name: Metric | None = Field(None, description="Only this. Absent: every number.")


class PeriodShape(Shape):
    """A stretch of time: what was counted in it."""

    start: str
    end: str

    @classmethod
    def of(cls, span: Window) -> Self:
        """The answer's form of a stretch."""
        return cls(start=timestamp(span.start_s), end=timestamp(span.end_s))


class MetricsShape(Shape):
    """Requests in a period."""

    total_requests: int = Field(description="That arrived.")
    requests_per_minute: int = Field(description="Mean over the period, rounded up.")
    concurrent_requests: int = Field(description="Mean over the period, rounded up.")
    response_time: int = Field(description="The quantile that was asked for, milliseconds.")
    slow_requests: int
    server_errors: int = Field(description="5xx, the gateway's own included.")
    user_errors: int = Field(description="4xx, the gateway's own included.")
    total_error_rate: float = Field(description="Part of all that ended, 0 to 1.")
    server_error_rate: float
    user_error_rate: float

    @classmethod
    def of(cls, found: Numbers) -> Self:
        """The answer's form of the numbers."""
        return cls(
            total_requests=found.total_requests,
            requests_per_minute=math.ceil(found.requests_per_minute),
            concurrent_requests=math.ceil(found.concurrent_requests),
            response_time=round(found.response_time_ms or 0),
            slow_requests=found.slow_requests,
            server_errors=found.server_errors,
            user_errors=found.user_errors,
            total_error_rate=round(found.total_error_rate, _RATE_DIGITS),
            server_error_rate=round(found.server_error_rate, _RATE_DIGITS),
            user_error_rate=round(found.user_error_rate, _RATE_DIGITS),
        )


class StatsFormatted(Shape):
    """Statistics of one workload."""

    period: PeriodShape
    metrics: MetricsShape


class SeriesSummary(Shape):
    """What a series is about."""

    proton_id: str | None = Field(description="Null: the workload has no proton now.")
    period: PeriodShape


class SeriesBucket(Shape):
    """One value of a series."""

    period: PeriodShape
    value: Number | None = Field(
        description="Null: there was nothing that has a response time or can fail."
    )


class SeriesFormatted(Shape):
    """One number over time, oldest first, without gaps."""

    metric: Metric
    summary: SeriesSummary
    buckets: list[SeriesBucket]


class RequestStatsShape(Shape):
    """A workload's requests of the last seven days, today (UTC) included."""

    total_requests: int
    concurrent_requests: int = Field(description="Under way now, waiting ones included.")
    response_time: int = Field(description="Mean, milliseconds.")
    error_rate: float = Field(description="Part of all that ended, 0 to 1.")
    request_rates: list[int] = Field(description="Requests per day, oldest first.")
    error_rates: list[int] = Field(description="Errors per day, oldest first.")
    last_request_at: str | None

    @classmethod
    def of(cls, week: Week) -> Self:
        """The answer's form of a week."""
        return cls(
            total_requests=week.total_requests,
            concurrent_requests=week.under_way,
            response_time=round(week.response_time_ms),
            error_rate=round(week.error_rate, _RATE_DIGITS),
            request_rates=week.requests,
            error_rates=week.errors,
            last_request_at=maybe_timestamp(week.last_request_at),
        )


class WorkloadCounts(Shape):
    """How many workloads."""

    total: int
    active: int = Field(description="With at least one replica that is ready.")


class RequestCounts(Shape):
    """How many requests in the last 24 hours."""

    total: int = Field(description="That arrived.")
    succeeded: int
    failed: int
    trend: float


class ErrorRateShape(Shape):
    """Errors in the last 24 hours, as a part of all that ended."""

    rate: float
    trend: float


class ResponseTimeShape(Shape):
    """Mean response time of the last 24 hours."""

    millis: int
    trend: float


class ConcurrencyShape(Shape):
    """Requests under way now; the trend is that of the mean."""

    count: int
    trend: float


class TotalsFormatted(Shape):
    """Many workloads together, over the last 24 hours.

    Trends are changes against the 24 hours before, as a part of what was then: 0.5 is half as much
    again, 0 also where there was nothing to compare with.
    """

    workloads: WorkloadCounts
    requests: RequestCounts
    error_rate: ErrorRateShape
    response_time: ResponseTimeShape
    concurrent_requests: ConcurrencyShape

    @classmethod
    def of(cls, found: Compared, *, total: int, active: int) -> Self:
        """The answer's form of the totals."""
        now, before = found.now, found.before
        millis, millis_before = (
            share(tally.response_seconds, tally.responses) * 1000 for tally in (now, before)
        )
        rate, rate_before = (share(tally.failed, tally.ended) for tally in (now, before))
        return cls(
            workloads=WorkloadCounts(total=total, active=active),
            requests=RequestCounts(
                total=now.started,
                succeeded=max(0, now.ended - now.failed - now.aborted),
                failed=now.failed,
                trend=_trend(now.started, before.started),
            ),
            error_rate=ErrorRateShape(
                rate=round(rate, _RATE_DIGITS), trend=_trend(rate, rate_before)
            ),
            response_time=ResponseTimeShape(
                millis=round(millis), trend=_trend(millis, millis_before)
            ),
            concurrent_requests=ConcurrencyShape(
                count=found.under_way, trend=_trend(now.load_seconds, before.load_seconds)
            ),
        )


def _trend(now: float, before: float) -> float:
    return round(trend(now, before), _RATE_DIGITS)
