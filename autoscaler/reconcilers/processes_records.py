"""Keeps replica records in step with the store, without ever holding up the replicas.

One write per replica is open at a time; what changes meanwhile is written next, newest only. A
slow or absent store therefore delays what gateways see, and nothing else.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from autoscaler.reconcilers.base import ReplicaWriter
from controlplane.model.workloads import Replica

_log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
"""Wait after a writer that gave up; it does its own retries before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The last record of a replica that the store has acknowledged."""

    replica: Replica
    revision: int
    at_s: float
    """When it was acknowledged, on the loop's clock."""


class RecordKeeper:
    """Writes the newest record of each replica.

    Called on the event loop only; `on_written` is called with the record after each write.
    """

    def __init__(self, writer: ReplicaWriter, on_written: Callable[[Replica], None]) -> None:
        self._writer = writer
        self._on_written = on_written
        self._due: dict[str, Replica | None] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._written: dict[str, Written] = {}

    def save(self, replica: Replica) -> None:
        """Have the record written; returns at once."""
        self._schedule(replica.id, replica)

    def forget(self, replica_id: str) -> None:
        """Have the record deleted; nothing may be saved for this replica afterwards."""
        self._schedule(replica_id, None)

    def written(self, replica_id: str) -> Written | None:
        """What the store has of a replica; None: nothing yet."""
        return self._written.get(replica_id)

    async def flush(self, limit_s: float) -> bool:
        """Wait until all is written, at most `limit_s`; whether it is."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=limit_s)
        return not self._tasks

    async def close(self) -> None:
        """Give up on what is not written."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _schedule(self, replica_id: str, record: Replica | None) -> None:
        self._due[replica_id] = record
        if replica_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._write(replica_id))
            self._tasks[replica_id] = task

    async def _write(self, replica_id: str) -> None:
        try:
            while replica_id in self._due:
                record = self._due.pop(replica_id)
                try:
                    await self._write_one(replica_id, record)
                except Exception:  # noqa: BLE001 - a task's root: logged, tried again
                    _log.exception("replica record not written", extra={"replica_id": replica_id})
                    self._due.setdefault(replica_id, record)
                    await asyncio.sleep(RETRY_S)
        finally:
            del self._tasks[replica_id]

    async def _write_one(self, replica_id: str, record: Replica | None) -> None:
        if record is None:
            await self._writer.forget(replica_id)
            self._written.pop(replica_id, None)
            return
        revision = await self._writer.save(record)
        at_s = asyncio.get_running_loop().time()
        self._written[replica_id] = Written(replica=record, revision=revision, at_s=at_s)
        self._on_written(record)
