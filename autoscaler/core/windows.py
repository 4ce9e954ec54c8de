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

from bisect import bisect_right
from collections.abc import Container, Iterable
from dataclasses import dataclass
from operator import itemgetter

from controlplane.model.reports import LoadReport, ProtonLoad

MIN_BELIEF_S = 1.0
"""A waiting request counts as demand for at least this long, however quick its service is."""

_NO_LOAD = ProtonLoad(workload_id="")

_Totals = tuple[float, float, float]
"""Integral of load, integral of queued, requests started: all since the worker's start."""

_Span = tuple[float, float]
"""How long a window is as far as it is known, and where it begins on the worker's clock."""

_CLOCK = itemgetter(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadView:
    """One proton's load over all workers, at one moment.

    Waiting is there twice: in full (`mean_*`), and believed (`demand_*`), where a request counts
    for at most `belief_s` of its waiting. `policy` says why.
    """

    in_flight: int = 0
    queued: int = 0
    mean_stable: float = 0.0
    """Mean of (queued + in flight) over the stable window, or over what is known of it."""
    mean_panic: float = 0.0
    """The same over the panic window."""
    demand_stable: float = 0.0
    demand_panic: float = 0.0
    demand_now: float = 0.0
    """In flight, and of the queued those that came within the last `belief_s`."""
    belief_s: float = MIN_BELIEF_S
    """The mean time in a replica as far as it is known, and at least `MIN_BELIEF_S`."""
    idle_s: float = 0.0
    """For how long there has provably been no load; 0 while there is some."""
    coverage_ratio: float = 1.0
    """Share of the known workers that spoke lately, times the share of the stable window that
    has been watched. Below 1 nothing may shrink."""
    workers: int = 1
    """Workers that spoke lately."""
    silent: int = 0
    """Workers that fell silent without a goodbye and are not presumed dead yet."""

    @property
    def load(self) -> int:
        """Queued and in flight now."""
        return self.in_flight + self.queued


class _Series:
    """One proton's counters in one worker, over time, oldest first."""

    __slots__ = ("_base", "_raw", "last", "samples")

    def __init__(self, clock_s: float, totals: _Totals) -> None:
        self.samples: list[tuple[float, float, float, float]] = [(clock_s, *totals)]
        self.last = _NO_LOAD
        self._raw = totals
        self._base = (0.0, 0.0, 0.0)

    def add(self, clock_s: float, load: ProtonLoad, *, keep_from_s: float) -> bool:
        """Take a newer report's numbers; returns whether there was any load since the last."""
        raw = (load.load_seconds, load.queued_seconds, load.started)
        samples = self.samples
        newest = samples[-1]
        if raw[0] < self._raw[0] or raw[2] < self._raw[2]:
            # The worker began to count this proton anew: go on from where it was.
            self._base = newest[1:]
        self._raw = raw
        base = self._base
        sample = (clock_s, base[0] + raw[0], base[1] + raw[1], base[2] + raw[2])
        moved = sample[1:] != newest[1:]
        if not moved and len(samples) > 1 and samples[-2][1:] == newest[1:]:
            samples[-1] = sample  # a quiet stretch needs its two ends only
        else:
            samples.append(sample)
        while samples[1][0] <= keep_from_s:
            del samples[0]
        self.last = load
        return moved or load.in_flight + load.queued > 0

    @property
    def quiet(self) -> bool:
        """Whether there was no load in all the time that the samples cover, and is none now."""
        samples = self.samples
        last = self.last
        return samples[0][1:] == samples[-1][1:] and not last.in_flight and not last.queued

    def since(self, clock_s: float) -> _Totals:
        """What was added after a moment of the worker's clock."""
        a, b = self._at(clock_s), self.samples[-1]
        return b[1] - a[0], b[2] - a[1], b[3] - a[2]

    def _at(self, clock_s: float) -> _Totals:
        # Even between two reports, flat before the first and after the last.
        samples = self.samples
        if clock_s <= samples[0][0]:
            return samples[0][1:]
        index = bisect_right(samples, clock_s, key=_CLOCK)
        if index == len(samples):
            return samples[-1][1:]
        before, after = samples[index - 1], samples[index]
        share = (clock_s - before[0]) / (after[0] - before[0])
        return (
            before[1] + share * (after[1] - before[1]),
            before[2] + share * (after[2] - before[2]),
            before[3] + share * (after[3] - before[3]),
        )


class _Worker:
    """What is known about one worker instance."""

    __slots__ = ("arrived_s", "first_clock_s", "from_start", "left", "report", "series", "silent_s")

    def __init__(self, report: LoadReport, *, now_s: float, from_start: bool) -> None:
        self.report = report
        self.first_clock_s = report.clock_s
        self.from_start = from_start
        """It was there when we began: what it did before is unknown, not zero."""
        self.arrived_s = now_s
        self.silent_s: float | None = None
        """Since when it is missing although the store answers."""
        self.left = False
        """It said goodbye."""
        self.series: dict[str, _Series] = {}
        for proton_id, load in report.protons.items():
            totals = (load.load_seconds, load.queued_seconds, float(load.started))
            series = self.series[proton_id] = _Series(report.clock_s, totals)
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
        return known_s, end_s + behind_s - known_s

    def take(self, report: LoadReport, *, now_s: float, keep_s: float) -> list[str]:
        """Take a newer report; returns the protons that had any load since the last."""
        active = []
        keep_from_s = report.clock_s - keep_s
        for proton_id, load in report.protons.items():
            series = self.series.get(proton_id)
            if series is None:
                # It was not in the worker's last report: its counters were zero then.
                series = _Series(self.report.clock_s, (0.0, 0.0, 0.0))
                self.series[proton_id] = series
            if series.add(report.clock_s, load, keep_from_s=keep_from_s):
                active.append(proton_id)
        if len(self.series) > len(report.protons):
            for proton_id in self.series.keys() - report.protons.keys():
                self.series[proton_id].last = _NO_LOAD
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

    def observe(self, reports: Iterable[LoadReport], *, now_s: float) -> None:
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

    def view(self, proton_id: str, *, now_s: float) -> LoadView | None:
        """One proton's load now; None when no worker spoke lately: nothing is known."""
        moment = self._at(now_s)
        if self._since_s is None or not moment.speaking:
            return None
        watched_s = now_s - self._since_s
        sums = _Sums()
        for worker, speaks, stable, panic in moment.workers:
            series = worker.series.get(proton_id)
            if series is None:
                continue
            if speaks:
                sums.add_present(series)
            if not series.quiet:
                sums.add_window(0, series, stable)
                sums.add_window(1, series, panic)
        coverage = len(moment.speaking) / (len(moment.speaking) + moment.silent)
        belief_s = sums.belief_s()
        recent = 0.0
        if sums.queued:
            for worker in moment.speaking:
                series = worker.series.get(proton_id)
                if series is not None:
                    recent += _starts_since(series, worker.report.clock_s - belief_s)
        load = sums.in_flight + sums.queued
        since_s = max(self._since_s, self._active_s.get(proton_id, self._since_s))
        return LoadView(
            in_flight=sums.in_flight,
            queued=sums.queued,
            mean_stable=sums.load[0],
            mean_panic=sums.load[1],
            demand_stable=sums.demand(0, belief_s),
            demand_panic=sums.demand(1, belief_s),
            demand_now=sums.in_flight + min(float(sums.queued), recent),
            belief_s=belief_s,
            idle_s=0.0 if load else now_s - since_s,
            coverage_ratio=coverage * min(1.0, watched_s / self._stable_s),
            workers=len(moment.speaking),
            silent=moment.silent,
        )

    def _take(self, report: LoadReport, now_s: float, *, from_start: bool) -> None:
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
                elif not worker.left:
                    self._moment.silent += 1
        return self._moment


class _Moment:
    """The workers at one moment, and how much of both windows each of them tells."""

    __slots__ = ("now_s", "silent", "speaking", "workers")

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.workers: list[tuple[_Worker, bool, _Span, _Span]] = []
        self.speaking: list[_Worker] = []
        self.silent = 0


class _Sums:
    """Adds up workers for one view: index 0 is the stable window, 1 the panic window."""

    __slots__ = ("_served", "_served_s", "in_flight", "load", "queued", "starts", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0
        self.queued = 0
        self.load = [0.0, 0.0]
        self.waiting = [0.0, 0.0]
        self.starts = [0.0, 0.0]
        """Requests started per second."""
        self._served_s = 0.0
        self._served = 0

    def add_present(self, series: _Series) -> None:
        """Count what a worker has now, and how long its requests took so far."""
        last = series.last
        self.in_flight += last.in_flight
        self.queued += last.queued
        self._served_s += last.load_seconds - last.queued_seconds
        refused = last.finished.get("refused", 0)
        self._served += sum(last.finished.values()) - refused + last.in_flight

    def add_window(self, index: int, series: _Series, span: _Span) -> None:
        """Add a worker's means over one window."""
        known_s, start_s = span
        if known_s <= 0:
            # One report is no window yet: what it has now is the best estimate of its mean.
            self.load[index] += series.last.in_flight + series.last.queued
            self.waiting[index] += series.last.queued
            return
        load_s, waiting_s, starts = series.since(start_s)
        self.load[index] += load_s / known_s
        self.waiting[index] += waiting_s / known_s
        self.starts[index] += starts / known_s

    def demand(self, index: int, belief_s: float) -> float:
        """Mean load with at most `belief_s` of waiting per request started (Little's law)."""
        waiting = self.waiting[index]
        return self.load[index] - waiting + min(waiting, self.starts[index] * belief_s)

    def belief_s(self) -> float:
        """For how long a waiting request counts as demand."""
        return max(MIN_BELIEF_S, self._served_s / self._served if self._served else 0.0)


def _starts_since(series: _Series, clock_s: float) -> float:
    """Requests started after a moment; all there ever were when the series is younger."""
    first = series.samples[0]
    if first[0] > clock_s:
        return series.samples[-1][3]
    return series.since(clock_s)[2]
