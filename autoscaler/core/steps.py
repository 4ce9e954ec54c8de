"""What the steps of a decision hand to each other.

These are records, some of them kept with a decision, so they are msgspec's; and this module is
never compiled, for mypyc cannot make such classes. What works with them is (`autoscaler.native`).
"""

from enum import Enum, StrEnum

import msgspec

from autoscaler.core.notes import Note
from controlplane.model.decisions import Reason

MIN_BELIEF_S = 1.0
"""A waiting request counts as demand for at least this long, however quick its service is."""

Wishes = tuple[tuple[float, int], ...]
"""When, and what was wished, oldest first."""

Counts = tuple[tuple[float, int], ...]
"""What was asked for since when, oldest first; the oldest one held when the period began."""


class LoadView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One proton's load over all workers, at one moment.

    Waiting is there twice: in full (`mean_*`), and believed (`demand_*`), where a request counts
    for at most `belief_s` of its waiting. `policy` says why.
    """

    in_flight: int = 0
    queued: int = 0
    mean_stable: float = 0.0
    """Mean of (queued + in flight) over the stable window, or over what is known of it."""
    mean_panic: float = 0.0
    """The same over the panic window."""
    demand_stable: float = 0.0
    demand_panic: float = 0.0
    demand_now: float = 0.0
    """In flight, and of the queued those that came within the last `belief_s`."""
    belief_s: float = MIN_BELIEF_S
    """The mean time in a replica as far as it is known, and at least `MIN_BELIEF_S`; exactly that
    where nothing waits or waited in the window."""
    idle_s: float = 0.0
    """For how long there has provably been no load; 0 while there is some."""
    coverage_ratio: float = 1.0
    """Share of the known workers that spoke lately, times the share of the stable window that
    has been watched. Below 1 nothing may shrink."""
    age_s: float = 0.0
    """Seconds since the last report of the worker that spoke lately, but longest ago."""
    workers: int = 1
    """Workers that spoke lately."""
    silent: int = 0
    """Workers that fell silent without a goodbye and are not presumed dead yet."""

    @property
    def load(self) -> int:
        """Queued and in flight now."""
        return self.in_flight + self.queued


class Burst(StrEnum):
    """What caused a panic."""

    WAITING = "waiting"
    """Requests waited, and more was wanted for them than was asked for."""
    SHORT = "short"
    """The short window wanted a multiple of what was ready."""
    WOKEN = "woken"
    """It woke from zero for several replicas' worth of requests."""


class DampingState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What damping remembers between decisions. Times are the caller's monotonic clock."""

    panic_at_s: float | None = None
    """When panic was last caused; None outside panic."""
    burst: Burst | None = None
    """By what; None outside panic."""
    peak: int = 0
    """The highest count of this panic."""
    needed_at_s: float | None = None
    """When the count that is asked for was last wanted; None: long ago."""
    wishes: Wishes = ()
    """Recent wishes, falling: a wish is dropped when a later one is at least as high."""
    lows: Wishes = ()
    """Recent wishes, rising: a wish is dropped when a later one is at least as low."""
    counts: Counts = ()
    """Recent counts, for the limits in replicas."""


class Damped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A wish after damping."""

    replicas: int
    reason: Reason
    note: Note
    hold_s: float = 0.0
    """For how long the count cannot fall now (panic, delay, noise); 0: it can."""


class Zero(Enum):
    """What zero means for a proton now."""

    STAY = "stay"
    WAKE = "wake"
    KEEP = "keep"
    """At least one replica, since the cooldown has not run out or there is load."""
    GO = "go"
    FORBIDDEN = "forbidden"
    """Bounds or policies do not allow it."""


class Idleness(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What about zero, and how long until it may be."""

    zero: Zero
    remaining_s: float | None = None
    """Seconds until the count may go to zero if nothing comes; None: unknown or never."""
