"""Committing plans: optimistic concurrency, the event journal, reading one's own writes."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from controlplane.api.call import Call, changed_meanwhile
from controlplane.lifecycle.plans import Plan, Save, StateError
from controlplane.model.kinds import Record
from controlplane.store.client import Delete, Put
from controlplane.store.errors import ConflictError, StoreUnavailableError

EVENTS_KEPT: Final = 1000
"""Events per workload; older ones are forgotten."""

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


async def carry_out(call: Call, plan: Callable[[], Plan[R]]) -> Outcome[R]:
    """Make a plan from the records as they are, and commit it.

    When the record that the request is about has changed between the two, the caller is told and
    decides: repeating silently would overwrite what the caller has never seen. When only
    something else has moved (a repository's version counter, the draft that two workloads want),
    the plan is made again.

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
        try:
            revision = await services.store.commit(
                [
                    Put(write.record, write.expected)
                    if isinstance(write, Save)
                    else Delete(write.kind, write.id, write.expected)
                    for write in made.writes
                ],
                journal=[
                    (f"events:{event.workload_id}", msgspec.json.encode(event), EVENTS_KEPT)
                    for event in made.events
                ],
            )
        except ConflictError as exc:
            services.telemetry.conflicted()
            mine = exc.kind == subject.kind and exc.id == subject.id
            if mine or attempt == ATTEMPTS:
                raise StateError(changed_meanwhile(subject)) from exc
            await _catch_up(call, exc.actual)
            continue
        # The write stands even if the copy is late: the answer comes from the plan.
        with contextlib.suppress(StoreUnavailableError):
            await services.mirror.reached(revision)
        return Outcome(subject, revision, changed=True)
    raise AssertionError("the last attempt returns or raises")


async def _catch_up(call: Call, revision: int) -> None:
    await call.services.mirror.reached(revision)
    await asyncio.sleep(_SETTLE_S)  # a deleted record has no revision to wait for
