"""The store as the processes use it: one object per process, over one connection.

Every method is safe to cancel, ends within `call_timeout_s`, and raises only `StoreError`s:

    error                  means                                        try again?
    ---------------------  -------------------------------------------  ----------------------
    ConflictError          the record is not at the expected version    after reading it again
    FencedError            the lease is lost                            no: stop writing
    StoreUnavailableError  away; whether a write was kept is not known  yes
    StoreFullError         disk or memory full; nothing was written     when there is room
    WrongTypeError         a key holds another type of value            when it is put right
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from controlplane.model.kinds import Record
from controlplane.model.reports import LoadReport, UsageNews, WorkerNumbers
from controlplane.model.sections import StoreSettings
from controlplane.model.spans import SpanNews
from controlplane.store import news, records, reports, scripts
from controlplane.store.address import parse_url
from controlplane.store.changes import Follower
from controlplane.store.disk import DiskGuard
from controlplane.store.errors import StoreSettingsError, WrongTypeError
from controlplane.store.leases import Lease
from controlplane.store.link import Link
from controlplane.store.records import Delete, Keys, Put, R, Versioned
from controlplane.store.unreadable import Unreadable
from controlplane.store.wakes import listen

__all__ = ["Delete", "Lease", "Put", "Store", "Versioned"]

CONNECT_TIMEOUT_S: Final = 10.0

Entries = list[bytes]
Reports = list[LoadReport]
Numbers = list[WorkerNumbers]
# Names, because inside the class `list` is the method.

WAKE_MEMORY_S: Final = 60.0
"""How long a wake-up waits for a listener that is away."""


class Store:
    """Records, journals, load reports, wake-ups and leases of one installation."""

    def __init__(self, link: Link, keys: Keys, guard: DiskGuard) -> None:
        """Use `connect`."""
        self.link = link
        self.keys = keys
        self._guard = guard
        self.unreadable = Unreadable()
        self._hourly = reports.HourlyCounts(link, keys, self.unreadable)
        self._reports = reports.ReportReader(link, keys, self.unreadable)
        link.on_up(self._hourly.forget_written)

    @classmethod
    async def connect(
        cls,
        settings: StoreSettings,
        *,
        client_name: str,
        data_dir: Path | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        call_timeout_s: float = 5.0,
    ) -> Self:
        """Connect to the server, trying until it is reachable.

        Args:
            settings: Where, and under which namespace.
            client_name: Shown by the server's CLIENT LIST; no spaces.
            data_dir: Where an embedded server keeps its files: writes are refused with
                `StoreFullError` when the disk has less than `settings.min_free_bytes`.
            connect_timeout_s: How long to try.
            call_timeout_s: Longest time any later call may take.

        Raises:
            StoreUnavailableError: Not reached in time.
            StoreSettingsError: Wrong URL, password or rights.
            VolatileStoreError: The server keeps nothing over a restart.
        """
        if not settings.url:
            raise StoreSettingsError("store.url is empty: give one, or start with `tidegate up`")
        keys = Keys(settings.namespace)
        link = Link(
            parse_url(settings.url),
            client_name=client_name,
            meta_key=keys["meta"],
            allow_volatile=settings.allow_volatile,
            call_timeout_s=call_timeout_s,
        )
        store = cls(link, keys, DiskGuard(data_dir, min_free_bytes=settings.min_free_bytes))
        await link.open(timeout_s=connect_timeout_s)
        return store

    async def close(self) -> None:
        """End the connection; pending calls fail with `StoreUnavailableError`."""
        await self.link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def ping(self) -> None:
        """Return when the server has answered."""
        await self.link.call("ECHO", "ping")

    @property
    def available(self) -> bool:
        """Whether the connection is up now."""
        return self.link.available

    def check_room(self) -> None:
        """Return when the disk has room; raises `StoreFullError`."""
        self._guard.check()

    # -- records ------------------------------------------------------------------------------

    async def get(self, cls: type[R], id: str) -> Versioned[R] | None:  # noqa: A002
        """One record from the server; None when there is none."""
        return await records.read(self.link, self.keys, cls, id)

    async def list(self, cls: type[R]) -> list[Versioned[R]]:
        """All records of a kind, as they were together at one revision, by id."""
        delta = await Follower(self.link, self.keys, [cls]).read()
        found = sorted(delta.found.items(), key=lambda item: item[0][1])
        return [item for _, item in found if item is not None]  # type: ignore[misc]

    async def commit(
        self,
        writes: Sequence[Put | Delete],
        *,
        fence: Lease | None = None,
        journal: Sequence[tuple[str, bytes, int]] = (),
    ) -> int:
        """Write several records and journal entries: all of them or none.

        Args:
            writes: At most 1000, each record once.
            fence: Refuse when this lease is not held any more.
            journal: Entries to add: name, entry, how many the journal keeps.

        Returns:
            The revision of the commit: the version of every record written.

        Raises:
            ConflictError: The first record that is not at its expected version.
            FencedError: The lease is lost.
            StoreFullError: Nothing was written.
            StoreUnavailableError: Whether it was written is not known.
        """
        self.check_room()
        return await records.commit(self.link, self.keys, writes, fence=fence, journal=journal)

    async def put(
        self, record: Record, *, expected: int | None = None, fence: Lease | None = None
    ) -> int:
        """Write one record; see `commit`."""
        return await self.commit([Put(record, expected)], fence=fence)

    async def delete(
        self,
        cls: type[Record],
        id: str,  # noqa: A002
        *,
        expected: int | None = None,
        fence: Lease | None = None,
    ) -> int:
        """Delete one record; see `commit`."""
        return await self.commit([Delete(cls, id, expected)], fence=fence)

    # -- journals -----------------------------------------------------------------------------

    async def append(self, name: str, entry: bytes, *, keep: int) -> None:
        """Add one entry to a journal that keeps the newest `keep`."""
        await self.commit([], journal=[(name, entry, keep)])

    async def read_journal(
        self, name: str, *, offset: int = 0, limit: int = 100
    ) -> tuple[Entries, int]:
        """Entries from the newest, and how many there are in all."""
        key = self.keys[f"journal:{name}"]
        try:
            entries, total = await asyncio.gather(
                self.link.call("LRANGE", key, offset, offset + limit - 1)
                if limit > 0
                else _nothing(),
                self.link.call("LLEN", key),
            )
        except WrongTypeError as exc:
            self.unreadable.tell_key(key, exc)
            return [], 0
        return entries, total

    async def drop_journal(self, name: str) -> None:
        """Delete a journal; one that nobody writes to goes by itself after 90 days."""
        await self.link.call("UNLINK", self.keys[f"journal:{name}"])

    # -- load reports -------------------------------------------------------------------------

    async def publish_report(self, report: LoadReport, *, ttl_s: float) -> None:
        """Replace the worker's report, and keep its starts by minute.

        Without room on the disk the minutes wait: they are cumulative, a later report has them.

        Args:
            report: Cumulative counters.
            ttl_s: The worker counts as gone when it has not reported for this long.

        Raises:
            WrongTypeError: One of the keys of reports holds another type of value; everything
                else was written.
        """
        try:
            await reports.publish(self.link, self.keys, report, ttl_s=ttl_s)
        except WrongTypeError:
            await self._keep_minutes(report)
            raise
        await self._keep_minutes(report)

    async def _keep_minutes(self, report: LoadReport) -> None:
        if self._guard.has_room():
            await self._hourly.write(report)

    async def publish_numbers(self, numbers: WorkerNumbers, *, ttl_s: float) -> None:
        """Replace what decisions need of the worker's report; for between two whole ones.

        Args:
            numbers: Cumulative counters.
            ttl_s: As of a report.
        """
        await reports.publish_numbers(self.link, self.keys, numbers, ttl_s=ttl_s)

    async def collect_reports(self) -> Reports:
        """The last report of every worker that is alive."""
        return await self._reports.collect()

    async def collect_numbers(self) -> Numbers:
        """Of the same reports, what replicas are decided by."""
        return await self._reports.collect_numbers()

    async def hourly_starts(self, proton_id: str, *, now_s: float) -> int:
        """Requests started in the last 60 minutes, the running one included, over all workers.

        Args:
            proton_id: The proton.
            now_s: Wall clock, epoch seconds.
        """
        return sum((await self.hourly_buckets(proton_id, now_s=now_s)).values())

    async def hourly_buckets(self, proton_id: str, *, now_s: float) -> dict[int, int]:
        """Epoch minute to requests started in it, for the minutes of `hourly_starts`."""
        return (await self.hourly_buckets_of([proton_id], now_s=now_s))[proton_id]

    async def hourly_buckets_of(
        self, proton_ids: Sequence[str], *, now_s: float
    ) -> dict[str, dict[int, int]]:
        """`hourly_buckets` of many protons, in one call per 64 of them.

        A proton whose minutes hold another type of value has none.
        """
        return await self._hourly.buckets(proton_ids, now_s=now_s)

    # -- wake-ups -----------------------------------------------------------------------------

    async def wake(self, proton_id: str) -> None:
        """Tell the autoscaler that requests wait for this proton."""
        await self.link.run(
            scripts.WAKE,
            [self.keys["wakes"]],
            proton_id,
            self.keys["wake"],
            round(WAKE_MEMORY_S * 1000),
        )

    def wakes(self) -> AsyncGenerator[str, None]:
        """Ids of protons that somebody wakes, without end.

        One that comes again before it is taken comes once. Wake-ups of the last minute that were
        sent while nobody listened, or while the connection was away, come first. Close it when
        done, as `contextlib.aclosing` does.
        """
        return listen(
            self.link,
            channel=self.keys["wake"],
            key=self.keys["wakes"],
            unreadable=self.unreadable,
        )

    # -- used quotas --------------------------------------------------------------------------

    async def tell_usage(self, told: UsageNews) -> None:
        """Tell the other gateway workers what this one has let through."""
        await news.tell(self.link, channel=self.keys["usage"], news=told)

    async def hear_usage(self, heard: Callable[[UsageNews], None]) -> None:
        """Have `heard` called with everything that workers tell, until cancelled."""
        await news.hear(self.link, UsageNews, channel=self.keys["usage"], heard=heard)

    # -- telemetry ----------------------------------------------------------------------------

    async def tell_spans(self, told: SpanNews) -> None:
        """Tell whoever keeps telemetry what this gateway worker has recorded."""
        await news.tell(self.link, channel=self.keys["spans"], news=told)

    async def hear_spans(self, heard: Callable[[SpanNews], None]) -> None:
        """Have `heard` called with the spans of all gateway workers, until cancelled."""
        await news.hear(self.link, SpanNews, channel=self.keys["spans"], heard=heard)

    async def secret(self, name: str) -> bytes:
        """A secret of this installation: 32 random bytes in hexadecimal, made by who asks first."""
        key = self.keys[f"secret:{name}"]
        await self.link.call("SET", key, secrets.token_hex(32), "NX")
        found: bytes = await self.link.call("GET", key)
        return found

    # -- leases -------------------------------------------------------------------------------

    async def acquire(self, name: str, holder: str, *, ttl_s: float) -> Lease | None:
        """Take a lease, or renew it.

        Args:
            name: For example `autoscaler`.
            holder: Unique per process start.
            ttl_s: Others may take it when it was not renewed for this long.

        Returns:
            The lease; a holder that renews keeps its token. None: another holds it.
        """
        token = await self.link.run(
            scripts.ACQUIRE,
            [self.keys[f"lease:{name}"], self.keys["meta"]],
            holder,
            max(1, round(ttl_s * 1000)),
        )
        return None if token is None else Lease(name, holder, int(token))

    async def release(self, lease: Lease) -> None:
        """Give a lease back; one that is lost already is left alone."""
        await self.link.run(scripts.RELEASE, [self.keys[f"lease:{lease.name}"]], lease.value)


async def _nothing() -> Entries:
    return []
