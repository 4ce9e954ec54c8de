import msgspec
import pytest

from controlplane.lifecycle.plans import Held, Save, UnfitError
from controlplane.lifecycle.sharing import Grant, resolve, share
from controlplane.model.states import EVERYBODY, AccessRole
from tests.unit.controlplane.lifecycle import worlds

ANN = msgspec.structs.replace(worlds.user("1" * 24), username="ann")
BOB = msgspec.structs.replace(worlds.user("2" * 24), username="bob")
OWNER, USER, CONSUMER = AccessRole.OWNER, AccessRole.USER, AccessRole.CONSUMER


def test_recipients_are_found_by_id_and_by_name():
    grants = [
        Grant(user_id=ANN.id, role=OWNER),
        Grant(username="bob", role=USER),
        Grant(everybody=True, role=CONSUMER),
    ]
    assert resolve(grants, [ANN, BOB]) == {ANN.id: OWNER, BOB.id: USER, EVERYBODY: CONSUMER}


def test_whoever_is_to_have_no_role_is_left_out():
    assert resolve([Grant(user_id=ANN.id, role=None)], [ANN]) == {}


@pytest.mark.parametrize(
    ("grants", "says"),
    [
        ([Grant(user_id=BOB.id, role=USER)], "roles.0.id: there is no user"),
        ([Grant(username="", role=USER)], "roles.0.username: there is no user ''"),
        ([Grant(everybody=True, role=OWNER)], "roles.0.role: an owner is a user"),
        (
            [Grant(user_id=ANN.id, role=USER), Grant(username="ann", role=None)],
            "roles.1: this recipient is named twice",
        ),
    ],
)
def test_recipients_that_cannot_be_are_refused(grants, says):
    with pytest.raises(UnfitError, match=says):
        resolve(grants, [ANN])


@pytest.mark.parametrize("make", [worlds.workload, worlds.artifact, worlds.repository])
def test_the_list_replaces_all_roles(make):
    before = make(roles={ANN.id: OWNER, BOB.id: USER})
    plan = share(Held(before, 5), {BOB.id: OWNER}, stamp=worlds.stamp(at=9.0))
    assert plan.subject.roles == {BOB.id: OWNER}
    assert plan.subject.updated_at == 9.0
    assert plan.writes == (Save(record=plan.subject, expected=5),)


def test_a_workloads_journal_says_who_had_which_role():
    before = worlds.workload(roles={ANN.id: OWNER})
    plan = share(Held(before, 5), {BOB.id: OWNER}, stamp=worlds.stamp())
    (event,) = plan.events
    assert event.type == "Sharing Changed"
    assert event.details == {"before": {ANN.id: OWNER}, "after": {BOB.id: OWNER}}


def test_an_artifact_has_no_journal():
    assert share(Held(worlds.artifact(), 5), {BOB.id: OWNER}, stamp=worlds.stamp()).events == ()


@pytest.mark.parametrize("roles", [{}, {BOB.id: USER}, {EVERYBODY: CONSUMER}])
def test_the_last_owner_stays(roles):
    with pytest.raises(UnfitError, match="at least one user with the role OWNER"):
        share(Held(worlds.workload(), 5), roles, stamp=worlds.stamp())


def test_the_same_list_again_changes_nothing():
    assert (
        share(Held(worlds.artifact(), 5), {worlds.OWNER: OWNER}, stamp=worlds.stamp()).writes == ()
    )
