"""What every gateway worker says about its load, looked at again and again while it changes."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store
from tests.system.conftest import DEADLINE_S, Up

SAMPLE = re.compile(r"^gateway_requests_(\w+)\{(.*)\} (\d+)$", re.MULTILINE)
PROCESS = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One proton's counters in one worker."""

    started: int
    finished: Mapping[str, int]
    in_flight: int
    queued: int

    @property
    def adds_up(self) -> bool:
        return self.started == sum(self.finished.values()) + self.in_flight + self.queued


NONE = Counts(started=0, finished={}, in_flight=0, queued=0)


def of_report(load: ProtonLoad) -> Counts:
    """As a report says it."""
    return Counts(
        started=load.started,
        finished=load.finished,
        in_flight=load.in_flight,
        queued=load.queued,
    )


@dataclass(frozen=True, kw_only=True)
class Page:
    """One worker's /metrics."""

    process: str
    """When it was started: a restarted worker is another one."""
    counts: dict[str, Counts]
    """By proton."""


def of_page(text: str) -> Page:
    """As /metrics says it."""
    found: dict[str, dict[str, Any]] = {}
    for name, text_labels, value in SAMPLE.findall(text):
        labels = dict(LABEL.findall(text_labels))
        fields = found.setdefault(labels["proton"], {"finished": {}})
        if name == "finished_total":
            if int(value):
                fields["finished"][labels["class"]] = int(value)
        else:
            fields[name.removesuffix("_total")] = int(value)
    process = PROCESS.search(text)
    assert process is not None, text
    counts = {proton_id: Counts(**fields) for proton_id, fields in found.items()}
    return Page(process=process.group(1), counts=counts)


def together(all_counts: list[Counts]) -> Counts:
    """The sum of several workers' counters."""
    finished: dict[str, int] = {}
    for counts in all_counts:
        for kind, number in counts.finished.items():
            finished[kind] = finished.get(kind, 0) + number
    return Counts(
        started=sum(c.started for c in all_counts),
        finished=finished,
        in_flight=sum(c.in_flight for c in all_counts),
        queued=sum(c.queued for c in all_counts),
    )


