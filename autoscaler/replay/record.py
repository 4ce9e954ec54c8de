"""From the gateways' cumulative reports to the steps of a recording. Pure.

Nothing is sampled: a step is the difference of a worker's own counters between two reports. What a
worker did before the recording began is in no step; one that starts later is counted from its zero.
A worker that ends without a goodbye takes its last, unreported interval with it (half a second).
"""

from collections.abc import Iterable, Mapping

from autoscaler.replay.recording import Step
from controlplane.model.reports import LoadReport, ProtonLoad

_Key = tuple[str, str]
"""Worker and proton."""


class Differences:
    """Remembers the last report of every worker."""

    def __init__(self) -> None:
        self._last: dict[_Key, ProtonLoad] = {}
        self._clocks: dict[str, float] = {}
        self._begun = False

    def step(
        self,
        reports: Iterable[LoadReport],
        names: Mapping[str, str],
        *,
        at_s: float,
        length_s: float,
    ) -> list[Step]:
        """What happened since the last call, per workload; empty the first time.

        Args:
            reports: All that the store holds.
            names: Workload id to name; unknown ones go by their id.
            at_s: The step's beginning in the recording.
            length_s: Its length, above 0.
        """
        sums: dict[str, _Sum] = {}
        for report in reports:
            if report.clock_s <= self._clocks.get(report.worker_id, -1.0):
                continue
            self._clocks[report.worker_id] = report.clock_s
            for proton_id, load in report.protons.items():
                key = (report.worker_id, proton_id)
                before = self._last.get(key)
                self._last[key] = load
                if before is None and not self._begun:
                    continue  # from before the recording
                name = names.get(load.workload_id, load.workload_id)
                sums.setdefault(name, _Sum()).add(before, load)
        self._begun = True
        return [
            step
            for name, found in sorted(sums.items())
            if (step := found.step(name, at_s=at_s, length_s=length_s)) is not None
        ]


class _Sum:
    """One workload over all workers and protons."""

    def __init__(self) -> None:
        self._started = 0
        self._answered = 0
        self._working_s = 0.0
        self._response_s = 0.0
        self._histogram: dict[int, int] = {}

    def add(self, before: ProtonLoad | None, now: ProtonLoad) -> None:
        """Add what one worker counted of one proton."""
        if before is None or now.started < before.started:
            before = ProtonLoad(workload_id=now.workload_id)  # it counts anew
        self._started += now.started - before.started
        self._working_s += _working(now) - _working(before)
        self._response_s += now.response_seconds - before.response_seconds
        for index, count in now.response_time.items():
            if more := count - before.response_time.get(index, 0):
                self._histogram[index] = self._histogram.get(index, 0) + more
                self._answered += more

    def step(self, name: str, *, at_s: float, length_s: float) -> Step | None:
        """The step, if anything happened in it."""
        if not (self._started or self._answered):
            return None
        return Step(
            at_s=round(at_s, 3),
            length_s=round(length_s, 3),
            workload=name,
            started=self._started,
            answered=self._answered,
            working_s=round(self._working_s, 6),
            response_s=round(self._response_s, 6),
            histogram=self._histogram,
        )


def _working(load: ProtonLoad) -> float:
    return load.load_seconds - load.queued_seconds
