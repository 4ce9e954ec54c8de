"""What the gateways have counted of a workload: what is recorded, and what they said since.

A report that the recorder has not looked at yet is counted here in the same way, without writing:
an answer lacks what the gateways have not reported, nothing else, and needs no recorder.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controlplane.api.services import Services
from controlplane.lifecycle.artifacts import DRAFT
from controlplane.lifecycle.counting import News, absorb, fields_of, is_void
from controlplane.lifecycle.resets import Part, without
from controlplane.model.artifacts import Artifact
from controlplane.model.statistics import (
    DRAFT_RETENTION_S,
    LOCKED_RETENTION_S,
    SUMMARY,
    Bucket,
    Changes,
    Summary,
    bucket_of_field,
    decode_summary,
)
from controlplane.model.workloads import Workload
from controlplane.store.errors import StoreError, StoreUnavailableError
from controlplane.store.statistics import Reported, Rewrite, Statistics, version_of

ATTEMPTS: Final = 10
"""Of a write against the recorder's, which come every second."""

_MORE_TTL_S: Final = 86_400
"""A hash outlives its newest bucket by a day."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of a workload, as if all reports had been recorded."""

    buckets: dict[str, Bucket]
    """Those that were asked for and are there, by the names of their fields."""
    summary: Summary
    under_way: int
    """Requests queued and in flight over all living workers."""
    queued: int
    news: list[News] = field(repr=False)


def retention_s(services: Services, workload: Workload) -> float:
    """How long a workload's statistics are kept."""
    artifact = services.mirror.get(Artifact, workload.artifact_id)
    draft = artifact is not None and artifact.status == DRAFT
    return DRAFT_RETENTION_S if draft else LOCKED_RETENTION_S


def ttl_s(services: Services, workload: Workload) -> int:
    """How long a workload's hash outlives its last write."""
    return int(retention_s(services, workload)) + _MORE_TTL_S


async def counted(services: Services, workload: Workload, names: Iterable[str]) -> Counted:
    """Some fields of a workload with what the gateways have reported up to now.

    Args:
        services: Of the process.
        workload: Whose.
        names: Fields of buckets.
    """
    statistics = Statistics(services.store)
    now_s = services.clock()
    reports = await statistics.reports()
    before = await statistics.summary(workload.id)
    protons = {*services.protons[workload.id], *before.protons}
    news, under_way, queued = _news_of(statistics, reports, workload.id, protons)
    names, since = tuple(names), workload.stats_since
    wanted = dict.fromkeys((*fields_of(news, now_s=now_s), *names))
    stored = await statistics.read(workload.id, list(wanted))
    changes = statistics.worked_out(
        workload.id,
        stored,
        lambda kept: absorb(kept, news, since=since, under_way=under_way, now_s=now_s),
    )
    void = statistics.summary_of(workload.id, stored.get(SUMMARY)).since != since
    left = changes.sets if void else stored | changes.sets
    buckets = statistics.buckets(workload.id, left, names)
    return Counted(buckets, decode_summary(changes.sets[SUMMARY]), under_way, queued, news)


def buckets_in(names: Iterable[str]) -> list[str]:
    """Those that are of buckets."""
    return [name for name in names if bucket_of_field(name) is not None]


async def settle(services: Services, workload: Workload) -> None:
    """Record what the gateways have reported of a workload, before its statistics are reset.

    Best effort: without it, what was counted since the recorder's last look, a second at most,
    comes after the reset.
    """
    try:
        await rewrite(services, workload)
    except StoreError:
        return


async def rewrite(services: Services, workload: Workload, *, reset: Part | None = None) -> None:
    """Record what was reported, and take something out of the statistics.

    Args:
        services: Of the process.
        workload: Whose.
        reset: What to take out; None: nothing.

    Raises:
        StoreUnavailableError: The store is away, or the recorder was faster each time.
        StoreFullError: The disk is full.
        WrongTypeError: The workload's key holds no statistics.
    """
    statistics = Statistics(services.store)
    since = workload.stats_since
    for _ in range(ATTEMPTS):
        now_s = services.clock()
        reports = await statistics.reports()
        stored = await statistics.read_all(workload.id)
        summary = statistics.summary_of(workload.id, stored.get(SUMMARY))
        protons = {*services.protons[workload.id], *summary.protons}
        news, under_way, _ = _news_of(statistics, reports, workload.id, protons)
        if not stored and not news:
            return

        def changed(
            kept: Mapping[str, bytes],
            news: Iterable[News] = news,
            under_way: int = under_way,
            now_s: float = now_s,
        ) -> Changes:
            changes = absorb(kept, news, since=since, under_way=under_way, now_s=now_s)
            if is_void(kept, since=since):
                changes.drops.update(n for n in buckets_in(kept) if n not in changes.sets)
            return changes if reset is None else _reset(kept, changes, reset, now_s=now_s)

        changes = statistics.worked_out(workload.id, stored, changed)
        late = await statistics.write(
            [
                Rewrite(
                    workload_id=workload.id,
                    expected=version_of(stored),
                    changes=changes,
                    ttl_s=ttl_s(services, workload),
                )
            ]
        )
        if not late:
            return
    raise StoreUnavailableError("the statistics were written by somebody else each time")


def _reset(stored: Mapping[str, bytes], changes: Changes, reset: Part, *, now_s: float) -> Changes:
    """Changes that take something out of what they leave, too."""
    left = {name: value for name, value in stored.items() if name not in changes.drops}
    taken = without(left | changes.sets, reset, now_s=now_s)
    sets = changes.sets | taken.sets
    return Changes(
        {name: value for name, value in sets.items() if name not in taken.drops},
        changes.drops | taken.drops,
    )


def _news_of(
    statistics: Statistics,
    reports: Iterable[Reported],
    workload_id: str,
    protons: Collection[str],
) -> tuple[list[News], int, int]:
    """What reports say of a workload; requests under way at workers that live, and waiting ones."""
    news: list[News] = []
    under_way = queued = 0
    for lives, _, report in reports:
        for proton_id in protons:
            load = statistics.load_of(report, proton_id)
            if load is None or load.workload_id != workload_id:
                continue
            news.append(News(report.worker_id, proton_id, report.clock_s, report.sent_at, load))
            if lives:
                under_way += load.in_flight + load.queued
                queued += load.queued
    return news, under_way, queued
