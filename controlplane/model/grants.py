"""What capacity arbitration left of a decision, as a record: how many, why not more, who has it."""

from enum import StrEnum

import msgspec

from controlplane.model.states import Importance


class Refusal(StrEnum):
    """Why a proton gets fewer replicas than it should have."""

    HELD = "held"
    """Others have the capacity, and none of them has to give way."""
    SCATTERED = "scattered"
    """Enough GPUs are free, but not on one node."""
    NO_NODE = "no_node"
    """No node could carry one replica, even if it were empty."""
    DRAINING = "draining"
    """Others give way: the room is promised, and comes when they have finished."""
    MIN_RUN = "min_run"
    """Replicas behind it in line have it, and have not run for the least time yet."""
    GAVE_WAY = "gave_way"
    """It gave way itself a moment ago, and grows again after a pause."""
    UNSETTLED = "unsettled"
    """Capacity could not be shared out since it asked: it keeps what it has."""


class Holder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who has what was refused."""

    workload_id: str
    proton_id: str
    importance: Importance
    replicas: int
    since: float
    """When the oldest of these replicas got its place, epoch seconds."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one proton may run; only on decisions that capacity arbitration cut."""

    granted: int
    refusal: Refusal
    position: int
    """Place in the line of all protons that are refused, from 1; 0: `unsettled`, it has none."""
    line: int
    """How many are in it."""
    since: float
    """Since when it has been getting fewer than it asks for, epoch seconds; it last asked when the
    decision was made."""
    until: float | None = None
    """When a refusal that time ends is over."""
    holders: tuple[Holder, ...] = ()
    """Who has it: the largest first, at most three."""
    gave_way_to: str | None = None
    """Workload for which it had to give up replicas in this time."""
    decided_reason: str
    """The decision's reason before it was cut."""
    note: str
    """All this in one sentence without moments, so that it stays the same while nothing changes."""
