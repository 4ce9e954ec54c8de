"""What holds for every decision, whatever is seen, asked for and remembered.

One strategy for each of the three: observations with every kind of number, scalings with every
kind of damping, states of any past. `follow` decides second by second for what needs time.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoscaler.core.forecast import Expected
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.plan import decide
from autoscaler.core.policy import CONCURRENCY, CPU, IN_FLIGHT, PER_HOUR
from autoscaler.core.schedules import Scheduled
from autoscaler.core.steps import DampingState, LoadView
from controlplane.model.decisions import Decision, Reason
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import ScalingPolicy

NOW_S = 1000.0
MOST = 30
GPU_CACHE = "gpuCacheUtilization"

few = settings(max_examples=60)
"""Many numbers make an example: drawing them takes a hundred times as long as deciding."""

amounts = st.floats(0, 500)
counts = st.integers(0, MOST)
times = st.floats(NOW_S - 120, NOW_S)


@st.composite
def views(draw: st.DrawFn) -> LoadView:
    queued, in_flight = draw(st.integers(0, 300)), draw(st.integers(0, 300))
    mean_stable, mean_panic = draw(amounts), draw(amounts)
    return LoadView(
        in_flight=in_flight,
        queued=queued,
        mean_stable=mean_stable,
        mean_panic=mean_panic,
        demand_stable=draw(st.floats(0, mean_stable)),
        demand_panic=draw(st.floats(0, mean_panic)),
        demand_now=in_flight + draw(st.floats(0, queued)),
        idle_s=0.0 if queued + in_flight else draw(st.floats(0, 1000)),
        coverage_ratio=draw(st.sampled_from([0.5, 1.0, 1.0])),
        age_s=draw(st.sampled_from([0.3, 0.3, 4.0])),
        silent=draw(st.integers(0, 1)),
    )


dampings = st.builds(
    AutoscalerSettings,
    max_scale_up_rate=st.sampled_from([1.5, 10.0, 1000.0]),
    max_scale_down_rate=st.sampled_from([1.1, 2.0, 1000.0]),
    max_scale_up_replicas=st.sampled_from([0, 0, 2]),
    max_scale_down_replicas=st.sampled_from([0, 0, 2]),
    scale_up_delay_s=st.sampled_from([0.0, 0.0, 20.0]),
    scale_down_delay_s=st.sampled_from([0.0, 30.0]),
    stabilization_window_s=st.sampled_from([None, 0.0, 10.0]),
    panic_threshold=st.sampled_from([1.1, 2.0, 100.0]),
    tolerance_ratio=st.sampled_from([0.0, 0.0, 0.2]),
    cpu_tolerance_ratio=st.sampled_from([0.0, 0.1]),
    activation_scale=st.sampled_from([1, 1, 3]),
    quality_disagreement_ratio=st.sampled_from([0.2, 1.0]),
)


@st.composite
def scalings(draw: st.DrawFn) -> Scaling:
    metric = st.sampled_from([CONCURRENCY, CONCURRENCY, IN_FLIGHT, PER_HOUR, CPU, GPU_CACHE])
    policy = st.builds(ScalingPolicy, metric=metric, target=st.floats(0.1, 100))
    low = draw(st.integers(0, 5))
    return Scaling(
        workload_id="w",
        proton_id="p",
        policies=tuple(draw(st.lists(policy, min_size=1, max_size=4))),
        min_replicas=low,
        max_replicas=draw(st.integers(max(1, low), MOST)),
        least=draw(st.sampled_from([0, 0, 4])),
        cooldown_s=draw(st.sampled_from([6.0, 300.0])),
        settings=draw(dampings),
    )


@st.composite
def states(draw: st.DrawFn) -> DecisionState:
    wanted = draw(counts)
    remembered = st.lists(st.tuples(times, counts), max_size=3).map(sorted)
    damping = DampingState(
        panic_at_s=draw(st.none() | times),
        peak=draw(counts),
        needed_at_s=draw(st.none() | times),
        wishes=tuple(draw(remembered)),
        lows=tuple(draw(remembered)),
        counts=tuple(draw(remembered)),
    )
    return DecisionState(wanted=wanted, damping=damping)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    ready = draw(counts)
    low = draw(st.integers(0, 8))
    measured = st.tuples(st.none() | amounts, st.none() | amounts).map(
        lambda pair: tuple(pair[n % 2] for n in range(ready))
    )
    return Observation(
        at=1e9,
        ready=ready,
        pending=draw(counts),
        load=draw(st.none() | views()),
        per_hour=draw(st.none() | amounts),
        cpu_percent=draw(measured),
        scraped={GPU_CACHE: draw(measured)},
        running=draw(st.none() | amounts),
        young=draw(st.sampled_from([0, 0, 2])),
        scheduled=draw(
            st.none()
            | st.builds(
                Scheduled,
                low=st.just(low),
                high=st.integers(max(1, low), MOST),
                by=st.sampled_from(["", "office"]),
            )
        ),
        expected=draw(
            st.none() | st.builds(Expected, replicas=counts, load=st.just(1.0), note=st.just(""))
        ),
        woken=draw(st.booleans()),
    )


def once(observation: Observation, asked: Scaling, state: DecisionState | None) -> Decision:
    return decide(observation, asked, state, now_s=NOW_S)[0]


# -- bounds -------------------------------------------------------------------------------------


@few
@given(observation=observations(), asked=scalings(), state=st.none() | states())
def test_every_count_is_within_its_bounds(observation, asked, state):
    decision = once(observation, asked, state)
    low, high = asked.min_replicas, asked.max_replicas
    if observation.scheduled is not None:
        low, high = observation.scheduled.low, observation.scheduled.high
    assert low <= decision.replicas <= high
    assert decision.replicas >= min(asked.least, high)


@few
@given(observation=observations(), asked=scalings(), state=st.none() | states())
def test_a_decision_repeats_and_says_what_it_does(observation, asked, state):
    decision, after = decide(observation, asked, state, now_s=NOW_S)
    assert decide(observation, asked, state, now_s=NOW_S) == (decision, after)
    assert after.wanted == decision.replicas == decision.steps[-1].value
    silent, same = decide(observation, asked, state, now_s=NOW_S, told=False)
    assert (silent.replicas, silent.reason, same) == (decision.replicas, decision.reason, after)


# -- more load ----------------------------------------------------------------------------------


def with_more(view: LoadView, more: int) -> LoadView:
    """The same with more requests in flight, at all times."""
    raised = ("in_flight", "mean_stable", "mean_panic", "demand_stable", "demand_panic")
    changes = {name: getattr(view, name) + more for name in (*raised, "demand_now")}
    return msgspec.structs.replace(view, **changes, idle_s=0.0 if more else view.idle_s)


@few
@given(
    observation=observations(),
    view=views(),
    more=st.integers(0, 100),
    asked=scalings(),
    state=states(),
)
def test_more_load_never_wants_fewer_replicas(observation, view, more, asked, state):
    hourly = observation.per_hour
    # The replicas' own count would disagree with only one of both.
    less_seen = msgspec.structs.replace(observation, load=view, running=None)
    more_seen = msgspec.structs.replace(
        less_seen,
        load=with_more(view, more),
        per_hour=None if hourly is None else hourly + more,
    )
    assert once(more_seen, asked, state).replicas >= once(less_seen, asked, state).replicas


# -- silence ------------------------------------------------------------------------------------


@few
@given(observation=observations(), asked=scalings(), state=states())
def test_silence_never_shrinks(observation, asked, state):
    blind = Observation(
        at=observation.at,
        ready=observation.ready,
        pending=observation.pending,
        cpu_percent=(None,) * observation.ready,
        scraped={GPU_CACHE: (None,) * observation.ready},
        woken=observation.woken,
    )
    assert once(blind, asked, state).replicas >= min(state.wanted, asked.max_replicas)


@few
@given(
    observation=observations(),
    view=views(),
    changes=st.sampled_from([{"coverage_ratio": 0.99}, {"age_s": 3.01}]),
    asked=scalings(),
    state=states(),
)
def test_numbers_in_doubt_never_shrink(observation, view, changes, asked, state):
    assume(asked.load_targets())
    thin = msgspec.structs.replace(
        observation, load=msgspec.structs.replace(view, **changes), scheduled=None
    )
    assert once(thin, asked, state).replicas >= min(state.wanted, asked.max_replicas)


# -- zero ---------------------------------------------------------------------------------------


@few
@given(observation=observations(), asked=scalings(), state=states())
def test_zero_is_reached_only_when_truly_idle(observation, asked, state):
    assume(state.wanted > 0)
    decision = once(observation, asked, state)
    if decision.replicas == 0:
        assert decision.reason is Reason.IDLE
        assert {policy.metric for policy in asked.policies} == {CONCURRENCY}
        assert observation.load is not None
        assert observation.load.load == 0
        assert observation.load.idle_s >= asked.cooldown_s
        assert observation.load.coverage_ratio == 1
        assert not observation.woken
        assert not observation.young


@few
@given(observation=observations(), asked=scalings())
def test_nothing_but_load_or_a_bound_starts_the_first_replica(observation, asked):
    observation = msgspec.structs.replace(observation, expected=None)
    decision = once(observation, asked, DecisionState(wanted=0))
    busy = observation.woken or (observation.load is not None and observation.load.load > 0)
    zero_is_allowed = {policy.metric for policy in asked.policies} == {CONCURRENCY}
    low = asked.min_replicas if observation.scheduled is None else observation.scheduled.low
    if not busy and zero_is_allowed and low == asked.least == 0:
        assert decision.replicas == 0


# -- time ---------------------------------------------------------------------------------------


def follow(
    asked: Scaling, view_at: Callable[[int], LoadView], *, seconds: int, start: int, warm_up: int
) -> Iterator[Decision]:
    """Decide every second; new replicas are ready after `warm_up`, those that go are gone."""
    state = DecisionState(wanted=start)
    past = [start]
    for second in range(seconds):
        ready = min(past[-warm_up - 1 :])
        seen = Observation(at=1e9 + second, ready=ready, load=view_at(second))
        decision, state = decide(seen, asked, state, now_s=float(second))
        past.append(decision.replicas)
        yield decision


def level(mean_stable: float, mean_panic: float) -> LoadView:
    return LoadView(
        in_flight=max(1, round(mean_panic)),
        mean_stable=mean_stable,
        mean_panic=mean_panic,
        demand_stable=mean_stable,
        demand_panic=mean_panic,
        demand_now=mean_panic,
    )


def turns(found: list[int]) -> int:
    """How often the count changes its direction."""
    moves = [b > a for a, b in itertools.pairwise(found) if a != b]
    return sum(a != b for a, b in itertools.pairwise(moves))


@few
@given(
    per_replica=st.floats(0.3, 9.7),
    replicas=st.integers(1, 12),
    # Means of the long window tremble little, those of the short one more: sqrt(1/60), sqrt(1/6).
    noise=st.lists(
        st.tuples(st.floats(-0.03, 0.03), st.floats(-0.1, 0.1)), min_size=7, max_size=31
    ),
    start=st.integers(1, 20),
    warm_up=st.integers(0, 20),
    delay_s=st.sampled_from([0.0, 5.0, None]),
)
def test_a_constant_load_with_noise_settles_and_never_flaps(
    *, per_replica, replicas, noise, start, warm_up, delay_s
):
    load = 10.0 * (replicas - 1) + per_replica
    asked = Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric=CONCURRENCY, target=10.0),),
        max_replicas=MOST,
        settings=AutoscalerSettings(**({} if delay_s is None else {"scale_down_delay_s": delay_s})),
    )

    def view_at(second: int) -> LoadView:
        slow, quick = noise[second % len(noise)]
        return level(load * (1 + slow), load * (1 + quick))

    found = [d.replicas for d in follow(asked, view_at, seconds=240, start=start, warm_up=warm_up)]
    wanted = {math.ceil(load * (1 + slow) / 10) for slow, _ in noise}
    # Up in a burst, down when it is over, and one up again where noise had made it too few.
    assert turns([start, *found]) <= 2
    assert len(set(found[-90:])) == 1
    assert min(wanted) <= found[-1]
    # With the platform's delay a start with too many takes longer than this to settle.
    assert delay_s is None or found[-1] <= max(wanted) + 1


@pytest.mark.parametrize(
    ("chosen", "changes"),
    [
        pytest.param({}, 1, id="a-trembling-mean-holds"),
        pytest.param({"scale_down_delay_s": 300.0}, 1, id="by-default-twice"),
        pytest.param({"stabilization_window_s": 0.0}, 9, id="without-either-it-flaps"),
        pytest.param(
            {"stabilization_window_s": 0.0, "tolerance_ratio": 0.05}, 0, id="or-is-tolerated"
        ),
        pytest.param(
            {"stabilization_window_s": 0.0, "scale_down_delay_s": 60.0}, 1, id="or-is-delayed"
        ),
    ],
)
def test_what_keeps_a_load_about_a_multiple_of_the_target_from_flapping(chosen, changes):
    asked = Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric=CONCURRENCY, target=10.0),),
        max_replicas=MOST,
        settings=AutoscalerSettings(**({"scale_down_delay_s": 0.0} | chosen)),
    )

    def view_at(second: int) -> LoadView:
        mean = 30.4 if second // 10 % 2 else 29.6
        return level(mean, mean)

    found = [d.replicas for d in follow(asked, view_at, seconds=100, start=3, warm_up=0)]
    assert sum(a != b for a, b in itertools.pairwise([3, *found])) == changes


@few
@given(
    loads=st.lists(st.floats(0.1, 300), min_size=5, max_size=40),
    chosen=dampings,
    start=st.integers(1, MOST),
)
def test_limits_in_replicas_hold_at_every_second(loads, chosen, start):
    asked = Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric=CONCURRENCY, target=10.0),),
        max_replicas=MOST,
        settings=chosen,
    )

    def view_at(second: int) -> LoadView:
        return level(loads[second], loads[second])

    found = [start]
    for decision in follow(asked, view_at, seconds=len(loads), start=start, warm_up=0):
        found.append(decision.replicas)
        if chosen.max_scale_up_replicas:
            assert found[-1] - min(found) <= chosen.max_scale_up_replicas
        if chosen.max_scale_down_replicas:
            assert max(found) - found[-1] <= chosen.max_scale_down_replicas
