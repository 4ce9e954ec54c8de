"""When a draining replica may be asked to end: the second phase of scale-in.

    1. The record says `draining`; the store gave that write a revision.
    2. Every live gateway reports that revision or a later one: none sends it anything new.
    3. The same reports show nothing in flight for it: nothing old is left either.

Only then does it get SIGTERM, or when the deadline passes. The deadline runs from the moment the
store took the record: before that no gateway can know, and nothing may be taken away.
"""

from dataclasses import dataclass
from enum import StrEnum


class DrainState(StrEnum):
    """What a draining replica waits for; `DRAINED` and `OVERDUE` end the wait."""

    UNRECORDED = "unrecorded"
    UNACKNOWLEDGED = "unacknowledged"
    BUSY = "busy"
    DRAINED = "drained"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainFacts:
    """What is known about one draining replica."""

    revision: int | None
    """Store revision of the write that made it `draining`; None: not written yet."""
    recorded_s: float | None
    """When that write was acknowledged."""
    acknowledged_revision: int | None
    """Lowest revision among the live gateways' reports; None: no gateway is known."""
    load: int
    """Requests in flight for it in those same reports."""


def drain_state(facts: DrainFacts, *, now_s: float, drain_timeout_s: float) -> DrainState:
    """What the replica waits for, or that it need not wait any longer."""
    if facts.revision is None or facts.recorded_s is None:
        return DrainState.UNRECORDED
    if now_s >= facts.recorded_s + drain_timeout_s:
        return DrainState.OVERDUE
    # No gateway known is not the same as no gateway: their reports may only be late.
    if facts.acknowledged_revision is None or facts.acknowledged_revision < facts.revision:
        return DrainState.UNACKNOWLEDGED
    return DrainState.BUSY if facts.load > 0 else DrainState.DRAINED
