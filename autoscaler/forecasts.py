"""What forecasts are made from: the hours that the store keeps, and the last minutes as seen here.

part     from                                             how fresh
-------  -----------------------------------------------  -----------------------------------
hours    the statistics of the workload, all its protons  read every `REFRESH_S`; only hours of
                                                          earlier days count
share    the proton's weight, of the weights of all       of the last round
         protons of the workload
minutes  the mean load of the stable window, once a       this process's own; after a restart
         minute                                           the trend is silent for ten minutes
"""

from collections import deque
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from autoscaler.controls import Control
from autoscaler.core.forecast import HOUR_S, MINUTES, NO_PAST, Expected, Outlook, Past
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.schedules import lead_of
from controlplane.model.statistics import (
    KEPT_S,
    Level,
    bucket_field,
    bucket_of_field,
    decode_summary,
    load_seconds_of,
)
from controlplane.store.client import Store
from controlplane.store.statistics import Statistics

REFRESH_S: Final = 600.0
READS_PER_ROUND: Final = 8
"""Workloads whose hours are read in one round: reading is no hurry, and 192 hours take 0.5 ms."""
MARGIN_S: Final = 5.0
"""Added to the cold-start time: a decision, and a look of the gateways, take theirs."""

_MINUTE_S: Final = 60.0
_MOST_PROTONS: Final = 20
"""Of one workload; 192 hours of each are as many fields as one call may ask for."""


@dataclass(slots=True)
class _Hours:
    """What is known about one workload."""

    read_at_s: float
    loads: Mapping[int, float] = field(default_factory=dict)
    """Epoch hour to the mean load of all protons."""


@dataclass(slots=True)
class _Known:
    """What is known about one proton."""

    workload_id: str
    share: float
    past: Past = NO_PAST
    hours: _Hours | None = None
    """What `past` is made from, with the share and the minutes."""
    minutes: deque[float] = field(default_factory=lambda: deque(maxlen=MINUTES))
    minute_at_s: float | None = None
    outlook: Outlook = field(default_factory=Outlook)


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
        self._store = store
        self._clock = clock
        self._wall = wall
        self._known: dict[str, _Known] = {}
        self._hours: dict[str, _Hours] = {}
        """By workload."""

    async def refresh(self, controls: Collection[Control]) -> None:
        """See who wants a forecast, and read the hours that are old, of a few workloads at a time.

        Where they cannot be decoded the older ones stay, too.

        Args:
            controls: All protons: what others of a workload get is not this one's.

        Raises:
            StoreUnavailableError: The older hours stay.
        """
        wanting = [control for control in controls if control.scaling.forecast]
        if not wanting:
            return
        weights = dict.fromkeys((control.proton.workload_id for control in wanting), 0)
        for control in controls:
            if control.proton.workload_id in weights:
                weights[control.proton.workload_id] += _weight(control)
        for control in wanting:
            workload_id = control.proton.workload_id
            share = _weight(control) / (weights[workload_id] or 1)
            known = self._known.get(control.proton.id)
            if known is None:
                self._known[control.proton.id] = _Known(workload_id, share)
            elif known.share != share:
                known.share, known.hours = share, None
        await self._read_due(weights)

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
            known.minute_at_s, known.hours = now_s, None
        hours = self._hours.get(known.workload_id)
        if known.hours is None or known.hours is not hours:
            loads = hours.loads if hours is not None else {}
            known.past = Past(
                hours=loads,
                since_hour=min(loads, default=None),
                minutes=tuple(known.minutes),
                share=known.share,
            )
            known.hours = hours
        horizon_s = lead_of(cold_starts_s, guess_s=scaling.settings.schedule_lead_s) + MARGIN_S
        return known.outlook.expected(
            known.past, scaling.load_targets(), at=seen.at, horizon_s=horizon_s
        )

    def retain(self, proton_ids: Container[str]) -> None:
        """Forget all protons but these, and the hours that nobody wants any more."""
        for proton_id in [p for p in self._known if p not in proton_ids]:
            del self._known[proton_id]
        wanted = {known.workload_id for known in self._known.values()}
        for workload_id in [w for w in self._hours if w not in wanted]:
            del self._hours[workload_id]

    async def _read_due(self, workload_ids: Collection[str]) -> None:
        now_s = self._clock()
        due = []
        for workload_id in workload_ids:
            hours = self._hours.get(workload_id)
            if hours is None or now_s - hours.read_at_s >= REFRESH_S:
                due.append(workload_id)
        due = due[:READS_PER_ROUND]
        if not due:
            return
        names = {}
        for workload_id, raw in (await self._statistics.summaries(due)).items():
            try:
                names[workload_id] = self._names(raw)
            except ValueError as exc:  # what cannot be decoded
                self._tell(workload_id, exc)
        found = await self._statistics.read_many({w: n for w, n in names.items() if n})
        for workload_id in due:
            old = self._hours.get(workload_id)
            loads = old.loads if old is not None else {}
            if workload_id in names:
                try:
                    loads = _loads(found.get(workload_id, {}))
                except ValueError as exc:
                    self._tell(workload_id, exc)
            self._hours[workload_id] = _Hours(now_s, loads)

    def _names(self, raw: bytes | None) -> list[str]:
        """The fields to read of a workload with this summary; of many protons, the latest."""
        present = int(self._wall() // HOUR_S)
        hours = range(present - KEPT_S[Level.HOUR] // HOUR_S, present)
        protons = decode_summary(raw).protons[-_MOST_PROTONS:]
        return [bucket_field(Level.HOUR, hour, proton) for proton in protons for hour in hours]

    def _tell(self, workload_id: str, exc: ValueError) -> None:
        place = f"hours of {workload_id}, whose forecast stays as it is"
        self._store.unreadable.tell(place, exc, workload_id=workload_id)


def _weight(control: Control) -> int:
    return 0 if control.scaling.stopped else control.proton.weight


def _loads(fields: Mapping[str, bytes]) -> dict[int, float]:
    loads: dict[int, float] = {}
    for name, raw in fields.items():
        place = bucket_of_field(name)
        if place is not None:
            load = load_seconds_of(raw) / HOUR_S
            loads[place[1]] = loads.get(place[1], 0.0) + load
    return loads
