"""What replicas are told in confidence, out of a real store."""

import asyncio
import time

import msgspec
import pytest

from autoscaler.leadership import Leadership
from autoscaler.reconcilers.base import SecretError
from autoscaler.secrets import RECORDS, StoreSecrets, token_id
from controlplane import audit
from controlplane.accounts import token_digest
from controlplane.cli.credential import reseal
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, EnvVar
from controlplane.model.people import Credential, Scope, Token, User
from controlplane.model.states import EVERYBODY, AccessRole, Desired
from controlplane.model.workloads import Proton, Runtime, Workload
from controlplane.sealing import KeyFile, make_key_file, new_key, seal_values, sealing_key
from controlplane.store.client import Delete, Put
from controlplane.store.watch import Mirror

WORKLOAD = "b" * 24
CREDENTIAL = "1" * 24
CREATOR, MALLORY, ANN = "2" * 24, "3" * 24, "4" * 24
TOKEN_ID = token_id(WORKLOAD, CREATOR)


class Rig:
    """A leading autoscaler's part that knows secrets."""

    def __init__(self, store, keys):
        self.store, self.keys = store, keys
        self.mirror = Mirror(store, [Proton, *RECORDS])
        loop = asyncio.get_running_loop()
        self.leadership = Leadership(store, holder="test", ttl_s=60, clock=loop.time)
        self.secrets = StoreSecrets(
            store,
            self.mirror,
            self.leadership,
            keys,
            api_url="http://api.test:8081",
            wall=time.time,
        )

    async def write(self, *records):
        revision = await self.store.commit([Put(record) for record in records])
        await self.mirror.reached(revision, timeout_s=20)

    async def settle(self):
        """Wait until the mirror has everything that was written."""
        await self.mirror.reached(await self.store.commit([], journal=[("test", b"", 1)]))

    async def told(self, *variables):
        container = Container(name="main", environment=variables)
        return await self.secrets.variables(WORKLOAD, container)

    async def refusal(self, *variables):
        with pytest.raises(SecretError) as raised:
            await self.told(*variables)
        return str(raised.value)


@pytest.fixture
async def rig(store, tmp_path):
    make_key_file(tmp_path / "credentials.key")
    rig = Rig(store, KeyFile(tmp_path / "credentials.key"))
    await rig.mirror.start()
    await rig.leadership.campaign()
    await rig.write(workload(), user(CREATOR, admin=True), proton())
    yield rig
    await rig.mirror.stop()


def workload(**roles):
    return Workload(
        id=WORKLOAD,
        name="hello",
        artifact_id="a" * 24,
        runtime=Runtime(),
        roles={user_id.removeprefix("u"): role for user_id, role in roles.items()},
        creator_id=CREATOR,
        created_at=1.0,
        updated_at=1.0,
    )


def user(user_id, **changes):
    return User(id=user_id, username=user_id, email="", created_at=1.0, **changes)


def proton(proton_id="c" * 24, *, creator_id=CREATOR, created_at=1.0, container="main"):
    group = ContainerGroup(containers=(Container(name=container, environment=(TOKEN,)),))
    return Proton(
        id=proton_id,
        workload_id=WORKLOAD,
        artifact_id="a" * 24,
        spec=ArtifactSpec(container_groups=(group,)),
        runtime=Runtime(),
        creator_id=creator_id,
        created_at=created_at,
        updated_at=created_at,
    )


def credential(rig, **values):
    return Credential(
        id=CREDENTIAL,
        name="db",
        type="basic",
        keys=tuple(values),
        sealed=seal_values(rig.keys.ring(), CREDENTIAL, values),
        user_id="2" * 24,
        created_at=1.0,
        updated_at=1.0,
    )


def reference(key="password"):
    return EnvVar(source="dr-credential", name="PW", credential_id=CREDENTIAL, key=key)


TOKEN = EnvVar(source="api-key", name="DATAROBOT_API_TOKEN")


async def test_values_of_credentials_are_told_as_they_are_at_each_start(rig):
    await rig.write(credential(rig, user="app", password="one"))
    assert await rig.told(reference(), EnvVar(name="A", value="b")) == {"PW": "one"}
    await rig.write(credential(rig, user="app", password="two"))
    assert await rig.told(reference()) == {"PW": "two"}


async def test_what_is_missing_is_named(rig):
    assert f"PW comes from credential {CREDENTIAL}, which does not exist" in await rig.refusal(
        reference()
    )
    await rig.write(credential(rig, user="app"))
    told = await rig.refusal(reference())
    assert "PW comes from password of credential 'db'" in told
    assert "has no such value" in told


