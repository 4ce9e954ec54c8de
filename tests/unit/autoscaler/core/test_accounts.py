"""Time with too few and too many replicas, and changes of direction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.accounts import Flaps, Provisioning, needed_now
from autoscaler.core.observation import Observation, Scaling
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady


def test_time_counts_as_it_was_at_its_beginning():
    account = Provisioning()
    account.see(needed=3, ready=1, now_s=100.0)
    account.see(needed=3, ready=3, now_s=104.0)
    account.see(needed=1, ready=3, now_s=110.0)
    account.see(needed=1, ready=1, now_s=111.0)
    assert (account.under_s, account.missing_replica_s) == (4.0, 8.0)
    assert (account.over_s, account.wasted_replica_s) == (1.0, 2.0)
    assert (account.total_s, account.ready_replica_s) == (11.0, 4.0 + 18.0 + 3.0)


def test_nothing_is_counted_before_the_second_look():
    account = Provisioning()
    account.see(needed=9, ready=0, now_s=5.0)
    assert (account.total_s, account.under_s, account.missing_replica_s) == (0.0, 0.0, 0.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 100)), min_size=1))
def test_waste_and_lack_never_exceed_what_ran_and_what_was_needed(looks):
    account = Provisioning()
    now_s, needed_s, before = 0.0, 0.0, 0
    for needed, ready, span_s in looks:
        now_s += span_s
        needed_s += before * span_s  # nothing before the first look
        before = needed
        account.see(needed=needed, ready=ready, now_s=now_s)
    assert account.under_s + account.over_s <= account.total_s
    assert account.wasted_replica_s <= account.ready_replica_s
    balance_s = account.ready_replica_s + account.missing_replica_s - account.wasted_replica_s
    assert balance_s == needed_s


@pytest.mark.parametrize(
    ("changes", "flaps"),
    [
        pytest.param([(0, 1, 2), (5, 2, 3), (9, 3, 9)], 0, id="one-direction"),
        pytest.param([(0, 1, 2), (59, 2, 1)], 1, id="back-within-the-window"),
        pytest.param([(0, 1, 2), (61, 2, 1)], 0, id="back-after-the-window"),
        pytest.param([(0, 1, 2), (10, 2, 2), (20, 2, 1)], 1, id="no-change-is-not-a-change"),
        pytest.param([(0, 3, 1), (5, 1, 3), (10, 3, 1)], 2, id="to-and-fro"),
    ],
)
def test_a_flap_is_a_change_of_direction_within_the_window(changes, flaps):
    counted = Flaps(60.0)
    told = [counted.change(before, after, now_s=now_s) for now_s, before, after in changes]
    assert (counted.count, sum(told)) == (flaps, flaps)


def test_the_score_is_the_share_of_changes_that_were_flaps():
    flaps = Flaps(60.0)
    assert flaps.score == 0
    for now_s, before, after in [(0, 1, 2), (1, 2, 1), (2, 1, 0), (3, 0, 0)]:
        flaps.change(before, after, now_s=now_s)
    assert (flaps.changes, flaps.score) == (3, 1 / 3)


def scaling(*metrics: str, **chosen: object) -> Scaling:
    policies = tuple(ScalingPolicy(metric=metric, target=10.0) for metric in metrics)
    fields: dict[str, object] = {"max_replicas": 8, **chosen}
    return Scaling(workload_id="w", proton_id="p", policies=policies, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("load", "asked", "needed"),
    [
        pytest.param(31, scaling("httpRequestsConcurrency"), 4, id="what-the-load-takes-now"),
        pytest.param(0, scaling("httpRequestsConcurrency"), 0, id="nothing-for-nothing"),
        pytest.param(0, scaling("httpRequestsInFlight", min_replicas=2), 2, id="the-minimum"),
        pytest.param(990, scaling("httpRequestsConcurrency"), 8, id="the-maximum"),
        pytest.param(31, scaling("cpuAverageUtilization"), 5, id="no-view-of-load"),
        pytest.param(None, scaling("httpRequestsConcurrency"), 5, id="unknown"),
        pytest.param(31, scaling("httpRequestsConcurrency", fixed=5), 5, id="fixed"),
        pytest.param(31, scaling("httpRequestsConcurrency", stopped=True), 5, id="stopped"),
    ],
)
def test_what_the_present_load_needs(load, asked, needed):
    seen = Observation(at=0.0, load=None if load is None else steady(load, mean_stable=99))
    assert needed_now(seen, asked, wanted=5) == needed
    assert needed_now(seen, asked, wanted=5, targets=asked.load_targets()) == needed
