"""Committing plans: optimistic concurrency, the journals, reading one's own writes."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from controlplane.api.call import Call, changed_meanwhile
from controlplane.audit import entries, lines, log
from controlplane.lifecycle.plans import Plan, Save, StateError
from controlplane.model.events import EVENTS_KEPT
from controlplane.model.kinds import Record
from controlplane.store.client import Delete, Put
from controlplane.store.errors import ConflictError, StoreUnavailableError

ATTEMPTS: Final = 5
"""Plans made anew when something that the request is not about has moved."""

_SETTLE_S: Final = 0.02

R = TypeVar("R", bound=Record)


class Outcome(NamedTuple, Generic[R]):
    """What became of a plan."""

    record: R
    version: int
    changed: bool
    """False: the request was fulfilled already, and nothing was written."""


def writes_of(plan: Plan[R]) -> list[Put | Delete]:
    """A plan's writes as the store takes them."""
    return [
        Put(write.record, write.expected)
        if isinstance(write, Save)
        else Delete(write.kind, write.id, write.expected)
        for write in plan.writes
    ]


def journal_of(plan: Plan[R]) -> list[tuple[str, bytes, int]]:
    """A plan's journal entries as the store takes them."""
    events = [
        (f"events:{event.workload_id}", msgspec.json.encode(event), EVENTS_KEPT)
        for event in plan.events
    ]
    history = [
        (f"history:{ended.workload_id}", msgspec.json.encode(ended), EVENTS_KEPT)
        for ended in plan.history
    ]
    return events + history


async def carry_out(call: Call, plan: Callable[[], Plan[R]], *, insist: bool = False) -> Outcome[R]:
    """Make a plan from the records as they are, and commit it.

    When the record that the request is about has changed between the two, the caller is told and
    decides: repeating silently would overwrite what the caller has never seen. When only
    something else has moved (a repository's version counter, the draft that two workloads want),
    the plan is made again.

    Args:
        call: The request.
        plan: Makes the plan.
        insist: Make the plan again also when that record has changed: the request says what shall
            happen, and nothing that the caller has read. The conductor moves workloads all the
            time while they are replaced.

    Raises:
        StateError: Somebody else changed the record at the same moment.
        RuleError: The plan's own.
        StoreError: The store is away or full.
    """
    services = call.services
    for attempt in range(1, ATTEMPTS + 1):
        made = plan()
        subject = made.subject
        if not made.writes:
            version = services.mirror.version(type(subject), subject.id)
            return Outcome(subject, version, changed=False)
        writes = writes_of(made)
        audit = lines(
            writes,
            services.mirror.get,
            by=call.by(),
            now_s=services.clock(),
            new_id=services.ids.new,
        )
        journal = journal_of(made) + entries(audit, keep=services.settings.api.audit_kept)
        try:
            revision = await services.store.commit(writes, journal=journal)
        except ConflictError as exc:
            services.telemetry.conflicted()
            mine = exc.kind == subject.kind and exc.id == subject.id
            if (mine and not insist) or attempt == ATTEMPTS:
                raise StateError(changed_meanwhile(subject)) from exc
            await _catch_up(call, exc.actual)
            continue
        log(audit)
        # The write stands even if the copy is late: the answer comes from the plan.
        with contextlib.suppress(StoreUnavailableError):
            await services.mirror.reached(revision)
        return Outcome(subject, revision, changed=True)
    raise AssertionError("the last attempt returns or raises")


async def _catch_up(call: Call, revision: int) -> None:
    await call.services.mirror.reached(revision)
    await asyncio.sleep(_SETTLE_S)  # a deleted record has no revision to wait for
