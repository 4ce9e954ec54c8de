"""One autoscaler decides: the holder of the lease "autoscaler".

    standing   means                                                     decides and writes
    ---------  --------------------------------------------------------  ------------------
    standby    another holds the lease, or nobody knows                  no
    leading    renewed within the lease's time                           yes
    doubtful   leading, but not renewed in time: the store is away       no: holds
    lost       another held it since: what we remember is out of date    never again

Between leading and lost lies a term. A lease that ran out while the store was away and that
nobody else took is the same term: replicas and memory are still true, only the token is new.
Whether somebody took it stands in the journal of leaders, to which every leader adds itself
before its first write.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from autoscaler.errors import LeadershipLostError
from controlplane.store.client import Delete, Lease, Put, Store
from controlplane.store.errors import FencedError, StoreError

LEASE: Final = "autoscaler"
LEADERS: Final = "leaders:autoscaler"
_KEPT_LEADERS: Final = 20
_RETRY_S: Final = 0.1

logger = logging.getLogger(__name__)


class Leadership:
    """Gets, keeps and loses the lease of this process."""

    def __init__(
        self, store: Store, *, holder: str, ttl_s: float, clock: Callable[[], float]
    ) -> None:
        """Stand by.

        Args:
            store: The store.
            holder: Unique per process start.
            ttl_s: A standby takes over after this long without renewal.
            clock: Monotonic seconds.
        """
        self._store = store
        self._holder = holder
        self._ttl_s = ttl_s
        self._clock = clock
        self._lease: Lease | None = None
        self._certain_until_s = 0.0
        self._doubts = asyncio.Event()
        self._settled = asyncio.Condition()
        self.polled = False
        """Whether the store has once said who leads."""

    @property
    def leading(self) -> bool:
        """Whether the lease is certainly ours now."""
        return self._lease is not None and self._clock() < self._certain_until_s

    @property
    def in_term(self) -> bool:
        """Leading or doubtful: not known to be lost."""
        return self._lease is not None

    async def campaign(self) -> None:
        """Return when we lead and the journal of leaders says so."""
        while True:
            try:
                lease = await self._acquire()
                self.polled = True
                if lease is not None:
                    entry = (LEADERS, self._holder.encode(), _KEPT_LEADERS)
                    await self._store.commit([], fence=lease, journal=[entry])
                    self._lease = lease
                    logger.info("leading", extra={"holder": self._holder, "token": lease.token})
                    return
            except StoreError as exc:
                logger.debug("cannot campaign", extra={"error": str(exc)})
            await asyncio.sleep(self._ttl_s / 3)

    async def keep(self) -> None:
        """Renew the lease until it is lost; runs beside the term's work.

        Raises:
            LeadershipLostError: Always, in the end.
        """
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._ttl_s / 3):
                        await self._doubts.wait()
                self._doubts.clear()
                try:
                    await self._renew()
                except StoreError as exc:
                    logger.debug("cannot renew", extra={"error": str(exc)})
                    await asyncio.sleep(_RETRY_S)
                async with self._settled:
                    self._settled.notify_all()
        except LeadershipLostError:
            self._lease = None
            async with self._settled:
                self._settled.notify_all()
            raise

    async def commit(
        self, writes: Sequence[Put | Delete], *, journal: Sequence[tuple[str, bytes, int]] = ()
    ) -> int:
        """Write under the lease.

        Returns:
            The revision.

        Raises:
            LeadershipLostError: Another holds the lease; nothing was written.
            StoreUnavailableError, StoreFullError: As the store's.
        """
        while True:
            lease = self._lease
            if lease is None:
                raise LeadershipLostError("another autoscaler leads")
            try:
                return await self._store.commit(writes, fence=lease, journal=journal)
            except FencedError:
                # It ran out while the store was away, or somebody took it: find out, then again.
                await self._settle(lease)

    async def resign(self) -> None:
        """Give the lease back, so that a standby need not wait for it to run out."""
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                await self._store.release(lease)
            except StoreError as exc:
                logger.warning("the lease could not be given back", extra={"error": str(exc)})

    async def _settle(self, refused: Lease) -> None:
        async with self._settled:
            while self._lease == refused:
                self._doubts.set()
                await self._settled.wait()

    async def _renew(self) -> None:
        lease = await self._acquire()
        if lease is None:
            raise LeadershipLostError("another autoscaler took the lease")
        if lease == self._lease:
            return
        entries, _ = await self._store.read_journal(LEADERS, limit=1)
        if entries and entries[0] != self._holder.encode():
            await self._store.release(lease)
            raise LeadershipLostError("another autoscaler led while the store was away")
        logger.info("leading again", extra={"holder": self._holder, "token": lease.token})
        self._lease = lease

    async def _acquire(self) -> Lease | None:
        asked_s = self._clock()
        lease = await self._store.acquire(LEASE, self._holder, ttl_s=self._ttl_s)
        if lease is not None:
            self._certain_until_s = asked_s + self._ttl_s
        return lease
