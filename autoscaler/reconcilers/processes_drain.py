"""Whether a replica that should get no requests any more has finished those that it had."""

import logging

from autoscaler.core.replica_drain import DrainFacts, DrainState, drain_state
from autoscaler.reconcilers.processes_context import Context
from controlplane.model.workloads import Replica

_log = logging.getLogger(__name__)


def emptied(context: Context, replica: Replica, now_s: float) -> tuple[bool, float | None]:
    """Whether it may be ended, and if not, when the time for its requests is over.

    Args:
        context: What the gateways last said, and what the store has.
        replica: In a phase in which nobody should send it any request.
        now_s: The loop's clock.
    """
    written = context.records.written(replica.id)
    if written is not None and written.replica.phase is not replica.phase:
        written = None
    timeout_s = context.settings.drain_timeout_s
    facts = DrainFacts(
        revision=written.revision if written else None,
        recorded_s=written.at_s if written else None,
        acknowledged_revision=context.loads.acknowledged_revision,
        load=context.loads.in_flight.get(replica.id, 0),
    )
    state = drain_state(facts, now_s=now_s, drain_timeout_s=timeout_s)
    if state is DrainState.OVERDUE:
        extra = {"replica_id": replica.id, "load": facts.load}
        _log.warning("replica is ended at its drain deadline", extra=extra)
    until_s = None if facts.recorded_s is None else facts.recorded_s + timeout_s
    return state in {DrainState.DRAINED, DrainState.OVERDUE}, until_s
