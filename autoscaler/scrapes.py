"""Asks replicas for their Prometheus pages, where policies need what stands there.

    bound                  value
    ---------------------  -----------------------------------------------------------------
    time of one page       `scrape_timeout_s`
    size of one page       `MAX_PAGE_BYTES`
    pages at a time        `MAX_AT_ONCE`; replicas whose last page failed have `MAX_TROUBLED`
                           places of their own, so that they never stand in the others' way
    age of a number        `MAX_AGE_INTERVALS` intervals, at least `MIN_AGE_S`; then it counts
                           as unknown
    a replica that fails   is asked less and less often, every `MAX_PAUSE_S` at least

Raw asyncio and httptools, as probes do it: there may be hundreds of replicas. Nothing here decides
anything; `core.scraped` reads the pages and says what the numbers mean.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

from autoscaler.core.scraped import COMPARED, Sample, level, read_page
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Replica

MAX_PAGE_BYTES: Final = 1024 * 1024
MAX_AT_ONCE: Final = 32
MAX_TROUBLED: Final = 4
MAX_PAUSE_S: Final = 60.0
MAX_AGE_INTERVALS: Final = 3.0
MIN_AGE_S: Final = 1.0
RATE_WINDOW_S: Final = 30.0
"""Counters count as their rate over this, or over three intervals where those are longer."""

_LONG_PAGE_BYTES: Final = 128 * 1024
"""Longer pages are read in a thread: 20 policies' metrics in 1 MiB may take 50 ms."""
_MAX_HEAD_BYTES: Final = 65_536
_OK: Final = 200
_NOT_FOUND: Final = 404


class PageError(Exception):
    """A page cannot be had; the message is the end of a sentence about the replica."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        """Keep the status of an answer, where there was one."""
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _Target:
    """One replica that is asked."""

    address: tuple[str, int]
    tls: bool
    metrics: frozenset[str]
    due_s: float
    failures: int = 0
    trouble: str = ""
    path: int = 0
    """Which of the paths it answered last."""
    busy: bool = False
    samples: dict[str, deque[Sample]] = field(default_factory=dict)


class Scraper:
    """Keeps what replicas say of themselves. Used on the event loop only."""

    def __init__(self, settings: AutoscalerSettings, *, clock: Callable[[], float]) -> None:
        """Begin with nothing to ask.

        Args:
            settings: Interval, time limit, paths.
            clock: Monotonic seconds, the event loop's.
        """
        self._settings = settings
        self._clock = clock
        self._paths = settings.scrape_paths.replace(",", " ").split()
        self._targets: dict[str, dict[str, _Target]] = {}
        """By proton, by replica."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._troubled = 0
        self._news = asyncio.Event()
        # The replica's certificate is for its public name, if anything: as probes see it.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    def __contains__(self, proton_id: object) -> bool:
        """Whether replicas of the proton are asked."""
        return proton_id in self._targets

    def retain(self, proton_ids: Container[str]) -> None:
        """Forget all protons but these."""
        for proton_id in [p for p in self._targets if p not in proton_ids]:
            del self._targets[proton_id]

    def want(self, proton: Proton, metrics: Iterable[str], replicas: Sequence[Replica]) -> None:
        """Ask these replicas for these metrics from now on, and no others of the proton.

        Args:
            proton: Whose.
            metrics: As policies name them; empty: nothing is wanted.
            replicas: Its replicas; those that are ready are asked.
        """
        wanted = frozenset(metrics)
        old = self._targets.get(proton.id, {})
        new = {}
        for replica in replicas if wanted else ():
            if replica.phase is not ReplicaPhase.READY or not (replica.host and replica.port):
                continue
            address = (replica.host, replica.port)
            target = old.get(replica.id)
            if target is None or target.address != address or target.metrics != wanted:
                tls = proton.spec.speaks_tls()
                target = _Target(address, tls, wanted, due_s=self._clock())
                self._news.set()
            new[replica.id] = target
        if new:
            self._targets[proton.id] = new
        else:
            self._targets.pop(proton.id, None)

    def values(
        self, proton_id: str, metric: str, replicas: Sequence[Replica]
    ) -> tuple[float | None, ...]:
        """What the ready replicas say of a metric, one each; None: not known, or too old."""
        targets = self._targets.get(proton_id, {})
        now_s = self._clock()
        max_age_s = max(MIN_AGE_S, MAX_AGE_INTERVALS * self._settings.scrape_interval_s)
        return tuple(
            level(target.samples.get(metric, ()), now_s=now_s, max_age_s=max_age_s)
            if (target := targets.get(replica.id)) is not None
            else None
            for replica in replicas
            if replica.phase is ReplicaPhase.READY
        )

    def trouble(self, proton_id: str) -> str:
        """Why a proton's pages say nothing, of one replica for all; empty: nothing is wrong."""
        for replica_id, target in self._targets.get(proton_id, {}).items():
            if target.trouble:
                return f"replica {replica_id} {target.trouble}"
        return ""

    async def run(self) -> None:
        """Ask for pages until cancelled."""
        try:
            while True:
                self._news.clear()
                pause_s = self._start_due()
                try:
                    async with asyncio.timeout(pause_s):
                        await self._news.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_due(self) -> float:
        """Start what is due and has a place; returns when to look again, seconds from now."""
        now_s = self._clock()
        next_s = now_s + self._settings.scrape_interval_s
        waiting = [
            target
            for targets in self._targets.values()
            for target in targets.values()
            if not target.busy
        ]
        for target in sorted(waiting, key=lambda target: target.due_s):
            if target.due_s > now_s:
                next_s = min(next_s, target.due_s)
                break
            troubled = target.failures > 0
            well = len(self._tasks) - self._troubled
            if self._troubled >= MAX_TROUBLED if troubled else well >= MAX_AT_ONCE:
                continue  # a place that becomes free is news
            self._start(target, troubled=troubled)
        return max(0.01, next_s - now_s)

    def _start(self, target: _Target, *, troubled: bool) -> None:
        target.busy = True
        self._troubled += troubled
        task = asyncio.create_task(self._ask(target), name="scrape")
        self._tasks.add(task)

        def finish(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._troubled -= troubled
            target.busy = False
            self._news.set()

        task.add_done_callback(finish)

    async def _ask(self, target: _Target) -> None:
        settings = self._settings
        began_s = self._clock()
        try:
            async with asyncio.timeout(settings.scrape_timeout_s):
                page = await self._first_page(target)
        except TimeoutError:
            trouble = f"did not send its metrics within {settings.scrape_timeout_s:g} s"
        except PageError as exc:
            trouble = str(exc)
        except OSError as exc:
            trouble = f"cannot be asked for its metrics: {exc.strerror or exc}"
        else:
            await self._keep(target, page)
            target.failures = 0
            target.due_s = began_s + settings.scrape_interval_s
            return
        target.trouble = trouble
        target.failures += 1
        pause_s = settings.scrape_interval_s * 2 ** min(target.failures, 10)
        target.due_s = self._clock() + min(max(MAX_PAUSE_S, settings.scrape_interval_s), pause_s)

    async def _first_page(self, target: _Target) -> bytes:
        """The page of the path that worked last, or of the first one that is found."""
        count = len(self._paths)
        for step in range(count):
            index = (target.path + step) % count
            try:
                page = await self._page(target, self._paths[index])
            except PageError as exc:
                if exc.status != _NOT_FOUND or step == count - 1:
                    raise
            else:
                target.path = index
                return page
        raise PageError("is not asked for metrics: autoscaler.scrape_paths is empty")

    async def _page(self, target: _Target, path: str) -> bytes:
        host, port = target.address
        connection = _PageConnection(path, host, port)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: connection, host, port, ssl=self._tls if target.tls else None
        )
        try:
            return await connection.page
        finally:
            transport.abort()

    async def _keep(self, target: _Target, page: bytes) -> None:
        now_s = self._clock()
        if len(page) > _LONG_PAGE_BYTES:
            found = await asyncio.to_thread(read_page, page, target.metrics)
        else:
            found = read_page(page, target.metrics)
        window_s = max(RATE_WINDOW_S, MAX_AGE_INTERVALS * self._settings.scrape_interval_s)
        for metric, reading in found.items():
            samples = target.samples.setdefault(metric, deque())
            samples.append(Sample(now_s, reading))
            while samples[0].at_s < now_s - window_s:
                samples.popleft()
        missing = sorted(target.metrics - found.keys() - COMPARED)
        target.trouble = f"does not tell {missing[0]} on its metrics page" if missing else ""


