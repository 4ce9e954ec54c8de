"""Load over time, exact, from what gateway workers report in cumulative numbers.

A worker says "up to my clock c, the integral of my load is L". The mean load between two reports
is a difference of integrals divided by a difference of clocks, whatever happened to the reports
in between:

    report is       then
    --------------  --------------------------------------------------------------------
    late            its clock is not newer than the last one's, which includes it: ignored
    lost            the next one covers the gap exactly; inside the gap load counts as even
    doubled         same clock: ignored
    of a new        another instance id, another series; what the earlier instance had in
    instance        flight ended with its last report

Clocks of different machines are never compared: each worker's window ends at its own last report.
The one inexact spot: of a worker that starts later than we, the time before its first report (one
report interval at most) is in no window, only in what it has now.

Coverage says how much of the truth is in the numbers. A worker that fell silent without saying
goodbye may be dead, or serving requests that nobody counts. For a stable window it counts as
missing, and whoever decides must not shrink; then it is presumed dead, unless its last report is
still about. That time runs only while the store answers: a silent store says nothing about workers.
"""

import math
from collections.abc import Container, Iterable

from autoscaler.core.clocks import Clocks, Moment
from autoscaler.core.series import NO_LOAD, Series
from autoscaler.core.steps import MIN_BELIEF_S, LoadView
from controlplane.model.reports import WorkerNumbers

_Span = tuple[float, Moment]
"""How long a window is as far as it is known, and where it begins on the worker's clock."""


class _Worker:
    """What is known about one worker instance."""

    __slots__ = (
        *("arrived_s", "clocks", "first_clock_s", "from_start", "left", "report", "series"),
        "silent_s",
    )

    def __init__(self, report: WorkerNumbers, *, now_s: float, from_start: bool) -> None:
        self.report = report
        self.clocks = Clocks(report.clock_s)
        self.first_clock_s = report.clock_s
        self.from_start = from_start
        """It was there when we began: what it did before is unknown, not zero."""
        self.arrived_s = now_s
        self.silent_s: float | None = None
        """Since when it is missing although the store answers."""
        self.left = False
        """It said goodbye."""
        self.series: dict[str, Series] = {}
        for proton_id, load in report.protons.items():
            totals = (load.load_seconds, load.queued_seconds, float(load.started))
            series = self.series[proton_id] = Series(0, totals)
            series.last = load

    def span(self, window_s: float, *, watched_s: float, behind_s: float) -> _Span:
        """How much of a window this worker's reports tell.

        Args:
            window_s: The window's length.
            watched_s: For how long we have been watching at all.
            behind_s: For how long the worker has been gone; 0 when it speaks.
        """
        end_s = self.report.clock_s
        known_s = min(window_s, watched_s)
        if self.from_start and not behind_s:
            known_s = min(known_s, end_s - self.first_clock_s)
        return known_s, self.clocks.at(end_s + behind_s - known_s)

    def take(self, report: WorkerNumbers, *, now_s: float, keep_s: float) -> list[str]:
        """Take a newer report; returns the protons that had any load since the last."""
        active = []
        number = self.clocks.add(report.clock_s, keep_from_s=report.clock_s - keep_s)
        keep_from = self.clocks.first
        for proton_id, load in report.protons.items():
            series = self.series.get(proton_id)
            if series is None:
                # It was not in the worker's last report: its counters were zero then.
                series = Series(number - 1, (0.0, 0.0, 0.0))
                self.series[proton_id] = series
            if series.add(number, load, keep_from=keep_from):
                active.append(proton_id)
        if len(self.series) > len(report.protons):
            for proton_id in self.series.keys() - report.protons.keys():
                self.series[proton_id].last = NO_LOAD
        self.report = report
        self.arrived_s = now_s
        self.left = False
        return active


