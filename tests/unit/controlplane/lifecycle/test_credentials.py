import msgspec
import pytest

from controlplane.lifecycle.credentials import (
    CredentialContent,
    CredentialEdit,
    Problem,
    check_present,
    check_references,
    check_values,
    create_credential,
    credential_ids,
    delete_credential,
    edit_credential,
    may_use,
    require,
    wants_api_key,
)
from controlplane.lifecycle.plans import ForbiddenError, Held, Remove, StateError, UnfitError
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, EnvVar
from controlplane.model.credentials import TYPES
from controlplane.model.people import Credential
from tests.unit.controlplane.lifecycle import worlds

SOMEBODY = "d" * 24
REFERENCE = EnvVar(source="dr-credential", name="PW", credential_id="1" * 24, key="password")


def credential(**changes):
    fields = {
        "id": "1" * 24,
        "name": "db",
        "type": "basic",
        "keys": ("user", "password"),
        "sealed": "sealed",
        "user_id": worlds.OWNER,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Credential(**(fields | changes))


def spec(*environment):
    container = Container(name="main", primary=True, port=8000, environment=environment)
    return ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),))


def seal(credential_id, values):
    return f"{credential_id[-4:]}:{','.join(values.values())}"


def test_the_types_of_the_contract_are_known_by_both_of_their_names():
    assert set(TYPES) == {
        "s3", "basic", "api_token", "bearer", "oauth", "gcp", "azure", "azure_service_principal",
        "databricks", "databricks_access_token_account", "snowflake",
        "snowflake_key_pair_user_account",
    }  # fmt: skip


@pytest.mark.parametrize("credential_type", list(TYPES))
def test_required_values_must_be_there_optional_ones_may_and_others_may_not(credential_type):
    known = TYPES[credential_type]
    assert check_values(credential_type, known.required) == []
    assert check_values(credential_type, known.all) == []
    missing = check_values(credential_type, known.all[1:])
    assert [(p.at, p.missing) for p in missing] == [((known.all[0],), True)]
    (stranger,) = check_values(credential_type, (*known.all, "colour"))
    assert (stranger.at, stranger.missing) == (("colour",), False)
    assert known.all[0] in stranger.message


def test_a_new_credential_is_the_callers_and_sealed_for_its_own_id():
    content = CredentialContent(name="db", type="basic", values={"password": "p", "user": "u"})
    made = create_credential(content, seal=seal, stamp=worlds.stamp()).subject
    assert made.user_id == worlds.OWNER
    assert made.keys == ("user", "password")
    assert made.sealed == "0001:p,u"


def test_an_edit_seals_new_values_and_leaves_the_rest():
    held = Held(credential(), 5)
    edit = CredentialEdit(name="new", description="d", values={"user": "u", "password": "q"})
    plan = edit_credential(held, edit, seal=seal, stamp=worlds.stamp())
    assert plan.subject.sealed == "1111:u,q"
    assert (plan.subject.name, plan.subject.description) == ("new", "d")
    assert plan.subject.updated_at == worlds.NOW
    assert plan.writes[0].expected == 5


@pytest.mark.parametrize("edit", [CredentialEdit(), CredentialEdit(name="db", description="")])
def test_an_edit_that_changes_nothing_writes_nothing(edit):
    plan = edit_credential(Held(credential(), 5), edit, seal=seal, stamp=worlds.stamp())
    assert plan.writes == ()


LOCKED = worlds.artifact(id="8" * 24, status="locked", spec=spec(REFERENCE))
DRAFT = worlds.artifact(id="9" * 24, spec=spec(REFERENCE))


