import itertools

import pytest

from controlplane.lifecycle import access
from controlplane.lifecycle.plans import ForbiddenError
from controlplane.model.states import EVERYBODY, AccessRole
from tests.unit.controlplane.lifecycle import worlds

SOMEBODY = "1" * 24


@pytest.mark.parametrize("role", list(AccessRole))
def test_a_workloads_roles_count_for_their_users(role):
    workload = worlds.workload(roles={SOMEBODY: role})
    assert access.role_on(worlds.user(SOMEBODY), workload) is role


def test_a_stranger_has_no_role():
    assert access.role_on(worlds.user(SOMEBODY), worlds.workload()) is None
    assert access.role_on(worlds.user(SOMEBODY), worlds.artifact()) is None
    assert access.role_on(worlds.user(SOMEBODY), worlds.repository()) is None


@pytest.mark.parametrize("make", [worlds.workload, worlds.artifact, worlds.repository])
def test_what_nobody_shared_yet_belongs_to_its_creator(make):
    assert access.role_on(worlds.user(), make(roles={})) is AccessRole.OWNER


@pytest.mark.parametrize("make", [worlds.workload, worlds.artifact, worlds.repository])
def test_a_creator_who_is_not_among_the_roles_has_none(make):
    entity = make(roles={SOMEBODY: AccessRole.OWNER})
    assert access.role_on(worlds.user(), entity) is None
    assert access.role_on(worlds.user(SOMEBODY), entity) is AccessRole.OWNER


@pytest.mark.parametrize(
    ("own", "of_all"),
    list(itertools.product([None, *AccessRole], [None, AccessRole.USER, AccessRole.CONSUMER])),
)
def test_the_stronger_of_ones_own_role_and_everybodys_counts(own, of_all):
    roles = {worlds.OWNER: AccessRole.OWNER}
    roles |= {} if own is None else {SOMEBODY: own}
    roles |= {} if of_all is None else {EVERYBODY: of_all}
    strength = [AccessRole.OWNER, AccessRole.USER, AccessRole.CONSUMER, None]
    strongest = min(own, of_all, key=strength.index)
    assert access.role_on(worlds.user(SOMEBODY), worlds.workload(roles=roles)) is strongest


def test_an_admin_owns_everything():
    admin = worlds.user(SOMEBODY, admin=True)
    assert access.role_on(admin, worlds.workload()) is AccessRole.OWNER
    assert access.role_on(admin, worlds.artifact()) is AccessRole.OWNER


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (AccessRole.OWNER, {access.OWNERS, access.READERS, access.ANYONE}),
        (AccessRole.USER, {access.READERS, access.ANYONE}),
        (AccessRole.CONSUMER, {access.ANYONE}),
    ],
)
def test_the_table_of_roles_holds(role, allowed):
    workload = worlds.workload(roles={SOMEBODY: role})
    for wanted in (access.OWNERS, access.READERS, access.ANYONE):
        if wanted in allowed:
            assert access.require(worlds.user(SOMEBODY), workload, wanted) is role
        else:
            with pytest.raises(ForbiddenError):
                access.require(worlds.user(SOMEBODY), workload, wanted)


def test_a_refusal_names_the_role_and_the_entity():
    with pytest.raises(ForbiddenError, match=f"role OWNER or USER on workload {'b' * 24}"):
        access.require(worlds.user(SOMEBODY), worlds.workload(), access.READERS)


def test_permissions_follow_the_role():
    assert "CAN_DELETE" in access.permissions(AccessRole.OWNER)
    assert access.permissions(AccessRole.CONSUMER) == ["CAN_MAKE_PREDICTIONS"]
    assert access.permissions(None) == []
