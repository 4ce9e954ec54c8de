"""One replica and one gateway worker in a simulation, and what can happen to them."""

from collections import deque
from typing import Any, Final

from autoscaler.replay.scaler import WorkerCounts
from controlplane.model.states import ReplicaPhase

FINISH: Final = 0
READY: Final = 1
DRAINED: Final = 2
EXPIRE: Final = 3
WAKE: Final = 4

Event = tuple[float, int, int, Any, int]
"""When, a number that keeps the order of equal moments, what, about which replica or worker."""


class SimulatedReplica:
    """One replica, from asked for to gone."""

    __slots__ = (
        "created_s",
        "drains",
        "flying",
        "id",
        "inside",
        "number",
        "phase",
        "since_s",
        "working",
    )

    def __init__(self, number: int, *, workers: int, now_s: float) -> None:
        self.number = number
        self.id = f"{number:06d}"
        self.created_s = now_s
        self.since_s = now_s
        """When it became ready; until then, when it was made."""
        self.drains = 0
        """How often it was chosen to leave."""
        self.phase = ReplicaPhase.LAUNCHING
        self.flying = [0] * workers
        """Requests per gateway worker."""
        self.working = 0
        self.inside: deque[tuple[float, float, int]] = deque()
        """Requests that wait inside: when they came to the gateway, service time, worker."""


class SimulatedWorker:
    """One gateway worker's counters and queue."""

    __slots__ = (
        "changed_s",
        "expires",
        "in_flight",
        "index",
        "load_seconds",
        "pause_over",
        "queue",
        "queued_seconds",
        "refused",
        "started",
        "woke_s",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.started = 0
        self.refused = 0
        self.in_flight = 0
        self.load_seconds = 0.0
        self.queued_seconds = 0.0
        self.changed_s = 0.0
        self.queue: deque[tuple[float, float]] = deque()
        """When they came, service time."""
        self.expires = False
        """An event stands for the end of the oldest one's patience."""
        self.woke_s = -1e9
        self.pause_over = False
        """An event stands for the end of the pause after the last wake-up."""

    def advance(self, now_s: float) -> None:
        """Bring the integrals up to now."""
        elapsed = now_s - self.changed_s
        if elapsed > 0:
            queued = len(self.queue)
            self.load_seconds += elapsed * (self.in_flight + queued)
            if queued:
                self.queued_seconds += elapsed * queued
            self.changed_s = now_s

    def counts(self, now_s: float) -> WorkerCounts:
        """The counters now."""
        self.advance(now_s)
        return WorkerCounts(
            now_s,
            self.started,
            self.refused,
            self.in_flight,
            len(self.queue),
            self.load_seconds,
            self.queued_seconds,
        )
