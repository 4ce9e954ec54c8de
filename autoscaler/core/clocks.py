"""When a worker's reports were made, by its own clock."""

from array import array
from bisect import bisect_right

Moment = tuple[int, float]
"""Number of the first report after the moment, and which share of the way from the report before
it the moment is, 0 to 1."""


class Clocks:
    """Numbers a worker's reports from 0, and finds a moment among those of a window."""

    __slots__ = ("_clocks", "first")

    def __init__(self, clock_s: float) -> None:
        """Begin with report 0."""
        self._clocks = array("d", (clock_s,))
        self.first = 0
        """Number of the oldest report that is remembered."""

    @property
    def last(self) -> int:
        """Number of the newest report."""
        return self.first + len(self._clocks) - 1

    def add(self, clock_s: float, *, keep_from_s: float) -> int:
        """Take a newer report; returns its number.

        Args:
            clock_s: Later than all before.
            keep_from_s: Reports before this are forgotten, but for the last at or before it.
        """
        clocks = self._clocks
        clocks.append(clock_s)
        gone = bisect_right(clocks, keep_from_s) - 1
        if gone > 0:
            del clocks[:gone]
            self.first += gone
        return self.last

    def at(self, clock_s: float) -> Moment:
        """Where a moment is among the reports."""
        clocks = self._clocks
        index = bisect_right(clocks, clock_s)
        if 0 < index < len(clocks):
            before_s = clocks[index - 1]
            return self.first + index, (clock_s - before_s) / (clocks[index] - before_s)
        return self.first + index, 0.0
