"""Quotas: what one caller may ask of one workload.

Rates are counted in sliding windows of 60 slots (a second each for the minute, a minute each for
the hour): in no 60 seconds, and in no 60 minutes, are more requests let through than the quota
says. A slot counts until the whole of it has left the window, so a caller waits up to one slot (1.7
%) longer than a log of every request would make them. That log would be exact, and cost memory for
each request; token buckets and GCRA keep one number, and let twice the quota through in the first
minute; fixed windows do so at every full minute.

One decision costs the same whatever the quota, and a caller at most 61 slots per window. Who has
not asked for an hour, or a minute where only minutes count, is forgotten.
"""

import math
from collections import deque
from typing import Final, NamedTuple

from controlplane.model.traffic import Quota
from gateway.core.answers import Answer
from gateway.core.balancing import share_of_limit

SLOTS: Final = 60
MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
LIVE_RETRY_S: Final = 1
"""Retry-After where the caller's own running requests are in the way: nobody knows how long."""

_FIRST_SWEEP: Final = 64


class Window:
    """How many requests came in the last minute or hour."""

    __slots__ = ("_slot_s", "_slots", "total")

    def __init__(self, span_s: float) -> None:
        self._slot_s = span_s / SLOTS
        self._slots: deque[list[int]] = deque()
        """Number of the slot and requests in it, oldest first, none empty."""
        self.total = 0

    def advance(self, now_s: float) -> None:
        """Forget what has left the window."""
        oldest = int(now_s / self._slot_s) - SLOTS
        slots = self._slots
        while slots and slots[0][0] < oldest:
            self.total -= slots.popleft()[1]

    def add(self, now_s: float) -> None:
        """Count one request."""
        number = int(now_s / self._slot_s)
        slots = self._slots
        if slots and slots[-1][0] >= number:  # a clock that steps back counts where it was
            slots[-1][1] += 1
        else:
            slots.append([number, 1])
        self.total += 1

    def wait_s(self, now_s: float, excess: int) -> float:
        """Seconds until `excess` of the counted requests have left the window.

        Args:
            now_s: Monotonic clock.
            excess: 1 up to `total`.
        """
        slots = self._slots
        last = 0
        left = excess - slots[0][1]
        while left > 0:
            last += 1
            left -= slots[last][1]
        return (slots[last][0] + SLOTS + 1) * self._slot_s - now_s


class Usage:
    """What one caller has asked of one workload, as one worker saw it."""

    __slots__ = ("hour", "live", "minute")

    def __init__(self) -> None:
        self.live = 0
        """Requests waiting or running."""
        self.minute = Window(MINUTE_S)
        self.hour = Window(HOUR_S)

    def idle(self, now_s: float) -> bool:
        """Whether forgetting it changes nothing."""
        self.minute.advance(now_s)
        self.hour.advance(now_s)
        return not (self.live or self.minute.total or self.hour.total)


class Refused(NamedTuple):
    """The quota is used up."""

    answer: Answer
    retry_after: int
    """Seconds until the next request may get through, at least 1."""


class QuotaBook:
    """All callers' usage of one workload in one worker.

    Of every limit a worker enforces its share, rounded up: nothing in a request's path asks
    anybody else.
    """

    __slots__ = ("_hour", "_live", "_minute", "_quota", "_sweep_at", "usages")

    def __init__(self, quota: Quota, *, workers: int) -> None:
        self.usages: dict[str, Usage] = {}
        self._sweep_at = _FIRST_SWEEP
        self.change(quota, workers=workers)

    def change(self, quota: Quota, *, workers: int) -> None:
        """Take a new quota over; what was used stays used."""
        self._quota = quota
        self._minute = _share(quota.requests_per_minute, workers)
        self._hour = _share(quota.requests_per_hour, workers)
        self._live = _share(quota.concurrent_requests, workers)

    def take(self, caller: str, now_s: float) -> Usage | Refused:
        """Count a request if the caller may send it.

        Args:
            caller: User id.
            now_s: Monotonic clock.

        Returns:
            Where it is counted: `live` is to be lowered when the request ends. A refused request
            counts nowhere.
        """
        usage = self.usages.get(caller)
        if usage is None:
            usage = self._enrol(caller, now_s)
        if self._live is not None and usage.live >= self._live:
            return _refused(f"{self._quota.concurrent_requests} concurrent requests", LIVE_RETRY_S)
        minute_s = _wait_s(usage.minute, self._minute, now_s)
        hour_s = _wait_s(usage.hour, self._hour, now_s)
        if hour_s is not None and (minute_s is None or hour_s > minute_s):
            return _refused(f"{self._quota.requests_per_hour} requests per hour", hour_s)
        if minute_s is not None:
            return _refused(f"{self._quota.requests_per_minute} requests per minute", minute_s)
        if self._minute is not None:
            usage.minute.add(now_s)
        if self._hour is not None:
            usage.hour.add(now_s)
        usage.live += 1
        return usage

    def _enrol(self, caller: str, now_s: float) -> Usage:
        """A new caller; from time to time those are forgotten who have been idle long enough."""
        if len(self.usages) >= self._sweep_at:
            for idle in [c for c, usage in self.usages.items() if usage.idle(now_s)]:
                del self.usages[idle]
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self.usages))
        usage = self.usages[caller] = Usage()
        return usage


def _share(limit: int | None, workers: int) -> int | None:
    return None if limit is None else share_of_limit(limit, workers)


def _wait_s(window: Window, share: int | None, now_s: float) -> float | None:
    """Seconds until the window has room for one more; None: it has."""
    if share is None:
        return None
    window.advance(now_s)
    excess = window.total - share + 1
    return window.wait_s(now_s, excess) if excess > 0 else None


def _refused(told: str, wait_s: float) -> Refused:
    return Refused(
        Answer(429, "quota", f"Your quota of {told} on this workload is used up: try again later."),
        max(1, math.ceil(wait_s)),
    )
