"""How many replicas one proton should have now, and why. Nothing here acts.

    proton is               count                                          reason
    ----------------------  ---------------------------------------------  --------------------
    stopped                 0                                              stopped
    given up on             what still serves                              errored
    not autoscaled          replicaCount                                   fixed
    at 0, requests wait     max(1, ceil(demand now / target)), at once     wake_up
    at 0, nothing waits     0                                              idle
    idle for the cooldown   0                                              idle
    without any data        as it was                                      no_data
    everything else         highest wish -> coverage -> damping -> zero    on_target, panic, ...

then the bounds (at_min, at_max). The highest wish of all policies wins. A policy without data
has no opinion, and while one has none, or gateway workers are missing, the count may rise but
not fall: silence is not idleness.
"""

from collections.abc import Sequence

from autoscaler.core.damping import DampingState, damp, woken
from autoscaler.core.explain import next_change
from autoscaler.core.idle import Idleness, Zero, idleness
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.policy import (
    CONCURRENCY,
    CPU,
    IN_FLIGHT,
    PER_HOUR,
    Wish,
    ceil_ratio,
    cpu_wish,
    hourly_wish,
    load_wish,
)
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.workloads import ScalingPolicy


def decide(
    observation: Observation,
    scaling: Scaling,
    state: DecisionState | None,
    *,
    now_s: float,
) -> tuple[Decision, DecisionState]:
    """Decide on one proton's count.

    Args:
        observation: What was seen.
        scaling: What was asked for.
        state: What the last decision left; None for the first: the replicas that are there
            count as wanted until there is a reason to think otherwise.
        now_s: Monotonic clock.

    Returns:
        The decision, without an id (whoever keeps it gives it one), and the state for the next.
    """
    if state is None:
        state = DecisionState(wanted=observation.ready + observation.pending)
    if scaling.stopped:
        return _plain(observation, scaling, state, (0, Reason.STOPPED), "its owner stopped it")
    if observation.given_up is not None:
        count = min(observation.ready, scaling.max_replicas)
        return _plain(observation, scaling, state, (count, Reason.ERRORED), observation.given_up)
    if scaling.fixed is not None:
        return _plain(observation, scaling, state, (scaling.fixed, Reason.FIXED), "replicaCount")
    return _Autoscaled(observation, scaling, state, now_s).decide()


def wish_of(
    policy: ScalingPolicy, observation: Observation, scaling: Scaling, *, current: int
) -> Wish:
    """One policy's wish."""
    if policy.metric in {CONCURRENCY, IN_FLIGHT}:
        return load_wish(policy.metric, policy.target, observation.load, current=current)
    if policy.metric == PER_HOUR:
        return hourly_wish(policy.target, observation.per_hour)
    if policy.metric == CPU:
        return cpu_wish(
            policy.target,
            observation.cpu_percent,
            pending=observation.pending,
            current=current,
            tolerance=scaling.settings.cpu_tolerance_ratio,
        )
    return Wish(metric=policy.metric, stable=None, note="nothing here measures this metric")


