"""From the store and the reconciler to one observation per proton."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from autoscaler.core.observation import Observation, Scaling, panic_window_s
from autoscaler.core.policy import CPU, PER_HOUR, hourly_rate
from autoscaler.core.replica_age import young_among
from autoscaler.core.replica_waits import NOTHING_WAITS, waits_of
from autoscaler.core.schedules import Scheduled, lead_of
from autoscaler.core.scraped import COMPARED, RUNNING, WAITING, is_scraped, running_in_all
from autoscaler.core.streams import NO_STREAMS, by_replica, together
from autoscaler.core.windows import LoadWindows
from autoscaler.reconcilers.base import Failure, Reconciler
from autoscaler.schedules import Calendar
from autoscaler.scrapes import Scraper
from controlplane.model.reports import OpenStreams
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import LEAVING, ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from controlplane.store.client import Store

HOURLY_REFRESH_S: Final = 5.0
"""How often a proton's hourly count is read: 5 s are 0.14 % of an hour."""

_READY: Final = ReplicaPhase.READY
# Python 3.11 looks an enum's members up through a descriptor: 120 ns each time.
_NOTHING_SCRAPED: Final[dict[str, tuple[float | None, ...]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wants:
    """What a proton's policies want to know: the same at every look until they change."""

    scaling: Scaling
    scraped: tuple[str, ...]
    cpu: bool
    panic_s: float

    @classmethod
    def of(cls, scaling: Scaling) -> Self:
        metrics = {*(policy.metric for policy in scaling.policies), *scaling.watched}
        return cls(
            scaling=scaling,
            scraped=tuple(sorted(metric for metric in metrics if is_scraped(metric))),
            cpu=CPU in metrics,
            panic_s=panic_window_s(scaling.settings),
        )


@dataclass(slots=True)
class _Hour:
    read_at_s: float
    starts_by_minute: Mapping[int, int]


class Collector:
    """Keeps the load windows and hourly counts, and puts observations together."""

    def __init__(
        self,
        store: Store,
        reconciler: Reconciler,
        settings: AutoscalerSettings,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """Begin with nothing known.

        Args:
            store: Where gateways report.
            reconciler: Measures CPU, and is told the load of its replicas.
            settings: Windows and ages.
            clock: Monotonic seconds.
            wall: Epoch seconds.
        """
        self._store = store
        self._reconciler = reconciler
        self._clock = clock
        self._wall = wall
        self._hours: dict[str, _Hour] = {}
        self._wants: dict[str, _Wants] = {}
        self._streams: Mapping[str, OpenStreams] = {}
        """Open tunnels by replica."""
        self._calendar = Calendar()
        self.scraper = Scraper(settings, clock=clock)
        self.windows = LoadWindows(
            stable_s=settings.stable_window_s,
            panic_s=panic_window_s(settings),
            max_age_s=settings.report_max_age_s,
        )

    async def collect(self) -> None:
        """Take what the gateway workers report, and tell the reconciler about its replicas.

        Raises:
            StoreUnavailableError: Nothing has changed then.
        """
        reports = await self._store.collect_numbers()
        for report in reports:  # each is tens of milliseconds where there are 10,000 protons
            self.windows.take(report, now_s=self._clock())
            await asyncio.sleep(0)
        now_s = self._clock()
        self.windows.observe(reports, now_s=now_s)
        self._streams = by_replica(reports)
        self._reconciler.set_load(
            self.windows.in_flight_by_replica(now_s=now_s),
            acknowledged_revision=self.windows.acknowledged_revision(now_s=now_s),
            streams=self._streams,
        )

    async def refresh_hours(self, scalings: Iterable[Scaling]) -> None:
        """Read the hourly counts of the protons whose policies ask for them.

        Raises:
            StoreUnavailableError: The older counts stay.
        """
        now_s = self._clock()
        due = [
            scaling.proton_id
            for scaling in scalings
            if PER_HOUR in {*scaling.watched, *(policy.metric for policy in scaling.policies)}
            and self._is_due(scaling.proton_id, now_s)
        ]
        if not due:
            return
        found = await self._store.hourly_buckets_of(due, now_s=self._wall())
        for proton_id, buckets in found.items():
            self._hours[proton_id] = _Hour(read_at_s=now_s, starts_by_minute=buckets)

    def forget(self, known: Mapping[str, object]) -> None:
        """Drop what is remembered of all protons but these."""
        self.windows.retain(known)
        for proton_id in [p for p in self._hours if p not in known]:
            del self._hours[proton_id]
        for proton_id in [p for p in self._wants if p not in known]:
            del self._wants[proton_id]
        self.scraper.retain(known)
        self._calendar.retain(known)

    def observe(
        self,
        proton: Proton,
        scaling: Scaling,
        replicas: Sequence[Replica],
        *,
        woken: bool,
        failure: Failure | None,
        now_s: float,
    ) -> Observation:
        """Put together what is known of one proton now; nothing is read from anywhere."""
        wall_s = self._wall()
        hour = self._hours.get(proton.id)
        wants = self._wants.get(proton.id)
        if wants is None or wants.scaling is not scaling:
            wants = self._wants[proton.id] = _Wants.of(scaling)
        scraped = wants.scraped
        if scraped or proton.id in self.scraper:
            compared = COMPARED if scraped else ()
            self.scraper.want(proton, (*scraped, *compared), replicas)
        settings = scaling.settings
        ready = len([True for replica in replicas if replica.phase is _READY])
        waits = waits_of(replicas) if ready < len(replicas) else NOTHING_WAITS
        return Observation(
            at=wall_s,
            ready=ready,
            pending=waits.total,
            waits=waits,
            load=self.windows.view(
                proton.id, now_s=now_s, panic_s=wants.panic_s, age_s=wall_s - proton.created_at
            ),
            per_hour=hourly_rate(hour.starts_by_minute, at=wall_s, created_at=proton.created_at)
            if hour is not None
            else None,
            cpu_percent=tuple(self._reconciler.cpu_percent(proton.id)) if wants.cpu else (),
            scraped={m: self.scraper.values(proton.id, m, replicas) for m in scraped}
            if scraped
            else _NOTHING_SCRAPED,
            scrape_trouble=self.scraper.trouble(proton.id) if scraped else "",
            running=running_in_all(
                self.scraper.values(proton.id, RUNNING, replicas),
                self.scraper.values(proton.id, WAITING, replicas),
            )
            if scraped
            else None,
            young=young_among(replicas, at=wall_s, min_run_s=settings.min_run_time_s),
            scheduled=self.scheduled(scaling, wall_s) if scaling.schedules else None,
            streams=self._streams_of(replicas, leaving=False),
            leaving_streams=self._streams_of(replicas, leaving=True),
            woken=woken,
            given_up=failure.message if failure is not None and failure.sticky else None,
        )

    def scheduled(self, scaling: Scaling, at: float) -> Scheduled:
        """The bounds of a proton's schedules at a moment, epoch seconds."""
        starts = self._reconciler.cold_starts(scaling.proton_id)
        return self._calendar.scheduled(
            scaling.proton_id,
            scaling.schedules,
            low=scaling.min_replicas,
            high=scaling.max_replicas,
            at=at,
            lead_s=lead_of(starts, guess_s=scaling.settings.schedule_lead_s),
        )

    def _streams_of(self, replicas: Sequence[Replica], *, leaving: bool) -> OpenStreams:
        if not self._streams:
            return NO_STREAMS
        return together(
            self._streams[replica.id]
            for replica in replicas
            if replica.id in self._streams and (replica.phase in LEAVING) is leaving
        )

    def _is_due(self, proton_id: str, now_s: float) -> bool:
        hour = self._hours.get(proton_id)
        return hour is None or now_s - hour.read_at_s >= HOURLY_REFRESH_S
