"""What holds for every replacement."""

import pytest

from controlplane.lifecycle.plans import Held, Remove
from controlplane.lifecycle.underway import (
    artifacts_in_use,
    details,
    end_at_once,
    enough,
    is_under_way,
)
from controlplane.model.behavior import Schedule
from controlplane.model.states import ReplacementStatus
from controlplane.model.workloads import Autoscaling, GroupRuntime, Proton, ScalingPolicy
from tests.unit.controlplane.lifecycle.test_replacements import NEW_ARTIFACT, world
from tests.unit.controlplane.lifecycle.worlds import NOW, proton, stamp, workload

S = ReplacementStatus
NOON = 1_767_268_800.0
"""2026-01-01, 12:00 UTC."""
POLICIES = (ScalingPolicy(metric="httpRequestsConcurrency", target=1),)


@pytest.mark.parametrize(
    ("group", "ready", "share", "expected"),
    [
        pytest.param(GroupRuntime(replica_count=3), 1, 1, 3, id="all-of-a-fixed-count"),
        pytest.param(GroupRuntime(replica_count=1), 5, 1, 1, id="no-more-than-a-fixed-count"),
        pytest.param(GroupRuntime(), 5, 1, 1, id="the-default-is-one"),
        pytest.param(GroupRuntime(autoscaling=Autoscaling()), 5, 1, 1, id="nothing-to-scale-by"),
        pytest.param((0, 5), 0, 1, 1, id="at-least-one-where-zero-is-allowed"),
        pytest.param((2, 5), 0, 1, 2, id="at-least-the-minimum"),
        pytest.param((0, 5), 4, 1, 4, id="as-many-as-serve-now"),
        pytest.param((0, 5), 9, 1, 5, id="at-most-the-maximum"),
        pytest.param((0, 5), 4, 0.3, 2, id="a-share-rounds-up"),
    ],
)
def test_enough(group, ready, share, expected):
    if isinstance(group, tuple):
        auto = Autoscaling(policies=POLICIES, min_replicas=group[0], max_replicas=group[1])
        group = GroupRuntime(autoscaling=auto)
    assert enough(group, active_ready=ready, share=share, now_s=NOON) == expected


@pytest.mark.parametrize(
    ("now_s", "ready", "expected"),
    [
        pytest.param(NOON, 0, 6, id="at-least-the-minimum-in-force"),
        pytest.param(NOON, 15, 12, id="at-most-the-maximum-in-force"),
        pytest.param(NOON - 1, 0, 1, id="nothing-is-started-early"),
        pytest.param(NOON + 3600, 0, 1, id="the-groups-own-minimum-before-and-after"),
        pytest.param(NOON + 3600, 15, 5, id="the-groups-own-maximum-before-and-after"),
    ],
)
def test_enough_is_within_the_bounds_that_hold_by_schedule(now_s, ready, expected):
    lunch = Schedule(cron="0 12 * * *", duration_s=3600, min_replicas=6, max_replicas=12)
    auto = Autoscaling(policies=POLICIES, min_replicas=1, max_replicas=5, schedules=(lunch,))
    group = GroupRuntime(autoscaling=auto)
    assert enough(group, active_ready=ready, now_s=now_s) == expected


def test_a_replacement_is_under_way_until_it_ends():
    ended = {S.COMPLETED, S.ERRORED}
    found = {status: is_under_way(world(status).situation.replacement) for status in S}
    assert found == {status: status not in ended for status in S}
    assert not is_under_way(None)


@pytest.mark.parametrize("status", list(S))
def test_a_replacement_under_way_uses_both_artifacts(status):
    found = artifacts_in_use(world(status).situation.workload.record)
    ended = status in {S.COMPLETED, S.ERRORED}
    assert found == ({"a" * 24} if ended else {"a" * 24, NEW_ARTIFACT})


def test_without_a_replacement_a_workload_uses_one_artifact():
    assert artifacts_in_use(workload()) == {"a" * 24}
    only_new = world(S.SWITCHING, previous_artifact_id=None, record={"artifact_id": NEW_ARTIFACT})
    assert artifacts_in_use(only_new.situation.workload.record) == {NEW_ARTIFACT}


def test_an_event_says_nothing_of_protons_that_nobody_looked_at():
    found = details(world(S.SUBMITTED, candidate_proton_id=None).situation.replacement)
    assert found["protonStatuses"] is None
    assert found["candidateProtonIds"] == []


BESIDE = Held(proton(id="d" * 24), 7)
WHY = "the workload was stopped"


def test_a_stop_before_the_switch_cancels():
    record = world(S.AWAITING_PROMOTION).situation.workload.record
    after, removed, history = end_at_once(record, [BESIDE], why=WHY, stamp=stamp())
    assert after.replacement is None
    assert removed == (Remove(kind=Proton, id="d" * 24, expected=7),)
    assert [(r.status, r.deleted_at, r.ended_at) for r in history] == [(S.ERRORED, NOW, NOW)]
    assert history[0].message == "Cancelled: the workload was stopped."


def test_a_stop_after_the_switch_completes():
    record = world(S.SWITCHING, message="kept").situation.workload.record
    after, _, history = end_at_once(record, [BESIDE], why=WHY, stamp=stamp())
    assert after.replacement is None
    assert [(r.status, r.deleted_at, r.message) for r in history] == [(S.COMPLETED, None, "kept")]


def test_a_stop_keeps_a_failure_that_is_being_cleaned_up():
    record = world(S.CLEANING_UP, message="why").situation.workload.record
    after, removed, history = end_at_once(record, [BESIDE], why=WHY, stamp=stamp())
    assert removed == (Remove(kind=Proton, id="d" * 24, expected=7),)
    assert [(r.status, r.deleted_at, r.message) for r in history] == [(S.ERRORED, None, "why")]
    assert after.replacement == history[0]


def test_a_stop_keeps_when_and_why_a_cancelled_one_ended():
    cancelled = world(S.CLEANING_UP, message="Cancelled.", deleted_at=NOW - 9)
    after, _, history = end_at_once(
        cancelled.situation.workload.record, [BESIDE], why=WHY, stamp=stamp()
    )
    assert after.replacement is None
    assert [(r.deleted_at, r.message) for r in history] == [(NOW - 9, "Cancelled.")]


def test_a_stop_takes_a_completed_one_off_and_leaves_a_failure_shown():
    done = world(S.COMPLETED).situation.workload.record
    assert end_at_once(done, [], why=WHY, stamp=stamp())[0].replacement is None
    failed = world(S.ERRORED).situation.workload.record
    for record in (failed, workload()):
        assert end_at_once(record, [], why=WHY, stamp=stamp()) == (record, (), ())
