"""Load reports and wake-ups: this worker's counters on their way to the autoscaler.

Requests never wait for the store: they leave a note here, and one task sends.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from controlplane.model.reports import LoadReport, ProtonLoad, ProtonNumbers, WorkerNumbers
from controlplane.store.client import Store
from controlplane.store.errors import StoreError, StoreUnavailableError
from gateway.core.load import CLASSES, REFUSED
from gateway.net.endpoints import ProtonRoute
from gateway.net.routes import Routes
from gateway.net.streams import Streams
from gateway.net.usage import UsageTeller
from gateway.net.worker import Worker

_WAKE_AGAIN_S = 1.0
"""A wake-up may be lost with its connection: repeated while somebody waits."""
_WAKE_PAUSE_S = 0.05
"""Least time between two wake-ups of one proton, however many requests join the queue. Whoever
joins in between is told of at its end."""

log = logging.getLogger(__name__)


class Reporter:
    """Publishes this worker's report on a beat, and at every wake-up the numbers that it needs."""

    def __init__(self, worker: Worker, routes: Routes, store: Store) -> None:
        self._worker = worker
        self._routes = routes
        self._store = store
        self._wanted: set[str] = set()
        self._woken_s: dict[str, float] = {}
        self._pauses: dict[str, asyncio.TimerHandle] = {}
        """Protons whose next wake-up waits for the end of the pause."""
        self._streams = Streams(worker)
        self._usage = UsageTeller(worker, routes.policies, store)
        self._note = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def start(self) -> None:
        """Begin to report."""
        self._usage.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Say goodbye: the last totals, marked as a draining worker's."""
        for pause in self._pauses.values():
            pause.cancel()
        await self._usage.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._store.available:  # else the call would hold the worker's end up for its timeout
            with contextlib.suppress(StoreError):
                await self._store.publish_report(
                    self.report(), ttl_s=self._worker.settings.report_ttl_s
                )

    def wake(self, proton: ProtonRoute) -> None:
        """Somebody waits for a slot of this proton: tell the autoscaler now."""
        last_s = self._woken_s.get(proton.id)
        now_s = self._worker.monotonic()
        if last_s is None or now_s - last_s >= _WAKE_PAUSE_S:
            self._wake(proton.id, now_s)
        elif proton.id not in self._pauses:
            self._pauses[proton.id] = asyncio.get_running_loop().call_later(
                last_s + _WAKE_PAUSE_S - now_s, self._pause_over, proton.id
            )

    def _pause_over(self, proton_id: str) -> None:
        """Somebody came during the pause: the autoscaler hears of it now, if they still wait."""
        del self._pauses[proton_id]
        proton = self._routes.protons.get(proton_id)
        if proton is not None and proton.room.size:
            self._wake(proton_id, self._worker.monotonic())

    def _wake(self, proton_id: str, now_s: float) -> None:
        self._woken_s[proton_id] = now_s
        self._wanted.add(proton_id)
        self._note.set()

    def report(self) -> LoadReport:
        """Everything this worker knows, now."""
        return LoadReport(sent_at=self._worker.wall(), **self._now(_proton_load))

    def numbers(self) -> WorkerNumbers:
        """Of the same, what replicas are decided by; a report's need not be made for them."""
        return WorkerNumbers(**self._now(_proton_numbers))

    def _now(self, told: Callable[[ProtonRoute, float], object]) -> dict[str, Any]:
        """What both have in common, with protons as they are `told`."""
        worker = self._worker
        now_s = worker.monotonic()
        return {
            "worker_id": worker.id,
            "clock_s": now_s,
            "revision": self._routes.revision,
            "draining": worker.draining,
            "protons": {p.id: told(p, now_s) for p in self._known() if p.meter.started},
            "endpoints": {
                endpoint.replica_id: endpoint.in_flight
                for proton in self._known()
                for endpoint in proton.endpoints.values()
                if endpoint.in_flight
            },
            "streams": self._streams.by_replica,
        }

    def _known(self) -> Iterable[ProtonRoute]:
        return chain(self._routes.protons.values(), self._routes.retired.values())

    async def _run(self) -> None:
        worker, settings = self._worker, self._worker.settings
        whole_at_s = worker.monotonic() + settings.report_interval_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, whole_at_s - worker.monotonic())):
                    await self._note.wait()
            self._note.clear()
            self._still_waiting()
            wanted, self._wanted = self._wanted, set()
            now_s = worker.monotonic()
            whole = now_s >= whole_at_s
            if whole:
                whole_at_s = now_s + settings.report_interval_s
            unreported = await self._publish(whole=whole)
            unwoken = await self._wake_up(wanted)
            self._tell(unreported or unwoken)
            if whole:  # not with every wake-up
                await self._streams.count()

    async def _publish(self, *, whole: bool) -> StoreError | None:
        """Send the report, or the numbers alone; why that failed.

        Nothing is lost then: the numbers are cumulative, and the next report has them all.
        """
        ttl_s = self._worker.settings.report_ttl_s
        try:
            if whole:
                await self._store.publish_report(self.report(), ttl_s=ttl_s)
            else:
                await self._store.publish_numbers(self.numbers(), ttl_s=ttl_s)
        except StoreError as exc:
            return exc
        return None

    async def _wake_up(self, wanted: set[str]) -> StoreError | None:
        """Wake protons, whatever became of the report; why that failed for the last that failed.

        Those wait for the next beat.
        """
        failed: StoreError | None = None
        left = set(wanted)
        for proton_id in wanted:
            try:
                await self._store.wake(proton_id)
                left.remove(proton_id)
            except StoreUnavailableError as exc:  # each of the others would wait for it anew
                failed = exc
                break
            except StoreError as exc:
                failed = exc
        self._wanted |= left
        return failed

    def _tell(self, failed: StoreError | None) -> None:
        """Say once that reports fail, and once that they do no more."""
        if failed is not None and not self._failing:
            log.warning("cannot report load: %s", failed)
        elif failed is None and self._failing:
            log.info("load is reported again")
        self._failing = failed is not None

    def _still_waiting(self) -> None:
        now_s = self._worker.monotonic()
        for proton_id, last_s in list(self._woken_s.items()):
            proton = self._routes.protons.get(proton_id)
            if proton is None or not proton.room.size:
                del self._woken_s[proton_id]
            elif now_s - last_s >= _WAKE_AGAIN_S:
                self._woken_s[proton_id] = now_s
                self._wanted.add(proton_id)


def _proton_numbers(proton: ProtonRoute, now_s: float) -> ProtonNumbers:
    meter = proton.meter
    meter.advance(now_s)
    return ProtonNumbers(
        meter.started,
        meter.in_flight,
        meter.queued,
        meter.load_seconds,
        meter.queued_seconds,
        meter.finished[REFUSED],
    )


def _proton_load(proton: ProtonRoute, now_s: float) -> ProtonLoad:
    meter = proton.meter
    meter.advance(now_s)
    return ProtonLoad(
        workload_id=meter.workload_id,
        started=meter.started,
        finished={name: n for name, n in zip(CLASSES, meter.finished, strict=True) if n},
        refused_user=meter.refused_user,
        in_flight=meter.in_flight,
        queued=meter.queued,
        load_seconds=meter.load_seconds,
        queued_seconds=meter.queued_seconds,
        cold_starts=meter.cold_starts,
        bytes_in=meter.bytes_in,
        bytes_out=meter.bytes_out,
        response_time=meter.response_time,
        response_seconds=meter.response_seconds,
        starts_by_minute=meter.starts_by_minute,
    )
