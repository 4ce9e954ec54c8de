"""Workloads on drafts that end by the clock, and what was deleted long enough ago."""

import logging
from collections.abc import Iterator
from typing import Final

from controlplane.conductor.term import Term
from controlplane.lifecycle.expiry import WARNING_S, Deletable, expire, is_purgeable
from controlplane.lifecycle.plans import PLATFORM, Held, Plan
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.workloads import Deployment, Proton, Workload
from controlplane.store.client import Delete
from controlplane.store.errors import ConflictError
from controlplane.store.statistics import Statistics

logger = logging.getLogger(__name__)

JOURNALS: Final = ("events", "history")
"""What a workload's journals are called, each followed by its id."""

BATCH: Final = 100
"""Records purged in one commit."""


class Expiry:
    """Warns of the end of drafts' workloads, and removes them when it has come."""

    def __init__(self, term: Term) -> None:
        self._term = term

    async def step(self, now_s: float) -> None:
        """Do what is due: every workload by itself, so that a conflict holds up one only."""
        near = [
            workload.id
            for workload in self._term.services.live_workloads()
            if workload.expires_at is not None and now_s >= workload.expires_at - WARNING_S
        ]
        for workload_id in near:
            plan = self._plan(workload_id)
            if plan is None or not plan.writes:
                continue
            try:
                await self._term.carry_out(plan)
            except ConflictError:
                continue  # it changed at this moment, perhaps was started anew: the next look tells
            logger.info(plan.events[0].type, extra={"workload": workload_id})

    def _plan(self, workload_id: str) -> Plan[Workload] | None:
        """From the records as they are now: others were waited for since the step began."""
        services = self._term.services
        held = services.held(Workload, workload_id)
        if held is None or held.record.deleted_at is not None:
            return None
        return expire(
            held,
            services.mirror.get(Artifact, held.record.artifact_id),
            protons=[
                Held(proton, services.mirror.version(Proton, proton.id))
                for proton in services.protons[workload_id].values()
            ],
            stamp=self._term.stamp(PLATFORM),
        )


class Purge:
    """Forgets what was deleted, its journals and statistics."""

    def __init__(self, term: Term) -> None:
        self._term = term

    async def step(self, now_s: float) -> None:
        """Purge some; those that remain come with the next step."""
        services = self._term.services
        retention_s = services.settings.api.deleted_retention_s
        due = [
            record
            for record in self._deleted()
            if is_purgeable(record, retention_s=retention_s, now_s=now_s)
        ][:BATCH]
        if not due:
            return
        for record in due:
            if isinstance(record, Workload):
                for journal in JOURNALS:
                    await services.store.drop_journal(f"{journal}:{record.id}")
                await Statistics(services.store).forget(record.id)
        await self._term.commit(
            [
                Delete(type(record), record.id, services.mirror.version(type(record), record.id))
                for record in due
            ]
        )
        logger.info("purged", extra={"records": len(due)})

    def _deleted(self) -> Iterator[Deletable]:
        mirror = self._term.services.mirror
        yield from mirror.all(Workload).values()
        yield from mirror.all(Deployment).values()
        yield from mirror.all(Artifact).values()
        for repository in mirror.all(Repository).values():
            # One that was deleted while somebody filled it waits for what is in it.
            if not self._term.services.artifacts[repository.id]:
                yield repository
