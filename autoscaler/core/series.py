"""One worker's cumulative counters of one proton over a window, as thin as they can be kept.

An installation with 10,000 busy protons and four workers holds 40,000 of these, with a row per
second each. Three doubles take 24 bytes (a tuple of floats with its clock 180), and there is
nothing for the garbage collector to walk through. Clocks are the worker's, one list for all its
series: `clocks.Clocks` finds a moment among them once, for all protons.

Rows are numbered as the worker's reports are. A proton that a report does not speak of, or whose
counters stand still, gets no row: after the last row, and before the first, all is flat.
"""

from array import array
from typing import Final

from autoscaler.core.clocks import Moment
from controlplane.model.reports import ProtonNumbers

NO_LOAD: Final = ProtonNumbers()

Totals = tuple[float, float, float]
"""Integral of load, integral of queued, requests started: all since the worker's start."""

_ROW: Final = 3


class Series:
    """Counters over time, oldest first."""

    __slots__ = ("_base", "_counted_s", "_end", "_newest", "_rows", "_started", "last")

    def __init__(self, number: int, totals: Totals) -> None:
        """Begin with one row.

        Args:
            number: The report's number.
            totals: The counters then.
        """
        self.last = NO_LOAD
        """What the newest report says; no load once the worker does not speak of the proton."""
        self._rows = array("d", totals)
        """Three numbers per report, without gaps up to number `_end`."""
        self._end = number
        self._newest = totals
        """The last row, at hand."""
        self._counted_s, self._started = totals[0], totals[2]
        self._base: Totals | None = None

    def __len__(self) -> int:
        """Rows held."""
        return len(self._rows) // 3

    def add(self, number: int, load: ProtonNumbers, *, keep_from: int) -> bool:
        """Take a newer report's numbers; returns whether there was any load since the last.

        Args:
            number: The report's, higher than all before.
            load: The counters.
            keep_from: Rows of earlier reports than this are forgotten, but for the last.
        """
        load_s, queued_s, starts = load.load_seconds, load.queued_seconds, float(load.started)
        rows, newest = self._rows, self._newest
        if load_s < self._counted_s or starts < self._started:
            # The worker began to count this proton anew: go on from where it was.
            self._base = newest
        self._counted_s, self._started = load_s, starts
        self.last = load
        base = self._base
        if base is not None:
            load_s, queued_s, starts = load_s + base[0], queued_s + base[1], starts + base[2]
        totals = (load_s, queued_s, starts)
        still = totals == newest
        if not still:
            gap = number - self._end - 1
            if gap:  # it stood still meanwhile
                rows.extend(array("d", newest) * min(gap, number - keep_from))
            rows.extend(totals)
            self._newest, self._end = totals, number
        extra = len(rows) // 3 - max(1, self._end - keep_from + 1)
        if extra > 0:
            del rows[: 3 * extra]
        return not still or load.in_flight > 0 or load.queued > 0

    def since(self, moment: Moment) -> Totals:
        """What was added after a moment; load is even between two reports."""
        number, share = moment
        rows = self._rows
        held = len(rows)
        at = held + 3 * (number - self._end - 1)
        if at >= held:
            return 0.0, 0.0, 0.0
        load_s, queued_s, starts = self._newest
        if at < _ROW:
            return load_s - rows[0], queued_s - rows[1], starts - rows[2]
        load, queued, started = rows[at - 3], rows[at - 2], rows[at - 1]
        return (
            load_s - (load + share * (rows[at] - load)),
            queued_s - (queued + share * (rows[at + 1] - queued)),
            starts - (started + share * (rows[at + 2] - started)),
        )

    def starts_since(self, moment: Moment) -> float:
        """Requests started after a moment; all there ever were when the series is younger."""
        if moment[0] < self._end - len(self) + 2:
            return self._newest[2]
        return self.since(moment)[2]
