from dataclasses import replace

import pytest

from controlplane.lifecycle.plans import Held, Remove, Save, StateError
from controlplane.lifecycle.rules import Limits
from controlplane.lifecycle.workloads import (
    WorkloadContent,
    WorkloadEdit,
    create_workload,
    delete_workload,
    edit_workload,
    start_workload,
    stop_workload,
)
from controlplane.model.kinds import Tag
from controlplane.model.states import (
    AccessRole,
    Desired,
    Importance,
    ProtonRole,
    ProtonState,
    ReplacementStatus,
)
from controlplane.model.traffic import Quota, Traffic
from controlplane.model.workloads import (
    Deployment,
    Proton,
    Runtime,
    Workload,
)
from tests.unit.controlplane.lifecycle import test_replacements, worlds

UP = [
    ProtonState.UNKNOWN,
    ProtonState.SUBMITTED,
    ProtonState.PROVISIONING,
    ProtonState.LAUNCHING,
    ProtonState.RUNNING,
    ProtonState.SUSPENDED,
]


def create(artifact=None, version=7, **content):
    return create_workload(
        WorkloadContent(**({"name": None, "runtime": Runtime()} | content)),
        artifact=Held(artifact or worlds.artifact(), version),
        others=[],
        limits=Limits(),
        stamp=worlds.stamp(),
    )


def start(present, others=()):
    return start_workload(present, others=others, limits=Limits(), stamp=worlds.stamp())


def saved(plan, kind):
    found = [w for w in plan.writes if isinstance(w, Save) and isinstance(w.record, kind)]
    assert len(found) == 1
    return found[0]


# -- create -----------------------------------------------------------------------------------


def test_a_new_workload_runs_with_a_proton_of_its_own():
    plan = create(name="w", description="d", importance=Importance.HIGH)
    proton = saved(plan, Proton)
    assert saved(plan, Workload) == Save(record=plan.subject, expected=0)
    assert proton.expected == 0
    assert plan.subject.active_proton_id == proton.record.id
    assert plan.subject.roles == {worlds.OWNER: AccessRole.OWNER}
    assert plan.subject.desired is Desired.RUNNING
    assert proton.record.role is ProtonRole.ACTIVE
    assert proton.record.spec == worlds.SPEC
    assert proton.record.importance is Importance.HIGH
    assert proton.record.runtime.group().replica_count == 1


def test_a_workload_without_name_takes_its_artifacts():
    assert create().subject.name == "an artifact"


def test_creation_is_in_the_journal():
    plan = create()
    (event,) = plan.events
    assert (event.type, event.workload_id) == ("Workload Created", plan.subject.id)
    assert (event.actor_id, event.at) == (worlds.OWNER, worlds.NOW)
    assert event.details["protonId"] == plan.subject.active_proton_id


def test_a_draft_is_claimed_so_that_two_workloads_cannot_take_it_at_once():
    assert Save(record=worlds.artifact(), expected=7) in create().writes


def test_a_locked_or_brand_new_artifact_is_not_claimed():
    assert len(create(worlds.artifact(status="locked", version=1)).writes) == 2
    assert len(create(version=0).writes) == 2


# -- start ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", UP)
def test_starting_what_runs_is_done_already(state):
    plan = start(worlds.present(state))
    assert (plan.writes, plan.events) == ((), ())


def test_starting_while_stopping_is_refused():
    with pytest.raises(StateError, match="still stopping"):
        start(worlds.present(ProtonState.STOPPING))


def test_starting_what_is_errored_is_refused_with_the_remedy():
    with pytest.raises(StateError, match="stop it first"):
        start(worlds.present(ProtonState.ERRORED))


def test_starting_replaces_the_proton_by_one_with_the_artifact_as_it_is_now():
    edited = worlds.artifact(name="edited")
    plan = start(worlds.present(ProtonState.STOPPED, what=edited))
    new = saved(plan, Proton).record
    assert Remove(kind=Proton, id=worlds.proton().id, expected=6) in plan.writes
    assert saved(plan, Workload) == Save(record=plan.subject, expected=5)
    assert plan.subject.desired is Desired.RUNNING
    assert plan.subject.active_proton_id == new.id != worlds.proton().id
    assert plan.events[0].type == "Workload Started"


def test_starting_without_an_old_proton_works():
    plan = start(worlds.present(ProtonState.STOPPED, without_proton=True))
    assert not [w for w in plan.writes if isinstance(w, Remove)]


