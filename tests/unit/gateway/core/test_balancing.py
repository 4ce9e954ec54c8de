"""Who gets the next request."""

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.workloads import Autoscaling, GroupRuntime, ScalingPolicy
from gateway.core.balancing import by_weight, least_of_two, replica_limit, share_of_limit

RANDOMS = st.floats(0, 1, exclude_max=True)


@dataclass(eq=False)
class Slots:
    in_flight: int
    limit: int


@dataclass(eq=False)
class Split:
    weight: int


def draws(*values: float):
    """A source of random numbers that returns these, in order."""
    remaining = list(values)
    return lambda: remaining.pop(0)


slots = st.builds(Slots, st.integers(0, 6), st.integers(1, 5))


@given(endpoints=st.lists(slots, max_size=6), first=RANDOMS, second=RANDOMS)
def test_a_full_endpoint_is_never_chosen_and_none_only_when_all_are_full(endpoints, first, second):
    chosen = least_of_two(endpoints, draws(first, second))
    free = [endpoint for endpoint in endpoints if endpoint.in_flight < endpoint.limit]
    if free:
        assert chosen in free
    else:
        assert chosen is None


@given(endpoints=st.lists(slots, min_size=2, max_size=6), first=RANDOMS, second=RANDOMS)
def test_two_different_endpoints_are_compared(endpoints, first, second):
    """Whatever the draws, at least one of the others is no better, or all others are full."""
    chosen = least_of_two(endpoints, draws(first, second))
    others = [endpoint for endpoint in endpoints if endpoint is not chosen]
    assert chosen is None or any(
        other.in_flight >= chosen.in_flight or other.in_flight >= other.limit for other in others
    )


def test_all_pairs_are_drawn_equally_often():
    endpoints = [Slots(number, 100) for number in range(4)]
    random = Random(1)
    pairs = Counter(
        least_of_two(endpoints, random.random).in_flight  # type: ignore[union-attr]
        for _ in range(12_000)
    )
    # of the 6 pairs of 4, the lesser is 0 in three, 1 in two, 2 in one
    assert pairs[3] == 0
    for lesser, share in [(0, 3 / 6), (1, 2 / 6), (2, 1 / 6)]:
        assert pairs[lesser] / 12_000 == pytest.approx(share, abs=0.02)


def test_when_both_choices_are_full_the_least_loaded_free_one_is_found():
    full, busy, idle = Slots(3, 3), Slots(2, 3), Slots(1, 3)
    assert least_of_two([full, Slots(3, 3), busy, idle], draws(0.0, 0.0)) is idle


def test_a_single_endpoint_needs_no_random_number():
    free, full = Slots(0, 1), Slots(1, 1)
    assert least_of_two([free], draws()) is free
    assert least_of_two([full], draws()) is None


def test_no_endpoint_is_no_choice():
    assert least_of_two([], draws()) is None


def test_load_spreads_evenly_over_many_requests():
    random = Random(2)
    endpoints = [Slots(0, 1000) for _ in range(10)]
    for _ in range(2000):
        chosen = least_of_two(endpoints, random.random)
        assert chosen is not None
        chosen.in_flight += 1
    assert max(e.in_flight for e in endpoints) - min(e.in_flight for e in endpoints) <= 8


@given(weights=st.lists(st.integers(0, 100), max_size=6), at=RANDOMS)
def test_a_proton_without_weight_is_never_chosen(weights, at):
    protons = [Split(weight) for weight in weights]
    chosen = by_weight(protons, lambda: at)
    if any(weights):
        assert chosen is not None
        assert chosen.weight > 0
    else:
        assert chosen is None


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param([50, 50], id="halves"),
        pytest.param([95, 5], id="canary"),
        pytest.param([0, 30, 0, 70], id="weightless-ones-between"),
        pytest.param([1, 2, 3, 4], id="several"),
    ],
)
def test_shares_converge_to_the_weights(weights):
    random = Random(3)
    protons = [Split(weight) for weight in weights]
    seen = Counter(id(by_weight(protons, random.random)) for _ in range(20_000))
    for proton in protons:
        share = proton.weight / sum(weights)
        assert seen[id(proton)] / 20_000 == pytest.approx(share, abs=0.02)


def test_a_single_proton_needs_no_random_number():
    only, off = Split(1), Split(0)
    assert by_weight([only], draws()) is only
    assert by_weight([off], draws()) is None


@pytest.mark.parametrize(
    ("weights", "at", "expected"),
    [
        pytest.param([0, 1], 0.0, 1, id="the-lowest-draw-passes-over-weight-0"),
        pytest.param([1, 1], 0.5, 1, id="the-border-belongs-to-the-next"),
        pytest.param([1, 0], 0.9, 0, id="a-single-weight-of-1"),
        pytest.param([1, 1, 0], 1.0, 1, id="a-draw-rounded-up-to-the-very-end"),
    ],
)
def test_draws_at_the_borders(weights, at, expected):
    protons = [Split(weight) for weight in weights]
    assert by_weight(protons, lambda: at) is protons[expected]


@given(limit=st.integers(1, 2000), workers=st.integers(0, 64))
def test_shares_of_a_limit_shut_nobody_out_and_exceed_it_by_less_than_the_workers(limit, workers):
    share = share_of_limit(limit, workers)
    count = max(workers, 1)
    assert share >= 1
    assert limit <= share * count <= limit + count - 1


def test_a_limit_of_one_gives_every_worker_one():
    assert share_of_limit(1, 4) == 1


def scaled(*policies: tuple[str, float], enabled: bool = True, limit: int | None = None):
    made = tuple(ScalingPolicy(metric=metric, target=target) for metric, target in policies)
    autoscaling = Autoscaling(enabled=enabled, policies=made)
    return GroupRuntime(autoscaling=autoscaling, concurrency_limit=limit)


CONCURRENCY = "httpRequestsConcurrency"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param(GroupRuntime(), 1024, id="nobody-says"),
        pytest.param(GroupRuntime(concurrency_limit=3), 3, id="its-own"),
        pytest.param(scaled((CONCURRENCY, 10), limit=3), 3, id="its-own-before-a-target"),
        pytest.param(scaled((CONCURRENCY, 10)), 20, id="twice-the-target"),
        pytest.param(scaled(("httpRequestsInFlight", 4)), 8, id="in-flight-is-a-target-too"),
        pytest.param(scaled((CONCURRENCY, 10), ("httpRequestsInFlight", 4)), 8, id="the-lowest"),
        pytest.param(scaled((CONCURRENCY, 0.1)), 1, id="at-least-1"),
        pytest.param(scaled((CONCURRENCY, 10), enabled=False), 1024, id="switched-off"),
        pytest.param(scaled((CONCURRENCY, 0)), 1024, id="a-target-of-0-is-none"),
        pytest.param(scaled(("cpuAverageUtilization", 70)), 1024, id="cpu-is-no-count"),
    ],
)
def test_limits_of_a_replica(group, expected):
    assert replica_limit(group, default=1024) == expected
