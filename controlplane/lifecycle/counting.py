"""From gateways' counters to buckets of time: what one look at the reports writes; and resets.

Counters are cumulative per worker, and what was seen of them last is written together with the
buckets that the difference went into. So whatever happens to reports, workers and recorders, a
request is counted once:

    what happens                                  what comes of it
    --------------------------------------------  ---------------------------------------------
    a report comes twice, late, or out of order   its clock is not later than the seen one: nothing
    reports are lost                              the next one has all of it, in its own minute
    a worker starts again                         it is another worker, and begins at zero
    a worker dies                                 its last report counts; what came after is lost
    a worker is idle for days                     it is told every `RETOLD_S`: `Seen` stays
    the recorder dies before, after, in a write   the next one goes on from what is stored
    a reset                                       buckets from before are void; `Seen` stays
    `Seen` cannot be read                         it begins anew; what came since the last look
                                                  does not count
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from controlplane.model.reports import ProtonLoad
from controlplane.model.statistics import (
    KEPT_S,
    LENGTH_S,
    LOST,
    NOTHING,
    SUMMARY,
    Bucket,
    Changes,
    Level,
    Seen,
    Summary,
    Tally,
    bucket_field,
    bucket_of_field,
    decode_bucket,
    decode_seen,
    decode_summary,
    encode,
    seen_field,
    worker_of_field,
)

SUMMARY_HOURS: Final = 48
SUMMARY_DAYS: Final = 7

WORKER_MEMORY_S: Final = 86_400
"""A worker that was silent for this long does not come back with the same counters."""

RETOLD_S: Final = WORKER_MEMORY_S / 4
"""A worker that lives is recorded this often, also without traffic: idle is not silent."""

_MINUTES_APART: Final = 60

_WHOLE_S: Final = {
    Level.MINUTE: LENGTH_S[Level.HOUR],
    Level.HOUR: LENGTH_S[Level.DAY],
    Level.DAY: LENGTH_S[Level.DAY],
}

Place = tuple[Level, int, str]
"""A bucket: its level, index and proton."""

Stored = Mapping[str, bytes | None]
"""Fields of a workload's hash as they were read; absent and None: not there."""


@dataclass(frozen=True, slots=True)
class News:
    """What one report says about one proton."""

    worker_id: str
    proton_id: str
    clock_s: float
    sent_at: float
    load: ProtonLoad


def counters(load: ProtonLoad) -> Bucket:
    """A worker's cumulative numbers of a proton in the form of a bucket."""
    finished = load.finished
    refused = finished.get("refused", 0)
    return Bucket(
        started=load.started,
        ended=sum(finished.values()),
        user_errors=finished.get("4xx", 0) + load.refused_user,
        server_errors=finished.get("5xx", 0) + refused - load.refused_user,
        refused=refused,
        aborted=finished.get("aborted", 0),
        cold_starts=load.cold_starts,
        load_seconds=load.load_seconds,
        response_seconds=load.response_seconds,
        response_time=load.response_time,
    )


