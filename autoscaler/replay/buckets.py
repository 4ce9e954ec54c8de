"""Sums in one-second buckets, as Knative and KEDA's HTTP add-on average their metrics.

Sources: knative/serving `pkg/autoscaler/aggregation/bucketing.go` and kedacore/http-add-on
`pkg/queue/bucketing.go` (which was made from it and differs in two spots):

    rule                                          Knative                   HTTP add-on
    --------------------------------------------  ------------------------  ---------------
    divide a stale window's sum by                the buckets still valid   all its buckets
    result                                        cut at 6 digits           rounded to 3

Both divide a young window by the seconds since its first write, count missing seconds inside it
as 0, ignore writes older than a window, and start anew after a whole window without a write.
"""

import math
from typing import Final

KNATIVE_DIGITS: Final = 6
KEDA_DIGITS: Final = 3


class Buckets:
    """A ring of sums, one per granule of time."""

    def __init__(self, window_s: float, granularity_s: float = 1.0, *, keda: bool = False) -> None:
        self._granularity_s = granularity_s
        self._size = math.ceil(window_s / granularity_s)
        self._sums = [0.0] * self._size
        self._total = 0.0
        self._first: int | None = None
        self._last: int | None = None
        self._keda = keda

    def record(self, at_s: float, value: float) -> None:
        """Add to the bucket of a moment."""
        index = self._index(at_s)
        if self._last is not None and index + self._size <= self._last:
            return
        if self._first is None or self._first > index:
            self._first = index
        if self._last is None or index - self._last >= self._size:
            self._sums = [0.0] * self._size
            self._total = 0.0
            self._first = self._last = index
        elif index > self._last:
            for gap in range(self._last + 1, index + 1):
                self._total -= self._sums[gap % self._size]
                self._sums[gap % self._size] = 0.0
            self._last = index
        self._sums[index % self._size] += value
        self._total += value

    def average(self, at_s: float) -> float:
        """The mean over the window that ends at a moment; 0 after a window without a write."""
        if self._last is None or self._first is None:
            return 0.0
        now = self._index(at_s)
        stale = max(0, now - self._last)
        if stale >= self._size:
            return 0.0
        gone = sum(self._sums[i % self._size] for i in range(self._last + 1, now + 1))
        valid = self._size if self._keda else self._size - stale
        mean = (self._total - gone) / min(self._last - self._first + 1, valid)
        if self._keda:
            return math.floor(mean * 10**KEDA_DIGITS + 0.5) / 10**KEDA_DIGITS
        return math.floor(mean * 10**KNATIVE_DIGITS) / 10**KNATIVE_DIGITS

    def empty(self, at_s: float) -> bool:
        """Whether nothing was written for longer than a window."""
        return self._last is None or self._index(at_s) - self._last > self._size

    def _index(self, at_s: float) -> int:
        return math.floor(at_s / self._granularity_s)
