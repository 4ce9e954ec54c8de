import pytest

from autoscaler.replay.kpa import (
    KpaScale,
    KpaSettings,
    KpaState,
    ZeroState,
    scale,
    slid,
    started,
    toward_zero,
)
from tests.unit.autoscaler.replay.published import published_cases

ONE = KpaSettings(target=1, total=1)


def test_knatives_autoscaler_table():
    table = published_cases()["kpa"]
    for name, deployment, steps in table["cases"]:
        settings = KpaSettings(
            target=deployment["target"],
            total=deployment["target"] / 0.75,
            target_burst_capacity=deployment["tbc"],
            activation_scale=deployment.get("act", 1),
            max_scale_up_rate=10,
            max_scale_down_rate=10,
        )
        state = started(steps[0][1] if steps[0][1] <= 1 else 0, now_s=0)
        for at_s, ready, stable, panic, want, burst in steps:
            found, state = scale(
                settings, state, ready=ready, stable=stable, panic=panic, now_s=float(at_s)
            )
            assert found.desired == want, (name, at_s)
            assert abs(found.excess_burst_capacity - burst) <= 1, (name, at_s)


def test_knatives_panic_table():
    for case in published_cases()["kpa_panic_larger"]["cases"]:
        found, _ = scale(
            ONE,
            KpaState(panic_at_s=-5.0, max_panic_pods=5),
            ready=5,
            stable=case["stable"],
            panic=case["panic"],
            now_s=0.0,
        )
        assert found.desired == case["want"]


def test_knatives_delay_window_table():
    for values, times, expected in published_cases()["max_window"]["cases"]:
        wishes, found = (), []
        for index, value in zip(times or range(len(values)), values, strict=True):
            wishes = slid(wishes, index, value, length=5)
            found.append(wishes[0][1])
        assert found == expected


@pytest.mark.parametrize(("ready", "panicking"), [(0, False), (1, False), (2, True)])
def test_a_new_autoscaler_over_several_pods_begins_in_panic(ready, panicking):
    state = started(ready, now_s=7)
    assert state == KpaState(panic_at_s=7 if panicking else None, max_panic_pods=ready)


def test_the_burst_capacity_is_nothing_when_none_is_asked_for():
    settings = KpaSettings(target=1, total=1, target_burst_capacity=0)
    found, _ = scale(settings, KpaState(), ready=1, stable=5, panic=5, now_s=0)
    assert found.excess_burst_capacity == 0


def test_a_scale_down_delay_keeps_the_highest_wish_of_its_window():
    settings = KpaSettings(target=1, total=1, scale_down_delay_s=10)
    state, found = KpaState(), []
    for at_s, load in [(0, 1), (2, 0), (8, 0), (10, 0)]:
        result, state = scale(settings, state, ready=1, stable=load, panic=0, now_s=at_s)
        found.append(result.desired)
    assert found == [1, 1, 1, 0]


def test_shrinking_takes_at_most_half_of_what_is_ready():
    found, _ = scale(ONE, KpaState(), ready=9, stable=1, panic=1, now_s=0)
    assert found.desired == 4


def idle(burst=-1):
    return KpaScale(desired=0, excess_burst_capacity=burst)


def steps_to_zero(settings, state, scale, *, ready=1, current=1, until_s=200):
    """The moment at which the model asks for zero, and what it asked for before."""
    counts = []
    for at_s in range(0, until_s, 2):
        count, state = toward_zero(
            settings, state, scale=scale, ready=ready, current=current, now_s=float(at_s)
        )
        counts.append(count)
        if count == 0:
            return at_s, counts
        current = count
    return None, counts


def test_an_idle_revision_ends_after_its_stable_window_when_the_activator_was_in_the_path():
    assert steps_to_zero(ONE, ZeroState(), idle())[0] == 62


def test_an_idle_revision_out_of_the_path_waits_for_the_grace_period_as_well():
    in_use = KpaScale(desired=1, excess_burst_capacity=5)
    _, state = toward_zero(ONE, ZeroState(), scale=in_use, ready=1, current=1, now_s=-100.0)
    _, state = toward_zero(ONE, state, scale=idle(5), ready=1, current=1, now_s=0.0)
    assert state.inactive_at_s == 0
    early, state = toward_zero(ONE, state, scale=idle(5), ready=1, current=1, now_s=29.0)
    late, _ = toward_zero(ONE, state, scale=idle(5), ready=1, current=1, now_s=30.0)
    assert (early, late) == (1, 0)


def test_the_last_pods_retention_is_waited_for():
    settings = KpaSettings(target=1, total=1, scale_to_zero_retention_s=90)
    assert steps_to_zero(settings, ZeroState(), idle())[0] == 60 + 90


def test_while_the_stable_window_runs_one_pod_stays():
    assert steps_to_zero(ONE, ZeroState(), idle(), ready=5, current=5)[1][0] == 1


def test_traffic_on_the_way_to_zero_makes_it_active_again():
    state = ZeroState(inactive_at_s=10.0, proxied_at_s=0.0)
    busy = KpaScale(desired=2, excess_burst_capacity=-1)
    count, state = toward_zero(ONE, state, scale=busy, ready=1, current=1, now_s=20.0)
    assert count == 2
    assert state == ZeroState(active_at_s=20.0, proxied_at_s=0.0)


@pytest.mark.parametrize(
    ("settings", "current", "ready", "want"),
    [
        pytest.param(ONE, 0, 0, 0, id="at-zero-it-stays"),
        pytest.param(ONE, 3, 0, 3, id="what-starts-is-awaited"),
        pytest.param(KpaSettings(target=1, total=1, scale_to_zero=False), 1, 1, 1, id="forbidden"),
        pytest.param(KpaSettings(target=1, total=1, min_scale=2), 3, 3, 2, id="minimum"),
    ],
)
def test_zero_wanted(settings, current, ready, want):
    count, _ = toward_zero(
        settings, ZeroState(), scale=idle(), ready=ready, current=current, now_s=500.0
    )
    assert count == want


def test_the_maximum_bounds():
    settings = KpaSettings(target=1, total=1, max_scale=4)
    wanted = KpaScale(desired=9, excess_burst_capacity=0)
    assert toward_zero(settings, ZeroState(), scale=wanted, ready=1, current=1, now_s=0)[0] == 4


def scaled(steps):
    """Counts of one decision after the other: moment, ready, stable, panic."""
    state, counts = KpaState(), []
    for at_s, ready, stable, panic in steps:
        found, state = scale(ONE, state, ready=ready, stable=stable, panic=panic, now_s=at_s)
        counts.append(found.desired)
    return counts


def test_twice_the_ready_pods_is_panic_and_a_little_less_is_not():
    assert scaled([(0, 4, 5, 8)]) == [8]
    assert scaled([(0, 4, 5, 7)]) == [5]


def test_in_panic_the_count_never_falls_and_a_stable_window_after_it_it_does():
    steps = [(0, 2, 2, 9), (2, 9, 3, 4), (58, 9, 6, 1), (60, 9, 6, 1), (62, 9, 6, 1)]
    assert scaled(steps) == [9, 9, 9, 9, 6]
