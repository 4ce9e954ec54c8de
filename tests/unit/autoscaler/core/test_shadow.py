"""Two ways of deciding on the same traffic: what each would have cost and served."""

import msgspec
import pytest

from autoscaler.core.basis import Basis, decode
from autoscaler.core.forecast import HOUR_S, Expected, Past, expected
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.plan import decide
from autoscaler.core.replica_waits import Waits
from autoscaler.core.shadow import Fleet, Now, begin, need_of, step
from controlplane.model.decisions import Reason
from controlplane.model.reports import OpenStreams
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.shadows import ShadowKind, journal_name
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady


def scaling(target: float = 10, *, metric: str = "httpRequestsConcurrency", **changes) -> Scaling:
    fields = {"min_replicas": 0, "max_replicas": 20, **changes}
    return Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric=metric, target=target),),
        settings=AutoscalerSettings(),
        **fields,
    )


def seen(load: float, *, ready: int, idle_s: float = 0.0, **changes) -> Observation:
    view = steady(load, idle_s=idle_s)
    return Observation(at=0.0, ready=ready, load=view, woken=bool(load) and not ready, **changes)


@pytest.mark.parametrize(
    ("fleet", "wanted", "expected_fleet"),
    [
        pytest.param(Fleet(1), 3, Fleet(1, ((10.0, 2),)), id="grows"),
        pytest.param(Fleet(3), 1, Fleet(1), id="shrinks-at-once"),
        pytest.param(Fleet(2), 2, Fleet(2), id="stays"),
        pytest.param(Fleet(1, ((7.0, 1), (9.0, 2))), 3, Fleet(1, ((7.0, 1), (9.0, 1))),
                     id="the-latest-starts-go-first"),
        pytest.param(Fleet(2, ((7.0, 1), (9.0, 2))), 1, Fleet(1), id="then-those-that-serve"),
    ],
)  # fmt: skip
def test_imagined_replicas_start_in_time_and_leave_at_once(fleet, wanted, expected_fleet):
    assert fleet.aim(wanted, now_s=10.0) == expected_fleet


def test_imagined_replicas_become_ready():
    fleet = Fleet(1, ((7.0, 1), (9.0, 2)))
    assert fleet.at(11.0, start_s=5.0) is fleet
    assert fleet.at(12.0, start_s=5.0) == Fleet(2, ((9.0, 2),))
    assert fleet.at(20.0, start_s=5.0) == Fleet(4)
    assert fleet.at(11.0, start_s=1.0) == Fleet(4), "starts turned out to be quicker"
    assert fleet.total == 4
    assert Fleet(1).aim(1, now_s=1.0) == Fleet(1)


def test_what_the_load_needs():
    assert need_of(seen(31, ready=1), scaling(10)) == 4
    assert need_of(seen(31, ready=1), scaling(10, metric="cpuAverageUtilization")) is None
    assert need_of(Observation(at=0.0), scaling(10)) is None


def compare(acting, shadow, loads, *, every_s=1.0, start_s=10.0):
    """Run both over loads, one a second, with imagined replicas for what acts, too."""
    fleet, memory, state = Fleet(), None, None
    idle_s = 0.0
    for number, load in enumerate(loads):
        now_s = number * every_s
        fleet = fleet.at(now_s, start_s=start_s)
        idle_s = 0.0 if load else idle_s + every_s
        saw = seen(load, ready=fleet.ready, pending=fleet.pending, idle_s=idle_s)
        decision, memory = decide(saw, acting, memory, now_s=now_s)
        if state is None:
            state = begin(saw, acting, acting=decision.replicas, now_s=now_s)
        now = Now(need=need_of(saw, acting), acting=decision.replicas, start_s=start_s, now_s=now_s)
        _, state = step(state, saw, shadow, now)
        fleet = fleet.aim(decision.replicas, now_s=now_s)
    return state


def test_the_same_policies_have_the_same_account():
    loads = [0] * 20 + [25] * 100 + [0] * 400
    state = compare(scaling(10), scaling(10), loads)
    assert state.acted == state.shadowed
    assert state.acted.cold_starts == 1
    assert state.acted.peak == 3
    assert state.acted.short_seconds == pytest.approx(10, abs=2)


def test_a_smaller_target_costs_more_and_is_told():
    state = compare(scaling(10), scaling(5), [0] * 5 + [25] * 300)
    assert state.shadowed.peak == 5
    assert state.shadowed.replica_seconds > 1.5 * state.acted.replica_seconds
    assert state.shadowed.surplus_seconds > state.acted.surplus_seconds


def test_a_minimum_of_one_saves_the_cold_start_and_costs_the_idle_time():
    loads = [0] * 50 + [5] * 20 + [0] * 500
    state = compare(scaling(10), scaling(10, min_replicas=1), loads)
    assert (state.acted.cold_starts, state.shadowed.cold_starts) == (1, 0)
    assert state.shadowed.replica_seconds > state.acted.replica_seconds
    assert state.acted.changes == 2


def test_a_shadow_takes_over_what_runs_and_does_not_mind_that_the_real_one_gave_up():
    saw = seen(5, ready=2, pending=1, given_up="it crashes")
    state = begin(saw, scaling(10), acting=3, now_s=7.0)
    assert state.fleet == Fleet(2, ((7.0, 1),))
    decision, _ = step(
        state, saw, scaling(10), Now(need=1, acting=3, start_s=1.0, now_s=8.0), told=True
    )
    assert decision.reason is not Reason.ERRORED
    assert decision.previous_replicas == 3
    assert decision.steps