class _Autoscaled:
    """One decision by policies, step by step; each step adds to the record."""

    def __init__(
        self, observation: Observation, scaling: Scaling, state: DecisionState, now_s: float
    ) -> None:
        self._seen = observation
        self._scaling = scaling
        self._current = state.wanted
        self._damping = state.damping
        self._now_s = now_s
        self._steps: list[Step] = []
        self._hold_s = 0.0
        self._wishes = [
            wish_of(policy, observation, scaling, current=state.wanted)
            for policy in scaling.policies
        ]
        floor = max(scaling.min_replicas, *(wish.floor for wish in self._wishes))
        floor = max(floor, scaling.least_at(observation.at))
        self._floor = min(floor, scaling.max_replicas)
        self._zero = idleness(
            allowed=self._floor == 0,
            current=state.wanted,
            load=observation.load,
            woken=observation.woken,
            cooldown_s=scaling.cooldown_s,
        )

    def decide(self) -> tuple[Decision, DecisionState]:
        """Run the steps."""
        for wish in self._wishes:
            value = self._current if wish.stable is None else wish.stable
            self._step(f"policy:{wish.metric}", value, wish.note)
        if self._zero.zero is Zero.WAKE:
            count, reason = self._wake()
        elif self._zero.zero is Zero.GO:
            count, reason = 0, Reason.IDLE
            self._damping = DampingState()
            self._step("zero", 0, f"no load for the cooldown of {self._scaling.cooldown_s:g} s")
        elif self._zero.zero is Zero.STAY and self._floor == 0:
            known = self._seen.load is not None
            count, reason = 0, Reason.IDLE if known else Reason.NO_DATA
            self._step("zero", 0, "nothing waits" if known else "no gateway worker has reported")
        else:
            count, reason = self._sized()
        count, reason = self._bounded(count, reason)
        decision = Decision(
            id="",
            at=self._seen.at,
            workload_id=self._scaling.workload_id,
            proton_id=self._scaling.proton_id,
            replicas=count,
            previous_replicas=self._current,
            reason=reason,
            steps=tuple(self._steps),
            inputs=_inputs(self._seen),
            next=next_change(
                self._scaling,
                self._seen,
                replicas=count,
                floor=self._floor,
                idleness=self._idleness_at(count),
                hold_s=self._hold_s,
            ),
        )
        return decision, DecisionState(wanted=count, damping=self._damping)

    def _wake(self) -> tuple[int, Reason]:
        load = self._seen.load
        demand = load.demand_now if load is not None else 0.0
        wishes = [ceil_ratio(demand, target) for target in self._scaling.load_targets()]
        count = max(1, *wishes) if wishes else 1
        waiting = "a gateway asked" if load is None or not load.load else f"{load.load} waiting"
        self._damping = woken(
            min(count, self._scaling.max_replicas),
            settings=self._scaling.settings,
            now_s=self._now_s,
        )
        self._step("wake", count, f"{waiting}, nothing runs")
        return count, Reason.WAKE_UP

    def _sized(self) -> tuple[int, Reason]:
        stable = [wish.stable for wish in self._wishes if wish.stable is not None]
        if not stable:
            self._step("coverage", self._current, "no data: silence is not idleness")
            return self._current, Reason.NO_DATA
        wish = max(stable)
        held = wish < self._current and not self._may_shrink(len(stable))
        if held:
            self._step("coverage", self._current, f"{wish} wanted, {self._gap(len(stable))}")
            wish = self._current
        panics = [w.panic for w in self._wishes if w.panic is not None]
        load = self._seen.load
        damped, self._damping = damp(
            stable=wish,
            panic=max(panics, default=None),
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
        if held and reason is Reason.ON_TARGET:
            reason = Reason.NO_DATA
        return self._kept_from_zero(damped.replicas, reason)

    def _may_shrink(self, known: int) -> bool:
        return known == len(self._wishes) and all(wish.may_shrink for wish in self._wishes)

    def _gap(self, known: int) -> str:
        if known < len(self._wishes):
            return "but a policy has no data"
        load = self._seen.load
        if load is not None and load.silent:
            return f"but {load.silent} of {load.workers + load.silent} gateway workers are silent"
        return "but the window is not covered yet"

    def _kept_from_zero(self, count: int, reason: Reason) -> tuple[int, Reason]:
        load = self._seen.load
        if self._zero.zero is not Zero.KEEP or count > 1 or load is None:
            return count, reason
        if load.load == 0 and not self._seen.woken and self._zero.remaining_s is not None:
            self._step("zero", 1, f"the cooldown of {self._scaling.cooldown_s:g} s runs")
            return 1, Reason.COOLDOWN
        return 1, reason

    def _bounded(self, count: int, reason: Reason) -> tuple[int, Reason]:
        low, high = self._floor, self._scaling.max_replicas
        bounded = max(low, min(count, high))
        self._step("bounds", bounded, f"between {low} and {high}")
        if bounded < count:
            return bounded, Reason.AT_MAX
        return bounded, Reason.AT_MIN if bounded > count else reason

    def _idleness_at(self, count: int) -> Idleness:
        """What stands about zero once the decision is carried out."""
        if count == 0:
            return Idleness(zero=Zero.STAY)
        if self._zero.zero is Zero.WAKE and self._floor == 0:
            return Idleness(zero=Zero.KEEP, remaining_s=self._scaling.cooldown_s)
        return self._zero

    def _step(self, name: str, value: int, note: str) -> None:
        self._steps.append(Step(name=name, value=value, note=note))


def _plain(
    observation: Observation,
    scaling: Scaling,
    state: DecisionState,
    verdict: tuple[int, Reason],
    note: str,
) -> tuple[Decision, DecisionState]:
    count, reason = verdict
    decision = Decision(
        id="",
        at=observation.at,
        workload_id=scaling.workload_id,
        proton_id=scaling.proton_id,
        replicas=count,
        previous_replicas=state.wanted,
        reason=reason,
        steps=(Step(name=reason.value, value=count, note=note),),
        inputs=_inputs(observation),
    )
    return decision, DecisionState(wanted=count)


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
        "hourly": seen.per_hour,
        "cpu_percent": _mean(known),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
