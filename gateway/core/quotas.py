"""Quotas: what one caller may ask of one workload.

Rates are counted in sliding windows of 60 slots (a second each for the minute, a minute each for
the hour): in no 60 seconds, and in no 60 minutes, are more requests let through than the quota
says. A slot counts until the whole of it has left the window, so a caller waits up to one slot (1.7
%) longer than a log of every request would make them. That log would be exact, and cost memory for
each request; token buckets and GCRA keep one number, and let twice the quota through in the first
minute; fixed windows do so at every full minute.

One decision costs the same whatever the quota, and a caller at most 61 slots per window. Who has
not asked for an hour, or a minute where only minutes count, is forgotten.

Every worker holds the whole quota against what all workers have let through: each tells the others
(`tell`, `hear`), a few milliseconds later. What they let through before they hear of each other is
the error, and only upwards: no caller is refused for less than the quota. Splitting the quota over
the workers would need no news, and refuse a caller with one connection after a part of it.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from controlplane.model.traffic import Quota
from gateway.core.answers import Answer

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

    def add(self, now_s: float, count: int = 1) -> None:
        """Count requests of this moment."""
        number = int(now_s / self._slot_s)
        slots = self._slots
        if slots and slots[-1][0] >= number:  # a clock that steps back counts where it was
            slots[-1][1] += count
        else:
            slots.append([number, count])
        self.total += count

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
    """What one caller has asked of one workload."""

    __slots__ = ("_book", "caller", "elsewhere", "fresh", "hour", "live", "minute")

    def __init__(self, caller: str, book: "QuotaBook") -> None:
        self._book = book
        self.caller = caller
        self.fresh = 0
        """Requests let through here that the other workers have not been told of."""
        self.live = 0
        """Requests waiting or running here."""
        self.elsewhere = 0
        """The same in other workers."""
        self.minute = Window(MINUTE_S)
        self.hour = Window(HOUR_S)

    def end(self) -> None:
        """A request that was let through has ended."""
        self.live -= 1
        self._book.note(self)

    def idle(self, now_s: float) -> bool:
        """Whether forgetting it changes nothing."""
        self.minute.advance(now_s)
        self.hour.advance(now_s)
        return not (self.live or self.elsewhere or self.minute.total or self.hour.total)


class Refused(NamedTuple):
    """The quota is used up."""

    answer: Answer
    retry_after: int
    """Seconds until the next request may get through, at least 1."""


class QuotaBook:
    """All callers' usage of one workload, as far as this worker knows."""

    __slots__ = ("_changed", "_on_news", "_others", "_sweep_at", "quota", "usages")

    def __init__(self, quota: Quota, *, on_news: Callable[[], None]) -> None:
        """Begin with nothing used.

        Args:
            quota: What each caller may ask. May be replaced: what was used stays used.
            on_news: Called when there is something to `tell` again.
        """
        self.quota = quota
        self.usages: dict[str, Usage] = {}
        self._on_news = on_news
        self._changed: dict[str, Usage] = {}
        self._others: dict[tuple[str, str], tuple[int, float]] = {}
        """Worker and caller to requests waiting or running there, and when that was heard."""
        self._sweep_at = _FIRST_SWEEP

    def take(self, caller: str, now_s: float) -> Usage | Refused:
        """Count a request if the caller may send it.

        Args:
            caller: User id.
            now_s: Monotonic clock.

        Returns:
            Where it is counted: `end` is to be called when the request ends. A refused request
            counts nowhere.
        """
        quota = self.quota
        usage = self._usage(caller, now_s)
        live = quota.concurrent_requests
        if live is not None and usage.live + usage.elsewhere >= live:
            return _refused(f"{live} concurrent requests", LIVE_RETRY_S)
        minute, hour = quota.requests_per_minute, quota.requests_per_hour
        minute_s = None if minute is None else _wait_s(usage.minute, minute, now_s)
        hour_s = None if hour is None else _wait_s(usage.hour, hour, now_s)
        if hour_s is not None and (minute_s is None or hour_s > minute_s):
            return _refused(f"{hour} requests per hour", hour_s)
        if minute_s is not None:
            return _refused(f"{minute} requests per minute", minute_s)
        if minute is not None:
            usage.minute.add(now_s)
        if hour is not None:
            usage.hour.add(now_s)
        usage.live += 1
        usage.fresh += 1
        self.note(usage)
        return usage

    # ---- between workers

    def note(self, usage: Usage) -> None:
        """The other workers are to be told of a caller's usage."""
        if not self._changed:
            self._on_news()
        self._changed[usage.caller] = usage

    def tell(self) -> dict[str, tuple[int, int]]:
        """What is new since the last time: caller to new requests, and those waiting or running."""
        news = {}
        for caller, usage in self._changed.items():
            news[caller] = (usage.fresh, usage.live)
            usage.fresh = 0
        self._changed.clear()
        return news

    def remind(self) -> None:
        """Tell again of all who have requests waiting or running: others may have missed it."""
        for usage in self.usages.values():
            if usage.live:
                self.note(usage)

    def hear(self, worker: str, news: Mapping[str, tuple[int, int]], now_s: float) -> None:
        """Count what another worker has let through."""
        for caller, (fresh, live) in news.items():
            usage = self._usage(caller, now_s)
            if fresh:
                self._count(usage, fresh, now_s)
            before, _ = self._others.pop((worker, caller), (0, 0.0))
            usage.elsewhere += live - before
            if live:
                self._others[worker, caller] = (live, now_s)

    def forget(self, latest_s: float) -> None:
        """Drop what was last heard before `latest_s`: the worker is gone, or its last word was.

        What those requests used up of the rates stays used.
        """
        for key, (live, heard_s) in list(self._others.items()):
            if heard_s < latest_s:
                del self._others[key]
                self.usages[key[1]].elsewhere -= live

    def _count(self, usage: Usage, count: int, now_s: float) -> None:
        if self.quota.requests_per_minute is not None:
            usage.minute.advance(now_s)
            usage.minute.add(now_s, count)
        if self.quota.requests_per_hour is not None:
            usage.hour.advance(now_s)
            usage.hour.add(now_s, count)

    def _usage(self, caller: str, now_s: float) -> Usage:
        """A caller's usage; from time to time those are forgotten who have been idle for long."""
        usage = self.usages.get(caller)
        if usage is None:
            if len(self.usages) >= self._sweep_at:
                for idle in [c for c, known in self.usages.items() if known.idle(now_s)]:
                    del self.usages[idle]
                self._sweep_at = max(_FIRST_SWEEP, 2 * len(self.usages))
            usage = self.usages[caller] = Usage(caller, self)
        return usage


def _wait_s(window: Window, limit: int, now_s: float) -> float | None:
    """Seconds until the window has room for one more; None: it has."""
    window.advance(now_s)
    excess = window.total - limit + 1
    return window.wait_s(now_s, excess) if excess > 0 else None


def _refused(told: str, wait_s: float) -> Refused:
    return Refused(
        Answer(429, "quota", f"Your quota of {told} on this workload is used up: try again later."),
        max(1, math.ceil(wait_s)),
    )
