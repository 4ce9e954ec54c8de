import pytest

from controlplane.lifecycle.deployments import (
    DeploymentContent,
    DeploymentEdit,
    create_deployment,
    delete_deployment,
    edit_deployment,
)
from controlplane.lifecycle.plans import Held, Save, UnfitError
from controlplane.model.states import Importance
from controlplane.model.workloads import Deployment
from tests.unit.controlplane.lifecycle import worlds

HELD = Held(
    Deployment(
        id="d" * 24,
        name="d",
        workload_id="b" * 24,
        creator_id=worlds.OWNER,
        created_at=1.0,
        updated_at=1.0,
    ),
    4,
)


def create(**artifact):
    return create_deployment(
        DeploymentContent(name="d", importance=Importance.HIGH),
        workload=Held(worlds.workload(), 5),
        artifact=worlds.artifact(**artifact),
        stamp=worlds.stamp(),
    )


def test_a_deployment_holds_its_workload_while_it_is_made():
    plan = create(status="locked", version=1)
    assert plan.writes == (
        Save(record=plan.subject, expected=0),
        Save(record=worlds.workload(), expected=5),
    )
    assert plan.subject.importance is Importance.HIGH
    assert plan.events[0].details == {"deploymentId": plan.subject.id}
    assert plan.events[0].workload_id == "b" * 24


def test_a_draft_is_not_deployed():
    with pytest.raises(UnfitError, match="lock"):
        create()


def test_an_edit_changes_what_it_names():
    plan = edit_deployment(HELD, DeploymentEdit(description="x"), stamp=worlds.stamp())
    assert (plan.subject.name, plan.subject.description) == ("d", "x")
    assert plan.writes == (Save(record=plan.subject, expected=4),)
    assert plan.events[0].type == "Deployment Updated"


def test_an_edit_of_nothing_writes_nothing():
    plan = edit_deployment(HELD, DeploymentEdit(name="d"), stamp=worlds.stamp())
    assert (plan.subject, plan.writes) == (HELD.record, ())


def test_deleting_keeps_the_record_and_tells_the_journal():
    plan = delete_deployment(HELD, stamp=worlds.stamp())
    assert plan.subject.deleted_at == worlds.NOW
    assert plan.writes == (Save(record=plan.subject, expected=4),)
    assert plan.events[0].type == "Deployment Deleted"
