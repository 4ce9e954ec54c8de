"""Many workloads at once, from their summaries: rows of lists, and totals with their trends."""

from dataclasses import dataclass
from typing import Final

from controlplane.lifecycle.counting import SUMMARY_DAYS
from controlplane.lifecycle.statistics import share
from controlplane.model.statistics import LENGTH_S, Level, Summary, Tally

_DAY_S: Final = LENGTH_S[Level.DAY]

WINDOW_HOURS: Final = 24
"""The window of totals over workloads; trends compare it with the one before."""

STALE_S: Final = 30.0
"""A load that was noted longer ago than this has ended unseen, with the worker that had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One workload in a list: its last seven days, today included."""

    total_requests: int
    under_way: int
    response_time_ms: float
    """Mean."""
    error_rate: float
    requests: list[int]
    """Per day, oldest first."""
    errors: list[int]
    last_request_at: float | None


def week(summary: Summary, *, retention_s: float, now_s: float) -> Week:
    """A workload's row in a list."""
    today = int(now_s // _DAY_S)
    kept = int((now_s - retention_s) // _DAY_S)
    days = [
        summary.days.get(day, Tally()) if day >= kept else Tally()
        for day in range(today - SUMMARY_DAYS + 1, today + 1)
    ]
    whole = sum(days, Tally())
    return Week(
        total_requests=whole.started,
        under_way=under_way(summary, now_s=now_s),
        response_time_ms=share(whole.response_seconds, whole.responses) * 1000,
        error_rate=share(whole.failed, whole.ended),
        requests=[day.started for day in days],
        errors=[day.failed for day in days],
        last_request_at=summary.last_request_at,
    )


def under_way(summary: Summary, *, now_s: float) -> int:
    """Requests queued and in flight now."""
    return summary.under_way if now_s - summary.under_way_at < STALE_S else 0


@dataclass(frozen=True, slots=True)
class Compared:
    """Some workloads together, now and a day earlier."""

    now: Tally
    """The running hour and the 23 before it."""
    before: Tally
    """As long a stretch, 24 hours earlier."""
    under_way: int


class Totals:
    """Adds up workloads one by one: there may be thousands, and a caller may pause in between."""

    def __init__(self, *, now_s: float) -> None:
        """Begin with none.

        Args:
            now_s: Epoch seconds.
        """
        hour, self._elapsed_s = divmod(now_s, LENGTH_S[Level.HOUR])
        self._first = int(hour) - WINDOW_HOURS + 1
        self._now_s = now_s
        self._now = self._before = self._last = Tally()
        self._load = 0

    def add(self, summary: Summary) -> None:
        """One more workload."""
        self._load += under_way(summary, now_s=self._now_s)
        for index, tally in summary.hours.items():
            if index >= self._first:
                self._now += tally
            elif index == self._first - 1:
                self._last += tally
            elif index >= self._first - WINDOW_HOURS:
                self._before += tally

    def compared(self) -> Compared:
        """All of them together."""
        part = _part(self._last, self._elapsed_s / LENGTH_S[Level.HOUR])
        return Compared(self._now, self._before + part, self._load)


def _part(tally: Tally, of_it: float) -> Tally:
    return Tally(
        round(tally.started * of_it),
        round(tally.ended * of_it),
        round(tally.failed * of_it),
        round(tally.aborted * of_it),
        tally.load_seconds * of_it,
        round(tally.responses * of_it),
        tally.response_seconds * of_it,
    )


def trend(now: float, before: float) -> float:
    """The change as a part of what was before; 0 where there is nothing to compare with."""
    return (now - before) / before if before else 0.0