@pytest.mark.parametrize(
    ("artifacts", "workloads", "protons", "named"),
    [
        pytest.param([DRAFT], [], [], ["artifact 9999"], id="a-draft"),
        pytest.param(
            [LOCKED],
            [worlds.workload(artifact_id="8" * 24)],
            [],
            ["workload bbbb"],
            id="a-workload-on-a-locked-artifact",
        ),
        pytest.param(
            [],
            [worlds.workload()],
            [worlds.proton(spec=spec(REFERENCE))],
            ["workload bbbb"],
            id="a-proton-of-before-an-edit",
        ),
        pytest.param(
            [DRAFT],
            [
                worlds.workload(artifact_id="9" * 24),
                worlds.workload(id="7" * 24, artifact_id="9" * 24),
            ],
            [],
            ["artifact 9999", " and workloads 7777"],
            id="both",
        ),
    ],
)
def test_a_credential_in_use_is_not_deleted_and_its_users_are_named(
    artifacts, workloads, protons, named
):
    with pytest.raises(StateError) as raised:
        delete_credential(
            Held(credential(), 5), artifacts=artifacts, workloads=workloads, protons=protons
        )
    assert all(part in str(raised.value) for part in named)


def test_a_credential_of_a_locked_artifact_that_nobody_runs_is_deleted():
    plan = delete_credential(
        Held(credential(), 5),
        artifacts=[LOCKED, worlds.artifact()],
        workloads=[worlds.workload()],
        protons=[worlds.proton()],
    )
    assert plan.writes == (Remove(kind=Credential, id="1" * 24, expected=5),)


def test_only_the_owner_and_admins_may_use_a_credential():
    mine = credential()
    assert may_use(worlds.user(), mine)
    assert may_use(worlds.user(SOMEBODY, admin=True), mine)
    assert not may_use(worlds.user(SOMEBODY), mine)
    require(worlds.user(), mine)
    with pytest.raises(ForbiddenError, match="somebody else"):
        require(worlds.user(SOMEBODY), mine)


WAY = ("containerGroups", 0, "containers", 0, "environmentVars", 1)


@pytest.mark.parametrize(
    ("variable", "user", "problem"),
    [
        pytest.param(REFERENCE, worlds.OWNER, None, id="all-is-well"),
        pytest.param(REFERENCE, SOMEBODY, "drCredentialId", id="somebody-elses"),
        pytest.param(
            msgspec.structs.replace(REFERENCE, credential_id="2" * 24),
            worlds.OWNER,
            "drCredentialId",
            id="unknown",
        ),
        pytest.param(
            msgspec.structs.replace(REFERENCE, credential_id=None),
            worlds.OWNER,
            "drCredentialId",
            id="none",
        ),
        pytest.param(
            msgspec.structs.replace(REFERENCE, key="token"), worlds.OWNER, "key", id="no-such-value"
        ),
    ],
)
def test_wrong_references_are_told_where_they_stand(variable, user, problem):
    known = {"1" * 24: credential()}
    found = check_references(
        spec(EnvVar(name="A", value="b"), variable), user=worlds.user(user), find=known.get
    )
    assert [p.at for p in found] == ([] if problem is None else [(*WAY, problem)])


def test_what_a_start_needs_must_be_there():
    known = {"1" * 24: credential()}
    check_present(spec(REFERENCE, EnvVar(name="A", value="b")), known.get)
    with pytest.raises(UnfitError, match=r"PW \(password of credential 1111"):
        check_present(spec(REFERENCE), {}.get)
    with pytest.raises(UnfitError, match="PW"):
        check_present(spec(REFERENCE), {"1" * 24: credential(keys=("user",))}.get)
    with pytest.raises(UnfitError, match="PW"):
        check_present(spec(msgspec.structs.replace(REFERENCE, credential_id=None)), known.get)


def test_references_and_wishes_of_a_spec_are_found():
    assert credential_ids(spec(REFERENCE, EnvVar(name="A", value="b"))) == {"1" * 24}
    assert credential_ids(ArtifactSpec()) == set()
    assert wants_api_key(spec(REFERENCE, EnvVar(source="api-key", name="T")))
    assert not wants_api_key(spec(REFERENCE))


def test_a_problem_is_no_missing_field_unless_it_says_so():
    assert not Problem(("a",), "why").missing
