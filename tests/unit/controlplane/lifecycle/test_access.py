import pytest

from controlplane.lifecycle import access
from controlplane.lifecycle.plans import ForbiddenError
from controlplane.model.states import AccessRole
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


def test_artifacts_belong_to_their_creator():
    assert access.role_on(worlds.user(), worlds.artifact()) is AccessRole.OWNER


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
