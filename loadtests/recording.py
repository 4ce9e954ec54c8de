"""What became of every request, second by second: counts, errors by code, response times. Pure.

A run of hours stays small: per second and kind of request there is one histogram whose buckets grow
by 2 %, so a quantile is wrong by at most 1 %.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GROWTH = 1.02
_LEAST_MS = 0.01
_STEP = math.log(GROWTH)

PARTS = frozenset({"FIRST", "GAP", "OPEN", "ECHO"})
"""Measured inside a request, with a line of their own: time to the first piece of a stream, between
two pieces, a WebSocket's handshake, one round trip. They are no requests."""


class Durations:
    """A histogram of durations."""

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.count = 0
        self.sum_ms = 0.0
        self.max_ms = 0.0

    def add(self, ms: float) -> None:
        """Count one duration, milliseconds."""
        self.buckets[math.ceil(math.log(max(ms, _LEAST_MS) / _LEAST_MS) / _STEP)] += 1
        self.count += 1
        self.sum_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def merge(self, other: "Durations") -> None:
        """Add another histogram to this one."""
        self.buckets.update(other.buckets)
        self.count += other.count
        self.sum_ms += other.sum_ms
        self.max_ms = max(self.max_ms, other.max_ms)

    def quantile(self, q: float) -> float | None:
        """A quantile in milliseconds; None without durations.

        Args:
            q: 0-1.
        """
        if not self.count:
            return None
        rank, seen = max(1, math.ceil(q * self.count)), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                # The middle of the bucket, but never above what was really seen.
                return min(_LEAST_MS * math.exp(_STEP * (bucket - 0.5)), self.max_ms)
        return self.max_ms

    @property
    def mean_ms(self) -> float | None:
        """The mean in milliseconds; None without durations."""
        return self.sum_ms / self.count if self.count else None


@dataclass(slots=True)
class Cell:
    """One kind of request in one second, or over the whole run."""

    durations: Durations = field(default_factory=Durations)
    """Of all that ended, failed ones included."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed ones by code."""

    def merge(self, other: "Cell") -> None:
        """Add another cell to this one."""
        self.durations.merge(other.durations)
        self.errors.update(other.errors)

    @property
    def count(self) -> int:
        """How many ended."""
        return self.durations.count

    @property
    def failed(self) -> int:
        """How many of these failed."""
        return self.errors.total()


@dataclass(frozen=True, slots=True)
class ReplicaSample:
    """How many replicas there were."""

    at_s: float
    ready: int
    wanted: int | None
    """What the autoscaler's newest decision wants; None: it has not decided anything."""


Kind = tuple[str, str]
"""Type and name of a request, as Locust has them: `("GET", "/predict")`."""


class Recorder:
    """Collects what users report; every time is seconds since the beginning of the run."""

    def __init__(self) -> None:
        self.seconds: dict[int, dict[Kind, Cell]] = {}
        self.kinds: dict[Kind, Cell] = {}
        """The same over the whole run."""
        self.started = 0
        """Requests that were sent."""
        self.ended_count = 0
        """Of these: those that have ended, failed ones included."""
        self.lateness: dict[int, Durations] = {}
        """By second: how much later than due requests were sent. Open loop only."""
        self.cold: dict[int, Durations] = {}
        """By second: how long the gateway held requests for a cold start, as it told them."""
        self.users: dict[int, int] = {}
        """By second: users at work."""
        self.replicas: list[ReplicaSample] = []
        self.last_s = 0.0
        """When the last request ended."""

    def ended(self, at_s: float, kind: Kind, ms: float, error: str | None) -> None:
        """A request, or a part of one, has ended."""
        self.last_s = at_s
        self.ended_count += kind[0] not in PARTS
        for cells in (self.seconds.setdefault(int(at_s), {}), self.kinds):
            cell = cells.setdefault(kind, Cell())
            cell.durations.add(ms)
            if error is not None:
                cell.errors[error] += 1

    def was_late(self, at_s: float, ms: float) -> None:
        """A request was sent so much later than it was due."""
        self.lateness.setdefault(int(at_s), Durations()).add(ms)

    def was_cold(self, at_s: float, ms: float) -> None:
        """A request was held so long for a cold start."""
        self.cold.setdefault(int(at_s), Durations()).add(ms)

    @property
    def unfinished(self) -> int:
        """Requests that were sent and have not ended."""
        return self.started - self.ended_count

    @property
    def length_s(self) -> int:
        """Whole seconds in which something was seen."""
        return max((*self.seconds, *self.users, -1)) + 1

    def by_kind(self, seconds: Iterable[int]) -> dict[Kind, Cell]:
        """Every kind of request over some seconds."""
        found: dict[Kind, Cell] = {}
        for second in seconds:
            for kind, cell in self.seconds.get(second, {}).items():
                found.setdefault(kind, Cell()).merge(cell)
        return found


def requests_of(cells: Mapping[Kind, Cell]) -> Cell:
    """All requests together, without parts of requests."""
    whole = Cell()
    for (kind, _), cell in cells.items():
        if kind not in PARTS:
            whole.merge(cell)
    return whole


def together(parts: Iterable[Durations]) -> Durations:
    """Several histograms as one."""
    whole = Durations()
    for part in parts:
        whole.merge(part)
    return whole
