"""One term of leadership: observe, decide, plan, tell; at every tick, and at once on news.

    news                              then
    --------------------------------  ----------------------------------------------------------
    tick                              collect reports, decide on every proton that is not settled
    wake-up                           collect for at most `WAKE_COLLECT_S`, decide on the proton
    a proton record changed           decide on it; one that is gone: drain and end its replicas
    the reconciler changed something  decide on the protons whose replicas look different

Between looking at a proton and planning for it there is no await, so ticks and news may overlap.
Who asks for what there is not enough of waits for the end of the round, or for the next news: then
capacity is shared out once for all of them, and who has changed meanwhile is decided upon anew.
What a decision leaves to be written is written by `ScaleWriter`: a slow store delays what others
see, never a start. A store that is away stops decisions (nothing shrinks, nothing new is asked
for), while the reconciler keeps running what runs.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from autoscaler.arbiter import Arbiter, Verdict
from autoscaler.collectors import Collector
from autoscaler.controls import Control, Decided, Replicas, by_proton, in_a_log, look_different
from autoscaler.core.basis import Basis
from autoscaler.core.observation import scaling_of
from autoscaler.forecasts import Forecasts
from autoscaler.inventory import NO_MACHINES, Inventory
from autoscaler.leadership import Leadership
from autoscaler.news import News
from autoscaler.reconcilers.base import Reconciler
from autoscaler.scales import Finding, ScaleBook
from autoscaler.settlement import Settlement
from autoscaler.shadows import Shadows
from autoscaler.telemetry import Telemetry
from autoscaler.trials import Trials
from autoscaler.version import code_version
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
        inventory: Inventory = NO_MACHINES,
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
            inventory: What replicas share.
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
        self._forecasts = Forecasts(store, clock=clock, wall=wall)
        self._shadows = Shadows(
            self._collector,
            self._forecasts,
            settings,
            new_id=new_id,
            trials=Trials(telemetry.trial_failed),
        )
        self._book = ScaleBook(
            decision_history=settings.decision_history, new_id=new_id, code=code_version()
        )
        self._wall = wall
        self._arbiter = Arbiter(inventory, settings)
        self._settlement = Settlement(
            self._arbiter,
            act=self._act,
            known=lambda proton_id: mirror.get(Proton, proton_id),
            later=news.decide_on,
        )
        self._controls: dict[str, Control] = {}
        self._going: dict[str, str] = {}
        """Protons that are gone, but whose replicas are not; by id, with the workload's id."""
        self._late: set[asyncio.Task[None]] = set()
        self.writer = ScaleWriter(store, leadership, self._book)
        self.ticked_at_s: float | None = None
        """When the last whole round ended; None before the first."""

    def renew(self, inventory: Inventory) -> None:
        """Replicas share something else from now on."""
        self._arbiter.renew(inventory)

    async def run(self) -> None:
        """Decide until cancelled."""
        protons = dict(self._mirror.all(Proton))
        for scale in self._mirror.all(Scale).values():
            self._book.open(scale)
            if scale.id not in protons:
                self._going[scale.id] = scale.workload_id
        running = {p.id: p for p in protons.values() if p.desired is Desired.RUNNING}
        await self._reconciler.start(list(self._mirror.all(Replica).values()), running)
        at, now_s = self._wall(), self._clock()
        for proton_id, replicas in by_proton(self._reconciler.replicas()).items():
            if proton_id in protons:
                self._arbiter.open(protons[proton_id], replicas, at=at, now_s=now_s)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear_wakes(), name="wakes")
                tasks.create_task(self._react(), name="news")
                tasks.create_task(self._tick_forever(), name="ticks")
                tasks.create_task(self.writer.run(), name="writes")
                tasks.create_task(self._collector.scraper.run(), name="scrapes")
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
                replicas = by_proton(self._reconciler.replicas())
                if news.replicas_changed:
                    news.replicas_changed = False
                    due |= self._look_different(replicas)
                now_s = self._clock()
                if due and self._settlement.awaited:
                    self._settle(replicas, now_s)  # of a round under way: none is passed over
                for proton_id in due:
                    self._decide(proton_id, replicas, now_s)
                self._settle(replicas, now_s)
            # Otherwise the next round, when there is one, decides on everything anyway.
            await asyncio.sleep(NEWS_PAUSE_S)

    async def _tick_forever(self) -> None:
        planned_s = self._clock()
        forget_at_s = planned_s + FORGET_EVERY_S
        while True:
            began_s = self._clock()
            self._telemetry.lateness_seconds.observe(max(0.0, began_s - planned_s))
            await self.round()
            if began_s >= forget_at_s:
                forget_at_s = began_s + FORGET_EVERY_S
                self._collector.forget(self._mirror.all(Proton))
                self._shadows.retain(self._mirror.all(Proton))
            self.ticked_at_s = self._clock()
            self._telemetry.tick_seconds.observe(self.ticked_at_s - began_s)
            # A round that took too long shifts the plan instead of bringing the next ones closer.
            planned_s = max(planned_s + self._settings.tick_s, self.ticked_at_s)
            await asyncio.sleep(planned_s - self.ticked_at_s)

    async def round(self) -> None:
        """Collect and decide on every proton once; nothing without the store or the lease."""
        if await self._collect() and self._leadership.leading:
            await self._decide_all()

    async def _collect(self) -> bool:
        try:
            await self._collector.collect()
            await self._collector.refresh_hours(c.scaling for c in self._controls.values())
            await self._forecasts.refresh(self._controls.values())
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
        seen, replicas, now_s = (
            self._news.replica_changes,
            by_proton(self._reconciler.replicas()),
            self._clock(),
        )
        for proton_id in {*self._mirror.all(Proton), *self._controls, *self._going}:
            if not self._is_settled(proton_id, replicas, now_s):
                self._decide(proton_id, replicas, now_s)
            if self._clock() - now_s > SLICE_S:
                await asyncio.sleep(0)
                now_s = self._clock()
                if seen != self._news.replica_changes:
                    seen, replicas = (
                        self._news.replica_changes,
                        by_proton(self._reconciler.replicas()),
                    )
        self._settle(replicas, now_s)

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
        starts = self._reconciler.cold_starts(proton.id)
        observation = self._shadows.seen(control.scaling, observation, starts)
        basis = Basis(
            observation=observation, scaling=control.scaling, state=control.state, now_s=now_s
        )
        decision, control.state = basis.decide()
        control.replicas = replicas
        rests = decision.replicas == 0 and decision.reason in _RESTING
        rests = rests and not control.scaling.schedules  # which may begin without any news
        if self._shadows.shadows(proton, control.scaling):
            rests = False
            self._shadow(proton, basis, decision, starts)
        known = observation.load is not None
        control.settled = (now_s, known) if rests and not replicas and failure is None else None
        decided = Decided(proton, decision, basis, control.state, replicas, failure, heard_at_s)
        bounded = control.scaling.within(observation.scheduled)
        if not self._settlement.ask(decided, bounded, now_s):
            self._act(decided, now_s)

    def _shadow(
        self, proton: Proton, basis: Basis, decision: Decision, cold_starts_s: Sequence[float]
    ) -> None:
        entries = self._shadows.step(
            proton,
            basis.scaling,
            basis.observation,
            decision,
            cold_starts_s=cold_starts_s,
            now_s=basis.now_s,
        )
        for entry in entries:
            self._book.append(proton.id, entry)
            self.writer.notify()

    def _settle(self, replicas: Replicas, now_s: float) -> None:
        self._settlement.settle(lambda proton_id: self._decide(proton_id, replicas, now_s), now_s)

    def _act(self, decided: Decided, now_s: float, verdict: Verdict | None = None) -> None:
        """Have a decision carried out, and tell of it."""
        proton, decision = decided.proton, decided.decision
        if decision.reason is Reason.STOPPED:
            self._reconciler.remove(proton.id)
        elif decision.reason is Reason.ERRORED:
            pass  # there it has given up by itself
        elif verdict is None:
            self._reconciler.plan(proton, decision.replicas)
        else:
            self._reconciler.plan(proton, verdict.replicas, verdict.placement)
        if decided.heard_at_s is not None:
            self._telemetry.wake_seconds.observe(self._clock() - decided.heard_at_s)
        basis = decided.basis
        self._telemetry.decided(decision, basis.observation, basis.scaling, now_s=now_s)
        finding = Finding(
            proton=proton,
            decision=decision,
            replicas=decided.replicas,
            cold_starts_s=self._reconciler.cold_starts(proton.id),
            failure=decided.failure,
            basis=basis,
            state=decided.state,
        )
        if decision.replicas != decision.previous_replicas:
            logger.info("decided", extra=in_a_log(finding.tell()))
        if self._book.note(finding, now_s=now_s):
            self.writer.notify()

    def _control(self, proton: Proton) -> Control:
        control = self._controls.get(proton.id)
        if control is None or control.proton is not proton:
            state = control.state if control is not None else None
            control = Control(proton, scaling_of(proton, self._settings), state)
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
        self._arbiter.leave(proton_id, replicas, at=self._wall(), now_s=now_s)
        if not replicas:
            del self._going[proton_id]
            self._telemetry.forget(proton_id)
            self._book.remove(proton_id)
            self.writer.notify()

    # -- replicas ---------------------------------------------------------------------------------

    def _look_different(self, replicas: Replicas) -> set[str]:
        return {
            proton_id
            for proton_id in {*replicas, *self._controls, *self._going}
            if proton_id not in self._controls
            or look_different(self._controls[proton_id].replicas, replicas.get(proton_id, ()))
        }