class Sampler:
    """Looks at the reports in the store and at /metrics, every `BEAT_S`, and checks each look.

    It remembers the newest report of every worker there was, so that those of workers that have
    ended count on.
    """

    BEAT_S = 0.05

    def __init__(self, up: Up, store: Store, proton_id: str, tally: "Known") -> None:
        self._admin = [urlsplit(url) for url in up.admin_urls]
        self._store = store
        self._proton_id = proton_id
        self._tally = tally
        self._first: list[str] = []
        """The processes that the first pages came from."""
        self.before: dict[str, LoadReport] = {}
        """Worker id to its last report but one, of those that were seen."""
        self.newest: dict[str, LoadReport] = {}
        """Worker id to its last report."""
        self.problems: list[str] = []
        self.looks = 0
        self.busy = 0
        """Looks at which requests were in flight in several workers."""
        self.waiting = 0
        """Looks at which requests were queued."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            await self.look()
            await asyncio.sleep(self.BEAT_S)

    async def look(self) -> Counts | None:
        """One look; returns the workers' counters together, None when one did not answer."""
        self.looks += 1
        for report in await self._store.collect_reports():
            self._take(report)
        known = self._tally.known
        pages = await asyncio.gather(*(self._page(index) for index in range(len(self._admin))))
        counted = [page.counts.get(self._proton_id, NONE) for page in pages if page is not None]
        for counts in counted:
            self._check(counts.adds_up, f"/metrics: {counts}")
        whole = together(counted)
        self.busy += sum(1 for counts in counted if counts.in_flight) > 1
        self.waiting += whole.queued > 0
        if len(counted) < len(self._admin):
            return None
        processes = [page.process for page in pages if page is not None]
        self._first = self._first or processes
        if processes == self._first:  # otherwise some of what was counted is on no page any more
            sent = self._tally.sent
            seen = f"{known} known <= {whole.started} started <= {sent} sent"
            self._check(known <= whole.started <= sent, seen)
        return whole

    async def until(self, condition: Callable[[Counts], bool]) -> None:
        """Wait until the workers' pages together say something."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                whole = await self.look()
                if whole is not None and condition(whole):
                    return
                await asyncio.sleep(self.BEAT_S)

    async def at_rest(self) -> Counts:
        """Wait until every live worker has reported since now, without load.

        Returns:
            The last of every worker there was, together.
        """
        now = time.time()
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await self.look()
                spoke = [self.of(r.worker_id) for r in self.newest.values() if r.sent_at > now]
                if len(spoke) == len(self._admin) and not any(
                    c.in_flight + c.queued for c in spoke
                ):
                    return together([self.of(worker_id) for worker_id in self.newest])
                await asyncio.sleep(self.BEAT_S)

    def of(self, worker_id: str) -> Counts:
        """The last that a worker reported."""
        load = self.newest[worker_id].protons.get(self._proton_id)
        return NONE if load is None else of_report(load)

    def served(self) -> list[LoadReport]:
        """The last reports of the workers that had requests for the proton, oldest first."""
        reports = sorted(self.newest.values(), key=lambda report: report.sent_at)
        return [report for report in reports if self._proton_id in report.protons]

    def ids(self, index: int) -> list[str]:
        """The ids of those of them that had this index."""
        served = [report.worker_id for report in self.served()]
        return [worker_id for worker_id in served if int(worker_id.split("-")[-2]) == index]

    async def hours(self) -> dict[int, int]:
        """The proton's starts by epoch minute."""
        return await self._store.hourly_buckets(self._proton_id, now_s=time.time())

    def _take(self, report: LoadReport) -> None:
        last = self.newest.get(report.worker_id)
        if last is not None and report.clock_s <= last.clock_s:
            return
        if last is not None:
            self.before[report.worker_id] = last
        self.newest[report.worker_id] = report
        for proton_id, load in report.protons.items():
            counts = of_report(load)
            self._check(counts.adds_up, f"report: {counts}")
            by_minute = sum(load.starts_by_minute.values())
            self._check(by_minute == load.started, f"report: {by_minute} by minute, {counts}")
            earlier = last.protons.get(proton_id) if last is not None else None
            if earlier is not None:
                grown = load.started >= earlier.started and all(
                    load.finished.get(kind, 0) >= n for kind, n in earlier.finished.items()
                )
                self._check(grown, f"went back from {earlier} to {load}")
        in_flight = sum(load.in_flight for load in report.protons.values())
        on_replicas = sum(report.endpoints.values())
        self._check(on_replicas <= in_flight, f"{on_replicas} on replicas, {in_flight} in flight")

    def _check(self, holds: bool, message: str) -> None:
        if not holds:
            self.problems.append(message)

    async def _page(self, index: int) -> Page | None:
        """One worker's /metrics; None while it is being restarted."""
        url = self._admin[index]
        try:
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
        except OSError:
            return None
        try:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n")
            answer = await reader.read()
        except OSError:
            return None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return of_page(body.decode()) if head.startswith(b"HTTP/1.1 200") else None


class Known(Protocol):
    """What clients know of their requests."""

    sent: int

    @property
    def known(self) -> int: ...


@contextlib.asynccontextmanager
async def sampling(up: Up, proton_id: str, tally: Known) -> AsyncIterator[Sampler]:
    """A sampler that looks for as long as the context lasts; nothing it saw may be wrong."""
    settings = StoreSettings(url=up.store_url)
    async with await Store.connect(settings, client_name="sampler") as store:
        sampler, stop = Sampler(up, store, proton_id, tally), asyncio.Event()
        task = asyncio.create_task(sampler.run(stop))
        try:
            yield sampler
        finally:
            stop.set()
            await task
        assert not sampler.problems, "\n".join(sampler.problems[:20])
