"""What decides in a simulation: ours, or a model of somebody else's autoscaler.

The engine keeps the time, the requests and the replicas. It calls `look` at the moment that the
scaler named itself (`next_s`), and does what the answer says: starts replicas, takes removed ones
back while they drain, or drains the idlest.

    attribute       the engine reads it
    --------------  ------------------------------------------------------------------------
    name            for tables
    next_s          before every step: the next regular `look`; `look` must move it forward.
                    Infinite: nothing can change before the next request; `look` comes with it
    wake_pause_s    once. None: nobody tells the scaler that requests wait. A number: when a
                    request begins to wait, `look` comes at once (`woken` is true), but at most
                    once in this many seconds per gateway worker
    needs_ages      once; may be missing. True: `since_s` is told
    hears_replicas  once. True: `look` comes also when a replica became ready or has gone

A scaler is used for one run; the engine's clock starts at 0.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class WorkerCounts(msgspec.Struct, frozen=True, gc=False):
    """One gateway worker's counters since the beginning: exact at `clock_s`, never averaged."""

    clock_s: float
    started: int
    refused: int
    """Answered by the gateway: queue full, waited too long."""
    in_flight: int
    queued: int
    load_seconds: float
    """Integral of (queued + in flight) over time."""
    queued_seconds: float


class Seen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What there is to see at one moment. Cumulative values count from the beginning.

    An average over a scaler's own window is a difference of integrals divided by the time.
    """

    now_s: float
    woken: bool
    """This look is because requests wait."""
    wanted: int
    """What the last look answered; the number of replicas at the beginning before that."""
    ready: int
    starting: int
    draining: int
    """Chosen to leave, still serving what they have; in neither of the other counts."""
    in_flight: int
    queued: int
    """Waiting in the gateways."""
    started: int
    refused: int
    load_seconds: float
    queued_seconds: float
    working_seconds: float
    """Integral of the requests that replicas really work on: those in flight, less what waits
    inside a replica. Divided by `ready_seconds` and a replica's concurrency it is a utilisation."""
    ready_seconds: float
    """Integral of the ready replicas."""
    workers: Sequence[WorkerCounts]
    """The same counters per gateway worker."""
    since_s: Sequence[float] = ()
    """Of every replica that stays: when it became ready, or was asked for if it has not yet. Empty
    for scalers that do not need it."""
    start_ups_s: Sequence[float] = ()
    """How long the last replicas took from asked for to ready, oldest first."""

    @property
    def load(self) -> int:
        """Queued and in flight."""
        return self.in_flight + self.queued


class Scaler(Protocol):
    """Decides how many replicas there should be."""

    name: str
    next_s: float
    wake_pause_s: float | None
    hears_replicas: bool

    def look(self, seen: Seen) -> int:
        """Replicas wanted from now on. Must set `next_s` to a later moment than `seen.now_s`."""
        ...
