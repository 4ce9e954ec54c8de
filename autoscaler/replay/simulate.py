"""The engine: one trace, one scaler, one run through gateways and replicas, event by event.

Between two events nothing happens, so nothing is computed: a quiet night costs what its ticks cost.
Equal arguments give equal outcomes, whatever the machine.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop
from typing import Any, Final

from autoscaler.replay.outcome import Outcome, Row, Timeline
from autoscaler.replay.queueing import Fleet
from autoscaler.replay.scaler import Scaler, Seen
from autoscaler.replay.simulated import DRAINED, EXPIRE, FINISH, READY, WAKE, SimulatedWorker
from autoscaler.replay.world import World

WAKE_LAG_S: Final = 0.005
"""From a request that begins to wait until the scaler that hears of it looks: a report and a
wake-up through the store, as the one-machine system takes."""

LOOKS_APART_S: Final = 0.01
"""Least time between two looks because somebody waits."""

FLAP_WINDOW_S: Final = 60.0
"""A change of direction within this is a flap."""

PROGRESS_EVERY_S: Final = 60.0
"""Simulated time between two calls of `on_progress`, at least."""


def run(
    arrivals: Iterable[tuple[float, float]],
    world: World,
    scaler: Scaler,
    *,
    seed: int = 1,
    duration_s: float | None = None,
    tail_s: float = 0.0,
    step_s: float = 1.0,
    on_progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Run a trace.

    Args:
        arrivals: Moment (seconds from 0, in order) and service time of every request; may be a
            stream. `traces.with_service` makes it.
        world: Gateways and replicas.
        scaler: Unused so far.
        seed: Of balancing and start-up times.
        duration_s: The trace's length; None: until the last arrival.
        tail_s: Simulate this much longer. In any case until everybody has an answer.
        step_s: Of the timeline, as long as it has few rows.
        on_progress: Told the simulated time now and then.
    """
    outcome = Outcome(scaler=scaler.name, timeline=Timeline(step_s=step_s))
    return _Run(world, scaler, outcome, seed=seed, on_progress=on_progress).run(
        iter(arrivals), duration_s=duration_s, tail_s=tail_s
    )