async def test_a_lost_key_is_told_with_the_credential_and_the_file(rig):
    await rig.write(credential(rig, password="one"))
    rig.keys.path.write_text(new_key() + "\n")
    told = await rig.refusal(reference())
    assert "PW cannot be set. Credential 'db'" in told
    assert str(rig.keys.path) in told


async def test_the_token_is_the_workloads_own_and_only_sealed_in_the_store(rig):
    told = await rig.told(TOKEN)
    text = told["DATAROBOT_API_TOKEN"]
    assert told["DATAROBOT_ENDPOINT"] == "http://api.test:8081/api/v2"
    assert told["DATAROBOT_PUBLIC_API_ENDPOINT"] == told["DATAROBOT_ENDPOINT"]
    held = await rig.store.get(Token, TOKEN_ID)
    assert held.record.digest == token_digest(text)
    assert (held.record.name, held.record.user_id) == ("hello", "2" * 24)
    assert (held.record.scope, held.record.made_for) == (Scope.WORKLOAD, WORKLOAD)
    assert text.encode() not in msgspec.json.encode(held.record)


async def test_every_replica_gets_the_same_token_whoever_starts_it(rig, store):
    first = await rig.told(TOKEN)
    assert await rig.told(TOKEN) == first
    other = Rig(store, rig.keys)
    await other.mirror.start()
    try:
        # It does not lead: it may read what is there, and could not make another one.
        assert await other.told(TOKEN) == first
    finally:
        await other.mirror.stop()


async def test_a_token_that_was_revoked_is_made_anew(rig):
    first = await rig.told(TOKEN)
    revision = await rig.store.commit([Delete(Token, TOKEN_ID)])
    await rig.mirror.reached(revision, timeout_s=20)
    assert (await rig.told(TOKEN))["DATAROBOT_API_TOKEN"] != first["DATAROBOT_API_TOKEN"]


async def test_a_token_whose_key_is_lost_is_made_anew(rig):
    first = await rig.told(TOKEN)
    rig.keys.path.write_text(new_key() + "\n")
    second = await rig.told(TOKEN)
    assert second["DATAROBOT_API_TOKEN"] != first["DATAROBOT_API_TOKEN"]
    assert await rig.told(TOKEN) == second


async def test_without_a_workload_a_key_or_the_lease_there_is_no_token(rig, store):
    rig.keys.path.unlink()
    assert "cannot be kept" in await rig.refusal(TOKEN)
    make_key_file(rig.keys.path)
    other = Rig(store, rig.keys)
    await other.mirror.start()
    try:
        assert "cannot be made now" in await other.refusal(TOKEN)
    finally:
        await other.mirror.stop()
    await rig.store.commit([Delete(Workload, WORKLOAD)])
    assert f"no workload {WORKLOAD}" in await rig.refusal(TOKEN)


# -- whose the token is -------------------------------------------------------------------------


OWNERS = {f"u{user_id}": AccessRole.OWNER for user_id in (CREATOR, MALLORY)}


async def given(rig, container="main"):
    """The token that a container is told."""
    asks = Container(name=container, environment=(TOKEN,))
    told = await rig.secrets.variables(WORKLOAD, asks)
    digest = token_digest(told["DATAROBOT_API_TOKEN"])
    return next(t for t in rig.mirror.all(Token).values() if t.digest == digest)


async def holder(rig, container="main"):
    """Whose it is."""
    return (await given(rig, container)).user_id


async def test_the_token_is_theirs_who_made_the_proton_that_starts(rig):
    await rig.write(workload(**OWNERS), user(MALLORY))
    assert await holder(rig) == CREATOR
    await rig.write(proton("d" * 24, creator_id=MALLORY, created_at=2.0, container="evil"))
    assert await holder(rig, "evil") == MALLORY
    assert await holder(rig) == CREATOR  # beside each other: neither gets the other's


async def test_where_both_sides_of_a_replacement_run_the_same_the_last_to_come_counts(rig):
    await rig.write(workload(**OWNERS), user(MALLORY))
    await rig.write(proton("a" * 24, creator_id=MALLORY, created_at=2.0))
    assert await holder(rig) == MALLORY