class LoadWindows:
    """The load of all protons, from the reports of all workers."""

    def __init__(self, *, stable_s: float, panic_s: float, max_age_s: float) -> None:
        """Begin with nothing known.

        Args:
            stable_s: The long window.
            panic_s: The short window, at most the long one.
            max_age_s: A worker without a new report for this long is silent.
        """
        self._stable_s = stable_s
        self._panic_s = panic_s
        self._max_age_s = max_age_s
        self._hold_s = stable_s
        self._since_s: float | None = None
        self._moment: _Moment | None = None
        self._workers: dict[str, _Worker] = {}
        self._active_s: dict[str, float] = {}

    def take(self, report: WorkerNumbers, *, now_s: float) -> None:
        """Take one report ahead of `observe`, for whoever wants to pause between two.

        Does nothing before the first `observe`, which says who was there from the start.
        """
        if self._since_s is not None:
            self._moment = None
            self._take(report, now_s, from_start=False)

    def observe(self, reports: Iterable[WorkerNumbers], *, now_s: float) -> None:
        """Take what the store holds now. Not to be called when the store did not answer."""
        batch = list(reports)
        self._moment = None
        first_ever = self._since_s is None
        if first_ever:
            if not batch:
                return
            self._since_s = now_s
        for report in batch:
            self._take(report, now_s, from_start=first_ever)
        present = {report.worker_id for report in batch}
        for worker_id, worker in list(self._workers.items()):
            if worker.report.draining and worker_id not in present:
                worker.left = True
            if self._speaks(worker, now_s):
                worker.silent_s = None
            elif worker.silent_s is None:
                worker.silent_s = now_s
            elif now_s - worker.silent_s > self._hold_s and worker_id not in present:
                del self._workers[worker_id]

    def touch(self, proton_id: str, *, now_s: float) -> None:
        """Something asked for the proton (a wake-up): it is not idle."""
        self._active_s[proton_id] = now_s

    def active_since(self, proton_id: str, *, since_s: float) -> bool:
        """Whether anything was seen of the proton at or after a moment."""
        return self._active_s.get(proton_id, since_s - 1.0) >= since_s

    def speaks(self, *, now_s: float) -> bool:
        """Whether any worker spoke lately."""
        return bool(self._at(now_s).speaking)

    def retain(self, proton_ids: Container[str]) -> None:
        """Forget all protons but these."""
        for worker in self._workers.values():
            for proton_id in [p for p in worker.series if p not in proton_ids]:
                del worker.series[proton_id]
        for proton_id in [p for p in self._active_s if p not in proton_ids]:
            del self._active_s[proton_id]

    def in_flight_by_replica(self, *, now_s: float) -> dict[str, int]:
        """Replica id to requests in flight over the workers that spoke lately; no zeros."""
        total: dict[str, int] = {}
        for worker in self._at(now_s).speaking:
            for replica_id, count in worker.report.endpoints.items():
                total[replica_id] = total.get(replica_id, 0) + count
        return total

    def acknowledged_revision(self, *, now_s: float) -> int | None:
        """The store revision that all workers that spoke lately know; None without any."""
        return min((w.report.revision for w in self._at(now_s).speaking), default=None)

    def view(
        self,
        proton_id: str,
        *,
        now_s: float,
        panic_s: float | None = None,
        age_s: float = math.inf,
    ) -> LoadView | None:
        """One proton's load now; None when no worker spoke lately: nothing is known.

        Args:
            proton_id: Whose.
            now_s: Monotonic clock.
            panic_s: Its own short window, at most the long one; None: everybody's.
            age_s: For how long it has existed: it was not idle for longer.
        """
        moment = self._at(now_s)
        if self._since_s is None or not moment.speaking:
            return None
        watched_s = now_s - self._since_s
        sums = _Sums()
        workers = moment.workers
        if panic_s is not None and panic_s != self._panic_s:
            workers = self._with_panic(moment, panic_s, watched_s)
        for worker, speaks, stable, panic in workers:
            series = worker.series.get(proton_id)
            if series is not None:
                sums.add(series, stable, panic, speaks=speaks)
        coverage = len(moment.speaking) / (len(moment.speaking) + moment.silent)
        belief_s, recent = MIN_BELIEF_S, 0.0
        if sums.queued or sums.stable_waiting:  # most do not wait: no need to know
            present = [
                (worker, series)
                for worker in moment.speaking
                if (series := worker.series.get(proton_id)) is not None
            ]
            for _, series in present:
                sums.serve(series)
            belief_s = sums.belief_s()
            for worker, series in present if sums.queued else ():
                began = worker.clocks.at(worker.report.clock_s - belief_s)
                recent += series.starts_since(began)
        load = sums.in_flight + sums.queued
        since_s = max(self._since_s, self._active_s.get(proton_id, self._since_s))
        return LoadView(
            in_flight=sums.in_flight,
            queued=sums.queued,
            mean_stable=sums.stable,
            mean_panic=sums.panic,
            demand_stable=_demand(sums.stable, sums.stable_waiting, sums.stable_starts, belief_s),
            demand_panic=_demand(sums.panic, sums.panic_waiting, sums.panic_starts, belief_s),
            demand_now=sums.in_flight + min(float(sums.queued), recent),
            belief_s=belief_s,
            idle_s=0.0 if load else min(now_s - since_s, max(0.0, age_s)),
            coverage_ratio=coverage * min(1.0, watched_s / self._stable_s),
            age_s=moment.age_s,
            workers=len(moment.speaking),
            silent=moment.silent,
        )

    def _take(self, report: WorkerNumbers, now_s: float, *, from_start: bool) -> None:
        worker = self._workers.get(report.worker_id)
        if worker is None:
            worker = _Worker(report, now_s=now_s, from_start=from_start)
            self._workers[report.worker_id] = worker
            active = [proton_id for proton_id, load in report.protons.items() if load.started]
        elif report.clock_s > worker.report.clock_s:
            active = worker.take(report, now_s=now_s, keep_s=self._stable_s)
        else:
            return
        self._active_s.update(dict.fromkeys(active, now_s))

    def _speaks(self, worker: _Worker, now_s: float) -> bool:
        return not worker.left and now_s - worker.arrived_s <= self._max_age_s

    def _with_panic(self, moment: "_Moment", panic_s: float, watched_s: float) -> "list[_Told]":
        """The workers of a moment with another short window."""
        found = moment.other_panics.get(panic_s)
        if found is None:
            found = moment.other_panics[panic_s] = [
                (
                    worker,
                    speaks,
                    stable,
                    worker.span(
                        panic_s,
                        watched_s=watched_s,
                        behind_s=0.0 if speaks else moment.now_s - worker.arrived_s,
                    ),
                )
                for worker, speaks, stable, _ in moment.workers
            ]
        return found

    def _at(self, now_s: float) -> "_Moment":
        """What all protons have in common at one moment."""
        if self._moment is None or self._moment.now_s != now_s:
            self._moment = _Moment(now_s)
            watched_s = now_s - self._since_s if self._since_s is not None else 0.0
            for worker in self._workers.values():
                speaks = self._speaks(worker, now_s)
                behind_s = 0.0 if speaks else now_s - worker.arrived_s
                stable = worker.span(self._stable_s, watched_s=watched_s, behind_s=behind_s)
                panic = worker.span(self._panic_s, watched_s=watched_s, behind_s=behind_s)
                self._moment.workers.append((worker, speaks, stable, panic))
                if speaks:
                    self._moment.speaking.append(worker)
                    self._moment.age_s = max(self._moment.age_s, now_s - worker.arrived_s)
                elif not worker.left:
                    self._moment.silent += 1
        return self._moment


