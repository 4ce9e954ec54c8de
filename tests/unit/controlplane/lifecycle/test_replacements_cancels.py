"""How a replacement is cancelled, before the switch and after it."""

import pytest

from controlplane.lifecycle.plans import NotFoundError, StateError
from controlplane.lifecycle.underway import Sight
from controlplane.model.states import ProtonRole
from controlplane.model.workloads import Runtime
from tests.unit.controlplane.lifecycle.test_replacements import (
    NEW,
    OLD,
    OLD_ARTIFACT,
    S,
    after,
    saved,
    told,
    weighed,
    world,
)
from tests.unit.controlplane.lifecycle.worlds import NOW


@pytest.mark.parametrize("status", [S.SUBMITTED, S.INITIALIZING, S.AWAITING_PROMOTION])
def test_a_cancel_before_the_switch_leaves_the_old_proton_alone(status):
    plan = world(status, candidate={"weight": 0}).cancel()
    assert (after(plan).status, after(plan).deleted_at) == (S.CLEANING_UP, NOW)
    assert told(plan) == ["Replacement Cancelled"]
    assert len(plan.writes) == 1


def test_a_cancel_in_a_weight_step_gives_the_traffic_back():
    plan = weighed().cancel()
    assert (saved(plan, NEW).weight, saved(plan, OLD).weight) == (0, 100)


@pytest.mark.parametrize(
    "old",
    [
        pytest.param(Sight(ready=1, wanted=1), id="it-serves"),
        pytest.param(Sight(ready=0, wanted=0), id="it-sleeps"),
    ],
)
def test_a_cancel_after_the_switch_goes_back(old):
    plan = world(S.SWITCHING, old=old, switched_at=NOW).cancel()
    back, away, now = saved(plan, OLD), saved(plan, NEW), plan.subject
    assert (back.role, back.weight, back.least_until) == (ProtonRole.ACTIVE, 100, NOW + 60)
    assert (away.role, away.weight) == (ProtonRole.CANDIDATE, 0)
    assert (now.active_proton_id, now.artifact_id) == (OLD, OLD_ARTIFACT)
    assert now.runtime == Runtime(enclaves=("old",))
    assert (after(plan).status, after(plan).switched_at) == (S.CLEANING_UP, None)


def test_it_goes_back_also_when_the_new_proton_is_gone():
    plan = world(S.SWITCHING, without=("new",), previous_artifact_id=None).cancel()
    assert plan.subject.artifact_id == OLD_ARTIFACT


@pytest.mark.parametrize(
    ("old", "without"),
    [
        pytest.param(Sight(errored=True), (), id="errored"),
        pytest.param(Sight(wanted=1), (), id="not-ready"),
        pytest.param(Sight(), ("old",), id="gone"),
    ],
)
def test_it_does_not_go_back_to_what_cannot_serve(old, without):
    with pytest.raises(StateError, match=f"start a replacement onto artifact {OLD_ARTIFACT}"):
        world(S.SWITCHING, old=old, without=without).cancel()


def test_a_second_cancel_changes_nothing():
    assert world(S.CLEANING_UP).cancel().writes == ()


@pytest.mark.parametrize("status", [S.COMPLETED, S.ERRORED])
def test_what_is_over_cannot_be_cancelled(status):
    with pytest.raises(NotFoundError, match=r"There is no active replacement for this workload\."):
        world(status).cancel()