@pytest.mark.parametrize(
    "creator",
    [
        pytest.param(None, id="deleted"),
        pytest.param(user(CREATOR, disabled=True), id="disabled"),
        pytest.param(user(CREATOR, admin=True), id="no-owner-any-more"),
    ],
)
async def test_a_token_whose_user_cannot_have_it_is_replaced_by_another_owners(rig, creator):
    before = await rig.told(TOKEN)
    roles = {f"u{MALLORY}": AccessRole.OWNER, f"u{ANN}": AccessRole.USER}
    await rig.write(workload(**roles), user(MALLORY), user(ANN))
    if creator is None:
        gone = [Delete(User, CREATOR), Delete(Token, TOKEN_ID)]
        await rig.mirror.reached(await rig.store.commit(gone), timeout_s=20)
    else:
        await rig.write(creator)
    assert await holder(rig) == MALLORY
    assert await rig.told(TOKEN) != before


@pytest.mark.parametrize(
    ("starter", "only"),
    [
        pytest.param(user(CREATOR), (WORKLOAD,), id="no-owner-any-more"),
        pytest.param(user(CREATOR, disabled=True), (WORKLOAD,), id="disabled"),
        pytest.param(user(CREATOR, admin=True, disabled=True), (WORKLOAD,), id="disabled-admin"),
        pytest.param(user(CREATOR, admin=True), (), id="an-admin-acts-for-everybody"),
    ],
)
async def test_who_did_not_choose_the_code_lends_it_no_rights_on_other_workloads(
    rig, starter, only
):
    await rig.write(workload(**{f"u{MALLORY}": AccessRole.OWNER}), user(MALLORY), starter)
    token = await given(rig)
    assert (token.user_id, token.workload_ids) == (MALLORY, only)


async def test_an_admin_who_is_none_any_more_lends_nobodys_rights_from_the_next_start_on(rig):
    roles = {f"u{MALLORY}": AccessRole.OWNER}
    await rig.write(workload(**roles), user(MALLORY))
    before = await given(rig)
    assert before.workload_ids == ()
    await rig.write(user(CREATOR))
    after = await given(rig)
    assert (after.user_id, after.workload_ids) == (MALLORY, (WORKLOAD,))
    assert after.digest != before.digest
    # Whoever owns the workload starts it: now it is their choice.
    await rig.write(proton("d" * 24, creator_id=MALLORY, created_at=2.0))
    assert (await given(rig)).workload_ids == ()


async def test_a_token_opens_with_the_new_key_after_a_rekey(rig, store):
    """What the command seals anew is about the same record as here."""
    first = await rig.told(TOKEN)
    await rig.write(credential(rig, password="one"))
    (old,) = rig.keys.ring().ids
    assert await reseal(store, rig.keys, keep_key=False, forget=False) == (2, [])
    assert await reseal(store, rig.keys, keep_key=True, forget=True) == (0, [])
    assert old not in rig.keys.ring().ids
    await rig.settle()
    assert await rig.told(TOKEN) == first
    assert await rig.told(reference()) == {"PW": "one"}
    held = await rig.store.get(Token, TOKEN_ID)
    assert held.record.digest == token_digest(first["DATAROBOT_API_TOKEN"])
    assert sealing_key(held.record.sealed) == rig.keys.ring().ids[0]


async def test_without_an_enabled_owner_there_is_no_token(rig):
    await rig.write(user(CREATOR, disabled=True), user(MALLORY, admin=True))
    told = await rig.refusal(TOKEN)
    assert f"Workload {WORKLOAD} asks for an API token, and has no owner who is enabled" in told


async def test_a_proton_that_was_stopped_meanwhile_gets_nobodys_token(rig):
    await rig.write(msgspec.structs.replace(proton(), desired=Desired.STOPPED))
    assert f"Nothing of workload {WORKLOAD} runs" in await rig.refusal(TOKEN)


async def test_the_role_of_everybody_makes_an_owner_too(rig):
    await rig.write(workload(**{f"u{EVERYBODY}": AccessRole.OWNER}), user(ANN))
    await rig.write(proton(creator_id=ANN))
    assert await holder(rig) == ANN


async def test_the_audit_tells_of_a_token_once_and_not_its_secrets(rig):
    text = (await rig.told(TOKEN))["DATAROBOT_API_TOKEN"]
    await rig.told(TOKEN)
    found, _ = await rig.store.read_journal(audit.JOURNAL, limit=10)
    assert len(found) == 1
    line = msgspec.json.decode(found[0], type=audit.AuditLine)
    assert (line.by.name, line.kind, line.record_id) == ("autoscaler", Token.kind, TOKEN_ID)
    assert line.action == "created"
    assert text.encode() not in found[0]
    assert token_digest(text).encode() not in found[0]
