"""Series of buckets: one number over time, at the contract's resolutions."""

import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from controlplane.lifecycle.plans import UnfitError
from controlplane.lifecycle.statistics import Horizon, Tile, Window
from controlplane.model.statistics import KEPT_S, LENGTH_S, Level

_DAY_S: Final = LENGTH_S[Level.DAY]
_MONDAY: Final = 4
"""The first one was 4 days after 1 January 1970."""


class Resolution(StrEnum):
    """Lengths of the buckets of a series: ISO 8601 durations, in UTC; weeks begin on Mondays."""

    MINUTE = "PT1M"
    FIVE_MINUTES = "PT5M"
    HOUR = "PT1H"
    DAY = "P1D"
    WEEK = "P7D"
    MONTH = "P1M"


_LEVELS: Final = {
    Resolution.MINUTE: Level.MINUTE,
    Resolution.FIVE_MINUTES: Level.MINUTE,
    Resolution.HOUR: Level.HOUR,
}


def series_start(start_s: float | None, resolution: Resolution, horizon: Horizon) -> float:
    """Where a series begins: as asked, else as far back as such buckets are kept.

    Raises:
        UnfitError: Buckets that short are not kept for that long.
    """
    level = _LEVELS.get(resolution, Level.DAY)
    reach_s = horizon.now_s - KEPT_S[level]
    if start_s is None:
        return max(horizon.floor_s, reach_s)
    if max(start_s, horizon.floor_s) < reach_s - LENGTH_S[level]:
        coarser = Resolution.HOUR if level is Level.MINUTE else Resolution.DAY
        raise UnfitError(
            f"Buckets of {resolution} are kept for {KEPT_S[level] // 3600} hours: ask for a later"
            f" startTime, or with resolution={coarser}."
        )
    return start_s


def pieces(span: Window, resolution: Resolution) -> list[Window]:
    """A series' buckets, oldest first: whole ones, but for the running one, which ends now."""
    if span.end_s <= span.start_s:
        return []
    found: list[Window] = []
    at = _begin(span.start_s, resolution)
    while at < span.end_s:
        following = _following(at, resolution)
        found.append(Window(at, min(following, span.end_s)))
        at = following
    return found


def piece_tiles(piece: Window, resolution: Resolution) -> list[Tile]:
    """The buckets of one piece."""
    level = _LEVELS.get(resolution, Level.DAY)
    length_s = LENGTH_S[level]
    return [
        (level, index)
        for index in range(int(piece.start_s // length_s), math.ceil(piece.end_s / length_s))
    ]


_LENGTHS: Final = {
    Resolution.MINUTE: 60,
    Resolution.FIVE_MINUTES: 300,
    Resolution.HOUR: 3600,
    Resolution.DAY: _DAY_S,
    Resolution.WEEK: 7 * _DAY_S,
}


def _begin(at: float, resolution: Resolution) -> float:
    if resolution is Resolution.MONTH:
        return _month(datetime.fromtimestamp(at, UTC)).timestamp()
    length_s = _LENGTHS[resolution]
    offset_s = _MONDAY * _DAY_S if resolution is Resolution.WEEK else 0
    return (at - offset_s) // length_s * length_s + offset_s


def _following(at: float, resolution: Resolution) -> float:
    if resolution is Resolution.MONTH:
        # 31 days after the first is in the next month, wherever that is
        return _month(datetime.fromtimestamp(at, UTC) + timedelta(days=31)).timestamp()
    return at + _LENGTHS[resolution]


def _month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
