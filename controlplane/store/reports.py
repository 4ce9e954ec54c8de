"""Load reports of gateway workers, and the hour's starts per proton in minute buckets."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from controlplane.model.reports import LoadReport, WorkerNumbers
from controlplane.store import scripts
from controlplane.store.connection import Argument
from controlplane.store.errors import WrongTypeError
from controlplane.store.link import Link
from controlplane.store.records import Keys
from controlplane.store.unreadable import Unreadable

HOUR_MINUTES: Final = 60
"""Buckets in the rolling hour, the running minute included."""

BUCKET_TTL_S: Final = 2 * 3600
"""A proton without a start for this long has no bucket left to keep."""

PROTONS_PER_CALL: Final = 256
"""Buckets of this many protons go in one call."""

HOURS_PER_CALL: Final = 64
"""Whole hours of this many protons are read in one call: 60 minutes of each worker."""

_HEAD_BYTES: Final = 160
"""Of a report that hold its worker's id and clock, which come first."""

_NO_MINUTES: Final[dict[int, int]] = {}

_Changed = tuple[str, dict[int, int], set[tuple[int, int]]]
# A proton, all its minutes, and those that are news.

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LoadReport)
_NUMBERS_DECODER = msgspec.json.Decoder(WorkerNumbers)

_Report = TypeVar("_Report", LoadReport, WorkerNumbers)


