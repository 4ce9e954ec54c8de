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
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autoscaler.collectors import Collector
from autoscaler.core.explain import render
from autoscaler.core.observation import DecisionState, Scaling, scaling_of
from autoscaler.core.plan import decide
from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import Leadership
from autoscaler.reconcilers.base import Reconciler
from autoscaler.scales import Batch, Finding, ScaleBook
from autoscaler.telemetry import Telemetry
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.store.client import Delete, Store
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
UNKNOWN_WAKE_S: Final = 60.0
"""A wake-up of a proton whose record does not come within this is forgotten."""
FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0

_RESTING: Final = frozenset({Reason.IDLE, Reason.NO_DATA, Reason.STOPPED})

logger = logging.getLogger(__name__)


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
        """Decide until cancelled. The lease is kept, and the reconciler stopped, by the caller.

        Args:
            reconciler: Not started yet; told to call `on_replicas`.
        """
        protons = dict(self._mirror.all(Proton))
        for scale in self._mirror.all(Scale).values():
            self._book.open(scale)
            if scale.id not in protons:
                self._going[scale.id] = scale.workload_id
        running = {p.id: p for p in protons.values() if p.desired is Desired.RUNNING}
        await reconciler.start(list(self._mirror.all(Replica).values()), running)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear_wakes(), name="wakes")
                tasks.create_task(self._react(reconciler), name="news")
                tasks.create_task(self._tick_forever(reconciler), name="ticks")
                tasks.create_task(self._write_forever(), name="writes")
        finally:
            for task in self._collecting:
                task.cancel()
            await asyncio.gather(*self._collecting, return_exceptions=True)

    async def write_all(self) -> None:
        """Write what is left to be written, once.

        Raises:
            StoreError, LeadershipLostError: It was not written.
        """
        while batch := self._book.take(WRITE_BATCH):
            await self._write(batch)

    async def _hear_wakes(self) -> None:
        async for proton_id in self._store.wakes():
            self._woken.setdefault(proton_id, self._clock())
            self._news.set()

    async def _react(self, reconciler: Reconciler) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._leadership.leading:
                if self._woken:
                    await self._collect_for(set(self._woken), reconciler)
                due, self._due = self._due | set(self._woken), set()
                replicas = _by_proton(reconciler)
                if self._replicas_changed:
                    self._replicas_changed = False
                    due |= self._look_different(replicas)
                for proton_id in due:
                    self._decide(proton_id, replicas.get(proton_id, ()), reconciler)
            # Otherwise the next round decides on everything anyway.
            await asyncio.sleep(NEWS_PAUSE_S)

    async def _tick_forever(self, reconciler: Reconciler) -> None:
        planned_s = self._clock()
        forget_at_s = planned_s + FORGET_EVERY_S
        while True:
            began_s = self._clock()
            self._telemetry.lateness_seconds.observe(max(0.0, began_s - planned_s))
            if await self._collect(reconciler) and self._leadership.leading:
                await self._decide_all(reconciler)
            if began_s >= forget_at_s:
                forget_at_s = began_s + FORGET_EVERY_S
                self._collector.forget(self._mirror.all(Proton))
            self.ticked_at_s = self._clock()
            self._telemetry.tick_seconds.observe(self.ticked_at_s - began_s)
            # A round that took too long shifts the plan instead of bringing the next ones closer.
            planned_s = max(planned_s + self._settings.tick_s, self.ticked_at_s)
            await asyncio.sleep(planned_s - self.ticked_at_s)

    # -- collecting -----------------------------------------------------------------------------

    async def _collect(self, reconciler: Reconciler) -> bool:
        try:
            await self._collector.collect(reconciler)
            await self._collector.refresh_hours(c.scaling for c in self._controls.values())
        except StoreError as exc:
            self._telemetry.collect_errors.inc()
            logger.debug("cannot collect", extra={"error": str(exc)})
            return False
        return True

    async def _collect_for(self, proton_ids: set[str], reconciler: Reconciler) -> None:
        """Collect, but wait only shortly; what comes later is decided upon when it comes."""
        task = asyncio.create_task(self._collector.collect(reconciler), name="collect")
        self._collecting.add(task)
        done, _ = await asyncio.wait({task}, timeout=WAKE_COLLECT_S)

        def finish(task: asyncio.Task[None]) -> None:
            self._collecting.discard(task)
            if not task.cancelled() and task.exception() is None and not done:
                self._due.update(proton_ids)
                self._news.set()

        task.add_done_callback(finish)

    # -- deciding -------------------------------------------------------------------------------

    async def _decide_all(self, reconciler: Reconciler) -> None:
        replicas = _by_proton(reconciler)
        slice_s = self._clock()
        for proton_id in {*self._mirror.all(Proton), *self._controls, *self._going}:
            if not self._is_settled(proton_id, replicas):
                self._decide(proton_id, replicas.get(proton_id, ()), reconciler)
            if self._clock() - slice_s > SLICE_S:
                await asyncio.sleep(0)
                replicas = _by_proton(reconciler)
                slice_s = self._clock()

    def _decide(self, proton_id: str, replicas: Sequence[Replica], reconciler: Reconciler) -> None:
        """Decide on one proton and act; a fault in one must not stop the others."""
        try:
            proton = self._mirror.get(Proton, proton_id)
            if proton is None:
                self._let_go(proton_id, replicas, reconciler)
            else:
                self._decide_on(proton, replicas, reconciler)
        except Exception:
            logger.exception("cannot decide", extra={"proton_id": proton_id})

    def _decide_on(
        self, proton: Proton, replicas: Sequence[Replica], reconciler: Reconciler
    ) -> None:
        control = self._controls.get(proton.id)
        if control is None or control.proton is not proton:
            control = _Control(
                proton=proton,
                scaling=scaling_of(proton, self._settings),
                state=control.state if control is not None else None,
            )
            self._controls[proton.id] = control
        now_s = self._clock()
        heard_at_s = self._woken.pop(proton.id, None)
        if heard_at_s is not None:
            self._collector.windows.touch(proton.id, now_s=now_s)
        failure = reconciler.failure(proton.id)
        observation = self._collector.observe(
            proton,
            control.scaling,
            replicas,
            reconciler,
            woken=heard_at_s is not None,
            failure=failure,
        )
        decision, control.state = decide(observation, control.scaling, control.state, now_s=now_s)
        control.looks = _looks(replicas)
        rests = decision.replicas == 0 and decision.reason in _RESTING
        known = observation.load is not None
        control.settled = (now_s, known) if rests and not replicas and failure is None else None
        if decision.reason is Reason.STOPPED:
            reconciler.remove(proton.id)
        elif decision.reason is not Reason.ERRORED:  # there it has given up by itself
            reconciler.plan(proton, decision.replicas)
        if heard_at_s is not None:
            self._telemetry.wake_seconds.observe(self._clock() - heard_at_s)
        if decision.replicas != decision.previous_replicas:
            logger.info("decided", extra={"proton_id": proton.id, "decision": render(decision)})
        self._telemetry.decided(decision, ready=observation.ready, now_s=now_s)
        finding = Finding(
            proton=proton,
            decision=decision,
            replicas=replicas,
            cold_starts_s=reconciler.cold_starts(proton.id),
            failure=failure,
        )
        if self._book.note(finding, now_s=now_s):
            self._unwritten.set()

    def _let_go(self, proton_id: str, replicas: Sequence[Replica], reconciler: Reconciler) -> None:
        control = self._controls.pop(proton_id, None)
        if control is not None:
            self._going[proton_id] = control.proton.workload_id
        if proton_id not in self._going:
            # Woken before its record came: it is decided upon when the record is here.
            if self._clock() - self._woken.get(proton_id, 0.0) > UNKNOWN_WAKE_S:
                self._woken.pop(proton_id, None)
            return
        self._woken.pop(proton_id, None)
        reconciler.remove(proton_id)
        if not replicas:
            self._telemetry.forget(self._going.pop(proton_id), proton_id)
            self._book.remove(proton_id)
            self._unwritten.set()

    def _look_different(self, replicas: Mapping[str, Sequence[Replica]]) -> set[str]:
        return {
            proton_id
            for proton_id in {*replicas, *self._controls, *self._going}
            if proton_id not in self._controls
            or self._controls[proton_id].looks != _looks(replicas.get(proton_id, ()))
        }

    # -- writing --------------------------------------------------------------------------------

    async def _write_forever(self) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            await self._unwritten.wait()
            self._unwritten.clear()
            try:
                await self.write_all()
                pause_s = FIRST_RETRY_S
            except (StoreUnavailableError, StoreFullError) as exc:
                logger.warning("decisions wait to be written", extra={"error": str(exc)})
                await asyncio.sleep(pause_s)
                pause_s = min(LAST_RETRY_S, pause_s * 2)
                self._unwritten.set()
            except LeadershipLostError:
                return  # the keeper of the lease ends the term

    async def _write(self, batch: Batch) -> None:
        writes = [unwritten.write for unwritten in batch.values() if unwritten.write is not None]
        journal = [entry for unwritten in batch.values() for entry in unwritten.entries]
        try:
            await self._leadership.commit(writes, journal=journal)
        except BaseException:
            self._book.give_back(batch)
            raise
        for proton_id, unwritten in batch.items():
            if isinstance(unwritten.write, Delete):
                with contextlib.suppress(StoreError):  # it goes by itself after 90 days
                    await self._store.drop_journal(f"decisions:{proton_id}")


def _by_proton(reconciler: Reconciler) -> dict[str, list[Replica]]:
    found: dict[str, list[Replica]] = {}
    for replica in reconciler.replicas():
        found.setdefault(replica.proton_id, []).append(replica)
    return found


def _looks(replicas: Sequence[Replica]) -> tuple[object, ...]:
    return tuple((replica.id, replica.phase, replica.message) for replica in replicas)
