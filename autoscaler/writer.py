"""Writes what the book of scales holds, under the lease; nobody waits for it."""

import asyncio
import contextlib
import logging
from typing import Final

from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import Leadership
from autoscaler.scales import Batch, ScaleBook
from controlplane.model.shadows import ShadowKind, journal_name
from controlplane.store.client import Delete, Store
from controlplane.store.errors import StoreError, StoreFullError, StoreUnavailableError

WRITE_BATCH: Final = 200
"""Protons per transaction: the store takes 1000 records, and others wait meanwhile."""
FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0

logger = logging.getLogger(__name__)


class ScaleWriter:
    """Carries one term's writes to the store, in the order in which they were noted."""

    def __init__(self, store: Store, leadership: Leadership, book: ScaleBook) -> None:
        self._store = store
        self._leadership = leadership
        self._book = book
        self._unwritten = asyncio.Event()

    def notify(self) -> None:
        """The book has something to write."""
        self._unwritten.set()

    async def run(self) -> None:
        """Write for ever; returns when the lease is lost, which its keeper tells everybody."""
        pause_s = FIRST_RETRY_S
        while True:
            await self._unwritten.wait()
            self._unwritten.clear()
            try:
                await self.write_all()
                pause_s = FIRST_RETRY_S
            except (StoreUnavailableError, StoreFullError) as exc:
                logger.warning("decisions wait to be written", extra={"error": str(exc)})
                await asyncio.sleep(pause_s)
                pause_s = min(LAST_RETRY_S, pause_s * 2)
                self._unwritten.set()
            except LeadershipLostError:
                return

    async def write_all(self) -> None:
        """Write what is left to be written, once.

        Raises:
            StoreError, LeadershipLostError: It was not written; it stays in the book.
        """
        while batch := self._book.take(WRITE_BATCH):
            await self._write(batch)

    async def _write(self, batch: Batch) -> None:
        writes = [unwritten.write for unwritten in batch.values() if unwritten.write is not None]
        journal = [entry for unwritten in batch.values() for entry in unwritten.entries]
        try:
            await self._leadership.commit(writes, journal=journal)
        except BaseException:
            self._book.give_back(batch)
            raise
        for proton_id, unwritten in batch.items():
            if isinstance(unwritten.write, Delete):
                with contextlib.suppress(StoreError):  # it goes by itself after 90 days
                    await self._store.drop_journal(f"decisions:{proton_id}")
                    for kind in ShadowKind:
                        await self._store.drop_journal(journal_name(kind, proton_id))
