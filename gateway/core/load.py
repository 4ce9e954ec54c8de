"""Exact counting per proton: plain slots, changed at the event, never sampled.

Always true: `started == sum(finished) + in_flight + queued`. The integral of load over time is
advanced at every change, so an average over any window is a difference of two integrals divided
by time, whatever happened in between.
"""

from typing import Final

CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "refused", "aborted")
"""How an exchange ended. `refused`: the gateway answered itself; `aborted`: a side vanished."""

UPGRADED: Final = 0
REFUSED: Final = 5
ABORTED: Final = 6

KEPT_MINUTES: Final = 61

_SUB_BITS: Final = 5
"""32 buckets per power of two: the middle of a bucket is within 1.6 % of all its values."""


def bucket(seconds: float) -> int:
    """Index of the log-linear histogram bucket for a duration.

    Values below 32 us have a bucket per microsecond; above, every power of two is cut in 32.
    `controlplane.model.histograms` reads what is counted under these indices.
    """
    micros = int(seconds * 1e6)
    bits = micros.bit_length() - _SUB_BITS - 1
    if bits <= 0:
        return max(micros, 0)
    return (bits << _SUB_BITS) + (micros >> bits)


class LoadMeter:
    """One proton's counters in one worker."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "changed_s",
        "cold_starts",
        "finished",
        "in_flight",
        "load_seconds",
        "queued",
        "queued_seconds",
        "refused_user",
        "response_seconds",
        "response_time",
        "started",
        "starts_by_minute",
        "workload_id",
    )

    def __init__(self, workload_id: str, *, now_s: float) -> None:
        self.workload_id = workload_id
        self.started = 0
        self.finished = [0] * len(CLASSES)
        self.refused_user = 0
        self.in_flight = 0
        self.queued = 0
        self.load_seconds = 0.0
        self.queued_seconds = 0.0
        self.changed_s = now_s
        self.cold_starts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.response_time: dict[int, int] = {}
        self.response_seconds = 0.0
        self.starts_by_minute: dict[int, int] = {}

    def advance(self, now_s: float) -> None:
        """Bring the integrals up to `now_s`."""
        elapsed = now_s - self.changed_s
        if elapsed > 0:
            self.load_seconds += elapsed * (self.in_flight + self.queued)
            if self.queued:
                self.queued_seconds += elapsed * self.queued
            self.changed_s = now_s

    def start(self, now_s: float, minute: int) -> None:
        """A request for the proton arrived; it waits until `send` or `finish`.

        Args:
            now_s: Monotonic clock.
            minute: Epoch minute of the wall clock, for the hourly count.
        """
        self.advance(now_s)
        self.started += 1
        self.queued += 1
        minutes = self.starts_by_minute
        try:
            minutes[minute] += 1
        except KeyError:
            minutes[minute] = 1
            # far in the future is as useless as long ago: the wall clock was set back
            for old in [m for m in minutes if abs(m - minute) >= KEPT_MINUTES]:
                del minutes[old]

    def discount(self, minute: int) -> None:
        """The request that has just started is refused for its caller's or the gateway's sake.

        It stays counted as started, but tells nothing about how many replicas the hour needs.
        """
        if self.starts_by_minute.get(minute):
            self.starts_by_minute[minute] -= 1

    def send(self, now_s: float) -> None:
        """A waiting request got a replica's slot."""
        self.advance(now_s)
        self.queued -= 1
        self.in_flight += 1

    def take_back(self, now_s: float) -> None:
        """A sent request waits again, for a safe repeat."""
        self.advance(now_s)
        self.in_flight -= 1
        self.queued += 1

    def finish(self, now_s: float, ending: int, *, sent: bool) -> None:
        """A request ended, exactly once.

        Args:
            now_s: Monotonic clock.
            ending: Index into `CLASSES`.
            sent: Whether it held a replica's slot.
        """
        self.advance(now_s)
        self.finished[ending] += 1
        if sent:
            self.in_flight -= 1
        else:
            self.queued -= 1

    def time(self, seconds: float) -> None:
        """Note a response time, from the request's arrival to the response's last byte."""
        index = bucket(seconds)
        self.response_seconds += seconds
        histogram = self.response_time
        histogram[index] = histogram.get(index, 0) + 1