def test_without_a_target_of_load_only_replicas_are_compared():
    saw = msgspec.structs.replace(seen(5, ready=2), cpu_percent=(50.0, 50.0))
    by_cpu = scaling(80, metric="cpuAverageUtilization", min_replicas=1)
    state = begin(saw, by_cpu, acting=2, now_s=0.0)
    _, state = step(state, saw, by_cpu, Now(need=None, acting=2, start_s=1.0, now_s=10.0))
    assert state.acted.replica_seconds == 20
    assert (state.acted.surplus_seconds, state.acted.short_seconds) == (0, 0)


def test_journals_have_names_of_their_own():
    assert journal_name(ShadowKind.FORECAST, "p") == "shadow-forecast:p"


# -- a forecast that is tried out ----------------------------------------------------------------

START_S = 120.0


def morning(day_load, *, known: bool):
    """From 7:50 to 8:15 on a Thursday, with or without seven such days before."""
    today = 4 + 7 * 100 + 3
    past = Past(
        hours={(today - day) * 24 + hour: 20.0 for day in range(1, 8) for hour in range(8, 18)},
        since_hour=(today - 7) * 24,
    )
    ours = scaling(10)
    fleet, memory, state = Fleet(), None, None
    idle_s = 1000.0
    reasons = set()
    for second in range(1500):
        now_s, at = float(second), (today * 24 + 8) * HOUR_S - 600.0 + second
        load = day_load if second >= 600 else 0
        idle_s = 0.0 if load else idle_s + 1
        fleet = fleet.at(now_s, start_s=START_S)
        saw = msgspec.structs.replace(
            seen(load, ready=fleet.ready, pending=fleet.pending, idle_s=idle_s), at=at
        )
        decision, memory = decide(saw, ours, memory, now_s=now_s)
        if state is None:
            state = begin(saw, ours, acting=decision.replicas, now_s=now_s)
        found = expected(past if known else Past(), (10.0,), at=at, horizon_s=START_S + 5)
        own = msgspec.structs.replace(saw, expected=found)
        now = Now(need=need_of(saw, ours), acting=decision.replicas, start_s=START_S, now_s=now_s)
        would, state = step(state, own, ours, now)
        reasons.add(would.reason)
        fleet = fleet.aim(decision.replicas, now_s=now_s)
    return state, reasons


def test_a_forecast_saves_the_cold_start_of_the_daily_rise():
    state, reasons = morning(20, known=True)
    assert (state.acted.cold_starts, state.shadowed.cold_starts) == (1, 0)
    assert state.acted.short_seconds >= START_S
    assert state.shadowed.short_seconds == 0
    # Two replicas for the 125 s before, less those that the real ones were late.
    spent_s = state.shadowed.replica_seconds - state.acted.replica_seconds
    assert spent_s == pytest.approx(2 * 125, abs=10)
    assert Reason.FORECAST in reasons


def test_a_forecast_that_is_wrong_costs_minutes_not_hours():
    state, _ = morning(0, known=True)
    assert state.acted.replica_seconds == 0
    assert state.shadowed.replica_seconds == pytest.approx(2 * (125 + 600), abs=10)


def test_without_a_past_it_is_as_without_a_forecast():
    state, reasons = morning(20, known=False)
    assert state.acted == state.shadowed
    assert Reason.FORECAST not in reasons


@pytest.mark.parametrize(
    ("load", "replicas", "count", "reason"),
    [
        pytest.param(0, 2, 2, Reason.FORECAST, id="raises-from-zero"),
        pytest.param(45, 2, 5, Reason.WAKE_UP, id="never-lowers"),
        pytest.param(0, 99, 20, Reason.FORECAST, id="up-to-the-maximum"),
    ],
)
def test_a_forecast_that_acts_is_a_floor_and_says_so(load, replicas, count, reason):
    foreseen = Expected(replicas=replicas, load=20.0, note="20 expected at 08:00 UTC")
    saw = seen(load, ready=0, expected=foreseen)
    decision, _ = decide(saw, scaling(10), None, now_s=0.0)
    assert (decision.replicas, decision.reason) == (count, reason)
    step = next(step for step in decision.steps if step.name == "forecast")
    assert (step.value, step.note) == (replicas, "20 expected at 08:00 UTC")


def test_a_minimum_that_is_higher_is_the_reason_in_place_of_the_forecast():
    saw = seen(0, ready=3, expected=Expected(replicas=2, load=20.0, note=""))
    before = DecisionState(wanted=1)
    decision, _ = decide(saw, scaling(10, min_replicas=3), before, now_s=0.0)
    assert (decision.replicas, decision.reason) == (3, Reason.AT_MIN)


def test_what_was_foreseen_and_what_held_is_in_the_basis():
    streams = OpenStreams(open=1, silent_s=7200.0, client="10.0.0.7", protocol="websocket")
    saw = seen(
        5,
        ready=1,
        pending=1,
        waits=Waits(crashing=1),
        streams=streams,
        scraped={"depth": (3.0, None)},
        expected=Expected(replicas=2, load=20.0, note="soon"),
    )
    policies = (ScalingPolicy(metric="depth", target=2),)
    asked = msgspec.structs.replace(scaling(10), policies=policies, forecast="act")
    basis = Basis(observation=saw, scaling=asked, state=None, now_s=1.0)
    assert decode(basis.encode()).decide(told=True) == basis.decide(told=True)
