"""From the store and the reconciler to one observation per proton."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autoscaler.core.observation import Observation, Scaling, panic_window_s
from autoscaler.core.policy import CPU, PER_HOUR, hourly_rate
from autoscaler.core.windows import LoadWindows
from autoscaler.reconcilers.base import Failure, Reconciler
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import LEAVING, ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from controlplane.store.client import Store

HOURLY_REFRESH_S: Final = 5.0
"""How often a proton's hourly count is read: 5 s are 0.14 % of an hour."""

_PENDING: Final = frozenset(ReplicaPhase) - LEAVING - {ReplicaPhase.READY, ReplicaPhase.FAILED}


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
        reports = await self._store.collect_reports()
        now_s = self._clock()
        self.windows.observe(reports, now_s=now_s)
        self._reconciler.set_load(
            self.windows.in_flight_by_replica(now_s=now_s),
            acknowledged_revision=self.windows.acknowledged_revision(now_s=now_s),
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
            if any(policy.metric == PER_HOUR for policy in scaling.policies)
            and self._is_due(scaling.proton_id, now_s)
        ]
        wall_s = self._wall()
        found = await asyncio.gather(
            *(self._store.hourly_buckets(proton_id, now_s=wall_s) for proton_id in due)
        )
        for proton_id, buckets in zip(due, found, strict=True):
            self._hours[proton_id] = _Hour(read_at_s=now_s, starts_by_minute=buckets)

    def forget(self, known: Mapping[str, object]) -> None:
        """Drop what is remembered of all protons but these."""
        self.windows.retain(known)
        for proton_id in [p for p in self._hours if p not in known]:
            del self._hours[proton_id]

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
        metrics = {policy.metric for policy in scaling.policies}
        return Observation(
            at=wall_s,
            ready=sum(1 for r in replicas if r.phase is ReplicaPhase.READY),
            pending=sum(1 for r in replicas if r.phase in _PENDING),
            load=self.windows.view(proton.id, now_s=now_s),
            per_hour=hourly_rate(hour.starts_by_minute, at=wall_s, created_at=proton.created_at)
            if hour is not None
            else None,
            cpu_percent=tuple(self._reconciler.cpu_percent(proton.id)) if CPU in metrics else (),
            woken=woken,
            given_up=failure.message if failure is not None and failure.sticky else None,
        )

    def _is_due(self, proton_id: str, now_s: float) -> bool:
        hour = self._hours.get(proton_id)
        return hour is None or now_s - hour.read_at_s >= HOURLY_REFRESH_S
