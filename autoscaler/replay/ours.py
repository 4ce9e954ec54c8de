"""Tidegate's own autoscaler in a simulation: the very code that runs live.

Reports of the simulated gateway workers go through `core.windows` and `core.observation` into
`core.plan.decide`, at the live loop's moments: every tick, at once when requests wait, and when
replicas change. What differs from live is stated here:

* Reports: live, a tick sees numbers that are up to `gateway.report_interval_s` old, unless somebody
  waits: wake-ups bring their own. Here they are always of the moment.
* The hourly count is exact but for the ticks at the ends of minutes.
* CPU is modelled: a replica that works on `concurrency` requests uses 100 % of its CPU.
* Of the replicas that may leave, those that have not run for `min_run_time_s` are not spared
  before others; as many as there are stay.
"""

import math
from typing import Final

from autoscaler.core.forecast import Expected
from autoscaler.core.observation import (
    DecisionState,
    Observation,
    panic_window_s,
    scaling_of,
)
from autoscaler.core.plan import decide
from autoscaler.core.policy import CPU, PER_HOUR, hourly_rate
from autoscaler.core.schedules import Scheduled, lead_of
from autoscaler.core.steps import LoadView
from autoscaler.core.windows import LoadWindows
from autoscaler.replay.foresight import Foresight
from autoscaler.replay.scaler import Seen, WorkerCounts
from autoscaler.schedules import Calendar
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.decisions import Decision
from controlplane.model.reports import ProtonNumbers, WorkerNumbers
from controlplane.model.sections import Settings
from controlplane.model.workloads import Autoscaling, GroupRuntime, Proton, Runtime

PROTON: Final = "000000000000000000000001"
_WORKLOAD: Final = "000000000000000000000002"
ACT: Final = "act"
"""A forecast that counts; another only says what it would do."""
_WAKE_PAUSE_S: Final = 0.05
"""As `gateway.net.reports` has it."""
_CPU_EVERY_S: Final = 1.0
"""How often a replica's CPU is measured."""
_KEPT_MINUTES: Final = 61
_MINUTE_S: Final = 60.0