def fields_of(news: Iterable[News], *, now_s: float) -> list[str]:
    """The fields that `absorb` has to know, the summary first."""
    names = {SUMMARY: None}
    for one in news:
        names[seen_field(one.worker_id, one.proton_id)] = None
        at = min(one.sent_at, now_s)
        for level in Level:
            names[bucket_field(level, int(at // LENGTH_S[level]), one.proton_id)] = None
    return list(names)


def absorb(
    stored: Stored,
    news: Iterable[News],
    *,
    since: float | None,
    under_way: int,
    now_s: float,
) -> Changes:
    """Count what is new in reports.

    Args:
        stored: At least the fields that `fields_of` names.
        news: All of one workload.
        since: The workload's last reset (`stats_since`).
        under_way: Its requests queued and in flight over all living workers.
        now_s: Epoch seconds.
    """
    kept = decode_summary(stored.get(SUMMARY))
    void = kept.since != since
    # What was seen of the workers stays true: else their counters would count again.
    summary = Summary(since=since, workers=kept.workers) if void else kept
    changes = Changes()
    buckets: dict[str, Bucket] = {}
    protons = dict.fromkeys(summary.protons)
    workers, hours, days = dict(summary.workers), dict(summary.hours), dict(summary.days)
    last_request_at, last_response_at = summary.last_request_at, summary.last_response_at
    for one in news:
        name = seen_field(one.worker_id, one.proton_id)
        before = changes.sets.get(name) or stored.get(name)
        lost = before == LOST
        seen = None if lost else decode_seen(before)
        if seen is not None and one.clock_s <= seen.clock_s:
            continue
        total = counters(one.load)
        changes.sets[name] = encode(
            Seen(
                clock_s=one.clock_s,
                sent_at=one.sent_at,
                counters=total,
                under_way=one.load.in_flight + one.load.queued,
            )
        )
        workers[one.worker_id] = max(one.sent_at, workers.get(one.worker_id, 0.0))
        delta = total if seen is None else total - seen.counters
        at = min(one.sent_at, now_s)
        if lost or delta == NOTHING or (since is not None and at < since):
            continue
        protons[one.proton_id] = None
        for level in Level:
            place = bucket_field(level, int(at // LENGTH_S[level]), one.proton_id)
            bucket = buckets.get(place)
            if bucket is None:
                bucket = NOTHING if void else decode_bucket(stored.get(place))
            buckets[place] = bucket + delta
        tally = Tally.of(delta)
        for tallies, level in ((hours, Level.HOUR), (days, Level.DAY)):
            index = int(at // LENGTH_S[level])
            tallies[index] = tallies.get(index, Tally()) + tally
        if delta.started:
            last_request_at = max(at, last_request_at or 0.0)
        if delta.ended > delta.refused + delta.aborted:
            last_response_at = max(at, last_response_at or 0.0)
    changes.sets |= {name: encode(bucket) for name, bucket in buckets.items()}
    changes.sets[SUMMARY] = encode(
        msgspec.structs.replace(
            summary,
            since=since,
            protons=tuple(protons),
            workers=workers,
            under_way=under_way,
            under_way_at=now_s,
            last_request_at=last_request_at,
            last_response_at=last_response_at,
            hours=_newest(hours, SUMMARY_HOURS, now_s // LENGTH_S[Level.HOUR]),
            days=_newest(days, SUMMARY_DAYS, now_s // LENGTH_S[Level.DAY]),
        )
    )
    return changes


def is_void(stored: Stored, *, since: float | None) -> bool:
    """Whether the stored buckets are from before a reset."""
    return decode_summary(stored.get(SUMMARY)).since != since


def _newest(tallies: dict[int, Tally], keep: int, running: float) -> dict[int, Tally]:
    return {index: tally for index, tally in tallies.items() if index > running - keep}


# -- old fields -----------------------------------------------------------------------------------


def sweep_hour(workload_id: str, *, now_s: float) -> int:
    """Which hour it is for the sweeping of a workload: not every one begins at the same minute."""
    return int((now_s // 60 + int(workload_id[-4:], 16) % _MINUTES_APART) // _MINUTES_APART)


def needs_sweep(summary: Summary, workload_id: str, *, since: float | None, now_s: float) -> bool:
    """Whether fields have to be dropped, so that all names are needed."""
    return summary.since != since or summary.swept_hour != sweep_hour(workload_id, now_s=now_s)


def sweep(
    changes: Changes,
    names: Iterable[str],
    *,
    workload_id: str,
    void: bool,
    retention_s: float,
    now_s: float,
) -> None:
    """Add the fields that have outlived their time to what `absorb` says.

    Args:
        changes: Of `absorb`.
        names: Of all fields that there are.
        workload_id: Whose.
        void: All buckets are from before a reset.
        retention_s: How long the workload's buckets are kept.
        now_s: Epoch seconds.
    """
    summary = decode_summary(changes.sets[SUMMARY])
    silent = {worker for worker, at in summary.workers.items() if at < now_s - WORKER_MEMORY_S}
    for name in names:
        found = bucket_of_field(name)
        if found is not None:
            if name not in changes.sets and (void or _outlived(found, retention_s, now_s)):
                changes.drops.add(name)
        elif worker_of_field(name) in silent:
            changes.drops.add(name)
    left = {
        found[2]
        for name in {*names, *changes.sets} - changes.drops
        if (found := bucket_of_field(name)) is not None
    }
    changes.sets[SUMMARY] = encode(
        msgspec.structs.replace(
            summary,
            protons=tuple(proton for proton in summary.protons if proton in left),
            workers={w: at for w, at in summary.workers.items() if w not in silent},
            swept_hour=sweep_hour(workload_id, now_s=now_s),
        )
    )


def _outlived(place: Place, retention_s: float, now_s: float) -> bool:
    level, index, _ = place
    # Whole hours of minutes and whole days of hours go together: series begin at whole buckets.
    whole_s = _WHOLE_S[level]
    kept_from_s = (now_s - min(KEPT_S[level], retention_s)) // whole_s * whole_s
    return (index + 1) * LENGTH_S[level] <= kept_from_s
