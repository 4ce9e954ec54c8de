"""How many replicas one proton should have now, and why. Nothing here acts.

    proton is               count                                          reason
    ----------------------  ---------------------------------------------  --------------------
    stopped                 0                                              stopped
    given up on             what still serves                              errored
    not autoscaled          replicaCount                                   fixed
    at 0, requests wait     max(activation scale, ceil(demand now /        wake_up
                            target)), at once
    at 0, nothing waits     0                                              idle
    idle for the cooldown   0                                              idle
    without any data        as it was                                      no_data
    everything else         highest wish -> quality -> damping -> zero     on_target, panic, ...

then young replicas stay (min_run_time), and last the bounds, the group's own or a schedule's
(at_min, scheduled, at_max). The highest wish of all policies wins. A policy without data has no
opinion, and while one has none, or the numbers are not good enough (low_quality), the count may
rise but not fall: silence is not idleness.
"""

from collections.abc import Sequence
from typing import Final

from autoscaler.core.damping import activated, damp, woken
from autoscaler.core.explain import next_change
from autoscaler.core.idle import idleness
from autoscaler.core.notes import Note, said
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.policy import (
    CPU,
    LOAD_METRICS,
    PER_HOUR,
    Wish,
    ceil_ratio,
    cpu_wish,
    hourly_wish,
    load_wish,
)
from autoscaler.core.quality import doubt
from autoscaler.core.replica_waits import in_numbers
from autoscaler.core.scraped import scraped_wish
from autoscaler.core.steps import DampingState, Idleness, Zero
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.workloads import ScalingPolicy

_KEEP: Final = Zero.KEEP
_ON_TARGET: Final = Reason.ON_TARGET
# Python 3.11 looks an enum's members up through a descriptor: 120 ns each time.


def decide(
    observation: Observation,
    scaling: Scaling,
    state: DecisionState | None,
    *,
    now_s: float,
    told: bool = True,
) -> tuple[Decision, DecisionState]:
    """Decide on one proton's count.

    Args:
        observation: What was seen.
        scaling: What was asked for.
        state: What the last decision left; None for the first: the replicas that are there
            count as wanted until there is a reason to think otherwise.
        now_s: Monotonic clock.
        told: With steps, inputs and what would change it. Without, it costs a third: for whoever
            only acts. The same arguments told are about the same decision: nothing here depends
            on anything else.

    Returns:
        The decision, without an id (whoever keeps it gives it one), and the state for the next.
    """
    if state is None:
        wanted = observation.ready + observation.pending
        damping = DampingState(wishes=((now_s, wanted),))
        state = DecisionState(wanted=wanted, damping=damping)
    if observation.scheduled is not None:
        scaling = scaling.within(observation.scheduled)
    if scaling.stopped:
        count, reason, note = 0, Reason.STOPPED, "its owner stopped it"
    elif observation.given_up is not None:
        count, reason = min(observation.ready, scaling.max_replicas), Reason.ERRORED
        note = observation.given_up
    elif scaling.fixed is not None:
        count, reason, note = scaling.fixed, Reason.FIXED, "replicaCount"
    else:
        return _Autoscaled(observation, scaling, state, now_s, told=told).decide()
    steps = [Step(name=reason.value, value=count, note=note)] if told else []
    decision = _decision(observation, scaling, state, (count, reason), steps)
    return decision, DecisionState(wanted=count)


def wish_of(
    policy: ScalingPolicy, observation: Observation, scaling: Scaling, *, current: int
) -> Wish:
    """One policy's wish."""
    tolerance = scaling.settings.tolerance_ratio
    if policy.metric in LOAD_METRICS:
        return load_wish(
            policy.metric, policy.target, observation.load, current=current, tolerance=tolerance
        )
    if policy.metric == PER_HOUR:
        return hourly_wish(
            policy.target, observation.per_hour, current=current, tolerance=tolerance
        )
    if policy.metric == CPU:
        return cpu_wish(
            policy.target,
            observation.cpu_percent,
            pending=observation.coming,
            current=current,
            tolerance=scaling.settings.cpu_tolerance_ratio,
        )
    return scraped_wish(
        policy.metric,
        policy.target,
        observation.scraped.get(policy.metric, ()),
        pending=observation.coming,
        current=current,
        tolerance=scaling.settings.cpu_tolerance_ratio,
        trouble=observation.scrape_trouble,
    )


