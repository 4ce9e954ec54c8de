import msgspec
import pytest

from controlplane.lifecycle import people
from controlplane.lifecycle.plans import Held, Remove, Save, StateError, UnfitError
from controlplane.model.people import Credential, Scope, Token, User
from controlplane.model.states import AccessRole
from tests.unit.controlplane.lifecycle import worlds

ADMIN = worlds.user("1" * 24, admin=True)
SECOND = msgspec.structs.replace(worlds.user("2" * 24, admin=True), username="second")
ANN = msgspec.structs.replace(worlds.user("a" * 24), username="ann")
BOB = msgspec.structs.replace(worlds.user("b" * 24), username="bob")
OWNER, USER = AccessRole.OWNER, AccessRole.USER

TOKEN = Token(id="7" * 24, name="t", digest="d", prefix="p", user_id=ANN.id, created_at=1.0)
CREDENTIAL = Credential(
    id="8" * 24,
    name="c",
    type="basic",
    keys=("password",),
    sealed="s",
    user_id=ANN.id,
    created_at=1.0,
    updated_at=1.0,
)


def held(*records):
    return [Held(record, number) for number, record in enumerate(records, start=11)]


def disabled(user):
    return msgspec.structs.replace(user, disabled=True)


def content(**changes):
    return people.UserContent(**({"username": "carl", "email": "carl@test"} | changes))


def token_content(**changes):
    return people.TokenContent(**({"name": "laptop", "digest": "d", "prefix": "tg_1"} | changes))


def delete(user, *others, has=None, heir=None):
    first, *rest = held(user, *others)
    return people.delete_user(
        first,
        users=[first, *rest],
        has=has or people.Belongings(),
        heir=heir,
        stamp=worlds.stamp(),
    )


# -- users --------------------------------------------------------------------------------------


def test_a_new_user_has_what_was_said():
    wanted = content(first_name="Carl", last_name="C", admin=True)
    user = people.create_user(wanted, users=[], stamp=worlds.stamp()).subject
    assert (user.username, user.email, user.first_name, user.last_name, user.admin) == (
        "carl",
        "carl@test",
        "Carl",
        "C",
        True,
    )
    assert (user.disabled, user.created_at) == (False, worlds.NOW)


def test_two_users_cannot_have_the_same_name():
    with pytest.raises(StateError, match="called ann already"):
        people.create_user(content(username="ann"), users=held(ADMIN, ANN), stamp=worlds.stamp())


def test_of_two_creations_at_once_one_meets_what_the_other_wrote():
    plan = people.create_user(content(), users=held(ANN, ADMIN), stamp=worlds.stamp())
    assert plan.writes == (
        Save(record=plan.subject, expected=0),
        Save(record=ADMIN, expected=12),
    )


def test_an_edit_changes_what_it_names():
    (one,) = held(ANN)
    plan = people.edit_user(one, people.UserEdit(email="new@test", admin=True), users=[one])
    assert plan.subject == msgspec.structs.replace(ANN, email="new@test", admin=True)
    assert plan.writes == (Save(record=plan.subject, expected=11),)


def test_an_edit_that_changes_nothing_writes_nothing():
    (one,) = held(ANN)
    assert people.edit_user(one, people.UserEdit(admin=False), users=[one]).writes == ()


