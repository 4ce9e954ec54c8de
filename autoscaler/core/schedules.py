"""Bounds that hold at known times: which do now.

    now is                              bounds
    ----------------------------------  -------------------------------------------------------
    within a schedule                   its own; what it does not say is the group's
    within several                      the highest minimum and the highest maximum of them
    shortly before one begins           as they are, but its minimum already counts: its replicas
                                        are started a cold start early, to be ready at the begin
    else                                the group's

When schedules begin is found out in `autoscaler.schedules`, which knows calendars and time zones;
`decide` gets the bounds ready-made, so that a decision made again elsewhere is the same.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from controlplane.model.behavior import Schedule

_SHARE: Final = 0.9


class Scheduled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The bounds that hold by schedule at one moment."""

    low: int
    high: int
    by: str = ""
    """Which schedules hold and until when; empty: none."""
    following: str = ""
    """When the bounds change next, and to what; empty: never."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """One time that a schedule holds: epoch seconds."""

    begin: float
    end: float
    schedule: Schedule


def bounds_at(
    spans: Sequence[Span], *, low: int, high: int, at: float, lead_s: float
) -> tuple[int, int]:
    """The bounds that hold at a moment: the table above.

    Args:
        spans: From `spans_of`, of all schedules.
        low: The group's own minimum.
        high: The group's own maximum.
        at: Epoch seconds.
        lead_s: How long before a begin its minimum counts.
    """
    holding = [_own(s.schedule, low, high) for s in spans if s.begin <= at < s.end]
    least = max((own[0] for own in holding), default=low)
    most = max((own[1] for own in holding), default=high)
    for span in spans:
        if span.begin - lead_s <= at < span.begin:
            least = max(least, _own(span.schedule, low, high)[0])
    return least, max(least, most)


def _own(schedule: Schedule, low: int, high: int) -> tuple[int, int]:
    least = low if schedule.min_replicas is None else schedule.min_replicas
    most = max(high, least) if schedule.max_replicas is None else schedule.max_replicas
    return min(least, most), most


def lead_of(cold_starts_s: Sequence[float], *, guess_s: float) -> float:
    """How long before a begin to start its replicas: nine of ten were ready within that.

    Args:
        cold_starts_s: How long the proton's last replicas took to be ready.
        guess_s: What to take without any.
    """
    if not cold_starts_s:
        return guess_s
    ascending = sorted(cold_starts_s)
    return math.ceil(ascending[min(len(ascending) - 1, int(_SHARE * len(ascending)))])