class _Autoscaled:
    """One decision by policies, step by step; each step adds to the record."""

    __slots__ = (
        *("_current", "_damping", "_doubt", "_floor", "_foreseen", "_hold_s", "_now_s"),
        *("_scaling", "_seen", "_state", "_steps", "_told", "_wishes", "_zero"),
    )

    def __init__(
        self,
        observation: Observation,
        scaling: Scaling,
        state: DecisionState,
        now_s: float,
        *,
        told: bool,
    ) -> None:
        self._seen = observation
        self._scaling = scaling
        self._state = state
        self._current = state.wanted
        self._damping = state.damping
        self._now_s = now_s
        self._told = told
        self._steps: list[Step] = []
        self._hold_s = 0.0
        self._wishes = [
            wish_of(policy, observation, scaling, current=state.wanted)
            for policy in scaling.policies
        ]
        floor = scaling.min_replicas
        if scaling.least:
            floor = max(floor, scaling.least_at(observation.at))
        for wish in self._wishes:
            floor = max(floor, wish.floor)
        self._foreseen = 0
        if observation.expected is not None and observation.expected.replicas > floor:
            floor = self._foreseen = observation.expected.replicas
        self._floor = min(floor, scaling.max_replicas)
        self._doubt: Note | None = None
        if observation.load is not None:
            self._doubt = doubt(
                observation.load,
                running=observation.running,
                ready=observation.ready,
                settings=scaling.settings,
            )
        self._zero = idleness(
            allowed=self._floor == 0,
            current=state.wanted,
            load=observation.load,
            woken=observation.woken,
            cooldown_s=scaling.cooldown_s,
            doubtful=self._doubt is not None,
        )

    def decide(self) -> tuple[Decision, DecisionState]:
        """Run the steps."""
        if self._told:
            for wish in self._wishes:
                value = self._current if wish.stable is None else wish.stable
                self._step(f"policy:{wish.metric}", value, wish.note)
            if self._seen.expected is not None:
                self._step("forecast", self._seen.expected.replicas, self._seen.expected.note)
        zero = self._zero.zero
        if zero is _KEEP:  # most of those that run
            count, reason = self._sized()
        elif zero is Zero.WAKE:
            count, reason = self._wake()
        elif zero is Zero.GO:
            count, reason = 0, Reason.IDLE
            self._damping = DampingState()
            note = ("no load for the cooldown of %g s", self._scaling.cooldown_s)
            self._step("zero", 0, note)
        elif zero is Zero.STAY and self._floor == 0:
            known = self._seen.load is not None
            count, reason = 0, Reason.IDLE if known else Reason.NO_DATA
            self._step("zero", 0, "nothing waits" if known else "no gateway worker has reported")
        else:
            count, reason = self._sized()
        count, reason = self._bounded(*self._kept_running(count, reason))
        decision = _decision(
            self._seen,
            self._scaling,
            self._state,
            (count, reason),
            self._steps,
            following=self._next(count),
        )
        return decision, DecisionState(wanted=count, damping=self._damping)

    def _next(self, count: int) -> str:
        if not self._told:
            return ""
        return next_change(
            self._scaling,
            self._seen,
            replicas=count,
            floor=self._floor,
            idleness=self._idleness_at(count),
            hold_s=self._hold_s,
        )

    def _wake(self) -> tuple[int, Reason]:
        load = self._seen.load
        demand = load.demand_now if load is not None else 0.0
        wishes = [ceil_ratio(demand, target) for target in self._scaling.load_targets()]
        count = max(1, self._scaling.settings.activation_scale, *wishes)
        waiting = "a gateway asked" if load is None or not load.load else f"{load.load} waiting"
        self._damping = woken(
            min(count, self._scaling.max_replicas),
            settings=self._scaling.settings,
            now_s=self._now_s,
        )
        self._step("wake", count, ("%s, nothing runs", waiting))
        return count, Reason.WAKE_UP

    def _sized(self) -> tuple[int, Reason]:
        known, wish, panic = 0, 0, None
        for one in self._wishes:
            if one.stable is not None:
                known += 1
                wish = max(wish, one.stable)
            if one.panic is not None:
                panic = one.panic if panic is None else max(panic, one.panic)
        if not known:
            self._step("coverage", self._current, "no data: silence is not idleness")
            return self._current, Reason.NO_DATA
        wish = activated(wish, self._scaling.settings)
        gap = self._gap(known) if wish < self._current else None
        if gap is not None:
            self._step("quality", self._current, ("%d wanted, but %s", wish, said(gap[1])))
            wish = self._current
        load = self._seen.load
        damped, self._damping = damp(
            stable=wish,
            panic=panic,
            ready=self._seen.ready,
            current=self._current,
            waiting=load is not None and load.queued > 0,
            settings=self._scaling.settings,
            state=self._damping,
            now_s=self._now_s,
        )
        self._hold_s = damped.hold_s
        self._step("damping", damped.replicas, damped.note)
        reason = damped.reason
        if gap is not None and reason is _ON_TARGET:
            reason = gap[0]
        return self._kept_from_zero(damped.replicas, reason)

    def _gap(self, known: int) -> tuple[Reason, Note] | None:
        """Why the count may not fall."""
        if known < len(self._wishes):
            return Reason.NO_DATA, "a policy has no data"
        if self._doubt is not None and self._scaling.load_targets():
            return Reason.LOW_QUALITY, self._doubt
        return None

    def _kept_from_zero(self, count: int, reason: Reason) -> tuple[int, Reason]:
        load = self._seen.load
        if count > 1 or load is None or self._zero.zero is not _KEEP:
            return count, reason
        if load.load == 0 and not self._seen.woken and self._zero.remaining_s is not None:
            self._step("zero", 1, ("the cooldown of %g s runs", self._scaling.cooldown_s))
            return 1, Reason.COOLDOWN
        return 1, reason

    def _kept_running(self, count: int, reason: Reason) -> tuple[int, Reason]:
        young = min(self._seen.young, self._current)
        if count >= young:
            return count, reason
        note = ("%d have not run for %g s", young, self._scaling.settings.min_run_time_s)
        self._step("run_time", young, note)
        return young, Reason.MIN_RUN_TIME

    def _bounded(self, count: int, reason: Reason) -> tuple[int, Reason]:
        low, high = self._floor, self._scaling.max_replicas
        bounded = max(low, min(count, high))
        scheduled = self._seen.scheduled
        held_by = scheduled.by if scheduled is not None else ""
        if self._told:
            by = f", by {held_by}" if held_by else ""
            self._step("bounds", bounded, ("between %d and %d%s", low, high, by))
        if bounded < count:
            return bounded, Reason.AT_MAX
        if bounded == count:
            return bounded, reason
        if self._foreseen:
            return bounded, Reason.FORECAST
        by_schedule = held_by and low == self._scaling.min_replicas
        return bounded, Reason.SCHEDULED if by_schedule else Reason.AT_MIN

    def _idleness_at(self, count: int) -> Idleness:
        """What stands about zero once the decision is carried out."""
        if count == 0:
            return Idleness(zero=Zero.STAY)
        if self._zero.zero is Zero.WAKE and self._floor == 0:
            return Idleness(zero=Zero.KEEP, remaining_s=self._scaling.cooldown_s)
        return self._zero

    def _step(self, name: str, value: int, note: Note) -> None:
        if self._told:
            self._steps.append(Step(name=name, value=value, note=said(note)))


