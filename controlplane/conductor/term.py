"""One term: the time in which this process holds the lease, and what its parts work with."""

import contextlib
from collections.abc import Sequence
from typing import Final

from controlplane import audit
from controlplane.api.services import Services
from controlplane.api.writes import journal_of, writes_of
from controlplane.lifecycle.plans import Plan, R, Stamp
from controlplane.store.client import Delete, Lease, Put
from controlplane.store.errors import StoreUnavailableError

CLOCK: Final = "the clock"
"""What the audit says of commits that no event tells of."""


class Term:
    """Records to read, and commits that nobody but the holder of the lease can make."""

    def __init__(self, services: Services, lease: Lease) -> None:
        self.services = services
        self._lease = lease

    @property
    def lease(self) -> Lease:
        """What shows the store that this term still lasts."""
        return self._lease

    def stamp(self, actor_id: str) -> Stamp:
        """A moment of a plan that is carried out for somebody."""
        services = self.services
        return Stamp(actor_id=actor_id, now_s=services.clock(), new_id=services.ids.new)

    async def carry_out(self, plan: Plan[R]) -> int:
        """Commit a plan with the versions that it was made from; then the mirror shows it.

        Returns:
            The revision of the commit; that of the mirror where there is nothing to write.

        Raises:
            ConflictError: A record has moved on: look again at the next step.
            FencedError: The lease is lost; the conductor ends this term.
            StoreError: The store is away or full.
        """
        if not plan.writes and not plan.events and not plan.history:
            return self.services.mirror.revision
        operation = ", ".join(event.type for event in plan.events) or CLOCK
        return await self.commit(writes_of(plan), journal=journal_of(plan), operation=operation)

    async def commit(
        self,
        writes: Sequence[Put | Delete],
        *,
        journal: Sequence[tuple[str, bytes, int]] = (),
        operation: str = CLOCK,
    ) -> int:
        """Write under the lease, as `Store.commit`; then the mirror shows it. Raises the same.

        Args:
            writes: What.
            journal: Entries besides those of the audit.
            operation: What the audit says was done.
        """
        services = self.services
        found = audit.lines(
            writes,
            services.mirror.get,
            by=audit.By(name="conductor", operation=operation),
            now_s=services.clock(),
            new_id=services.ids.new,
        )
        entries = audit.entries(found, keep=services.settings.api.audit_kept)
        revision = await services.store.commit(
            writes, fence=self._lease, journal=[*journal, *entries]
        )
        audit.log(found)
        with contextlib.suppress(
            StoreUnavailableError
        ):  # the write stands even if the copy is late
            await services.mirror.reached(revision)
        return revision
