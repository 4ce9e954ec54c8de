"""The statistics of workloads in the store: one hash each, written whole or not at all.

Writers say which version of a hash they have read; of two at once one must read again. The recorder
carries its lease besides, so that one that only believes to have it writes nothing.

What cannot be decoded (`store.unreadable` counts it and says so once) is taken for absent:

    what                    what comes of it
    ----------------------  ---------------------------------------------------------------------
    a bucket                its requests are lost; the next write puts it right
    the summary             lists begin anew; of a workload that was reset once, everything does
    what was seen           `LOST`: what came since the recorder's last look does not count, the
                            worker's whole past does not count again
    a report, or a proton   it says nothing until the worker sends a better one
    in it
    a whole key, which      of a workload's: it has no statistics until the key is put right, and
    holds another type      the recorder goes on with the others; of all reports: there are none
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import msgspec

from controlplane.model.reports import ProtonLoad
from controlplane.model.statistics import (
    LOST,
    NO_SUMMARY,
    SUMMARY,
    VERSION,
    Bucket,
    Changes,
    Summary,
    decode_bucket,
    decode_seen,
    decode_summary,
)
from controlplane.store import scripts
from controlplane.store.client import Lease, Store
from controlplane.store.connection import Argument
from controlplane.store.errors import FencedError, WrongTypeError
from controlplane.store.wrong_type import wrong_type

PER_CALL: Final = 256
"""Workloads in one call: the server does nothing else meanwhile."""

_FIELDS_PER_CALL: Final = 4000
"""Below what a script may unpack."""


_LATE: Final = 0
_WRONG_TYPE: Final = 2
"""What the script says of a workload that it has not written."""

T = TypeVar("T")


class LastReport(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's report, without taking its protons apart: most are as they were."""

    worker_id: str
    sent_at: float
    clock_s: float
    protons: dict[str, msgspec.Raw] = {}


class Reported(NamedTuple):
    """A report, and whether its worker still lives."""

    lives: bool
    expires: str
    """Names this very report."""
    report: LastReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What to write about one workload."""

    workload_id: str
    expected: str
    """The version that was read; see `version_of`."""
    changes: Changes
    ttl_s: int
    """Without another write the whole hash is forgotten after this time."""


_REPORTS: Final = msgspec.json.Decoder(LastReport)
_LOADS: Final = msgspec.json.Decoder(ProtonLoad)

_DECODERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    **dict.fromkeys("mhd", decode_bucket),
    "w": decode_seen,
    "s": decode_summary,
}
"""By the first letter of a field's name."""


