"""As much of the store as leadership needs, in memory: leases that run out, fences, one journal."""

import asyncio
from collections.abc import Sequence

from controlplane.store.client import Delete, Lease, Put
from controlplane.store.errors import FencedError, StoreError, StoreUnavailableError


class LeaseStore:
    """Shared by all holders of a test; time is the running loop's."""

    def __init__(self) -> None:
        self.away = False
        """Every call fails while true."""
        self.full: StoreError | None = None
        """What commits raise, once."""
        self.commits: list[Sequence[Put | Delete]] = []
        self.journal: dict[str, list[bytes]] = {}
        self._lease: Lease | None = None
        self._until_s = 0.0
        self._tokens = 0

    async def acquire(self, name: str, holder: str, *, ttl_s: float) -> Lease | None:
        """Take or renew."""
        self._reach()
        now_s = asyncio.get_running_loop().time()
        if self._lease is None or now_s >= self._until_s:
            self._tokens += 1
            self._lease = Lease(name, holder, self._tokens)
        if self._lease.holder != holder:
            return None
        self._until_s = now_s + ttl_s
        return self._lease

    async def release(self, lease: Lease) -> None:
        """Give back."""
        self._reach()
        if self._lease == lease:
            self._lease = None

    async def commit(
        self,
        writes: Sequence[Put | Delete],
        *,
        fence: Lease,
        journal: Sequence[tuple[str, bytes, int]] = (),
    ) -> int:
        """Keep the writes when the fence holds."""
        self._reach()
        if self.full is not None:
            error, self.full = self.full, None
            raise error
        if self._lease != fence or asyncio.get_running_loop().time() >= self._until_s:
            raise FencedError
        for name, entry, _ in journal:
            self.journal.setdefault(name, []).insert(0, entry)
        self.commits.append(writes)
        return len(self.commits)

    async def read_journal(self, name: str, *, limit: int) -> tuple[list[bytes], int]:
        """Newest first."""
        self._reach()
        entries = self.journal.get(name, [])
        return entries[:limit], len(entries)

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailableError("away")
