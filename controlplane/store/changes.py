"""Following what changes: from a known revision to the present, whole commits at a time.

A reader keeps one position per kind. Pages are read until one of them is complete: everything
that changed while the earlier ones were read is in the last, so what has been read then is the
store at exactly that page's revision.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from controlplane.model.kinds import Record
from controlplane.store import scripts
from controlplane.store.connection import Argument
from controlplane.store.errors import StoreError
from controlplane.store.link import Link
from controlplane.store.records import Keys, Versioned, decode

logger = logging.getLogger(__name__)

PAGE_RECORDS: Final = 256
"""Records per kind and page: about 2 ms of the server's time."""

SLICE_RECORDS: Final = 64
"""Records handled before other tasks of the process get their turn: under 1 ms."""

T = TypeVar("T")
Found = dict[tuple[type[Record], str], Versioned[Record] | None]


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with a pause for everybody else after each slice."""
    for count, item in enumerate(items, start=1):
        yield item
        if count % SLICE_RECORDS == 0:
            await asyncio.sleep(0)


@dataclass(slots=True)
class Delta:
    """What changed up to `revision`."""

    revision: int
    reset: bool
    """True: `found` is everything there is; what it lacks does not exist."""
    found: Found
    """None: deleted."""


@dataclass(slots=True)
class _Page:
    epoch: bytes
    revision: int
    previous_epoch: bytes
    base: int
    complete: bool
    kinds: list[tuple[int, int, list[bytes], list[bytes | None]]]
    """Per kind: floor, position after this page, ids, values."""


@dataclass(slots=True)
class _Position:
    epoch: bytes | None
    """None: nothing was read yet."""
    revision: int
    since: list[int]
    floors: list[int]
    """Tombstones up to here were gone before the first page, and are not missed."""

    def continues(self, page: _Page) -> bool:
        """Whether the page goes on from here without a gap."""
        same = page.epoch == self.epoch or (
            page.previous_epoch == self.epoch and self.revision <= page.base
        )
        behind = any(
            kind[0] > max(since, floor)
            for kind, since, floor in zip(page.kinds, self.since, self.floors, strict=True)
        )
        return same and page.revision >= self.revision and not behind


class Follower:
    """One reader's position in the changes of some kinds."""

    def __init__(self, link: Link, keys: Keys, classes: Iterable[type[Record]]) -> None:
        self._link = link
        self._classes = list(classes)
        self._position = self._start(None, [0] * len(self._classes))
        self._page_keys = [keys["meta"]]
        for cls in self._classes:
            self._page_keys += keys.of_kind(cls.kind)[:2]

    async def read(self) -> Delta:
        """Everything since the last `read`; everything there is on the first one.

        When it fails, the position is where it was before.

        Raises:
            StoreUnavailableError: The store is away.
        """
        position = replace(self._position)
        reset = False
        found: Found = {}
        while True:
            page = await self._page(position.since)
            if not position.continues(page):
                from_start = not any(position.since)
                position = self._start(page.epoch, [kind[0] for kind in page.kinds])
                reset = True
                found.clear()
                if not from_start:
                    continue
            position.epoch, position.revision = page.epoch, page.revision
            position.since = [kind[1] for kind in page.kinds]
            await self._decode(page, found)
            if page.complete:
                self._position = position
                return Delta(page.revision, reset, found)

    def _start(self, epoch: bytes | None, floors: list[int]) -> _Position:
        return _Position(epoch=epoch, revision=0, since=[0] * len(self._classes), floors=floors)

    async def _page(self, since: list[int]) -> _Page:
        arguments: list[Argument] = [PAGE_RECORDS]
        for cls, revision in zip(self._classes, since, strict=True):
            arguments += [cls.kind, revision]
        epoch, revision, previous, base, complete, kinds = await self._link.run(
            scripts.FOLLOW, self._page_keys, *arguments
        )
        return _Page(
            epoch=epoch,
            revision=int(revision),
            previous_epoch=previous,
            base=int(base),
            complete=bool(complete),
            kinds=[(int(k[0]), int(k[1]), k[2], k[3]) for k in kinds],
        )

    async def _decode(self, page: _Page, found: Found) -> None:
        for cls, (_, _, ids, values) in zip(self._classes, page.kinds, strict=True):
            async for raw_id, value in in_slices(zip(ids, values, strict=True)):
                record_id = raw_id.decode()
                found[cls, record_id] = _decoded(cls, record_id, value)


def _decoded(cls: type[Record], record_id: str, value: bytes | None) -> Versioned[Record] | None:
    if value is None:
        return None
    try:
        return decode(cls, value)
    except StoreError:
        # One unreadable record must not keep every process from all the others.
        logger.exception("skipping a record", extra={"kind": cls.kind, "id": record_id})
        return None