class Statistics:
    """Reads and writes of statistics; raises the store's errors as every call does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reports(self) -> list[Reported]:
        """The last report of every worker, also of those that are gone, until it is counted."""
        key = self._store.keys["reports"]
        try:
            found: list[tuple[int, bytes, bytes]] = await self._store.link.run(
                scripts.REPORTS, [key]
            )
        except WrongTypeError as exc:
            self._store.unreadable.tell_key(key, exc)
            return []
        reports = []
        for lives, worker, value in found:
            expires, _, body = value.partition(b" ")
            try:
                reports.append(Reported(bool(lives), expires.decode(), _REPORTS.decode(body)))
            except ValueError as exc:
                worker_id = worker.decode(errors="replace")
                self._store.unreadable.tell(f"report of {worker_id}", exc, worker_id=worker_id)
        return reports

    def load_of(self, report: LastReport, proton_id: str) -> ProtonLoad | None:
        """Take one proton of a report apart; None: it is not in it, or cannot be read."""
        raw = report.protons.get(proton_id)
        if raw is None:
            return None
        try:
            return _LOADS.decode(raw)
        except ValueError as exc:
            place = f"report of {report.worker_id} on {proton_id}"
            self._store.unreadable.tell(place, exc, worker_id=report.worker_id)
            return None

    async def counted(self, reported: Reported) -> None:
        """Forget the report of a worker that is gone."""
        await self._store.link.run(
            scripts.COUNTED,
            [self._store.keys["reports"]],
            reported.report.worker_id,
            reported.expires,
        )

    async def read(self, workload_id: str, names: Sequence[str]) -> dict[str, bytes]:
        """Some fields of one workload, as they are stored; those that are not there are left out.

        To decode each only to see whether it can be decoded would be half of a reader's work: that
        is left to who meets one that cannot, see `readable`.
        """
        found: dict[str, bytes] = {}
        for first in range(0, len(names), _FIELDS_PER_CALL):
            part = names[first : first + _FIELDS_PER_CALL]
            try:
                values = await self._store.link.call("HMGET", self._key(workload_id), *part)
            except WrongTypeError as exc:
                self._store.unreadable.tell_key(self._key(workload_id), exc)
                return {}
            found |= {n: v for n, v in zip(part, values, strict=True) if v is not None}
        return found

    async def read_all(self, workload_id: str) -> dict[str, bytes]:
        """All fields of one workload, as `read`."""
        key = self._key(workload_id)
        try:
            found: dict[bytes, bytes] = await self._store.link.call("HGETALL", key)
        except WrongTypeError as exc:
            self._store.unreadable.tell_key(key, exc)
            return {}
        return {_text(name): value for name, value in found.items()}

    def worked_out(
        self,
        workload_id: str,
        fields: Mapping[str, bytes],
        work: Callable[[Mapping[str, bytes]], T],
    ) -> T:
        """What some work makes of fields as they were read.

        Args:
            workload_id: Whose.
            fields: From `read`, `read_all` or `read_many`.
            work: Decodes what it needs. Where it meets one that cannot be decoded it is done again,
                without those.
        """
        try:
            return work(fields)
        except ValueError:
            return work(self.readable(workload_id, fields))

    def buckets(
        self, workload_id: str, fields: Mapping[str, bytes], names: Iterable[str]
    ) -> dict[str, Bucket]:
        """Those of some buckets that are there and can be decoded, by the names of their fields."""
        found = {}
        for name in names:
            if (value := fields.get(name)) is not None:
                try:
                    found[name] = decode_bucket(value)
                except ValueError as exc:
                    self._tell(workload_id, name, exc)
        return found

    def readable(self, workload_id: str, fields: Mapping[str, bytes]) -> dict[str, bytes]:
        """The fields of a workload that can be decoded, and `LOST` for what was seen."""
        left = dict(fields)
        for name, value in fields.items():
            decoder = _DECODERS.get(name[:1])
            if decoder is None:
                continue
            try:
                decoder(value)
            except ValueError as exc:
                self._tell(workload_id, name, exc)
                del left[name]
                if decoder is decode_seen:
                    left[name] = LOST
        return left

    def summary_of(self, workload_id: str, value: bytes | None) -> Summary:
        """A stored summary; an empty one where there is none, or none that can be read."""
        try:
            return decode_summary(value)
        except ValueError as exc:
            self._tell(workload_id, SUMMARY, exc)
            return NO_SUMMARY

    def _tell(self, workload_id: str, name: str, exc: ValueError) -> None:
        place = f"field {name} of the statistics of {workload_id}"
        self._store.unreadable.tell(place, exc, workload_id=workload_id)

    async def read_many(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, bytes]]:
        """Workload to some of its fields, in one call per 256 workloads.

        They are as they are stored, as those of `read`.
        """
        found: dict[str, dict[str, bytes]] = {}
        for chunk in _chunks(list(wanted)):
            arguments: list[Argument] = []
            for workload_id in chunk:
                arguments += [len(wanted[workload_id]), *wanted[workload_id]]
            rows = await self._store.link.run(
                scripts.FIELDS, [self._key(workload_id) for workload_id in chunk], *arguments
            )
            for workload_id, row in zip(chunk, rows, strict=True):
                if row is None:
                    self._store.unreadable.tell_key(self._key(workload_id))
                pairs = zip(wanted[workload_id], row or (), strict=row is not None)
                found[workload_id] = {name: value for name, value in pairs if value is not None}
        return found

    async def summary(self, workload_id: str) -> Summary:
        """A workload's summary; an empty one where nothing was counted."""
        found = await self.read(workload_id, [SUMMARY])
        return self.summary_of(workload_id, found.get(SUMMARY))

    async def summaries(self, workload_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Workload to its encoded summary, for `summary_of`; one call per 256 workloads."""
        found = await self.read_many(dict.fromkeys(workload_ids, (SUMMARY,)))
        return {workload_id: row.get(SUMMARY) for workload_id, row in found.items()}

    async def names(self, workload_ids: Sequence[str]) -> dict[str, list[str]]:
        """Workload to the names of its fields."""
        found: dict[str, list[str]] = {}
        for chunk in _chunks(workload_ids):
            rows = await self._store.link.run(
                scripts.FIELDS, [self._key(workload_id) for workload_id in chunk], *[0] * len(chunk)
            )
            for workload_id, row in zip(chunk, rows, strict=True):
                if row is None:
                    self._store.unreadable.tell_key(self._key(workload_id))
                found[workload_id] = [_text(name) for name in row or ()]
        return found

    async def write(self, rewrites: Sequence[Rewrite], *, fence: Lease | None = None) -> set[str]:
        """Write what was worked out from fields that were read.

        Returns:
            The workloads that are not at the expected version: nothing of theirs was written, or it
            was and the answer was lost. Either way what they are now has to be read.

        Raises:
            FencedError: The lease is lost, nothing was written.
            StoreFullError: The disk is full, nothing was written.
            WrongTypeError: The keys of some workloads hold no statistics; all others were written.
                Not for the recorder, which has a fence: it goes on, and they are only counted.
        """
        self._store.check_room()
        late: set[str] = set()
        wrong: list[str] = []
        for first in range(0, len(rewrites), PER_CALL):
            part = rewrites[first : first + PER_CALL]
            for rewrite, done in zip(part, await self._write(part, fence), strict=True):
                if done == _LATE:
                    late.add(rewrite.workload_id)
                elif done == _WRONG_TYPE:
                    wrong.append(self._key(rewrite.workload_id))
        for key in wrong:
            if fence is None:
                raise wrong_type(key)
            self._store.unreadable.tell_key(key)
        return late

    async def _write(self, rewrites: Sequence[Rewrite], fence: Lease | None) -> list[int]:
        keys = self._store.keys
        arguments: list[Argument] = [fence.value if fence else ""]
        for rewrite in rewrites:
            changes = rewrite.changes
            arguments += [rewrite.expected, rewrite.ttl_s, len(changes.sets), len(changes.drops)]
            for name, value in changes.sets.items():
                arguments += [name, value]
            arguments += changes.drops
        done: list[int] | bytes = await self._store.link.run(
            scripts.STATISTICS,
            [
                keys[f"lease:{fence.name}"] if fence else keys["meta"],
                *(self._key(rewrite.workload_id) for rewrite in rewrites),
            ],
            *arguments,
        )
        if isinstance(done, bytes) and fence is not None:
            raise FencedError(f"{fence.holder} no longer holds the lease {fence.name!r}")
        return list(done)

    async def forget(self, workload_id: str) -> None:
        """Delete everything about a workload."""
        await self._store.link.call("UNLINK", self._key(workload_id))

    def _key(self, workload_id: str) -> str:
        return self._store.keys[f"stats:{workload_id}"]


def version_of(fields: Mapping[str, bytes]) -> str:
    """The version of what was read, `VERSION` among it; what is no number is 0."""
    version = fields.get(VERSION, b"0")
    return version.decode() if version.isdigit() else "0"


def _text(name: bytes) -> str:
    """A field's name; one that is none of ours is whatever it looks like."""
    return name.decode(errors="replace")


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[first : first + PER_CALL] for first in range(0, len(ids), PER_CALL)]
