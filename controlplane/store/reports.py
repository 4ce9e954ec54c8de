"""Load reports of gateway workers, and the hour's starts per proton in minute buckets."""

import logging
from typing import Final, TypeVar

import msgspec

from controlplane.model.reports import LoadReport, WorkerNumbers
from controlplane.store import scripts
from controlplane.store.connection import Argument
from controlplane.store.link import Link
from controlplane.store.records import Keys

HOUR_MINUTES: Final = 60
"""Buckets in the rolling hour, the running minute included."""

BUCKET_TTL_S: Final = 2 * 3600
"""A proton without a start for this long has no bucket left to keep."""

PROTONS_PER_CALL: Final = 256
"""Buckets of this many protons go in one call."""

_Bucket = tuple[str, str, int]
# Worker id, proton id, epoch minute.

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LoadReport)
_NUMBERS_DECODER = msgspec.json.Decoder(WorkerNumbers)

_Report = TypeVar("_Report", LoadReport, WorkerNumbers)

logger = logging.getLogger(__name__)


class HourlyCounts:
    """Keeps this process's starts per proton and minute in the store.

    Counts are cumulative per worker and minute, so writing one again changes nothing: what the
    server has acknowledged is remembered and not sent again, the rest goes with every report
    until it is acknowledged.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._written: dict[_Bucket, int] = {}

    def forget_written(self) -> None:
        """Send everything again: the server may have lost what it acknowledged."""
        self._written.clear()

    async def write(self, report: LoadReport) -> None:
        """Write the buckets that have changed."""
        worker = report.worker_id
        changed: list[tuple[str, dict[int, int]]] = []
        present: set[_Bucket] = set()
        for proton_id, load in report.protons.items():
            present.update((worker, proton_id, minute) for minute in load.starts_by_minute)
            news = {
                minute: starts
                for minute, starts in load.starts_by_minute.items()
                if self._written.get((worker, proton_id, minute)) != starts
            }
            if news:
                changed.append((proton_id, news))
        for first in range(0, len(changed), PROTONS_PER_CALL):
            await self._write(worker, changed[first : first + PROTONS_PER_CALL])
        for bucket in [b for b in self._written if b[0] == worker and b not in present]:
            del self._written[bucket]

    async def _write(self, worker: str, changed: list[tuple[str, dict[int, int]]]) -> None:
        arguments: list[Argument] = [BUCKET_TTL_S]
        for _, news in changed:
            arguments.append(len(news))
            for minute, starts in news.items():
                arguments += [f"{minute} {worker}", starts]
        hours = [self._keys[f"hour:{proton_id}"] for proton_id, _ in changed]
        await self._link.run(scripts.HOURS, hours, *arguments)
        for proton_id, news in changed:
            self._written.update({(worker, proton_id, m): n for m, n in news.items()})

    async def buckets(self, proton_id: str, *, now_s: float) -> dict[int, int]:
        """Epoch minute to starts of all workers within the hour; all else is deleted."""
        key = self._keys[f"hour:{proton_id}"]
        stored: dict[bytes, bytes] = await self._link.call("HGETALL", key)
        oldest = int(now_s // 60) - HOUR_MINUTES + 1
        total: dict[int, int] = {}
        old: list[bytes] = []
        for field, starts in stored.items():
            try:
                minute, count = int(field.partition(b" ")[0]), int(starts)
            except ValueError:  # nothing that `write` writes: it goes, the others count
                old.append(field)
                continue
            if minute < oldest:
                old.append(field)
            else:
                total[minute] = total.get(minute, 0) + count
        if old:
            await self._link.call("HDEL", key, *old)
        return dict(sorted(total.items()))


async def publish(link: Link, keys: Keys, report: LoadReport, *, ttl_s: float) -> None:
    """Replace the worker's report."""
    body = _ENCODER.encode(report)
    await link.run(
        scripts.REPORT, [keys["reports"]], report.worker_id, max(1, round(ttl_s * 1000)), body
    )


class ReportReader:
    """Reads the reports of the workers that are alive.

    One that cannot be decoded is left out, and logged once per worker: the others still count.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._broken: set[bytes] = set()

    async def collect(self) -> list[LoadReport]:
        """Whole reports."""
        return await self._read(_DECODER)

    async def collect_numbers(self) -> list[WorkerNumbers]:
        """The same, with half of the work: without histograms, minutes and bytes."""
        return await self._read(_NUMBERS_DECODER)

    async def _read(self, decoder: msgspec.json.Decoder[_Report]) -> list[_Report]:
        stored: list[bytes] = await self._link.run(scripts.COLLECT, [self._keys["reports"]])
        found = []
        for worker, body in zip(stored[::2], stored[1::2], strict=True):
            try:
                found.append(decoder.decode(body))
            except ValueError as exc:  # msgspec's errors, and of what is no UTF-8
                self._tell_broken(worker, exc)
        return found

    def _tell_broken(self, worker: bytes, exc: ValueError) -> None:
        if worker not in self._broken:
            self._broken.add(worker)
            logger.error(
                "a gateway worker's report cannot be read: it does not count",
                extra={"worker_id": worker.decode(errors="replace"), "error": str(exc)},
            )