class _PageConnection(asyncio.Protocol):
    """One connection: sends the request and settles `page` once, with the body or a PageError.

    Called by the event loop and, from within `data_received`, by the parser.
    """

    def __init__(self, path: str, host: str, port: int) -> None:
        self.page: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        name = f"[{host}]" if ":" in host else host
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\n"
            "Accept: text/plain;version=0.0.4, */*;q=0.1\r\nAccept-Encoding: identity\r\n"
            "User-Agent: tidegate-autoscaler\r\nConnection: close\r\n\r\n"
        ).encode()
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self._parts: list[bytes] = []
        self._bounded = False
        """The head says where the body ends; else the connection's end does."""
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not a check: uvloop's transports are no subclasses.
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.page.done():
            return
        self._received += len(data)
        if self._received > MAX_PAGE_BYTES + _MAX_HEAD_BYTES:
            self._fail(f"sent more than {MAX_PAGE_BYTES:,} bytes of metrics")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("sent something else than HTTP for its metrics")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._in_body and not self._bounded and exc is None:
            self.on_message_complete()
        self._fail("closed the connection before it had sent its metrics")

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower in {b"content-length", b"transfer-encoding"}:
            self._bounded = True
        elif lower == b"content-encoding" and value.strip().lower() != b"identity":
            self._fail("sent its metrics compressed, without being asked to")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != _OK:
            self._fail(f"answered {status} when asked for its metrics", status=status)
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if not self.page.done():
            self.page.set_result(b"".join(self._parts))

    def _fail(self, message: str, *, status: int = 0) -> None:
        if not self.page.done():
            self.page.set_exception(PageError(message, status=status))
            # Somebody may have stopped waiting for it: that is no error of this one.
            self.page.exception()
