"""When schedules begin and end, and which bounds hold then.

    now is                              bounds
    ----------------------------------  -------------------------------------------------------
    within a schedule                   its own; what it does not say is the group's
    within several                      the highest minimum and the highest maximum of them
    shortly before one begins           as they are, but its minimum already counts: its replicas
                                        are started a cold start early, to be ready at the begin
    else                                the group's

`cronsim` reads the expressions: what falls into the hour that a change of the clocks leaves out
begins right after it, what falls into the doubled hour begins once, as with Debian's cron.
Durations are elapsed time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from controlplane.model.behavior import Schedule

_AROUND: Final = timedelta(hours=3)
"""Begins are looked for from this far off, so that no change of the clocks hides one: none is
larger, and inside a doubled hour cronsim gives the first one's begins only."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """One time that a schedule holds: epoch seconds."""

    begin: float
    end: float
    schedule: Schedule


def spans_of(schedule: Schedule, *, at: float) -> list[Span]:
    """The span that began last and the next one, as far as there are any.

    A schedule that cannot be read, since its zone is unknown here, has none: a decision must not
    fail for it.

    Args:
        schedule: When, for how long.
        at: Epoch seconds.
    """
    try:
        now = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(schedule.timezone))
        begins = [
            *_first(CronSim(schedule.cron, now + _AROUND, reverse=True), at, after=False),
            *_first(CronSim(schedule.cron, now - _AROUND), at, after=True),
        ]
    except (CronSimError, ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return []
    return [Span(begin, begin + schedule.duration_s, schedule) for begin in begins]


def _first(found: CronSim, at: float, *, after: bool) -> list[float]:
    for moment in found:
        begin = moment.timestamp()
        if (begin > at) is after:
            return [begin]
    return []


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