def test_starting_on_a_draft_that_another_workload_runs_is_refused():
    with pytest.raises(StateError, match="backs the running workload"):
        start(worlds.present(ProtonState.STOPPED), others=[worlds.workload(id="1" * 24)])


# -- stop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [*UP, ProtonState.ERRORED])
def test_stopping_stops_workload_and_proton_together(state):
    plan = stop_workload(worlds.present(state), stamp=worlds.stamp())
    assert saved(plan, Workload).expected == 5
    assert plan.subject.desired is Desired.STOPPED
    proton = saved(plan, Proton)
    assert proton.expected == 6
    assert proton.record.desired is Desired.STOPPED
    assert plan.events[0].details == {"protonId": proton.record.id}


def test_stopping_without_a_proton_stops_the_workload():
    plan = stop_workload(worlds.present(without_proton=True), stamp=worlds.stamp())
    assert plan.subject.desired is Desired.STOPPED
    assert len(plan.writes) == 1


@pytest.mark.parametrize("state", [ProtonState.STOPPING, ProtonState.STOPPED])
def test_stopping_what_is_stopped_is_done_already(state):
    plan = stop_workload(worlds.present(state), stamp=worlds.stamp())
    assert (plan.writes, plan.events) == ((), ())


def test_a_stop_ends_a_replacement_with_its_protons():
    replaced = test_replacements.world(ReplacementStatus.SUBMITTED).situation
    present = replace(
        worlds.present(of=replaced.workload.record), beside=[Held(worlds.proton(id="d" * 24), 7)]
    )
    plan = stop_workload(present, stamp=worlds.stamp())
    assert plan.subject.replacement is None
    assert Remove(kind=Proton, id="d" * 24, expected=7) in plan.writes
    assert [event.type for event in plan.events] == ["Replacement Cancelled", "Workload Stopped"]
    assert [entry.status for entry in plan.history] == [ReplacementStatus.ERRORED]


@pytest.mark.parametrize(
    ("status", "deleted_at", "told"),
    [
        pytest.param(ReplacementStatus.SWITCHING, None, ["Replacement Completed"], id="switched"),
        pytest.param(ReplacementStatus.CLEANING_UP, None, ["Replacement Errored"], id="failed"),
        pytest.param(ReplacementStatus.CLEANING_UP, 7.0, [], id="its-cancel-is-told-already"),
    ],
)
def test_a_stop_tells_how_a_replacement_ended_once(status, deleted_at, told):
    replaced = test_replacements.world(status, deleted_at=deleted_at).situation
    plan = stop_workload(worlds.present(of=replaced.workload.record), stamp=worlds.stamp())
    assert [event.type for event in plan.events] == [*told, "Workload Stopped"]


# -- edit -------------------------------------------------------------------------------------


def test_a_new_name_touches_nothing_but_the_workload():
    plan = edit_workload(worlds.present(), WorkloadEdit(name="n"), stamp=worlds.stamp())
    assert plan.writes == (Save(record=plan.subject, expected=5),)
    assert plan.subject.name == "n"
    assert plan.events[0].details == {"changes": {"name": "n"}}


def test_importance_reaches_the_running_proton():
    edit = WorkloadEdit(importance=Importance.CRITICAL)
    plan = edit_workload(worlds.present(), edit, stamp=worlds.stamp())
    assert saved(plan, Proton).record.importance is Importance.CRITICAL


def test_importance_reaches_the_protons_beside_it_too():
    edit = WorkloadEdit(importance=Importance.CRITICAL)
    present = replace(worlds.present(), beside=[Held(worlds.proton(id="d" * 24), 7)])
    plan = edit_workload(present, edit, stamp=worlds.stamp())
    protons = [w for w in plan.writes if isinstance(w.record, Proton)]
    assert [(w.record.id[0], w.expected) for w in protons] == [("c", 6), ("d", 7)]
    assert {w.record.importance for w in protons} == {Importance.CRITICAL}


def test_importance_without_a_proton_is_kept_for_the_next():
    edit = WorkloadEdit(importance=Importance.CRITICAL)
    plan = edit_workload(worlds.present(without_proton=True), edit, stamp=worlds.stamp())
    assert len(plan.writes) == 1