_Told = tuple[_Worker, bool, _Span, _Span]
"""A worker, whether it speaks, and how much it tells of both windows."""


class _Moment:
    """The workers at one moment, and how much of both windows each of them tells."""

    __slots__ = ("age_s", "now_s", "other_panics", "silent", "speaking", "workers")

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.workers: list[_Told] = []
        self.other_panics: dict[float, list[_Told]] = {}
        """The same with short windows of other lengths."""
        self.speaking: list[_Worker] = []
        self.silent = 0
        self.age_s = 0.0


class _Sums:
    """Adds up workers for one view: means over the stable and the panic window, and what is now.

    Written out for speed, with a name for every number: this runs for every proton and worker in
    every round.
    """

    __slots__ = (
        *("_served", "_served_s", "in_flight", "panic", "panic_starts", "panic_waiting"),
        *("queued", "stable", "stable_starts", "stable_waiting"),
    )

    def __init__(self) -> None:
        self.in_flight = self.queued = 0
        self.stable = self.stable_waiting = self.stable_starts = 0.0
        """Means of load and of waiting, and requests started per second."""
        self.panic = self.panic_waiting = self.panic_starts = 0.0
        self._served_s = 0.0
        self._served = 0

    def add(self, series: Series, stable: _Span, panic: _Span, *, speaks: bool) -> None:
        """Add a worker's means, and what it has now."""
        last = series.last
        if speaks:
            self.in_flight += last.in_flight
            self.queued += last.queued
        known_s, start = stable
        if known_s <= 0:
            # One report is no window yet: what it has now is the best estimate of its mean.
            now = last.in_flight + last.queued
            self.stable += now
            self.panic += now
            self.stable_waiting += last.queued
            self.panic_waiting += last.queued
            return
        load_s, waiting_s, starts = series.since(start)
        if not load_s and not starts:
            return  # what waits is in the load, and the short window is in the long one
        self.stable += load_s / known_s
        self.stable_waiting += waiting_s / known_s
        self.stable_starts += starts / known_s
        known_s, start = panic
        load_s, waiting_s, starts = series.since(start)
        self.panic += load_s / known_s
        self.panic_waiting += waiting_s / known_s
        self.panic_starts += starts / known_s

    def serve(self, series: Series) -> None:
        """Add how long a worker's requests took in a replica so far."""
        last = series.last
        self._served_s += last.load_seconds - last.queued_seconds
        # All that ever reached a replica.
        self._served += last.started - last.queued - last.refused

    def belief_s(self) -> float:
        """For how long a waiting request counts as demand."""
        return max(MIN_BELIEF_S, self._served_s / self._served if self._served else 0.0)


def _demand(load: float, waiting: float, starts: float, belief_s: float) -> float:
    # Mean load with at most `belief_s` of waiting per request started (Little's law).
    return load - waiting + min(waiting, starts * belief_s)
