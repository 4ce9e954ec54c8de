"""Taking numbers out of the statistics: all of them, or a stretch of time, a proton, a metric."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from controlplane.lifecycle.counting import Place
from controlplane.model.statistics import (
    LENGTH_S,
    SUMMARY,
    Bucket,
    Changes,
    Level,
    Tally,
    bucket_field,
    bucket_of_field,
    decode_bucket,
    decode_summary,
    encode,
)

_CRUMBS_S: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is taken out.

    A minute is in a stretch of time when it overlaps with it; an hour or a day, whose minutes are
    not kept any more, when all of it is inside.
    """

    numbers: Collection[str] | None = None
    """Fields of `Bucket`; None: all."""
    proton_id: str | None = None
    """Whose; None: all protons'."""
    start_s: float | None = None
    """Epoch seconds; None: from the beginning."""
    end_s: float | None = None
    """Epoch seconds; None: up to now."""


def without(stored: Mapping[str, bytes], part: Part, *, now_s: float) -> Changes:
    """What a reset writes.

    Args:
        stored: All fields.
        part: What is taken out.
        now_s: Epoch seconds.
    """
    before = {
        place: decode_bucket(value)
        for name, value in stored.items()
        if (place := bucket_of_field(name)) is not None
    }
    first_s = -math.inf if part.start_s is None else part.start_s
    last_s = math.inf if part.end_s is None or part.end_s >= now_s else part.end_s
    after = dict(before)
    for level in Level:
        for place in before:
            if place[0] is not level or part.proton_id not in {None, place[2]}:
                continue
            if _inside(level, place[1], first_s, last_s):
                _take_out(after, place, part.numbers)
    changes = Changes()
    for place, bucket in after.items():
        if _empty(bucket):
            changes.drops.add(bucket_field(*place))
        elif bucket != before[place]:
            changes.sets[bucket_field(*place)] = encode(bucket)
    left = {place: bucket for place, bucket in after.items() if not _empty(bucket)}
    summary = decode_summary(stored.get(SUMMARY))
    protons = {place[2] for place in left}
    changes.sets[SUMMARY] = encode(
        msgspec.structs.replace(
            summary,
            protons=tuple(proton for proton in summary.protons if proton in protons),
            last_request_at=summary.last_request_at if left else None,
            last_response_at=summary.last_response_at if left else None,
            hours=_tallies(left, Level.HOUR, summary.hours),
            days=_tallies(left, Level.DAY, summary.days),
        )
    )
    return changes


def _inside(level: Level, index: int, first_s: float, last_s: float) -> bool:
    begin_s = index * LENGTH_S[level]
    end_s = begin_s + LENGTH_S[level]
    if level is Level.MINUTE:
        return begin_s < last_s and end_s > first_s
    return begin_s >= first_s and end_s <= last_s


def _take_out(after: dict[Place, Bucket], place: Place, numbers: Collection[str] | None) -> None:
    """Take a bucket's numbers out of it, and out of the longer ones that hold them too."""
    level, index, proton_id = place
    whole = after[place]
    part = whole if numbers is None else Bucket(**{n: getattr(whole, n) for n in numbers})
    begin_s = index * LENGTH_S[level]
    for longer in Level:
        if LENGTH_S[longer] >= LENGTH_S[level]:
            at = (longer, begin_s // LENGTH_S[longer], proton_id)
            if at in after:
                after[at] -= part


def _empty(bucket: Bucket) -> bool:
    """Whether nothing is left; differences of sums leave crumbs of the seconds."""
    crumbs = bucket.load_seconds < _CRUMBS_S
    return crumbs and not (bucket.started or bucket.ended or bucket.response_time)


def _tallies(
    left: Mapping[Place, Bucket], level: Level, known: Mapping[int, Tally]
) -> dict[int, Tally]:
    tallies: dict[int, Tally] = {}
    for (its, index, _), bucket in left.items():
        if its is level and index in known:
            tallies[index] = tallies.get(index, Tally()) + Tally.of(bucket)
    return tallies
