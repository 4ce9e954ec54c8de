"""One term of leadership: observe, decide, plan, tell; at every tick, and at once on news.

    news                              then
    --------------------------------  ----------------------------------------------------------
    tick                              collect reports, decide on every proton that is not settled
    wake-up                           collect for at most `WAKE_COLLECT_S`, decide on the proton
    a proton record changed           decide on it; one that is gone: drain and end its replicas
    the reconciler changed something  decide on the protons whose replicas look different

Between looking at a proton and planning for it there is no await, so ticks and news may overlap.
What a decision leaves to be written is written by `ScaleWriter`: a slow store delays what others
see, never a start. A store that is away stops decisions (nothing shrinks, nothing new is asked
for), while the reconciler keeps running what runs.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autoscaler.collectors import Collector
from autoscaler.core.observation import DecisionState, Scaling, scaling_of
from autoscaler.core.plan import decide
from autoscaler.leadership import Leadership
from autoscaler.news import News
from autoscaler.reconcilers.base import Failure, Reconciler
from autoscaler.scales import Finding, ScaleBook
from autoscaler.telemetry import Telemetry
from autoscaler.writer import ScaleWriter
from controlplane.model.decisions import Decision, Reason
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from controlplane.store.watch import Mirror

WAKE_COLLECT_S: Final = 0.01
"""A wake-up waits this long for the reports that say how many wait; then one replica starts."""
NEWS_PAUSE_S: Final = 0.01
"""Least time between two looks at the news."""
SLICE_S: Final = 0.005
"""Longest stretch of decisions before others on the event loop have their turn."""
FORGET_EVERY_S: Final = 60.0
"""How often the load of protons that are gone is forgotten."""
UNKNOWN_WAKE_S: Final = 60.0
"""A wake-up of a proton whose record does not come within this is forgotten."""

_RESTING: Final = frozenset({Reason.IDLE, Reason.NO_DATA, Reason.STOPPED})

logger = logging.getLogger(__name__)

Replicas = Mapping[str, Sequence[Replica]]
"""By proton id."""


@dataclass(slots=True)
class _Control:
    """One proton under control."""

    proton: Proton
    scaling: Scaling
    state: DecisionState | None = None
    looks: tuple[object, ...] = ()
    """What its replicas looked like at the last decision."""
    settled: tuple[float, bool] | None = None
    """It is at zero and only load, a wake-up or an edit can change that: since when, and whether
    any gateway spoke then. Most protons of a large installation are settled."""


class DecisionLoop:
    """Decides for all protons during one term; a new term takes a new loop."""

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        *,
        leadership: Leadership,
        reconciler: Reconciler,
        news: News,
        settings: AutoscalerSettings,
        telemetry: Telemetry,
        new_id: Callable[[], str],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """Prepare a term; `run` begins it.

        Args:
            store: For reports and wake-ups.
            mirror: Started, with protons, replicas and scales.
            leadership: Leading; kept by the caller.
            reconciler: Not started yet; stopped by the caller.
            news: Where the mirror and the reconciler tell theirs.
            settings: Ticks, windows, rates.
            telemetry: Where to count.
            new_id: Makes 24-hex ids.
            clock: Monotonic seconds.
            wall: Epoch seconds.
        """
        self._store = store
        self._mirror = mirror
        self._leadership = leadership
        self._reconciler = reconciler
        self._news = news
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._collector = Collector(store, reconciler, settings, clock=clock, wall=wall)
        self._book = ScaleBook(decision_history=settings.decision_history, new_id=new_id)
        self._controls: dict[str, _Control] = {}
        self._going: dict[str, str] = {}
        """Protons that are gone, but whose replicas are not; by id, with the workload's id."""
        self._late: set[asyncio.Task[None]] = set()
        self.writer = ScaleWriter(store, leadership, self._book)
        self.ticked_at_s: float | None = None
        """When the last whole round ended; None before the first."""

    async def run(self) -> None:
        """Decide until cancelled."""
        protons = dict(self._mirror.all(Proton))
        for scale in self._mirror.all(Scale).values():
            self._book.open(scale)
            if scale.id not in protons:
                self._going[scale.id] = scale.workload_id
        running = {p.id: p for p in protons.values() if p.desired is Desired.RUNNING}
        await self._reconciler.start(list(self._mirror.all(Replica).values()), running)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear_wakes(), name="wakes")
                tasks.create_task(self._react(), name="news")
                tasks.create_task(self._tick_forever(), name="ticks")
                tasks.create_task(self.writer.run(), name="writes")
        finally:
            for task in self._late:
                task.cancel()
            await asyncio.gather(*self._late, return_exceptions=True)

    # -- when to decide ---------------------------------------------------------------------------

    async def _hear_wakes(self) -> None:
        async for proton_id in self._store.wakes():
            self._news.wake(proton_id, now_s=self._clock())

    async def _react(self) -> None:
        news = self._news
        while True:
            await news.wait()
            if self._leadership.leading:
                known = self._mirror.all(Proton)
                woken = {proton_id for proton_id in news.woken if proton_id in known}
                if woken:
                    await self._collect_for(woken)
                due, news.due = news.due | set(news.woken), set()
                replicas = self._replicas()
                if news.replicas_changed:
                    news.replicas_changed = False
                    due |= self._look_different(replicas)
                now_s = self._clock()
                for proton_id in due:
                    self._decide(proton_id, replicas, now_s)
            # Otherwise the next round, when there is one, decides on everything anyway.
            await asyncio.sleep(NEWS_PAUSE_S)

    async def _tick_forever(self) -> None:
        planned_s = self._clock()
        forget_at_s = planned_s + FORGET_EVERY_S
        while True:
            began_s = self._clock()
            self._telemetry.lateness_seconds.observe(max(0.0, began_s - planned_s))
            if await self._collect() and self._leadership.leading:
                await self._decide_all()
            if began_s >= forget_at_s:
                forget_at_s = began_s + FORGET_EVERY_S
                self._collector.forget(self._mirror.all(Proton))
            self.ticked_at_s = self._clock()
            self._telemetry.tick_seconds.observe(self.ticked_at_s - began_s)
            # A round that took too long shifts the plan instead of bringing the next ones closer.
            planned_s = max(planned_s + self._settings.tick_s, self.ticked_at_s)
            await asyncio.sleep(planned_s - self.ticked_at_s)

    async def _collect(self) -> bool:
        try:
            await self._collector.collect()
            await self._collector.refresh_hours(c.scaling for c in self._controls.values())
        except StoreError as exc:
            self._telemetry.collect_errors.inc()
            logger.debug("cannot collect", extra={"error": str(exc)})
            return False
        return True

    async def _collect_for(self, proton_ids: set[str]) -> None:
        """Collect, but wait only shortly; what comes later is decided upon when it comes."""
        task = asyncio.create_task(self._collector.collect(), name="collect")
        self._late.add(task)
        done, _ = await asyncio.wait({task}, timeout=WAKE_COLLECT_S)

        def finish(task: asyncio.Task[None]) -> None:
            self._late.discard(task)
            if not task.cancelled() and task.exception() is None and not done:
                self._news.decide_on(proton_ids)

        task.add_done_callback(finish)

    # -- deciding ---------------------------------------------------------------------------------

    async def _decide_all(self) -> None:
        replicas, now_s = self._replicas(), self._clock()
        for proton_id in {*self._mirror.all(Proton), *self._controls, *self._going}:
            if not self._is_settled(proton_id, replicas, now_s):
                self._decide(proton_id, replicas, now_s)
            if self._clock() - now_s > SLICE_S:
                await asyncio.sleep(0)
                replicas, now_s = self._replicas(), self._clock()

    def _is_settled(self, proton_id: str, replicas: Replicas, now_s: float) -> bool:
        control = self._controls.get(proton_id)
        if control is None or control.settled is None or proton_id in replicas:
            return False
        since_s, known = control.settled
        windows = self._collector.windows
        return (
            control.proton is self._mirror.get(Proton, proton_id)
            and proton_id not in self._news.woken
            and known == windows.speaks(now_s=now_s)
            and not windows.active_since(proton_id, since_s=since_s)
        )

    def _decide(self, proton_id: str, replicas: Replicas, now_s: float) -> None:
        """Decide on one proton and act; a fault in one must not stop the others."""
        try:
            proton = self._mirror.get(Proton, proton_id)
            mine = replicas.get(proton_id, ())
            if proton is None:
                self._let_go(proton_id, mine, now_s)
            else:
                self._decide_on(proton, mine, now_s)
        except Exception:
            logger.exception("cannot decide", extra={"proton_id": proton_id})

    def _decide_on(self, proton: Proton, replicas: Sequence[Replica], now_s: float) -> None:
        control = self._control(proton)
        heard_at_s = self._news.woken.pop(proton.id, None)
        if heard_at_s is not None:
            self._collector.windows.touch(proton.id, now_s=now_s)
        failure = self._reconciler.failure(proton.id)
        observation = self._collector.observe(
            proton,
            control.scaling,
            replicas,
            woken=heard_at_s is not None,
            failure=failure,
            now_s=now_s,
        )
        decision, control.state = decide(observation, control.scaling, control.state, now_s=now_s)
        control.looks = _looks(replicas)
        rests = decision.replicas == 0 and decision.reason in _RESTING
        known = observation.load is not None
        control.settled = (now_s, known) if rests and not replicas and failure is None else None
        if decision.reason is Reason.STOPPED:
            self._reconciler.remove(proton.id)
        elif decision.reason is not Reason.ERRORED:  # there it has given up by itself
            self._reconciler.plan(proton, decision.replicas)
        if heard_at_s is not None:
            self._telemetry.wake_seconds.observe(self._clock() - heard_at_s)
        self._telemetry.decided(decision, ready=observation.ready, now_s=now_s)
        self._tell(proton, decision, replicas, failure, now_s)

    def _tell(
        self,
        proton: Proton,
        decision: Decision,
        replicas: Sequence[Replica],
        failure: Failure | None,
        now_s: float,
    ) -> None:
        if decision.replicas != decision.previous_replicas:
            logger.info("decided", extra=_in_a_log(decision))
        finding = Finding(
            proton=proton,
            decision=decision,
            replicas=replicas,
            cold_starts_s=self._reconciler.cold_starts(proton.id),
            failure=failure,
        )
        if self._book.note(finding, now_s=now_s):
            self.writer.notify()

    def _control(self, proton: Proton) -> _Control:
        control = self._controls.get(proton.id)
        if control is None or control.proton is not proton:
            state = control.state if control is not None else None
            control = _Control(proton, scaling_of(proton, self._settings), state)
            self._controls[proton.id] = control
        return control

    def _let_go(self, proton_id: str, replicas: Sequence[Replica], now_s: float) -> None:
        woken = self._news.woken
        control = self._controls.pop(proton_id, None)
        if control is not None:
            self._going[proton_id] = control.proton.workload_id
        if proton_id not in self._going:
            # Woken before its record came: it is decided upon when the record is here.
            if now_s - woken.get(proton_id, now_s) > UNKNOWN_WAKE_S:
                del woken[proton_id]
            return
        woken.pop(proton_id, None)
        self._reconciler.remove(proton_id)
        if not replicas:
            self._telemetry.forget(self._going.pop(proton_id), proton_id)
            self._book.remove(proton_id)
            self.writer.notify()

    # -- replicas ---------------------------------------------------------------------------------

    def _replicas(self) -> Replicas:
        found: dict[str, list[Replica]] = {}
        for replica in self._reconciler.replicas():
            found.setdefault(replica.proton_id, []).append(replica)
        return found

    def _look_different(self, replicas: Replicas) -> set[str]:
        return {
            proton_id
            for proton_id in {*replicas, *self._controls, *self._going}
            if proton_id not in self._controls
            or self._controls[proton_id].looks != _looks(replicas.get(proton_id, ()))
        }


def _looks(replicas: Sequence[Replica]) -> tuple[object, ...]:
    return tuple((replica.id, replica.phase, replica.message) for replica in replicas)


def _in_a_log(decision: Decision) -> dict[str, object]:
    return {
        "workload_id": decision.workload_id,
        "proton_id": decision.proton_id,
        "replicas": decision.replicas,
        "previous_replicas": decision.previous_replicas,
        "reason": decision.reason.value,
        "steps": {step.name: step.note for step in decision.steps},
        "next": decision.next,
    }