class Tidegate:
    """Our own scaler, with one policy."""

    name: str = "tidegate"
    wake_pause_s: float | None = _WAKE_PAUSE_S
    hears_replicas: bool = True
    needs_ages: bool = False

    def __init__(
        self,
        autoscaling: Autoscaling,
        settings: Settings | None = None,
        *,
        began_at: float = 0.0,
        concurrency: int | None = None,
        keep_decisions: int = 0,
    ) -> None:
        """Prepare one run.

        Args:
            autoscaling: The workload's policies and bounds.
            settings: The platform's.
            began_at: Wall clock of second 0, for hours and schedules.
            concurrency: Of a replica, for the CPU policy.
            keep_decisions: Changed decisions to keep in `decisions`, at most.
        """
        settings = settings or Settings()
        self._settings = settings.autoscaler
        self._scaling = scaling_of(_proton(autoscaling, began_at), self._settings)
        self._panic_s = panic_window_s(self._scaling.settings)
        self.needs_ages = self._scaling.settings.min_run_time_s > 0
        self._calendar = Calendar()
        self._foresight = Foresight() if self._scaling.forecast == ACT else None
        self._began_at = began_at
        self._concurrency = concurrency
        self._state: DecisionState | None = None
        self._windows = LoadWindows(
            stable_s=self._settings.stable_window_s,
            panic_s=panic_window_s(self._settings),
            max_age_s=self._settings.report_max_age_s,
        )
        metrics = {policy.metric for policy in self._scaling.policies}
        self._counts_hours = PER_HOUR in metrics
        self._counts_cpu = CPU in metrics
        self._names: list[str] = []
        """Of the gateway workers."""
        self._minutes: dict[int, int] = {}
        self._started = 0
        self._quiet = False
        """No load now, and none in the stable window."""
        self._cpu = (0.0, 0.0, 0.0)
        """When CPU was measured last, and the integrals then: working, ready."""
        self._cpu_percent: float | None = None
        self.next_s = 0.0
        self._keep = keep_decisions
        self.decisions: list[Decision] = []
        """Those that changed the count, oldest first."""

    def look(self, seen: Seen) -> int:
        """Take a report, and decide."""
        now_s = seen.now_s
        tick_s = self._settings.tick_s
        if self.next_s == math.inf:
            # The first request after a rest: what it does is seen by the next tick.
            self.next_s = (math.floor(now_s / tick_s) + 1) * tick_s
            return seen.wanted
        names = self._names
        while len(names) < len(seen.workers):
            names.append(f"worker-{len(names)}")
        reports = [_report(one, name) for one, name in zip(seen.workers, names, strict=True)]
        self._windows.observe(reports, now_s=now_s)
        decision = self._decide(seen)
        if now_s >= self.next_s:
            self.next_s = math.inf if self._rests(decision) else now_s + tick_s
        return decision.replicas

    def _decide(self, seen: Seen) -> Decision:
        now_s = seen.now_s
        at = self._began_at + now_s
        if seen.woken:
            self._windows.touch(PROTON, now_s=now_s)
        load = self._windows.view(PROTON, now_s=now_s, panic_s=self._panic_s)
        observation = Observation(
            at=at,
            ready=seen.ready,
            pending=seen.starting,
            young=self._young(seen) if self.needs_ages else 0,
            scheduled=self._scheduled(seen, at) if self._scaling.schedules else None,
            expected=self._expected(seen, load, at) if self._foresight is not None else None,
            load=load,
            per_hour=self._per_hour(seen, at) if self._counts_hours else None,
            cpu_percent=self._cpu_percents(seen) if self._counts_cpu else (),
            woken=seen.woken,
        )
        before = self._state
        decision, self._state = decide(observation, self._scaling, before, now_s=now_s, told=False)
        if decision.replicas != decision.previous_replicas and len(self.decisions) < self._keep:
            whole, _ = decide(observation, self._scaling, before, now_s=now_s)
            self.decisions.append(whole)
        self._quiet = load is not None and not load.in_flight + load.queued and not load.mean_stable
        return decision

    def _rests(self, decision: Decision) -> bool:
        """Whether every further decision is the same until a request comes.

        Without load nothing rises, and at its floor nothing falls.
        """
        least = self._scaling.min_replicas
        return (
            not self._scaling.schedules
            and self._foresight is None
            and self._quiet
            and decision.replicas == decision.previous_replicas == least
        )

    def _young(self, seen: Seen) -> int:
        least_s = self._scaling.settings.min_run_time_s
        return sum(seen.now_s - since_s < least_s for since_s in seen.since_s)

    def _expected(self, seen: Seen, load: LoadView | None, at: float) -> Expected | None:
        assert self._foresight is not None  # noqa: S101 - the caller looks
        return self._foresight.expected(
            self._scaling,
            load,
            load_seconds=seen.load_seconds,
            start_ups_s=seen.start_ups_s,
            at=at,
            now_s=seen.now_s,
        )

    def _scheduled(self, seen: Seen, at: float) -> Scheduled:
        scaling = self._scaling
        return self._calendar.scheduled(
            PROTON,
            scaling.schedules,
            low=scaling.min_replicas,
            high=scaling.max_replicas,
            at=at,
            lead_s=lead_of(seen.start_ups_s, guess_s=scaling.settings.schedule_lead_s),
        )

    def _per_hour(self, seen: Seen, at: float) -> float:
        minute = int(at // _MINUTE_S)
        minutes = self._minutes
        minutes[minute] = minutes.get(minute, 0) + seen.started - self._started
        self._started = seen.started
        for old in [m for m in minutes if m <= minute - _KEPT_MINUTES]:
            del minutes[old]
        return hourly_rate(minutes, at=at, created_at=self._began_at)

    def _cpu_percents(self, seen: Seen) -> tuple[float | None, ...]:
        at_s, working, ready = self._cpu
        if seen.now_s - at_s >= _CPU_EVERY_S:
            ready_s = seen.ready_seconds - ready
            if ready_s and self._concurrency:
                share = (seen.working_seconds - working) / (ready_s * self._concurrency)
                self._cpu_percent = 100.0 * share
            self._cpu = (seen.now_s, seen.working_seconds, seen.ready_seconds)
        return (self._cpu_percent,) * seen.ready


def _report(counts: WorkerCounts, name: str) -> WorkerNumbers:
    load = ProtonNumbers(
        counts.started,
        counts.in_flight,
        counts.queued,
        counts.load_seconds,
        counts.queued_seconds,
        counts.refused,
    )
    return WorkerNumbers(
        worker_id=name,
        clock_s=counts.clock_s,
        revision=1,
        protons={PROTON: load} if counts.started else {},
    )


def _proton(autoscaling: Autoscaling, began_at: float) -> Proton:
    return Proton(
        id=PROTON,
        workload_id=_WORKLOAD,
        artifact_id=_WORKLOAD,
        spec=ArtifactSpec(),
        runtime=Runtime(container_groups=(GroupRuntime(autoscaling=autoscaling),)),
        creator_id=_WORKLOAD,
        created_at=began_at,
        updated_at=began_at,
    )
