"""The recorder: from the gateways' reports to the statistics, once a second.

It remembers nothing that the store does not: what it keeps is which reports need no second look. So
it may be killed at any moment, and whoever takes the lease goes on. A look at protons without
traffic costs a comparison each and no call, but for one every `RETOLD_S`; the busy ones are read
and written 256 workloads at a time.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from controlplane.api.counted import retention_s, ttl_s
from controlplane.conductor.term import Term
from controlplane.lifecycle.counting import (
    RETOLD_S,
    News,
    absorb,
    fields_of,
    is_void,
    needs_sweep,
    sweep,
)
from controlplane.model.statistics import SUMMARY, VERSION, Changes
from controlplane.model.workloads import Workload
from controlplane.store.statistics import (
    PER_CALL,
    Reported,
    Rewrite,
    Statistics,
    version_of,
)

_REST: Final = 9
"""Time between looks, as a multiple of what a look takes: a tenth of the process at most."""

logger = logging.getLogger(__name__)


class _Known(NamedTuple):
    """A proton in a worker's report, as it was recorded."""

    mark: int
    """Hash of its JSON."""
    told_at: float
    """When that report was sent; a dead worker's stands still."""
    workload_id: str
    under_way: int


_Line = tuple[str, str]
"""Worker and proton."""


@dataclass(slots=True)
class _Look:
    """What one look at the reports found."""

    news: dict[str, list[News]] = field(default_factory=dict)
    """By workload."""
    under_way: dict[str, int] = field(default_factory=dict)
    """Workload to requests queued and in flight; zeros are left out."""
    lines: dict[_Line, _Known] = field(default_factory=dict)
    """Everything that was seen, as it will be known when it is recorded."""
    gone: list[Reported] = field(default_factory=list)


class Recorder:
    """A part of the conductor; see `Step`."""

    def __init__(self, term: Term, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._term = term
        self._statistics = Statistics(term.services.store)
        self._monotonic = monotonic
        self._known: dict[_Line, _Known] = {}
        self._told: dict[str, int] = {}
        """Workload to the requests under way that its summary speaks of."""
        self._rest_until_s = 0.0

    async def step(self, now_s: float) -> None:
        """Record what is new in the reports.

        Raises:
            FencedError: The lease is lost.
            StoreError: The store is away or full; nothing is lost, the numbers are cumulative.
        """
        began_s = self._monotonic()
        if began_s < self._rest_until_s:
            return
        look = self._look(await self._statistics.reports())
        late = await self._record(look, now_s)
        self._known = {
            line: known for line, known in look.lines.items() if known.workload_id not in late
        }
        self._told = {w: n for w, n in look.under_way.items() if w not in late}
        mirror = self._term.services.mirror
        for reported in look.gone:
            worker_id = reported.report.worker_id
            lines = [(worker_id, proton_id) for proton_id in reported.report.protons]
            known = [look.lines[line] for line in lines if line in look.lines]
            missing = late & {one.workload_id for one in known}
            # What the mirror does not know was purged: nobody will ever count it.
            if not any(mirror.get(Workload, workload_id) for workload_id in missing):
                await self._statistics.counted(reported)
        ended_s = self._monotonic()
        self._rest_until_s = ended_s + _REST * (ended_s - began_s)

    def _look(self, reports: Sequence[Reported]) -> _Look:
        look = _Look()
        for reported in reports:
            report = reported.report
            if not reported.lives:
                look.gone.append(reported)
            for proton_id, raw in report.protons.items():
                line = (report.worker_id, proton_id)
                mark = hash(bytes(raw))
                known = self._known.get(line)
                if (
                    known is None
                    or known.mark != mark
                    or report.sent_at - known.told_at >= RETOLD_S
                ):
                    load = self._statistics.load_of(report, proton_id)
                    if load is None:
                        continue
                    under_way = load.in_flight + load.queued
                    known = _Known(mark, report.sent_at, load.workload_id, under_way)
                    look.news.setdefault(load.workload_id, []).append(
                        News(report.worker_id, proton_id, report.clock_s, report.sent_at, load)
                    )
                look.lines[line] = known
                if reported.lives and known.under_way:
                    before = look.under_way.get(known.workload_id, 0)
                    look.under_way[known.workload_id] = before + known.under_way
        return look

    async def _record(self, look: _Look, now_s: float) -> set[str]:
        """Write what a look found; returns the workloads that the next one must look at again."""
        loads = look.under_way.keys() | self._told.keys()
        changed = {w for w in loads if look.under_way.get(w, 0) != self._told.get(w, 0)}
        wanted = sorted(look.news.keys() | changed)
        late: set[str] = set()
        for first in range(0, len(wanted), PER_CALL):
            late |= await self._record_some(wanted[first : first + PER_CALL], look, now_s)
        if late:
            logger.debug("statistics come with the next look", extra={"workloads": len(late)})
        return late

    async def _record_some(self, ids: Sequence[str], look: _Look, now_s: float) -> set[str]:
        mirror = self._term.services.mirror
        found = [mirror.get(Workload, workload_id) for workload_id in ids]
        workloads = {workload.id: workload for workload in found if workload is not None}
        stored = await self._statistics.read_many(
            {w: [VERSION, *fields_of(look.news.get(w, ()), now_s=now_s)] for w in workloads}
        )
        names = await self._statistics.names(
            [
                workload_id
                for workload_id, fields in stored.items()
                if needs_sweep(
                    self._statistics.summary_of(workload_id, fields.get(SUMMARY)),
                    workload_id,
                    since=workloads[workload_id].stats_since,
                    now_s=now_s,
                )
            ]
        )
        rewrites = [
            self._rewrite(workload, stored[workload.id], names.get(workload.id), look, now_s)
            for workload in workloads.values()
        ]
        late = await self._statistics.write(rewrites, fence=self._term.lease)
        # A workload that the mirror does not know yet is recorded when it does.
        return late | (set(ids) - workloads.keys())

    def _rewrite(
        self,
        workload: Workload,
        stored: Mapping[str, bytes],
        names: Iterable[str] | None,
        look: _Look,
        now_s: float,
    ) -> Rewrite:
        services = self._term.services

        def absorbed() -> Changes:
            return absorb(
                stored,
                look.news.get(workload.id, ()),
                since=workload.stats_since,
                under_way=look.under_way.get(workload.id, 0),
                now_s=now_s,
            )

        try:
            changes = absorbed()
        except ValueError:  # a field that cannot be decoded: without it
            stored = self._statistics.readable(workload.id, stored)
            changes = absorbed()
        if names is not None:
            sweep(
                changes,
                names,
                workload_id=workload.id,
                void=is_void(stored, since=workload.stats_since),
                retention_s=retention_s(services, workload),
                now_s=now_s,
            )
        return Rewrite(
            workload_id=workload.id,
            expected=version_of(stored),
            changes=changes,
            ttl_s=ttl_s(services, workload),
        )
