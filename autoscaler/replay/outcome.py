"""What a simulation found: totals, waiting times, and a timeline that stays small however long.

Waiting is the time from a request's arrival until a replica works on it: in the gateway's queue,
and inside a replica that is busy with others. Histograms are those of
`controlplane.model.histograms`: quantiles are within 2 %.
"""

from dataclasses import dataclass, field
from typing import Final

from controlplane.model.histograms import SUB_BITS, quantile_s, slower_than

MAX_ROWS: Final = 2048
"""Rows of a timeline, an even number; as soon as there are so many, neighbours become one."""

DELAYED_S: Final = 0.1
"""A request that waited longer than this counts as delayed."""


def bucket(seconds: float) -> int:
    """The histogram's index for a duration."""
    micros = int(seconds * 1e6)
    bits = micros.bit_length() - SUB_BITS - 1
    return (bits << SUB_BITS) + (micros >> bits) if bits > 0 else max(micros, 0)


def waited_s(waits: dict[int, int], q: float) -> float | None:
    """A quantile of waiting times; the first bucket is no waiting at all. None when empty."""
    seconds = quantile_s(waits, q)
    return 0.0 if seconds is not None and seconds < 1e-6 else seconds  # noqa: PLR2004


@dataclass(slots=True)
class Row:
    """One stretch of the timeline."""

    at_s: float
    length_s: float
    arrivals: int = 0
    load_seconds: float = 0.0
    """Integral of queued and in flight over the stretch."""
    ready_seconds: float = 0.0
    max_queued: int = 0
    wanted: int = 0
    """Most in the stretch, as are `ready` and `running`."""
    ready: int = 0
    running: int = 0
    """Replicas that cost something: starting, ready, draining."""
    cold: int = 0
    refused: int = 0
    """Answered 503 or 504 by the gateway."""
    waits: dict[int, int] = field(default_factory=dict)
    """Waiting times of those that began to be served in it."""

    def add(self, later: "Row") -> None:
        """Take in the row that follows."""
        self.length_s += later.length_s
        self.arrivals += later.arrivals
        self.load_seconds += later.load_seconds
        self.ready_seconds += later.ready_seconds
        self.max_queued = max(self.max_queued, later.max_queued)
        self.wanted = max(self.wanted, later.wanted)
        self.ready = max(self.ready, later.ready)
        self.running = max(self.running, later.running)
        self.cold += later.cold
        self.refused += later.refused
        for index, count in later.waits.items():
            self.waits[index] = self.waits.get(index, 0) + count

    @property
    def demand(self) -> float:
        """Mean load."""
        return self.load_seconds / self.length_s if self.length_s else 0.0

    def waited_s(self, q: float) -> float | None:
        """A quantile of the waiting times; None when nothing began."""
        return waited_s(self.waits, q)


class Timeline:
    """Rows of equal length, one second at first; the length doubles when there are too many."""

    def __init__(self, *, step_s: float = 1.0, max_rows: int = MAX_ROWS) -> None:
        self.step_s = step_s
        self.rows: list[Row] = []
        self._max_rows = max_rows

    def add(self, row: Row) -> None:
        """Append a row of `step_s`."""
        self.rows.append(row)
        if len(self.rows) == self._max_rows:
            for first, second in zip(self.rows[::2], self.rows[1::2], strict=True):
                first.add(second)
            del self.rows[1::2]
            self.step_s *= 2


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One scaler's run over one trace."""

    scaler: str
    duration_s: float = 0.0
    """From the trace's beginning to its end, or to the last answer where that is later."""
    requests: int = 0
    answered: int = 0
    queue_full: int = 0
    """503: the queue of a gateway worker was full."""
    timed_out: int = 0
    """504: waited longer than a request is held."""
    cut: int = 0
    """Lost with a replica whose drain took too long."""
    cold: int = 0
    """Had to wait because no replica was ready."""
    waits: dict[int, int] = field(default_factory=dict)
    """Histogram of the waiting times of all requests that a replica began to work on."""
    wait_seconds: float = 0.0
    """Their sum."""
    replica_seconds: float = 0.0
    """From a replica's start to its end: starting, serving and draining."""
    ready_seconds: float = 0.0
    idle_seconds: float = 0.0
    """Ready replicas that work on nothing."""
    starts: int = 0
    stops: int = 0
    changes: int = 0
    """Looks after which another number was wanted."""
    flaps: int = 0
    """Changes of direction within a minute."""
    max_ready: int = 0
    looks: int = 0
    timeline: Timeline = field(default_factory=Timeline, compare=False)

    @property
    def failed(self) -> int:
        """Requests without an answer from a replica."""
        return self.queue_full + self.timed_out + self.cut

    @property
    def replica_hours(self) -> float:
        """Hours that somebody pays for."""
        return self.replica_seconds / 3600

    @property
    def delayed(self) -> int:
        """Requests that waited longer than `DELAYED_S`, or in vain."""
        return self.delayed_beyond(DELAYED_S)

    def delayed_beyond(self, threshold_s: float) -> int:
        """Requests that waited longer, or in vain; exact but for those within 2 % of it."""
        return slower_than(self.waits, threshold_s) + self.queue_full + self.timed_out

    def waited_s(self, q: float) -> float | None:
        """A quantile of the waiting times; None when no request was served."""
        return waited_s(self.waits, q)

    @property
    def mean_wait_s(self) -> float | None:
        """Mean waiting time; None when no request was served."""
        begun = sum(self.waits.values())
        return self.wait_seconds / begun if begun else None
