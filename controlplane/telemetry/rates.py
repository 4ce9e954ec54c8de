"""How fast one workload may send: a bucket of bytes each, so that nobody pays for a neighbour."""

from typing import Final

BURST_S: Final = 10.0
"""A bucket holds this many seconds of its rate."""
_MAX_BUCKETS: Final = 10_000


class Rates:
    """Token buckets by workload. A full bucket is forgotten: that is what a new one is."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._full = bytes_per_s * BURST_S
        self._buckets: dict[str, tuple[float, float]] = {}
        """Workload to what it had left, and when (monotonic)."""

    def left(self, workload_id: str, now_s: float) -> float:
        """Bytes that the workload may send now; below 0: it has sent ahead."""
        left, at_s = self._buckets.get(workload_id, (self._full, now_s))
        return min(self._full, left + (now_s - at_s) * self._rate)

    def wait_s(self, workload_id: str, now_s: float) -> float:
        """Seconds until the workload may send again; 0: it may now."""
        return max(0.0, -self.left(workload_id, now_s) / self._rate)

    def spend(self, workload_id: str, size: int, now_s: float) -> None:
        """Count what was sent. One message may exceed what is left; the next waits for it."""
        if len(self._buckets) >= _MAX_BUCKETS:
            self._forget_full(now_s)
        self._buckets[workload_id] = (self.left(workload_id, now_s) - size, now_s)

    def _forget_full(self, now_s: float) -> None:
        kept = {name: b for name, b in self._buckets.items() if self.left(name, now_s) < self._full}
        self._buckets = kept
