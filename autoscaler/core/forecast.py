"""How many replicas will be needed when a replica started now is ready.

    part      looks at                          says
    --------  --------------------------------  -------------------------------------------------
    season    the same hour of the last seven   the mean load that two thirds of these days have
              days, working days and weekends   reached: what comes every day is expected, what
              apart                             came once is not
    trend     the mean load of the last 15      where the line through it will be (Theil-Sen), if
              minutes                           it rises so steadily that chance hardly does it

The horizon is the proton's own learned cold-start time. An expectation for an hour begins to count
one horizon before it, and ends `GRACE_S` after its begin: by then what comes has come, or will not,
and the other policies know better. So a forecast that is wrong costs minutes, not hours.

The hours are the whole workload's, and of them a proton expects the share that is its: as much as
its weight has of the weights of all protons of the workload. So in a replacement nothing is
expected twice. The minutes are its own.

Times are UTC: where clocks change, the season is off by an hour until two thirds of the days agree.
A forecast is only a floor, never a reason to shrink.

Theil-Sen: the median of the slopes of all pairs of points, which up to 29 % of them cannot spoil
(P. K. Sen, 1968, JASA 63:324). Steadiness is Kendall's tau: the share of pairs that rise, less the
share that fall. Of 15 values in random order it exceeds 0.7 about once in 8,000 times.
"""

import itertools
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from autoscaler.core.policy import ceil_ratio

HOUR_S: Final = 3600
MINUTES: Final = 15
"""What the trend looks at."""
GRACE_S: Final = 600.0

_DAYS: Final = 7
_LEAST_DAYS: Final = 2
_LEAST_MINUTES: Final = 10
_STEADY: Final = 0.7
_LEAST_RISE: Final = 1.2
"""A trend that ends less than this factor above the present is left to the other policies."""
_MOST_RISE: Final = 2.0
"""Of what was seen: a line through a quarter of an hour proves nothing beyond."""
_MOST_HOURS: Final = 2
"""Ahead of the running one: no replica takes longer to start."""
_HOURS_PER_DAY: Final = 24
_FRIDAY: Final = 4


class Past(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a forecast is made from."""

    hours: Mapping[int, float] = {}
    """Epoch hour to its mean load; an hour without load may be missing."""
    since_hour: int | None = None
    """The first hour that is known about; None: no hour is."""
    minutes: Sequence[float] = ()
    """Mean load of the last whole minutes, oldest first; the proton's own."""
    share: float = 1.0
    """What part of the load of `hours` is the proton's, 0 to 1."""


NO_PAST: Final = Past()


class Expected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is expected, in replicas."""

    replicas: int
    load: float
    note: str


def expected(
    past: Past, targets: Sequence[float], *, at: float, horizon_s: float
) -> Expected | None:
    """What will be needed by the time that a replica started now is ready; None: nothing known.

    Args:
        past: The load so far.
        targets: Requests in flight per replica, of the policies about them. Without any, nothing
            is said.
        at: Now, epoch seconds.
        horizon_s: How long a replica takes to become ready.
    """
    if not targets:
        return None
    first, last = int(at // HOUR_S), int((at + horizon_s) // HOUR_S)
    said = [
        _season(past, hour)
        for hour in range(first, min(last, first + _MOST_HOURS) + 1)
        if at < hour * HOUR_S + GRACE_S
    ]
    said.append(_trend(past.minutes, horizon_s))
    load, note = max((found for found in said if found is not None), default=(0.0, ""))
    replicas = max(ceil_ratio(load, target) for target in targets)
    return Expected(replicas=replicas, load=load, note=note) if replicas > 0 else None


def holds_until(*, at: float, horizon_s: float) -> float:
    """When what is expected may change although the past, targets and horizon are the same.

    Args:
        at: A moment, epoch seconds.
        horizon_s: How long a replica takes to become ready.

    Returns:
        Epoch seconds: when another hour begins to count, or the present one ends to.
    """
    hour = int(at // HOUR_S)
    moments = [
        hour * HOUR_S + GRACE_S,
        (hour + 1) * HOUR_S,
        (int((at + horizon_s) // HOUR_S) + 1) * HOUR_S - horizon_s,
    ]
    return min(moment for moment in moments if moment > at)


class Outlook:
    """What one proton expects, worked out anew only when it can be something else.

    It is asked for at every decision, and changes with the past, about once a minute.
    """

    __slots__ = ("_asked", "_found", "_past", "_since", "_until")

    def __init__(self) -> None:
        """Begin with nothing worked out."""
        self._past: Past | None = None
        self._asked: tuple[Sequence[float], float] = ((), 0.0)
        self._found: Expected | None = None
        self._since = self._until = 0.0

    def expected(
        self, past: Past, targets: Sequence[float], *, at: float, horizon_s: float
    ) -> Expected | None:
        """As `expected`; of a past that is the same object nothing has changed."""
        asked = (targets, horizon_s)
        same = past is self._past and asked == self._asked
        if not same or not self._since <= at < self._until:
            self._found = expected(past, targets, at=at, horizon_s=horizon_s)
            self._past, self._asked = past, asked
            self._since, self._until = at, holds_until(at=at, horizon_s=horizon_s)
        return self._found


def _season(past: Past, hour: int) -> tuple[float, str] | None:
    if past.since_hour is None:
        return None
    days = [
        past.hours.get(before, 0.0)
        for day in range(1, _DAYS + 1)
        if (before := hour - day * _HOURS_PER_DAY) >= past.since_hour
        and _weekend(before) == _weekend(hour)
    ]
    if len(days) < _LEAST_DAYS:
        return None
    days.sort()
    index = len(days) // 3
    load = days[index] * past.share
    when = f"{hour % _HOURS_PER_DAY:02d}:00 UTC"
    part = "" if past.share >= 1 else f" ({past.share:.3g} of the workload's {days[index]:.3g})"
    seen = f"as on {len(days) - index} of {len(days)} days"
    return load, f"{load:.3g} expected at {when}{part}, {seen}"


def _weekend(hour: int) -> bool:
    # 1970-01-01, day 0, was a Thursday: weekday 3, counted from Monday.
    return (hour // _HOURS_PER_DAY + 3) % 7 > _FRIDAY


def _trend(minutes: Sequence[float], horizon_s: float) -> tuple[float, str] | None:
    recent = list(minutes[-MINUTES:])
    if len(recent) < _LEAST_MINUTES:
        return None
    pairs = list(itertools.combinations(enumerate(recent), 2))
    rising = sum((b > a) - (b < a) for (_, a), (_, b) in pairs)
    if rising < _STEADY * len(pairs):
        return None
    slope = median((b - a) / (j - i) for (i, a), (j, b) in pairs)
    last = len(recent) - 1
    present = median(value + slope * (last - i) for i, value in enumerate(recent))
    load = min(present + slope * horizon_s / 60, _MOST_RISE * max(recent))
    if load < _LEAST_RISE * present:
        return None
    return load, f"{load:.3g} expected in {horizon_s:.0f} s, rising by {slope:.3g} a minute"
