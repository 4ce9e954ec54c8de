"""Load reports of gateway workers, and the hour's starts per proton in minute buckets."""

from typing import Final

import msgspec

from controlplane.model.reports import LoadReport
from controlplane.store import scripts
from controlplane.store.link import Link
from controlplane.store.records import Keys

HOUR_MINUTES: Final = 60
"""Buckets in the rolling hour, the running minute included."""

BUCKET_TTL_S: Final = 2 * 3600
"""A proton without a start for this long has no bucket left to keep."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LoadReport)


class HourlyCounts:
    """Keeps this process's starts per proton and minute in the store.

    Counts are cumulative per worker and minute, so writing one again changes nothing: what the
    server has acknowledged is remembered and not sent again, the rest goes with every report
    until it is acknowledged.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._written: dict[tuple[str, str, int], int] = {}

    def forget_written(self) -> None:
        """Send everything again: the server may have lost what it acknowledged."""
        self._written.clear()

    async def write(self, report: LoadReport) -> None:
        """Write the buckets that have changed."""
        worker = report.worker_id
        present: set[tuple[str, str, int]] = set()
        changed: list[tuple[str, dict[int, int]]] = []
        for proton_id, load in report.protons.items():
            present.update((worker, proton_id, minute) for minute in load.starts_by_minute)
            news = {
                minute: starts
                for minute, starts in load.starts_by_minute.items()
                if self._written.get((worker, proton_id, minute)) != starts
            }
            if news:
                changed.append((proton_id, news))
        for proton_id, news in changed:
            key = self._keys[f"hour:{proton_id}"]
            fields: list[str | int] = []
            for minute, starts in news.items():
                fields += [f"{minute} {worker}", starts]
            await self._link.call("HSET", key, *fields)
            await self._link.call("EXPIRE", key, BUCKET_TTL_S)
            self._written.update({(worker, proton_id, m): n for m, n in news.items()})
        for gone in [key for key in self._written if key[0] == worker and key not in present]:
            del self._written[gone]

    async def buckets(self, proton_id: str, *, now_s: float) -> dict[int, int]:
        """Epoch minute to starts of all workers within the hour; older ones are deleted."""
        key = self._keys[f"hour:{proton_id}"]
        stored: dict[bytes, bytes] = await self._link.call("HGETALL", key)
        oldest = int(now_s // 60) - HOUR_MINUTES + 1
        total: dict[int, int] = {}
        old: list[bytes] = []
        for field, starts in stored.items():
            minute = int(field.partition(b" ")[0])
            if minute < oldest:
                old.append(field)
            else:
                total[minute] = total.get(minute, 0) + int(starts)
        if old:
            await self._link.call("HDEL", key, *old)
        return dict(sorted(total.items()))


async def publish(link: Link, keys: Keys, report: LoadReport, *, ttl_s: float) -> None:
    """Replace the worker's report."""
    body = _ENCODER.encode(report)
    await link.run(
        scripts.REPORT, [keys["reports"]], report.worker_id, max(1, round(ttl_s * 1000)), body
    )


async def collect(link: Link, keys: Keys) -> list[LoadReport]:
    """Reports of the workers that are alive."""
    bodies: list[bytes] = await link.run(scripts.COLLECT, [keys["reports"]])
    return [_DECODER.decode(body) for body in bodies]
