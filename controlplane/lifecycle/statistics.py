"""From buckets of time to the numbers that people ask for.

A stretch of time is covered by the longest buckets that lie wholly inside it; at its ends by the
shortest that are still kept. So a stretch begins and ends at a whole minute in the last 3 hours, at
a whole hour in the last 8 days, else at a whole day (UTC): the answer says what was counted.

    number              of
    ------------------  -----------------------------------------------------------------------
    totalRequests       all that arrived
    requestsPerMinute   the same per minute of the period, which counts as a minute at least
    concurrentRequests  mean load: time that requests were under way, divided by the period
    responseTime        answers of replicas, from the request's arrival to the answer's last byte;
                        neither tunnels nor what the gateway answered itself
    slowRequests,       those of them that took longer than the threshold
    requestsOverN
    serverErrors        5xx, of replicas and the gateway's own (queue full, replica lost, too late)
    userErrors          4xx, of replicas and the gateway's own (quotas, bodies that are too large)
    rates               errors divided by all that ended. What was aborted because a side vanished
                        has ended, and is no error
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controlplane.lifecycle.plans import RuleError
from controlplane.model.histograms import quantile_s, slower_than
from controlplane.model.statistics import (
    KEPT_S,
    LENGTH_S,
    NOTHING,
    Bucket,
    Level,
    bucket_field,
)


class Metric(StrEnum):
    """Numbers that there are series of."""

    TOTAL_REQUESTS = "totalRequests"
    REQUESTS_OVER_N = "requestsOverN"
    REQUESTS_PER_MINUTE = "requestsPerMinute"
    CONCURRENT_REQUESTS = "concurrentRequests"
    RESPONSE_TIME = "responseTime"
    TOTAL_ERROR_RATE = "totalErrorRate"


NUMBERS: Final[Mapping[Metric, tuple[str, ...]]] = {
    Metric.TOTAL_REQUESTS: ("started",),
    Metric.REQUESTS_PER_MINUTE: ("started",),
    Metric.CONCURRENT_REQUESTS: ("load_seconds",),
    Metric.RESPONSE_TIME: ("response_time", "response_seconds"),
    Metric.REQUESTS_OVER_N: ("response_time", "response_seconds"),
    Metric.TOTAL_ERROR_RATE: ("user_errors", "server_errors", "refused"),
}
"""What a reset of one metric resets of a bucket; metrics over the same numbers go together."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, epoch seconds."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """At least a second, so that rates are numbers."""
        return max(1.0, self.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants to know about responses."""

    quantile: float = 0.5
    slow_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Everything about one stretch of time."""

    total_requests: int
    requests_per_minute: float
    concurrent_requests: float
    response_time_ms: float | None
    slow_requests: int
    server_errors: int
    user_errors: int
    total_error_rate: float
    server_error_rate: float
    user_error_rate: float


Tile = tuple[Level, int]
"""A bucket of some proton: level and index."""


class RangeError(RuleError):
    """A stretch of time that cannot be."""

    status = 400


# -- stretches of time -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What a workload's statistics can speak of at all."""

    since_s: float
    """The creation, or the last reset: nothing was counted before."""
    retention_s: float
    now_s: float

    @property
    def floor_s(self) -> float:
        """The earliest moment that is answered for."""
        return max(self.since_s, self.now_s - self.retention_s)


def window(start_s: float | None, end_s: float | None, horizon: Horizon) -> Window:
    """The stretch that is asked for, as far as it is kept and has happened.

    Args:
        start_s: As asked; None: from the horizon's floor.
        end_s: As asked; None: now.
        horizon: The workload's.

    Raises:
        RangeError: The start is not before the end, or in the future.
    """
    floor_s, now_s = horizon.floor_s, horizon.now_s
    if start_s is not None and start_s >= now_s:
        raise RangeError("startTime is not in the past: ask for an earlier one.")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise RangeError("startTime is not before endTime: swap them, or leave one of them out.")
    end = now_s if end_s is None else min(end_s, now_s)
    if end <= floor_s:
        return Window(end if start_s is None else start_s, end)
    return Window(floor_s if start_s is None else max(start_s, floor_s), end)


def tiles(span: Window, horizon: Horizon) -> list[Tile]:
    """The buckets that cover a stretch of time, in order, none of them twice."""
    if span.end_s <= horizon.floor_s:
        return []
    start_s = -math.inf if span.start_s <= horizon.since_s else span.start_s
    end_s = math.inf if span.end_s >= horizon.now_s else span.end_s
    found: list[Tile] = []
    _cover(Level.DAY, span, (start_s, end_s), horizon.now_s, found)
    return found


_FINER: Final = {Level.DAY: Level.HOUR, Level.HOUR: Level.MINUTE}


def _cover(
    level: Level, span: Window, exact: tuple[float, float], now_s: float, found: list[Tile]
) -> None:
    length_s = LENGTH_S[level]
    finer = _FINER.get(level)
    for index in range(int(span.start_s // length_s), math.ceil(span.end_s / length_s)):
        begin_s, end_s = index * length_s, (index + 1) * length_s
        inside = begin_s >= exact[0] and end_s <= exact[1]
        # Shorter ones are dropped by whole buckets of this length.
        if inside or finer is None or end_s <= now_s - KEPT_S[finer]:
            found.append((level, index))
        else:
            part = Window(max(begin_s, span.start_s), min(end_s, span.end_s))
            _cover(finer, part, exact, now_s, found)


def counted(covering: Sequence[Tile], span: Window, horizon: Horizon) -> Window:
    """The stretch that these buckets speak of."""
    if not covering:
        return span
    (first, at), (last, until) = covering[0], covering[-1]
    return Window(
        max(at * LENGTH_S[first], horizon.since_s),
        min((until + 1) * LENGTH_S[last], horizon.now_s),
    )


def names(covering: Iterable[Tile], protons: Iterable[str]) -> list[str]:
    """The fields of these buckets of these protons."""
    covering = list(covering)
    return [bucket_field(*tile, proton) for proton in protons for tile in covering]


def total(buckets: Mapping[str, Bucket], fields: Iterable[str]) -> Bucket:
    """The sum of the buckets of some fields, as far as they are there."""
    found = NOTHING
    for name in fields:
        if name in buckets:
            found += buckets[name]
    return found


# -- numbers ---------------------------------------------------------------------------------------


def numbers(bucket: Bucket, span: Window, asked: Asked) -> Numbers:
    """What a stretch's sum says."""
    quantile = quantile_s(bucket.response_time, asked.quantile)
    return Numbers(
        total_requests=bucket.started,
        requests_per_minute=bucket.started * 60 / max(60.0, span.length_s),
        concurrent_requests=bucket.load_seconds / span.length_s,
        response_time_ms=None if quantile is None else quantile * 1000,
        slow_requests=slower_than(bucket.response_time, asked.slow_s),
        server_errors=bucket.server_errors,
        user_errors=bucket.user_errors,
        total_error_rate=share(bucket.server_errors + bucket.user_errors, bucket.ended),
        server_error_rate=share(bucket.server_errors, bucket.ended),
        user_error_rate=share(bucket.user_errors, bucket.ended),
    )


def value(metric: Metric, found: Numbers, *, ended: int) -> float | None:
    """One number of a stretch; None where there was nothing that has it."""
    match metric:
        case Metric.TOTAL_REQUESTS:
            return found.total_requests
        case Metric.REQUESTS_OVER_N:
            return found.slow_requests
        case Metric.REQUESTS_PER_MINUTE:
            return found.requests_per_minute
        case Metric.CONCURRENT_REQUESTS:
            return found.concurrent_requests
        case Metric.RESPONSE_TIME:
            return found.response_time_ms
        case _:
            return found.total_error_rate if ended else None


def share(part: float, whole: float) -> float:
    """A part of a whole, 0..1; 0 of nothing."""
    return part / whole if whole else 0.0