class _Run:
    """The state of one run."""

    def __init__(
        self,
        world: World,
        scaler: Scaler,
        outcome: Outcome,
        *,
        seed: int,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self._scaler = scaler
        self._outcome = outcome
        self._fleet = Fleet(world, self._outcome, seed=seed, on_wait=self._waits)
        self._wanted = world.initial
        self._pause_s = scaler.wake_pause_s
        self._needs_ages = bool(getattr(scaler, "needs_ages", False))
        self._look_again_s = 0.0
        """When the next look because of waiting may come."""
        self._wake_due = False
        self._direction = 0
        self._turned_s = -math.inf
        self._row_end_s = self._fleet.row.length_s
        self._loaded_s = 0.0
        self._on_progress = on_progress
        self._told_s = 0.0

    def run(
        self, arrivals: Iterator[tuple[float, float]], *, duration_s: float | None, tail_s: float
    ) -> Outcome:
        fleet, scaler, outcome = self._fleet, self._scaler, self._outcome
        events = fleet.events
        end_s = (duration_s or 0.0) + tail_s
        arrival_s, service_s = next(arrivals, (math.inf, 0.0))
        self._begin_row(0.0)
        now_s = 0.0
        while True:
            event_s = events[0][0] if events else math.inf
            now_s = min(event_s, arrival_s, scaler.next_s)
            if arrival_s == math.inf and now_s > end_s and self._is_over():
                break
            if now_s >= self._row_end_s:
                self._close_rows(now_s)
            if event_s <= now_s:
                _, _, kind, subject, detail = heappop(events)
                if kind == FINISH:
                    fleet.finish(now_s, subject, detail)
                else:
                    self._happen(now_s, kind, subject, detail)
                if fleet.replicas_changed:
                    self._note_replicas(now_s)
            elif arrival_s <= now_s:
                outcome.requests += 1
                fleet.arrive(now_s, service_s)
                if scaler.next_s == math.inf:
                    self._look(now_s, woken=False)
                if duration_s is None:
                    end_s = arrival_s + tail_s
                arrival_s, service_s = next(arrivals, (math.inf, 0.0))
            else:
                self._look(now_s, woken=False)
        return self._finish(end_s)

    def _is_over(self) -> bool:
        return all(w.in_flight == 0 and not w.queue for w in self._fleet.workers)

    def _finish(self, end_s: float) -> Outcome:
        fleet, outcome = self._fleet, self._outcome
        last_s = max(worker.changed_s for worker in fleet.workers)
        end_s = max(end_s, last_s)
        if end_s >= self._row_end_s:
            self._close_rows(end_s)
        fleet.settle(end_s)
        row = fleet.row
        row.length_s = end_s - row.at_s
        if row.length_s > 0 or row.arrivals or row.waits:
            self._close_row()
        outcome.duration_s = end_s
        return outcome

    def _happen(
        self,
        now_s: float,
        kind: int,
        subject: Any,  # noqa: ANN401 - as the kind says
        detail: int,
    ) -> None:
        fleet = self._fleet
        if kind == READY:
            fleet.became_ready(now_s, subject)
        elif kind == DRAINED:
            fleet.drained(now_s, subject, detail)
        elif kind == EXPIRE:
            fleet.expire(now_s, subject)
        elif kind == WAKE:
            self._wake(now_s, subject)

    # -- looks ------------------------------------------------------------------------------------

    def _look(self, now_s: float, *, woken: bool) -> None:
        fleet, outcome = self._fleet, self._outcome
        fleet.advance(now_s)
        counts = [worker.counts(now_s) for worker in fleet.workers]
        load_seconds = queued_seconds = 0.0
        in_flight = queued = started = refused = 0
        for one in counts:
            started += one.started
            refused += one.refused
            in_flight += one.in_flight
            queued += one.queued
            load_seconds += one.load_seconds
            queued_seconds += one.queued_seconds
        outcome.looks += 1
        wanted = self._scaler.look(
            Seen(
                now_s=now_s,
                woken=woken,
                wanted=self._wanted,
                ready=len(fleet.ready),
                starting=len(fleet.starting),
                draining=len(fleet.draining),
                in_flight=in_flight,
                queued=queued,
                started=started,
                refused=refused,
                load_seconds=load_seconds,
                queued_seconds=queued_seconds,
                working_seconds=load_seconds - queued_seconds - fleet.inside_seconds,
                ready_seconds=fleet.ready_seconds,
                workers=counts,
                since_s=self._ages() if self._needs_ages else (),
                start_ups_s=fleet.start_ups_s,
            )
        )
        if wanted != self._wanted:
            self._change(wanted, now_s)
        if self._on_progress is not None and now_s - self._told_s >= PROGRESS_EVERY_S:
            self._told_s = now_s
            self._on_progress(now_s)

    def _ages(self) -> list[float]:
        fleet = self._fleet
        return [replica.since_s for replica in (*fleet.ready, *fleet.starting.values())]

    def _change(self, wanted: int, now_s: float) -> None:
        outcome, row = self._outcome, self._fleet.row
        direction = 1 if wanted > self._wanted else -1
        outcome.changes += 1
        if direction == -self._direction and now_s - self._turned_s <= FLAP_WINDOW_S:
            outcome.flaps += 1
        self._direction, self._turned_s = direction, now_s
        self._wanted = wanted
        self._fleet.scale(wanted, now_s)
        row.wanted = max(row.wanted, wanted)
        self._note_replicas(now_s, hear=False)

    def _note_replicas(self, now_s: float, *, hear: bool = True) -> None:
        fleet = self._fleet
        row = fleet.row
        fleet.replicas_changed = False
        ready = len(fleet.ready)
        row.ready = max(row.ready, ready)
        row.running = max(row.running, ready + len(fleet.starting) + len(fleet.draining))
        if hear and self._scaler.hears_replicas:
            self._look(now_s, woken=False)

    # -- wake-ups ---------------------------------------------------------------------------------

    def _waits(self, worker: SimulatedWorker, now_s: float) -> None:
        if self._pause_s is None:
            return
        if now_s - worker.woke_s >= self._pause_s:
            worker.woke_s = now_s
            self._plan_look(now_s)
        elif not worker.pause_over:
            worker.pause_over = True
            self._fleet.push(worker.woke_s + self._pause_s, WAKE, worker)

    def _plan_look(self, now_s: float) -> None:
        if not self._wake_due:
            self._wake_due = True
            self._fleet.push(max(now_s + WAKE_LAG_S, self._look_again_s), WAKE, None)

    def _wake(self, now_s: float, worker: SimulatedWorker | None) -> None:
        """The scaler hears of waiting requests; or a worker's pause after a wake-up is over."""
        if worker is None:
            self._wake_due = False
            self._look_again_s = now_s + LOOKS_APART_S
            self._look(now_s, woken=True)
            return
        worker.pause_over = False
        if worker.queue:
            worker.woke_s = now_s
            self._plan_look(now_s)

    # -- the timeline -----------------------------------------------------------------------------

    def _close_rows(self, now_s: float) -> None:
        while now_s >= self._row_end_s:
            end_s = self._row_end_s
            self._fleet.advance(end_s)
            self._close_row()
            self._begin_row(end_s)

    def _close_row(self) -> None:
        outcome, row = self._outcome, self._fleet.row
        loaded_s = sum(worker.load_seconds for worker in self._fleet.workers)
        row.load_seconds, self._loaded_s = loaded_s - self._loaded_s, loaded_s
        waits = outcome.waits
        for index, count in row.waits.items():
            waits[index] = waits.get(index, 0) + count
        outcome.timeline.add(row)

    def _begin_row(self, at_s: float) -> None:
        fleet, step_s = self._fleet, self._outcome.timeline.step_s
        ready = len(fleet.ready)
        running = ready + len(fleet.starting) + len(fleet.draining)
        fleet.row = Row(at_s, step_s, wanted=self._wanted, ready=ready, running=running)
        fleet.row.max_queued = sum(len(worker.queue) for worker in fleet.workers)
        self._row_end_s = at_s + step_s
