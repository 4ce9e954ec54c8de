import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.replay.knee import binned, find_knee, kneedle, monotone


def hockey_stick(knee, *, until, base=0.05, slope=0.05, step=1):
    """Flat up to the knee, then a straight climb."""
    return [(float(n), base + max(0.0, n - knee) * slope) for n in range(1, until + 1, step)]


def queueing(servers, *, until, service=0.1):
    """A replica that works on `servers` requests at once: the rest waits inside."""
    return [(float(n), service * max(1.0, n / servers)) for n in range(1, until + 1)]


@pytest.mark.parametrize("knee", [4, 8, 16, 40])
def test_a_sharp_turn_is_found_within_a_bin(knee):
    found = find_knee(hockey_stick(knee, until=3 * knee))
    assert found.target == pytest.approx(knee, rel=0.15)


@pytest.mark.parametrize("servers", [4, 10, 32])
def test_a_replica_of_so_many_servers_gets_that_target(servers):
    found = find_knee(queueing(servers, until=4 * servers))
    assert found.target == pytest.approx(servers, rel=0.2)


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_a_twentieth_moves_it_little(seed):
    rng = random.Random(seed)
    curve = [
        (n * rng.uniform(0.95, 1.05), latency * rng.gauss(1, 0.05))
        for n, latency in queueing(10, until=40)
        for _ in range(5)
    ]
    assert find_knee(curve).target == pytest.approx(10, abs=3)


def test_one_slow_minute_is_no_knee():
    curve = [*queueing(10, until=40) * 3, (3.0, 0.9)]
    assert find_knee(curve).target == pytest.approx(10, rel=0.2)


def overloaded(until):
    """100 ms up to 5 in flight, then cubic."""
    return [(float(n), 0.1 * max(1.0, n / 5) ** 3) for n in range(1, until + 1)]


@pytest.mark.parametrize("until", [8, 15, 20, 30, 60])
def test_how_far_one_measured_beyond_the_turn_does_not_move_it(until):
    assert find_knee(overloaded(until)).target == 5


@pytest.mark.parametrize("until", [34, 64, 200])
def test_a_slow_climb_without_a_turn_gets_the_load_at_which_latency_has_grown_by_half(until):
    curve = [(float(n), 0.1 * (1 + (n - 1) / 32 + max(0, n - 33))) for n in range(1, until + 1)]
    assert find_knee(curve).target == pytest.approx(17, abs=1)


def test_a_replica_that_serves_one_at_a_time_gets_one():
    assert find_knee(queueing(1, until=20)).target == 1


@given(
    st.lists(
        st.tuples(st.floats(1, 500), st.floats(0.001, 60)),
        min_size=6,
        max_size=60,
        unique_by=lambda sample: sample[0],
    )
)
def test_latency_at_the_target_is_never_more_than_half_above_the_least(samples):
    found = find_knee(samples)
    if found.target is not None:
        base = found.curve[0][1]
        at_target = [latency for load, latency in found.curve if load <= found.target]
        assert not at_target or at_target[-1] <= base * 1.5 * (1 + 1e-9)


def test_seconds_and_single_loads_are_written_as_people_write_them():
    why = find_knee([(n, latency * 20) for n, latency in queueing(4, until=20)]).why
    assert "from 2 s at 1 to" in why
    assert "e+" not in find_knee([(n, y * 5e4) for n, y in queueing(4, until=20)]).why
    assert "only 1 different load was" in find_knee([(1.0, 0.1)]).why


def test_flat_latency_has_no_knee_and_says_what_to_do():
    found = find_knee([(float(n), 0.1 + 0.0005 * n) for n in range(1, 40)])
    assert found.target is None
    assert "measure at a higher load" in found.why


def test_too_few_loads_say_nothing():
    found = find_knee([(1.0, 0.1), (1.01, 0.2), (2.0, 0.9)] * 10)
    assert found.target is None
    assert "only 2 different loads" in found.why


def test_samples_without_load_or_latency_are_ignored():
    curve = queueing(8, until=32)
    assert find_knee([*curve, (0.0, 5.0), (4.0, 0.0), (float("nan"), 1.0)]) == find_knee(curve)


def test_the_reason_has_the_numbers():
    why = find_knee(queueing(10, until=40)).why
    assert "in flight latency grew from 100 ms" in why


def test_a_target_is_at_least_one():
    curve = [(n / 10, 0.1 * max(1.0, n / 5)) for n in range(1, 30)]
    assert find_knee(curve).target == 1


def test_a_straight_climb_has_its_knee_where_the_distance_is_largest():
    assert kneedle([(float(n), float(n)) for n in range(1, 8)]) == (0, 0.0)


@given(
    st.lists(st.tuples(st.floats(0.1, 500), st.floats(0.001, 60), st.integers(1, 9)), max_size=30)
)
def test_the_curve_never_falls_and_keeps_its_loads(points):
    curve = monotone(points)
    assert [load for load, _ in curve] == [load for load, _, _ in points]
    levels = [latency for _, latency in curve]
    assert all(b >= a * (1 - 1e-9) for a, b in pairwise(levels))


@given(st.lists(st.tuples(st.floats(0.1, 500), st.floats(0.001, 60)), max_size=60))
def test_a_target_lies_within_the_measured_loads(samples):
    found = find_knee(samples)
    if found.target is not None:
        loads = [load for load, _, _ in binned(samples)]
        assert 1 <= found.target <= max(1, *loads)
