"""One term of leadership: observe, decide, plan, tell; at every tick, and at once on news.

    news                              then
    --------------------------------  ----------------------------------------------------------
    tick                              collect reports, decide on every proton
    wake-up                           collect for at most `WAKE_COLLECT_S`, decide on the proton
    a proton record changed           decide on it; one that is gone: drain and end its replicas
    the reconciler changed something  decide on the protons whose replicas look different

Decisions are made without an await between reading and planning, so ticks and news may overlap.
What they leave to be written is written by one task, which nobody waits for: a slow store delays
what others see, never a start. A store that is away stops decisions (nothing shrinks, nothing
new is asked for), while the reconciler keeps running what runs.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from autoscaler.collectors import Collector
from autoscaler.core.explain import render
from autoscaler.core.observation import DecisionState, Scaling, scaling_of
from autoscaler.core.plan import decide
from autoscaler.leadership import Leadership
from autoscaler.reconcilers.base import Reconciler
from autoscaler.scales import Finding, ScaleBook
from autoscaler.telemetry import Telemetry
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.store.client import Store
from controlplane.store.errors import StoreError, StoreFullError, StoreUnavailableError
from controlplane.store.watch import Change, Mirror

WAKE_COLLECT_S: Final = 0.01
"""A wake-up waits this long for the reports that say how many wait; then one replica starts."""
NEWS_PAUSE_S: Final = 0.01
"""Least time between two looks at the news."""
SLICE_S: Final = 0.005
"""Longest stretch of decisions before others on the event loop have their turn."""
FORGET_EVERY_S: Final = 60.0
WRITE_BATCH: Final = 200
FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Control:
    """One proton under control."""

    proton: Proton
    scaling: Scaling
    state: DecisionState | None = None
    woken: bool = False
    looks: tuple[object, ...] = ()
    """What its replicas looked like at the last decision."""


class DecisionLoop:
    """Decides for all protons during one term; a new term takes a new loop."""

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        leadership: Leadership,
        settings: AutoscalerSettings,
        telemetry: Telemetry,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """Prepare a term; `run` begins it.

        Args:
            store: For reports and wake-ups.
            mirror: Started, with protons, replicas and scales.
            leadership: Leading.
            settings: Ticks, windows, rates.
            telemetry: Where to count.
            new_id: Makes 24-hex ids.
            clock: Monotonic seconds.
            wall: Epoch seconds.
        """
        self._store = store
        self._mirror = mirror
        self._leadership = leadership
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._collector = Collector(store, settings, clock=clock, wall=wall)
        self._book = ScaleBook(decision_history=settings.decision_history, new_id=new_id)
        self._controls: dict[str, _Control] = {}
        self._going: dict[str, str] = {}
        """Protons that are gone, but whose replicas are not; by id, with the workload's id."""
        self._due: set[str] = set()
        self._woken: dict[str, float] = {}
        """Proton id to when its wake-up was heard."""
        self._replicas_changed = False
        self._news = asyncio.Event()
        self._unwritten = asyncio.Event()
        self._reconciler: Reconciler | None = None
        self._collecting: set[asyncio.Task[None]] = set()
        self.ticked_at_s: float | None = None
        """When the last whole round ended; None before the first."""

    # -- news, from wherever they come ----------------------------------------------------------

    def on_replicas(self) -> None:
        """The reconciler changed something."""
        self._replicas_changed = True
        self._news.set()

    def on_records(self, changes: list[Change]) -> None:
        """The mirror changed."""
        changed = [change.id for change in changes if change.cls is Proton]
        if changed:
            self._due.update(changed)
            self._news.set()

    # -- the term -------------------------------------------------------------------------------

    async def run(self, reconciler: Reconciler) -> None:
        """Decide until cancelled.

        Args:
            reconciler: Not started yet; whoever calls stops it.

        Raises:
            LeadershipLostError: The term is over.
        """
        protons = dict(self._mirror.all(Proton))
        for scale in self._mirror.all(Scale).values():
            self._book.open(scale)
            if scale.id not in protons:
                self._going[scale.id] = scale.workload_id
        running = {p.id: p for p in protons.values() if p.desired is Desired.RUNNING}
        await reconciler.start(list(self._mirror.all(Replica).values()), running)
        self._reconciler = reconciler
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._leadership.keep(), name="lease")
                tasks.create_task(self._hear_wakes(), name="wakes")
                tasks.create_task(self._react(), name="news")
                tasks.create_task(self._tick_forever(), name="ticks")
                tasks.create_task(self._write_forever(), name="writes")
        finally:
            for task in self._collecting:
                task.cancel()

    async def write_out(self, reconciler: Reconciler, *, limit_s: float) -> None:
        """Note what is left of every proton's replicas and write it, at most `limit_s` long."""
