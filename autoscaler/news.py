"""What cannot wait for the next tick: wake-ups, changed protons, changed replicas."""

import asyncio

from controlplane.model.workloads import Proton
from controlplane.store.watch import Change


class News:
    """Collects news from whoever has some, until the decision loop looks."""

    def __init__(self) -> None:
        self.woken: dict[str, float] = {}
        """Proton id to when its wake-up was heard (monotonic); the decision takes it out."""
        self.due: set[str] = set()
        """Protons to decide on whatever they look like."""
        self.replicas_changed = False
        self.replica_changes = 0
        """Counts what the reconciler told; the same number, the same replicas."""
        self._any = asyncio.Event()

    def wake(self, proton_id: str, *, now_s: float) -> None:
        """A gateway asks for a replica."""
        self.woken.setdefault(proton_id, now_s)
        self._any.set()

    def decide_on(self, proton_ids: set[str]) -> None:
        """These protons need a decision."""
        self.due |= proton_ids
        self._any.set()

    def on_records(self, changes: list[Change]) -> None:
        """The mirror changed."""
        changed = {change.id for change in changes if change.cls is Proton}
        if changed:
            self.decide_on(changed)

    def on_replicas(self) -> None:
        """The reconciler changed something."""
        self.replicas_changed = True
        self.replica_changes += 1
        self._any.set()

    async def wait(self) -> None:
        """Return when there is anything new since the last return."""
        await self._any.wait()
        self._any.clear()
