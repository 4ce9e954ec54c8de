"""A process's own copy of some kinds of record, kept up to date.

Whoever decides or routes reads here, never from the server: a look-up is a dict access, and the
copy stays when the server is away. A published hint says that something has changed; a hint
that is lost is made good by looking every `poll_s`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

from controlplane.model.kinds import Record
from controlplane.store.changes import Delta, Follower, in_slices
from controlplane.store.client import Store
from controlplane.store.errors import StoreError, StoreUnavailableError
from controlplane.store.records import R

logger = logging.getLogger(__name__)

POLL_S: Final = 0.8
"""Time between looks without a hint: a missed one is found within a second."""
PAUSE_S: Final = 0.005
"""Least time between looks: a storm of writes becomes batches, and costs each process little."""

_Records = dict[type[Record], dict[str, Record]]
_Versions = dict[type[Record], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Change:
    """One record that was written or deleted."""

    cls: type[Record]
    id: str
    record: Record | None
    """None: deleted."""


class Mirror:
    """The copy, the task that follows, and the callbacks that hear of each batch.

    Invariants, each with a test of the same number:
        I1  what it shows is the store at exactly `revision`: commits are never seen in part.
        I2  a mirror that was away or was given another history ends up equal to the store.
        I3  callbacks hear of every difference between what was shown before and after.
    """

    def __init__(
        self, store: Store, kinds: Iterable[type[Record]], *, poll_s: float = POLL_S
    ) -> None:
        """Prepare a mirror; `start` fills it.

        Args:
            store: The store.
            kinds: Record classes to follow.
            poll_s: Time between looks without a hint.
        """
        self._store = store
        self._classes = tuple(kinds)
        self._poll_s = poll_s
        self._follower = Follower(store.link, store.keys, self._classes)
        self._records: _Records = {cls: {} for cls in self._classes}
        self._versions: _Versions = {cls: {} for cls in self._classes}
        self._callbacks: list[Callable[[list[Change]], None]] = []
        self._look = asyncio.Event()
        self._applied = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.revision = 0
        """Everything up to here is applied."""
        self.healthy = False
        """Whether the last look reached the store."""

    async def start(self) -> None:
        """Load everything, then follow.

        Raises:
            StoreUnavailableError: The store is away.
        """
        self._store.link.on_up(self._look.set)
        try:
            await self._store.link.subscribe(self._store.keys["changes"], self._hint)
            await self._sync()
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._follow(), name="store-mirror")

    async def stop(self) -> None:
        """Stop following; what is there stays readable."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with contextlib.suppress(ValueError):
            self._store.link.remove_on_up(self._look.set)
        await self._store.link.unsubscribe(self._store.keys["changes"], self._hint)
        self.healthy = False

    # -- reading ------------------------------------------------------------------------------

    def get(self, cls: type[R], id: str) -> R | None:  # noqa: A002
        """One record; None when there is none."""
        return cast("R | None", self._records[cls].get(id))

    def version(self, cls: type[Record], id: str) -> int:  # noqa: A002
        """The record's version; 0 when there is none."""
        return self._versions[cls].get(id, 0)

    def all(self, cls: type[R]) -> Mapping[str, R]:
        """All records of a kind by id: a live view, do not hold it over an await."""
        return cast("Mapping[str, R]", MappingProxyType(self._records[cls]))

    def subscribe(self, callback: Callable[[list[Change]], None]) -> None:
        """Have `callback` called after each applied batch, on the event loop.

        It must not block; what it raises is logged.
        """
        self._callbacks.append(callback)

    async def reached(self, revision: int, *, timeout_s: float = 2.0) -> None:
        """Wait until everything up to `revision` is applied: read your own writes.

        Raises:
            StoreUnavailableError: Not within `timeout_s`.
        """
        if self.revision >= revision:
            return
        self._look.set()
        try:
            async with asyncio.timeout(timeout_s), self._applied:
                await self._applied.wait_for(lambda: self.revision >= revision)
        except TimeoutError as exc:
            raise StoreUnavailableError(
                f"the copy is at revision {self.revision}, {revision} did not come in time"
            ) from exc

    # -- following ----------------------------------------------------------------------------

    def _hint(self, payload: bytes) -> None:
        # A revision that is not newer is our own look's, or another history's: that one is found
        # by the next poll.
        if int(payload) > self.revision:
            self._look.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._sync()
            except StoreError as exc:
                if self.healthy:
                    logger.warning("the copy is no longer fresh", extra={"error": str(exc)})
                self.healthy = False
            except Exception:
                logger.exception("following the store failed in an unforeseen way")
                self.healthy = False
            await asyncio.sleep(PAUSE_S)

    async def _sync(self) -> None:
        delta = await self._follower.read()
        changes = await self._replace(delta) if delta.reset else self._apply(delta)
        self.revision = delta.revision
        self.healthy = True
        if changes:
            for callback in self._callbacks:
                try:
                    callback(changes)
                except Exception:
                    logger.exception("a callback of the mirror failed")
        async with self._applied:
            self._applied.notify_all()

    def _apply(self, delta: Delta) -> list[Change]:
        """Bring the copy to the delta's revision; no await, so nobody sees half of it."""
        changes: list[Change] = []
        for (cls, record_id), item in delta.found.items():
            if item is not None:
                self._records[cls][record_id] = item.record
                self._versions[cls][record_id] = item.version
                changes.append(Change(cls, record_id, item.record))
            elif self._records[cls].pop(record_id, None) is not None:
                del self._versions[cls][record_id]
                changes.append(Change(cls, record_id, None))
        return changes

    async def _replace(self, delta: Delta) -> list[Change]:
        """Make a new copy beside the old one, slice by slice, and then show it at once."""
        records: _Records = {cls: {} for cls in self._classes}
        versions: _Versions = {cls: {} for cls in self._classes}
        changes: list[Change] = []
        async for (cls, record_id), item in in_slices(delta.found.items()):
            if item is not None:
                records[cls][record_id] = item.record
                versions[cls][record_id] = item.version
                if self._records[cls].get(record_id) != item.record:
                    changes.append(Change(cls, record_id, item.record))
        for cls in self._classes:
            gone = self._records[cls].keys() - records[cls].keys()
            changes += [Change(cls, record_id, None) for record_id in gone]
        self._records, self._versions = records, versions
        return changes
