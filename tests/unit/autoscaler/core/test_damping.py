"""Rates, panic and delay: how fast a wish becomes a count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.damping import activated, damp, woken
from autoscaler.core.notes import said
from autoscaler.core.steps import Damped, DampingState
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings

HASTY = {"scale_down_delay_s": 0.0, "max_scale_down_rate": 2.0}
"""Knative's defaults in place of the platform's, where a test says nothing else."""


def step(
    *,
    stable: int,
    panic: int | None = None,
    ready: int = 1,
    current: int = 1,
    waiting: bool = False,
    state: DampingState | None = None,
    now_s: float = 0.0,
    **chosen: float,
) -> tuple[Damped, DampingState]:
    return damp(
        stable=stable,
        panic=panic,
        ready=ready,
        current=current,
        waiting=waiting,
        settings=AutoscalerSettings(**(HASTY | chosen)),  # type: ignore[arg-type]
        state=state or DampingState(),
        now_s=now_s,
    )


@pytest.mark.parametrize(
    ("arguments", "replicas", "reason"),
    [
        pytest.param({"stable": 1}, 1, Reason.ON_TARGET, id="as-wished"),
        pytest.param({"stable": 1, "panic": 1}, 1, Reason.ON_TARGET, id="no-burst"),
        pytest.param(
            {"stable": 9, "ready": 2, "current": 2, "max_scale_up_rate": 3},
            6,
            Reason.SCALE_UP_LIMITED,
            id="growth-is-limited-by-what-is-ready",
        ),
        pytest.param(
            {"stable": 9, "ready": 0, "current": 0, "max_scale_up_rate": 3},
            3,
            Reason.SCALE_UP_LIMITED,
            id="none-ready-counts-as-one",
        ),
        pytest.param(
            {"stable": 3, "ready": 2, "current": 2, "max_scale_up_rate": 1.1},
            3,
            Reason.ON_TARGET,
            id="rounding-never-blocks-growth-by-one",
        ),
        pytest.param(
            {"stable": 8, "ready": 1, "current": 8, "max_scale_up_rate": 2},
            8,
            Reason.ON_TARGET,
            id="what-is-asked-for-stays-allowed",
        ),
        pytest.param(
            {"stable": 0, "ready": 9, "current": 9},
            4,
            Reason.SCALE_DOWN_LIMITED,
            id="shrinking-is-limited",
        ),
        pytest.param(
            {"stable": 1, "ready": 9, "current": 2},
            2,
            Reason.SCALE_DOWN_LIMITED,
            id="the-limit-never-makes-it-grow",
        ),
        pytest.param({"stable": 0}, 0, Reason.ON_TARGET, id="from-one-to-none"),
        pytest.param(
            {"stable": 1, "panic": 2, "ready": 1}, 2, Reason.PANIC, id="twice-the-ready-is-a-burst"
        ),
        pytest.param(
            {"stable": 2, "panic": 3, "ready": 2, "current": 2},
            2,
            Reason.ON_TARGET,
            id="less-is-not",
        ),
        pytest.param(
            {"stable": 2, "panic": 3, "ready": 2, "current": 2, "waiting": True},
            3,
            Reason.PANIC,
            id="unless-requests-wait",
        ),
        pytest.param(
            {"stable": 3, "panic": 3, "ready": 2, "current": 3, "waiting": True},
            3,
            Reason.ON_TARGET,
            id="waiting-for-replicas-on-their-way-is-no-burst",
        ),
        pytest.param(
            {"stable": 50, "panic": 30, "ready": 5, "current": 5},
            50,
            Reason.PANIC,
            id="higher-wins",
        ),
        pytest.param(
            {"stable": 1, "panic": 4, "ready": 1, "current": 20},
            20,
            Reason.PANIC,
            id="a-burst-never-takes-away",
        ),
        pytest.param(
            {"stable": 1, "panic": 90, "ready": 1, "max_scale_up_rate": 5},
            5,
            Reason.SCALE_UP_LIMITED,
            id="bursts-are-limited-too",
        ),
    ],
)
def test_one_step(arguments, replicas, reason):
    damped, _ = step(**arguments)
    assert (damped.replicas, damped.reason) == (replicas, reason)


def test_panic_holds_the_highest_count_until_a_stable_window_after_its_last_cause():
    damped, state = step(stable=1, panic=6, ready=1)
    assert damped.replicas == 6
    assert damped.hold_s == 60
    damped, state = step(stable=1, panic=3, ready=6, current=6, state=state, now_s=30)
    assert (damped.replicas, damped.reason, damped.hold_s) == (6, Reason.PANIC, 30)
    damped, state = step(stable=1, panic=1, ready=6, current=6, state=state, now_s=60)
    assert (damped.replicas, damped.hold_s) == (6, 0)
    damped, state = step(stable=1, panic=1, ready=6, current=6, state=state, now_s=60.1)
    assert (damped.replicas, damped.reason) == (3, Reason.SCALE_DOWN_LIMITED)
    assert state == DampingState()


def test_a_burst_that_goes_on_prolongs_panic():
    _, state = step(stable=1, panic=6, ready=1)
    _, state = step(stable=1, panic=12, ready=6, current=6, state=state, now_s=50)
    damped, _ = step(stable=1, panic=1, ready=12, current=12, state=state, now_s=100)
    assert (damped.replicas, damped.hold_s) == (12, 10)


def test_a_lower_wish_must_hold_for_the_delay():
    _, state = step(stable=4, ready=4, current=4, scale_down_delay_s=10)
    damped, state = step(stable=2, ready=4, current=4, state=state, now_s=4, scale_down_delay_s=10)
    assert (damped.replicas, damped.reason, damped.hold_s) == (4, Reason.STABILISING, 6)
    assert said(damped.note) == "2 wanted, 4 was wanted 4 s ago"
    damped, state = step(stable=2, ready=4, current=4, state=state, now_s=10, scale_down_delay_s=10)
    assert (damped.replicas, damped.reason) == (2, Reason.ON_TARGET)


def test_one_replica_less_soon_after_all_were_wanted_is_noise():
    damped, state = step(stable=4, ready=3, current=3)
    damped, state = step(stable=3, ready=4, current=4, state=state, now_s=10)
    assert (damped.replicas, damped.reason, damped.hold_s) == (4, Reason.STABILISING, 50)
    assert said(damped.note) == "3 wanted, but 4 were wanted 10 s ago"
    damped, state = step(stable=4, ready=4, current=4, state=state, now_s=50)
    assert (damped.replicas, damped.reason) == (4, Reason.ON_TARGET)
    damped, state = step(stable=3, ready=4, current=4, state=state, now_s=109)
    assert (damped.replicas, damped.hold_s) == (4, 1)
    damped, state = step(stable=3, ready=4, current=4, state=state, now_s=110)
    assert (damped.replicas, damped.reason) == (3, Reason.ON_TARGET)
    assert state == DampingState(needed_at_s=110)


def test_after_many_replicas_less_the_next_one_is_not_held():
    _, state = step(stable=8, ready=7, current=7)
    damped, state = step(stable=3, ready=8, current=8, state=state, now_s=1)
    assert (damped.replicas, damped.reason) == (4, Reason.SCALE_DOWN_LIMITED)
    damped, _ = step(stable=3, ready=4, current=4, state=state, now_s=2)
    assert damped.replicas == 3


def test_the_last_replica_is_not_kept_by_noise():
    _, state = step(stable=1, ready=1, current=1)
    damped, _ = step(stable=0, ready=1, current=1, state=state, now_s=1)
    assert damped.replicas == 0


def test_two_replicas_less_are_not_noise():
    _, state = step(stable=4, ready=3, current=3)
    damped, _ = step(stable=2, ready=4, current=4, state=state, now_s=1)
    assert damped.replicas == 2


@pytest.mark.parametrize(("count", "panics"), [(1, False), (2, True), (40, True)])
def test_waking_for_several_is_a_burst(count, panics):
    state = woken(count, settings=AutoscalerSettings(), now_s=7.0)
    assert (state.panic_at_s == 7.0) is panics
    damped, _ = step(stable=1, ready=count, current=count, state=state, now_s=8.0)
    assert damped.replicas == count


def test_notes_name_the_limits():
    held = step(stable=9, max_scale_up_rate=3)[0]
    assert said(held.note) == "9 wanted, at most 3 x 1 ready at once"
    shrunk = step(stable=0, ready=8, current=8)[0]
    assert said(shrunk.note) == "0 wanted, at most 8 ready / 2 at once"
    burst = step(stable=1, panic=2)[0]
    assert said(burst.note) == (
        "2 wanted, a burst (the short window wants 2, 1 ready): never down before it is over: 2"
    )


def test_a_panic_names_its_true_cause_now_and_later():
    def why(damped):
        return said(damped.note).partition("(")[2].partition(")")[0]

    waits, state = step(stable=1, panic=2, waiting=True)
    assert (waits.reason, why(waits)) == (Reason.PANIC, "requests wait")
    later, state = step(stable=1, ready=2, current=2, state=state, now_s=12)
    assert why(later) == "requests waited 12 s ago"
    again, state = step(stable=1, panic=4, ready=2, current=2, state=state, now_s=20)
    assert why(again) == "the short window wants 4, 2 ready"
    later, _ = step(stable=1, ready=4, current=4, state=state, now_s=23)
    assert why(later) == "the short window told so 3 s ago"
    state = woken(3, settings=AutoscalerSettings(), now_s=0)
    later, _ = step(stable=1, ready=3, current=3, state=state, now_s=9)
    assert why(later) == "woken for several at once 9 s ago"


counts = st.integers(0, 200)


@given(
    wishes=st.lists(st.tuples(counts, counts, counts), min_size=1, max_size=30),
    more=st.integers(0, 50),
)
def test_higher_wishes_never_lead_to_a_lower_count(wishes, more):
    state = DampingState()
    now_s = 0.0
    current = 1
    for stable, panic, ready in wishes:
        arguments = {"ready": ready, "current": current, "state": state, "now_s": now_s}
        damped, after = step(stable=stable, panic=panic, **arguments)
        higher, _ = step(stable=stable + more, panic=panic + more, **arguments)
        assert higher.replicas >= damped.replicas
        state, current, now_s = after, damped.replicas, now_s + 7


@given(wishes=st.lists(st.tuples(counts, counts, counts, st.booleans()), max_size=40))
def test_nothing_shrinks_within_a_panic(wishes):
    state = DampingState()
    current, now_s = 1, 0.0
    for stable, panic, ready, waiting in wishes:
        before = state
        damped, state = step(
            stable=stable,
            panic=panic,
            ready=ready,
            current=current,
            waiting=waiting,
            state=state,
            now_s=now_s,
        )
        if before.panic_at_s is not None and state.panic_at_s is not None:
            assert damped.replicas >= current
        current, now_s = damped.replicas, now_s + 11


@given(wish=counts, ready=counts, start=counts, seconds=st.integers(0, 200))
def test_a_constant_wish_is_reached_from_one_side_without_turning(wish, ready, start, seconds):
    state = DampingState()
    path = [start]
    for second in range(min(seconds, 60)):
        damped, state = step(
            stable=wish,
            panic=wish,
            ready=min(ready, path[-1]),
            current=path[-1],
            state=state,
            now_s=second * 10.0,
        )
        path.append(damped.replicas)
    assert path in (sorted(path), sorted(path, reverse=True))


# -- what an owner may say ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        pytest.param(0, 0, id="none-stays-none"),
        pytest.param(1, 3, id="any-is-that-many"),
        pytest.param(5, 5, id="more-is-more"),
    ],
)
def test_activation_scale_is_the_least_that_is_ever_wished(wish, expected):
    assert activated(wish, AutoscalerSettings(activation_scale=3)) == expected


def test_a_higher_wish_must_hold_for_the_delay():
    def later(now_s: float, wish: int, state: DampingState, current: int = 2):
        return step(
            stable=wish, ready=2, current=current, state=state, now_s=now_s, scale_up_delay_s=10
        )

    damped, state = later(0, 2, DampingState())
    damped, state = later(4, 9, state)
    assert (damped.replicas, damped.reason) == (2, Reason.STABILISING)
    assert said(damped.note) == "9 wanted, but 2 was enough 4 s ago"
    damped, state = later(9, 5, state)
    assert damped.replicas == 2
    damped, state = later(10, 9, state)
    assert (damped.replicas, damped.reason) == (5, Reason.STABILISING)
    assert said(damped.note) == "9 wanted, but 5 was enough 1 s ago"
    damped, state = later(19, 9, state, current=5)
    assert (damped.replicas, damped.reason) == (9, Reason.ON_TARGET)


def test_a_short_burst_is_no_panic_with_a_delay_before_growing():
    damped, state = step(stable=2, panic=2, ready=2, current=2, scale_up_delay_s=10)
    damped, state = step(
        stable=3, panic=9, ready=2, current=2, waiting=True, state=state, scale_up_delay_s=10
    )
    assert (damped.replicas, state.panic_at_s) == (2, None)


def test_the_first_wish_after_waking_is_held_by_what_woke():
    settings = AutoscalerSettings(scale_up_delay_s=10)
    state = woken(1, settings=settings, now_s=0.0)
    damped, state = step(stable=4, ready=1, current=1, state=state, now_s=1, scale_up_delay_s=10)
    assert damped.replicas == 1
    damped, _ = step(stable=4, ready=1, current=1, state=state, now_s=11, scale_up_delay_s=10)
    assert damped.replicas == 4


def test_a_delay_that_was_taken_away_is_forgotten():
    _, state = step(stable=2, ready=2, current=2, scale_up_delay_s=10)
    damped, state = step(stable=4, ready=2, current=2, state=state, now_s=1)
    assert (damped.replicas, state.lows) == (4, ())


def test_a_held_wish_keeps_the_reason_of_a_limit():
    damped, _ = step(stable=9, ready=2, current=2, max_scale_up_rate=2, scale_up_delay_s=0)
    assert damped.reason is Reason.SCALE_UP_LIMITED
    _, state = step(stable=3, ready=1, current=1, scale_up_delay_s=10)
    damped, _ = step(
        stable=9,
        ready=1,
        current=1,
        state=state,
        now_s=1,
        max_scale_up_rate=2,
        scale_up_delay_s=10,
    )
    assert (damped.replicas, damped.reason) == (2, Reason.SCALE_UP_LIMITED)


@pytest.mark.parametrize(
    ("window_s", "expected"),
    [
        pytest.param(None, 4, id="the-stable-window"),
        pytest.param(5.0, 3, id="shorter"),
        pytest.param(0.0, 3, id="none"),
    ],
)
def test_the_window_in_which_one_less_is_noise(window_s, expected):
    _, state = step(stable=4, ready=3, current=3, stabilization_window_s=window_s)
    damped, _ = step(
        stable=3, ready=4, current=4, state=state, now_s=10, stabilization_window_s=window_s
    )
    assert damped.replicas == expected


def test_limits_in_replicas_hold_over_many_decisions():
    state, counts = DampingState(), [2]
    for second in range(25):
        damped, state = step(
            stable=12,
            ready=counts[-1],
            current=counts[-1],
            state=state,
            now_s=float(second),
            max_scale_up_replicas=4,
            scale_limit_period_s=10,
        )
        counts.append(damped.replicas)
    assert counts == [2, *[6] * 11, *[10] * 11, *[12] * 3]