def _decision(
    observation: Observation,
    scaling: Scaling,
    state: DecisionState,
    verdict: tuple[int, Reason],
    steps: Sequence[Step],
    *,
    following: str = "",
) -> Decision:
    return Decision(
        id="",
        at=observation.at,
        workload_id=scaling.workload_id,
        proton_id=scaling.proton_id,
        replicas=verdict[0],
        previous_replicas=state.wanted,
        reason=verdict[1],
        steps=tuple(steps),
        inputs=_inputs(observation) if steps else {},
        next=following,
    )


def _inputs(seen: Observation) -> dict[str, float | None]:
    load = seen.load
    known = [p for p in seen.cpu_percent if p is not None]
    return {
        "ready": seen.ready,
        "pending": seen.pending,
        "load": load.load if load else None,
        "queued": load.queued if load else None,
        "in_flight": load.in_flight if load else None,
        "mean_stable": round(load.mean_stable, 4) if load else None,
        "mean_panic": round(load.mean_panic, 4) if load else None,
        "demand": round(load.demand_now, 4) if load else None,
        "idle_s": round(load.idle_s, 1) if load else None,
        "coverage_ratio": round(load.coverage_ratio, 4) if load else 0.0,
        "report_age_s": round(load.age_s, 2) if load else None,
        "running": seen.running,
        "hourly": seen.per_hour,
        "cpu_percent": _mean(known),
        **in_numbers(seen.waits),
        **(
            {"streams": seen.streams.open, "active_streams": seen.streams.active}
            if seen.streams.open
            else {}
        ),
        **{m: _mean([v for v in values if v is not None]) for m, values in seen.scraped.items()},
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