def test_traffic_settings_are_the_workloads_own_and_need_no_new_proton():
    traffic = Traffic(quota=Quota(requests_per_minute=3))
    plan = edit_workload(worlds.present(), WorkloadEdit(traffic=traffic), stamp=worlds.stamp())
    assert plan.writes == (Save(record=plan.subject, expected=5),)
    assert plan.subject.traffic == traffic
    assert plan.events[0].details == {"changes": {"traffic": traffic}}


def test_traffic_settings_can_be_given_at_create_and_outlive_a_restart():
    traffic = Traffic(max_body_bytes=7)
    assert create(traffic=traffic).subject.traffic == traffic
    stopped = worlds.present(
        ProtonState.STOPPED, of=worlds.workload(desired=Desired.STOPPED, traffic=traffic)
    )
    assert start(stopped).subject.traffic == traffic


def test_tags_are_replaced_and_the_proton_is_left_alone():
    red, big = Tag(id="1", name="colour", value="red"), Tag(id="2", name="size", value="big")
    now = worlds.present(of=worlds.workload(tags=(red, big)))
    plan = edit_workload(now, WorkloadEdit(tags={"size": "big"}), stamp=worlds.stamp())
    assert plan.subject.tags == (big,)
    assert [write.record for write in plan.writes] == [plan.subject]
    same = WorkloadEdit(tags={"colour": "red", "size": "big"})
    assert edit_workload(now, same, stamp=worlds.stamp()).writes == ()


@pytest.mark.parametrize("edit", [WorkloadEdit(), WorkloadEdit(name="a workload")])
def test_an_edit_that_changes_nothing_writes_nothing(edit):
    plan = edit_workload(worlds.present(), edit, stamp=worlds.stamp())
    assert (plan.writes, plan.events) == ((), ())


# -- delete -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(ProtonState))
def test_deleting_works_in_every_state_and_takes_all_protons(state):
    protons = [Held(worlds.proton(), 6), Held(worlds.proton(id="d" * 24), 8)]
    plan = delete_workload(
        worlds.present(state), protons=protons, deployments=[], stamp=worlds.stamp()
    )
    assert plan.subject.deleted_at == worlds.NOW
    assert plan.subject.active_proton_id is None
    assert plan.writes[1:] == (
        Remove(kind=Proton, id="c" * 24, expected=6),
        Remove(kind=Proton, id="d" * 24, expected=8),
    )
    assert plan.events[0].type == "Workload Deleted"


@pytest.mark.parametrize(
    ("status", "deleted_at", "told", "ended"),
    [
        pytest.param(
            ReplacementStatus.INITIALIZING,
            None,
            ["Replacement Cancelled"],
            [(ReplacementStatus.ERRORED, "Cancelled: the workload was removed.", worlds.NOW)],
            id="before-the-switch-it-is-cancelled",
        ),
        pytest.param(
            ReplacementStatus.SWITCHING,
            None,
            ["Replacement Completed"],
            [(ReplacementStatus.COMPLETED, None, None)],
            id="after-the-switch-it-is-completed",
        ),
        pytest.param(
            ReplacementStatus.CLEANING_UP,
            7.0,
            [],
            [(ReplacementStatus.ERRORED, None, 7.0)],
            id="its-cancel-is-told-already",
        ),
        pytest.param(ReplacementStatus.ERRORED, None, [], [], id="it-is-in-the-history"),
    ],
)
def test_a_replacement_that_a_delete_ends_is_in_the_history(status, deleted_at, told, ended):
    replaced = test_replacements.world(status, deleted_at=deleted_at).situation
    protons = [Held(worlds.proton(), 6), Held(worlds.proton(id="d" * 24), 8)]
    plan = delete_workload(
        worlds.present(of=replaced.workload.record),
        protons=protons,
        deployments=[],
        stamp=worlds.stamp(),
    )
    assert plan.subject.replacement is None
    assert len(plan.writes) == 3
    assert [event.type for event in plan.events] == [*told, "Workload Deleted"]
    assert [(r.status, r.message, r.deleted_at) for r in plan.history] == ended


def test_deleting_under_a_deployment_is_refused():
    deployment = Deployment(
        id="9" * 24,
        name="d",
        workload_id="b" * 24,
        creator_id=worlds.OWNER,
        created_at=1.0,
        updated_at=1.0,
    )
    with pytest.raises(StateError, match="9" * 24):
        delete_workload(
            worlds.present(), protons=[], deployments=[deployment], stamp=worlds.stamp()
        )
