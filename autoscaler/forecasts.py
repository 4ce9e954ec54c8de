"""What forecasts are made from: the hours that the store keeps, and the last minutes as seen here.

part     from                                             how fresh
-------  -----------------------------------------------  -----------------------------------
hours    the statistics of the workload, all its protons  read every `REFRESH_S`; only hours of
                                                          earlier days count
minutes  the mean load of the stable window, once a       this process's own; after a restart
         minute                                           the trend is silent for ten minutes
"""

import logging
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from autoscaler.core.forecast import HOUR_S, MINUTES, Expected, Past, expected
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.schedules import lead_of
from controlplane.model.statistics import (
    KEPT_S,
    SUMMARY,
    Level,
    bucket_field,
    bucket_of_field,
    decode_bucket,
    decode_summary,
)
from controlplane.store.client import Store
from controlplane.store.statistics import Statistics

REFRESH_S: Final = 600.0
READS_PER_ROUND: Final = 4
"""Workloads whose hours are read in one round: reading is no hurry."""
MARGIN_S: Final = 5.0
"""Added to the cold-start time: a decision, and a look of the gateways, take theirs."""

_MINUTE_S: Final = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known about one proton."""

    workload_id: str
    read_at_s: float | None = None
    past: Past = field(default_factory=Past)
    minutes: deque[float] = field(default_factory=lambda: deque(maxlen=MINUTES))
    minute_at_s: float | None = None


class Forecasts:
    """Keeps the past of the protons that want a forecast."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        """Begin with nothing known.

        Args:
            store: Where the statistics are.
            clock: Monotonic seconds.
            wall: Epoch seconds.
        """
        self._statistics = Statistics(store)
        self._clock = clock
        self._wall = wall
        self._known: dict[str, _Known] = {}
        self._broken: set[str] = set()
        """Workloads whose statistics cannot be read, and of which that has been said."""

    async def refresh(self, scalings: Iterable[Scaling]) -> None:
        """Read the hours of protons that want a forecast and have old ones, a few at a time.

        Where they cannot be decoded the older ones stay, too.

        Raises:
            StoreUnavailableError: The older hours stay.
        """
        now_s = self._clock()
        due = []
        for scaling in scalings:
            if not scaling.forecast:
                continue
            known = self._known.setdefault(scaling.proton_id, _Known(scaling.workload_id))
            if known.read_at_s is None or now_s - known.read_at_s >= REFRESH_S:
                due.append(known)
        for known in due[:READS_PER_ROUND]:
            try:
                known.past = await self._read(known.workload_id)
            except ValueError as exc:  # what cannot be decoded
                self._tell_broken(known.workload_id, exc)
            else:
                self._broken.discard(known.workload_id)
            known.read_at_s = now_s

    def expected(
        self, scaling: Scaling, seen: Observation, cold_starts_s: Sequence[float]
    ) -> Expected | None:
        """What is expected of a proton; None: nothing.

        Args:
            scaling: The proton's.
            seen: What was seen of it now.
            cold_starts_s: How long its last replicas took to be ready.
        """
        known = self._known.get(scaling.proton_id)
        if known is None:
            return None
        now_s = self._clock()
        due = known.minute_at_s is None or now_s - known.minute_at_s >= _MINUTE_S
        if due and seen.load is not None and seen.load.coverage_ratio >= 1:
            known.minutes.append(seen.load.mean_stable)
            known.minute_at_s = now_s
        past = msgspec.structs.replace(known.past, minutes=tuple(known.minutes))
        horizon_s = lead_of(cold_starts_s, guess_s=scaling.settings.schedule_lead_s) + MARGIN_S
        return expected(past, scaling.load_targets(), at=seen.at, horizon_s=horizon_s)

    def retain(self, proton_ids: Container[str]) -> None:
        """Forget all protons but these."""
        for proton_id in [p for p in self._known if p not in proton_ids]:
            del self._known[proton_id]

    def _tell_broken(self, workload_id: str, exc: ValueError) -> None:
        if workload_id not in self._broken:
            self._broken.add(workload_id)
            logger.error(
                "a workload's statistics cannot be read: its forecast stays as it is",
                extra={"workload_id": workload_id, "error": str(exc)},
            )

    async def _read(self, workload_id: str) -> Past:
        summary = decode_summary((await self._statistics.read(workload_id, [SUMMARY])).get(SUMMARY))
        present = int(self._wall() // HOUR_S)
        first = present - KEPT_S[Level.HOUR] // HOUR_S
        names = [
            bucket_field(Level.HOUR, hour, proton_id)
            for proton_id in summary.protons
            for hour in range(first, present)
        ]
        hours: dict[int, float] = {}
        for name, raw in (await self._statistics.read(workload_id, names)).items():
            place = bucket_of_field(name)
            if place is not None:
                load = decode_bucket(raw).load_seconds / HOUR_S
                hours[place[1]] = hours.get(place[1], 0.0) + load
        return Past(hours=hours, since_hour=min(hours, default=None))
