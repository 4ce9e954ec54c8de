"""Keeps replica records for the reconciler, under the lease."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from autoscaler.leadership import Leadership
from controlplane.model.workloads import Replica
from controlplane.store.client import Delete, Put
from controlplane.store.errors import StoreFullError, StoreUnavailableError

FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 1.0

logger = logging.getLogger(__name__)


class StoreReplicaWriter:
    """A `ReplicaWriter` that waits for the store as long as it takes.

    Raises `LeadershipLostError` from both calls when another autoscaler leads.
    """

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership

    async def save(self, replica: Replica) -> int:
        """Write the record; returns the revision of the write."""
        return await self._insist(lambda: self._leadership.commit([Put(replica)]))

    async def forget(self, replica_id: str) -> None:
        """Delete the record; it may be gone already."""
        await self._insist(lambda: self._leadership.commit([Delete(Replica, replica_id)]))

    async def _insist(self, write: Callable[[], Awaitable[int]]) -> int:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                return await write()
            except (StoreUnavailableError, StoreFullError) as exc:
                logger.debug("replica record waits", extra={"error": str(exc)})
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_RETRY_S, pause_s * 2)
