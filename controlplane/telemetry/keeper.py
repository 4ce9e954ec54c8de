"""Fills the telemetry file beside the API: replicas' output, gateways' spans, what is too old.

Of several API processes that share a file, one does this: the one that has locked `keeper.lock`
beside it; the others take over when it ends. OTLP is received by all of them.
"""

import asyncio
import contextlib
import fcntl
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import IO, Final

from controlplane.model.artifacts import Artifact
from controlplane.model.sections import TelemetrySettings
from controlplane.model.spans import GatewaySpan, SpanNews
from controlplane.model.workloads import Replica, Workload
from controlplane.store.client import Store
from controlplane.store.watch import Change, Mirror
from controlplane.telemetry.archive import Archive
from controlplane.telemetry.rates import Rates
from controlplane.telemetry.records import ROW_OVERHEAD, Batch, Position, SpanRecord
from controlplane.telemetry.tails import Tails, left_behind

LOOK_S: Final = 0.25
"""How often outputs are read."""
SEARCH_S: Final = 30.0
"""How often the data directory is searched for outputs that nobody knows."""
EXPIRE_S: Final = 60.0
LOCK_FILE: Final = "keeper.lock"
_TRY_AGAIN_S: Final = 2.0
GATEWAY: Final = "tidegate-gateway"
"""`service.name` of the gateways' own spans."""

log = logging.getLogger(__name__)


class Keeper:
    """One API process's. Use `running` as a context.

    Args:
        archive: Started.
        store: Where gateways tell their spans.
        mirror: Of workloads, artifacts and replicas.
        rates: What workloads may add; shared with the OTLP routes.
        data_dir: Whose replicas' outputs to read, those that ended meanwhile, too.
        since_s: When outputs were last read, epoch seconds; 0: never.
        settings: How long records are kept.
    """

    def __init__(
        self,
        archive: Archive,
        store: Store,
        mirror: Mirror,
        *,
        rates: Rates,
        data_dir: Path,
        since_s: float,
        settings: TelemetrySettings,
    ) -> None:
        self._archive = archive
        self._store = store
        self._mirror = mirror
        self._rates = rates
        self._data_dir = data_dir
        self._since_s = since_s
        self._search_s = 0.0
        self._settings = settings
        self._come: dict[str, Position] = {}
        """Replicas that appeared since the last look, those that have gone again, too."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep while inside."""
        task = asyncio.create_task(self._run(), name="telemetry keeper")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            lock = await asyncio.to_thread(_lock, self._archive.path.with_name(LOCK_FILE))
            if lock is not None:
                break
            await asyncio.sleep(_TRY_AGAIN_S)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store.hear_spans(self._heard))
                group.create_task(_forever(self._expire, EXPIRE_S))
                group.create_task(self._tail())
        finally:
            lock.close()

    # -- output -------------------------------------------------------------------------------

    async def _tail(self) -> None:
        tails = Tails(
            self._archive.submit,
            allowed=lambda workload: self._rates.left(workload, time.monotonic()),
            spent=lambda workload, size: self._rates.spend(workload, size, time.monotonic()),
        )
        tails.resume(await asyncio.to_thread(self._archive.positions))
        self._mirror.subscribe(self._changed)

        async def look() -> None:
            come, self._come = self._come, {}
            tails.resume(come.values())
            if time.time() > self._search_s:
                # Who came and went while nobody looked, or between two news of the mirror.
                began_s = time.time()
                tails.resume(
                    await asyncio.to_thread(left_behind, self._data_dir, newer_than_s=self._since_s)
                )
                self._search_s, self._since_s = began_s + SEARCH_S, began_s - SEARCH_S
            tails.follow(self._outputs())
            await asyncio.to_thread(tails.step)

        await _forever(look, LOOK_S)

    def _changed(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change.record, Replica) and change.record.log_path:
                self._come[change.id] = _position(change.record, change.record.log_path)

    def _outputs(self) -> list[Position]:
        return [
            _position(replica, replica.log_path)
            for replica in self._mirror.all(Replica).values()
            if replica.log_path
        ]

    # -- spans --------------------------------------------------------------------------------

    def _heard(self, news: SpanNews) -> None:
        by_workload: dict[str, list[SpanRecord]] = {}
        for span in news.spans:
            by_workload.setdefault(span.workload_id, []).append(_record(span, news.worker_id))
        for workload_id, spans in by_workload.items():
            size = 4 * ROW_OVERHEAD * len(spans)
            self._archive.submit(Batch(workload_id=workload_id, size=size, spans=spans))

    # -- age ----------------------------------------------------------------------------------

    async def _expire(self) -> None:
        if not self._mirror.healthy:
            return
        present = await asyncio.to_thread(self._archive.workloads)
        now_s = time.time()
        self._archive.expire({name: self._cutoff_ns(name, now_s) for name in present})

    def _cutoff_ns(self, workload_id: str, now_s: float) -> int:
        workload = self._mirror.get(Workload, workload_id)
        if workload is None or workload.deleted_at is not None:
            return int((now_s + 2 * EXPIRE_S) * 1e9)  # nobody can read it any more
        artifact = self._mirror.get(Artifact, workload.artifact_id)
        locked = artifact is not None and artifact.status == "locked"
        settings = self._settings
        kept_s = settings.locked_retention_s if locked else settings.draft_retention_s
        return int((now_s - kept_s) * 1e9)


async def _forever(act: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        try:
            await act()
        except Exception:
            log.exception("telemetry keeper")  # a task's root: the next round may fare better
        await asyncio.sleep(every_s)


def _lock(path: Path) -> IO[bytes] | None:
    """The locked file; None: another process has it, or it cannot be made yet."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("ab")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _position(replica: Replica, path: str) -> Position:
    return Position(
        replica_id=replica.id,
        workload_id=replica.workload_id,
        proton_id=replica.proton_id,
        path=path,
        offset=0,
    )


def _record(span: GatewaySpan, worker_id: str) -> SpanRecord:
    return SpanRecord(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        kind="server",
        service=GATEWAY,
        start_ns=span.start_ns,
        duration_ns=span.duration_ns,
        status="error" if span.error else "unset",
        status_message=span.message,
        attributes=dict(span.attributes),
        resource={"service.name": GATEWAY, "service.instance.id": worker_id},
        scope={"name": "tidegate"},
    )