ENDS = {
    "disable": lambda users: people.edit_user(
        users[0], people.UserEdit(disabled=True), users=users
    ),
    "demote": lambda users: people.edit_user(users[0], people.UserEdit(admin=False), users=users),
    "delete": lambda users: people.delete_user(
        users[0], users=users, has=people.Belongings(), heir=None, stamp=worlds.stamp()
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_last_admin_stays(end):
    with pytest.raises(StateError, match="last admin"):
        ENDS[end](held(ADMIN, ANN, disabled(SECOND)))


@pytest.mark.parametrize("end", ENDS)
def test_an_admin_may_go_while_another_one_stays(end):
    plan = ENDS[end](held(ADMIN, ANN, SECOND))
    assert plan.writes[-1] == Save(record=SECOND, expected=13)


@pytest.mark.parametrize("end", ["disable", "delete"])
def test_who_is_no_admin_may_go_without_a_witness(end):
    assert len(ENDS[end](held(ANN, ADMIN)).writes) == 1


def test_an_admin_who_is_disabled_already_may_be_deleted():
    assert len(delete(disabled(ADMIN), SECOND).writes) == 1


# -- deleting -----------------------------------------------------------------------------------


def test_tokens_and_roles_go_with_their_user():
    workload = worlds.workload(roles={ANN.id: USER, BOB.id: OWNER})
    has = people.Belongings(entities=[Held(workload, 5)], tokens=[Held(TOKEN, 6)])
    plan = delete(ANN, has=has)
    assert plan.writes[0].record.roles == {BOB.id: OWNER}
    assert plan.writes[1:] == (
        Remove(kind=Token, id=TOKEN.id, expected=6),
        Remove(kind=User, id=ANN.id, expected=11),
    )
    assert [event.type for event in plan.events] == ["Sharing Changed"]


@pytest.mark.parametrize(
    ("has", "named"),
    [
        (people.Belongings(entities=[Held(worlds.workload(roles={ANN.id: OWNER}), 5)]), "workload"),
        (people.Belongings(entities=[Held(worlds.artifact(creator_id=ANN.id), 5)]), "artifact"),
        (people.Belongings(credentials=[Held(CREDENTIAL, 5)]), f"credential {CREDENTIAL.id}"),
    ],
)
def test_what_would_have_no_owner_is_named(has, named):
    with pytest.raises(StateError, match=f"only owner of {named}"):
        delete(ANN, has=has)


def test_of_many_things_the_first_ten_are_named():
    owned = [Held(worlds.artifact(id=f"{n:024x}", creator_id=ANN.id), 5) for n in range(13)]
    with pytest.raises(StateError, match=f"{9:024x} and 3 more: share"):
        delete(ANN, has=people.Belongings(entities=owned))


def test_an_heir_gets_what_has_no_other_owner():
    alone = worlds.repository(creator_id=ANN.id)
    together = worlds.workload(roles={ANN.id: OWNER, BOB.id: OWNER})
    has = people.Belongings(
        entities=[Held(alone, 5), Held(together, 6)], credentials=[Held(CREDENTIAL, 7)]
    )
    plan = delete(ANN, has=has, heir=SECOND)
    repository, workload, credential = (write.record for write in plan.writes[:3])
    assert repository.roles == {SECOND.id: OWNER}
    assert workload.roles == {BOB.id: OWNER}
    assert (credential.user_id, credential.sealed) == (SECOND.id, "s")
    assert isinstance(plan.writes[3], Remove)


@pytest.mark.parametrize("heir", [ANN, disabled(BOB)])
def test_an_heir_is_somebody_else_who_can_act(heir):
    with pytest.raises(UnfitError, match="transferTo"):
        delete(ANN, heir=heir)


@pytest.mark.parametrize("kind", ["entities", "credentials", "tokens"])
def test_more_than_a_commit_can_hold_is_handed_over_bit_by_bit(kind):
    record = {
        "entities": worlds.artifact(creator_id=ANN.id),
        "credentials": CREDENTIAL,
        "tokens": TOKEN,
    }[kind]
    many = [
        Held(msgspec.structs.replace(record, id=f"{n:024x}"), 5) for n in range(people.BATCH + 1)
    ]
    plan = delete(ANN, has=people.Belongings(**{kind: many}), heir=BOB)
    assert len(plan.writes) == people.BATCH
    assert not any(isinstance(w, Remove) and w.kind is User for w in plan.writes)
    rest = delete(ANN, has=people.Belongings(**{kind: many[people.BATCH :]}), heir=BOB)
    assert rest.writes[-1] == Remove(kind=User, id=ANN.id, expected=11)


# -- tokens -------------------------------------------------------------------------------------


def test_a_token_has_what_was_said_and_its_owner_cannot_vanish_meanwhile():
    (owner,) = held(ANN)
    wanted = token_content(scope=Scope.READ, workload_ids=("w",), expires_at=worlds.NOW + 1)
    plan = people.create_token(owner, wanted, stamp=worlds.stamp())
    token = plan.subject
    assert (token.user_id, token.scope, token.workload_ids) == (ANN.id, Scope.READ, ("w",))
    assert (token.name, token.digest, token.prefix) == ("laptop", "d", "tg_1")
    assert (token.created_at, token.expires_at) == (worlds.NOW, worlds.NOW + 1)
    assert plan.writes == (Save(record=token, expected=0), Save(record=ANN, expected=11))


def test_a_token_that_would_never_work_is_not_made():
    with pytest.raises(UnfitError, match="disabled"):
        people.create_token(Held(disabled(ANN), 5), token_content(), stamp=worlds.stamp())
    with pytest.raises(UnfitError, match="expiresAt: a token must expire in the future"):
        people.create_token(
            Held(ANN, 5), token_content(expires_at=worlds.NOW), stamp=worlds.stamp()
        )


def test_a_revoked_token_is_deleted():
    assert people.revoke_token(Held(TOKEN, 5)).writes == (
        Remove(kind=Token, id=TOKEN.id, expected=5),
    )
