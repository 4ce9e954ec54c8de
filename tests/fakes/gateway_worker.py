"""A gateway worker that only reports: the test says what load it has, it keeps the integrals."""

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field

from controlplane.model.reports import LoadReport, OpenStreams, ProtonLoad
from controlplane.model.workloads import Replica
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from controlplane.store.watch import Mirror

_numbers = itertools.count(1)


@dataclass
class _Counters:
    in_flight: int = 0
    queued: int = 0
    started: int = 0
    finished: int = 0
    load_seconds: float = 0.0
    queued_seconds: float = 0.0
    at_s: float = 0.0


@dataclass
class FakeGatewayWorker:
    """Publishes load reports every `interval_s`, with the counters a real worker would have.

    Attributes:
        store: Where it reports.
        interval_s: Time between reports.
        ttl_s: A report lives this long.
        endpoints: Replica id to requests in flight, as the test sets them.
    """

    store: Store
    interval_s: float = 0.05
    ttl_s: float = 5.0
    endpoints: dict[str, int] = field(default_factory=dict)
    streams: dict[str, OpenStreams] = field(default_factory=dict)
    """Replica id to its open tunnels, as the test sets them."""
    silent: bool = False
    """While true it counts, but does not report."""

    def __post_init__(self) -> None:
        self.worker_id = f"worker-{next(_numbers)}"
        self._protons: dict[str, _Counters] = {}
        self._mirror = Mirror(self.store, [Replica])
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "FakeGatewayWorker":
        await self._mirror.start()
        await self.publish()
        self._task = asyncio.create_task(self._report_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._mirror.stop()

    def load(self, proton_id: str, *, in_flight: int = 0, queued: int = 0) -> None:
        """From now on the proton has this load."""
        counters = self._protons.setdefault(proton_id, _Counters(at_s=self._now_s()))
        self._advance(counters, self._now_s())
        more = in_flight + queued - counters.in_flight - counters.queued
        counters.started += max(0, more)
        counters.finished += max(0, -more)
        counters.in_flight, counters.queued = in_flight, queued

    async def wake(self, proton_id: str, *, queued: int = 1) -> None:
        """Requests come and find no replica: report, then wake, as the gateway does."""
        self.load(proton_id, queued=queued)
        await self.publish()
        await self.store.wake(proton_id)

    async def publish(self) -> None:
        """Report now."""
        await self.store.publish_report(self.report(), ttl_s=self.ttl_s)

    async def leave(self) -> None:
        """End in order: a last report that says so."""
        report = self.report(draining=True)
        self.silent = True
        await self.store.publish_report(report, ttl_s=self.ttl_s)

    def report(self, *, draining: bool = False) -> LoadReport:
        """Everything counted up to now."""
        now_s = self._now_s()
        for counters in self._protons.values():
            self._advance(counters, now_s)
        return LoadReport(
            worker_id=self.worker_id,
            sent_at=time.time(),
            clock_s=now_s,
            revision=self._mirror.revision,
            draining=draining,
            protons={
                proton_id: ProtonLoad(
                    workload_id="",
                    started=c.started,
                    finished={"2xx": c.finished},
                    in_flight=c.in_flight,
                    queued=c.queued,
                    load_seconds=c.load_seconds,
                    queued_seconds=c.queued_seconds,
                )
                for proton_id, c in self._protons.items()
            },
            endpoints=dict(self.endpoints),
            streams=dict(self.streams),
        )

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            if not self.silent:
                with contextlib.suppress(StoreError):
                    await self.publish()

    def _advance(self, counters: _Counters, now_s: float) -> None:
        elapsed_s = now_s - counters.at_s
        counters.load_seconds += (counters.in_flight + counters.queued) * elapsed_s
        counters.queued_seconds += counters.queued * elapsed_s
        counters.at_s = now_s

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()