class HourlyCounts:
    """Keeps this process's starts per proton and minute in the store.

    Counts are cumulative per worker and minute, so writing one again changes nothing: what the
    server has acknowledged is remembered and not sent again, the rest goes with every report
    until it is acknowledged.
    """

    def __init__(self, link: Link, keys: Keys, unreadable: Unreadable) -> None:
        self._link = link
        self._keys = keys
        self._unreadable = unreadable
        self._written: dict[str, dict[str, dict[int, int]]] = {}
        """By worker and proton: epoch minute to starts."""

    def forget_written(self) -> None:
        """Send everything again: the server may have lost what it acknowledged."""
        self._written.clear()

    async def write(self, report: LoadReport) -> None:
        """Write the buckets that have changed; a key that holds another type of value is left."""
        worker = report.worker_id
        written = self._written.setdefault(worker, {})
        for proton_id in written.keys() - report.protons.keys():
            del written[proton_id]
        changed: list[_Changed] = []
        for proton_id, load in report.protons.items():
            before = written.get(proton_id, _NO_MINUTES)
            if before == load.starts_by_minute:  # most of them: a microsecond for a whole hour
                continue
            minutes = load.starts_by_minute.copy()  # the worker's own go on counting
            if news := minutes.items() - before.items():
                changed.append((proton_id, minutes, news))
            else:
                written[proton_id] = minutes
        for first in range(0, len(changed), PROTONS_PER_CALL):
            part = changed[first : first + PROTONS_PER_CALL]
            await self._write(worker, part, written)

    async def _write(
        self, worker: str, changed: list[_Changed], written: dict[str, dict[int, int]]
    ) -> None:
        """Send the news, and note them in what was `_written` before the call.

        What `forget_written` has dropped meanwhile stays dropped: the server that came back has
        got the news only.
        """
        arguments: list[Argument] = [BUCKET_TTL_S]
        for _, _, news in changed:
            arguments.append(len(news))
            for minute, starts in news:
                arguments += [f"{minute} {worker}", starts]
        hours = [self._keys[f"hour:{proton_id}"] for proton_id, _, _ in changed]
        wrong = {key.decode() for key in await self._link.run(scripts.HOURS, hours, *arguments)}
        for key in sorted(wrong):
            self._unreadable.tell_key(key)
        for key, (proton_id, minutes, _) in zip(hours, changed, strict=True):
            if key not in wrong:
                written[proton_id] = minutes

    async def buckets(
        self, proton_ids: Sequence[str], *, now_s: float
    ) -> dict[str, dict[int, int]]:
        """Per proton epoch minute to starts of all workers within the hour; all else is deleted."""
        found: dict[str, dict[int, int]] = {}
        for first in range(0, len(proton_ids), HOURS_PER_CALL):
            part = proton_ids[first : first + HOURS_PER_CALL]
            keys = [self._keys[f"hour:{proton_id}"] for proton_id in part]
            rows: list[list[bytes] | None] = await self._link.run(scripts.MINUTES, keys)
            for proton_id, key, row in zip(part, keys, rows, strict=True):
                if row is None:
                    self._unreadable.tell_key(key)
                    found[proton_id] = {}
                    continue
                stored = zip(row[::2], row[1::2], strict=True)
                found[proton_id] = await self._summed(key, stored, now_s=now_s)
        return found

    async def _summed(
        self, key: str, stored: Iterable[tuple[bytes, bytes]], *, now_s: float
    ) -> dict[int, int]:
        oldest = int(now_s // 60) - HOUR_MINUTES + 1
        total: dict[int, int] = {}
        old: list[bytes] = []
        for field, starts in stored:
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
    """Replace the worker's report, and beside it the numbers that decisions need of it."""
    await link.run(
        scripts.REPORT,
        [keys["numbers"], keys["reports"]],
        report.worker_id,
        _milliseconds(ttl_s),
        _ENCODER.encode(report.numbers()),
        _ENCODER.encode(report),
    )


async def publish_numbers(link: Link, keys: Keys, numbers: WorkerNumbers, *, ttl_s: float) -> None:
    """Replace the worker's numbers alone; its last report stays."""
    body = _ENCODER.encode(numbers)
    await link.run(scripts.REPORT, [keys["numbers"]], numbers.worker_id, _milliseconds(ttl_s), body)


def _milliseconds(ttl_s: float) -> int:
    return max(1, round(ttl_s * 1000))


class ReportReader:
    """Reads the reports of the workers that are alive.

    One that cannot be decoded is left out: the others still count. One of ten thousand protons
    takes tens of milliseconds, so others on the event loop have their turn between two.
    """

    def __init__(self, link: Link, keys: Keys, unreadable: Unreadable) -> None:
        self._link = link
        self._keys = keys
        self._unreadable = unreadable
        self._numbers: dict[bytes, tuple[bytes, WorkerNumbers]] = {}
        """What was decoded last time, by the report's head: somebody who looks again before the
        worker has spoken again need not decode it."""

    async def collect(self) -> list[LoadReport]:
        """Whole reports."""
        stored = await self._stored("reports", kept_s=scripts.EXPIRED_REPORT_TTL_S)
        found = []
        for worker, body in stored:
            if (report := self._decoded(worker, body, _DECODER)) is not None:
                found.append(report)
            await asyncio.sleep(0)
        return found

    async def collect_numbers(self) -> list[WorkerNumbers]:
        """What decisions need of them: a twentieth of the bytes, a tenth of the work."""
        found: dict[bytes, tuple[bytes, WorkerNumbers]] = {}
        for worker, body in await self._stored("numbers", kept_s=0):
            head = body[:_HEAD_BYTES]
            before = self._numbers.get(worker)
            if before is not None and before[0] == head and b'"clock_s":' in head:
                found[worker] = before
                continue
            if (report := self._decoded(worker, body, _NUMBERS_DECODER)) is not None:
                found[worker] = (head, report)
            await asyncio.sleep(0)
        self._numbers = found
        return [report for _, report in found.values()]

    async def _stored(self, name: str, *, kept_s: int) -> list[tuple[bytes, bytes]]:
        key = self._keys[name]
        try:
            stored: list[bytes] = await self._link.run(scripts.COLLECT, [key], 1000 * kept_s)
        except WrongTypeError as exc:
            self._unreadable.tell_key(key, exc)
            return []
        return list(zip(stored[::2], stored[1::2], strict=True))

    def _decoded(
        self, worker: bytes, body: bytes, decoder: msgspec.json.Decoder[_Report]
    ) -> _Report | None:
        try:
            return decoder.decode(body)
        except ValueError as exc:
            worker_id = worker.decode(errors="replace")
            self._unreadable.tell(f"report of {worker_id}", exc, worker_id=worker_id)
            return None
