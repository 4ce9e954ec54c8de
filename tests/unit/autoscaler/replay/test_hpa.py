import pytest

from autoscaler.replay.hpa import (
    HpaSettings,
    HpaState,
    external_replicas,
    plain_replicas,
    resource_replicas,
    settle,
)
from tests.unit.autoscaler.replay.published import published_cases


def test_the_published_replica_tables():
    cases = published_cases()["hpa"]
    for current, usage, ready, target, want in cases["cases"]:
        measured = [milli for milli, is_ready in zip(usage, ready, strict=True) if is_ready]
        found = resource_replicas(current, measured, target, unready=ready.count(0))
        assert found == want
    for current, usage, target, want in cases["plain_metric"]:
        assert plain_replicas(current, usage, target) == want


@pytest.mark.parametrize(
    ("current", "usage", "unready", "want"),
    [
        pytest.param(3, [540, 460, 500], 0, 3, id="within-the-tolerance"),
        pytest.param(2, [], 2, 2, id="no-pod-is-ready"),
        pytest.param(2, [None, None], 0, 2, id="no-pod-has-a-metric"),
        pytest.param(3, [900, 900, None], 0, 4, id="missing-is-idle-when-growing"),
        pytest.param(3, [100, 100, None], 0, 3, id="missing-is-full-when-shrinking"),
        pytest.param(4, [100, 100, 100, None], 0, 3, id="missing-still-shrinks"),
        pytest.param(4, [200, 200], 2, 1, id="unready-does-not-count-when-shrinking"),
        pytest.param(4, [600, 600], 2, 4, id="unready-turns-the-direction"),
        pytest.param(9, [1000, 1000, None], 0, 9, id="fewer-pods-than-asked-for-turn-it"),
    ],
)
def test_half_the_request_as_target(current, usage, unready, want):
    assert resource_replicas(current, usage, 50, unready=unready) == want


@pytest.mark.parametrize(
    ("current", "value", "want"),
    [(1, 30, 3), (3, 32, 3), (3, 34, 4), (4, 30, 3), (2, 0, 0)],
)
def test_a_number_from_elsewhere(current, value, want):
    assert external_replicas(current, value, 10) == want


def synced(settings, wishes, *, current):
    """The counts over syncs 15 s apart."""
    state, counts = HpaState(), []
    for i, wanted in enumerate(wishes):
        current, state = settle(settings, state, current=current, wanted=wanted, now_s=15.0 * i)
        counts.append(current)
    return counts


def test_growing_takes_the_higher_of_four_pods_and_double_each_period():
    settings = HpaSettings(target=1)
    assert synced(settings, [50] * 5, current=1) == [5, 10, 20, 40, 50]


def test_two_syncs_in_one_period_share_its_allowance():
    settings = HpaSettings(target=1)
    count, state = settle(settings, HpaState(), current=2, wanted=4, now_s=0)
    count, _ = settle(settings, state, current=count, wanted=50, now_s=10)
    assert count == 6


def test_shrinking_waits_for_the_highest_wish_of_five_minutes():
    counts = synced(HpaSettings(target=1), [10] + [2] * 25, current=10)
    assert counts[:20] == [10] * 20
    assert counts[20] == 2


def test_growing_with_a_stabilisation_takes_the_lowest_wish():
    settings = HpaSettings(target=1, up_stabilisation_s=30)
    assert synced(settings, [8, 8, 8, 8], current=4) == [4, 4, 8, 8]


def test_shrinking_is_limited_by_its_policy():
    settings = HpaSettings(target=1, down_stabilisation_s=0, down_percent=50)
    assert synced(settings, [1] * 4, current=16) == [8, 4, 2, 1]


@pytest.mark.parametrize(("current", "want"), [(0, 0), (1, 2), (30, 10)])
def test_bounds_come_first_and_zero_switches_it_off(current, want):
    settings = HpaSettings(target=1, min_replicas=2, max_replicas=10)
    assert synced(settings, [5], current=current) == [want]
