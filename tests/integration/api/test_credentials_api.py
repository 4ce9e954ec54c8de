import pytest

from controlplane.model.artifacts import Artifact
from controlplane.model.credentials import TYPES
from controlplane.model.people import Credential
from controlplane.model.sections import ApiSettings, Settings, UpSettings
from controlplane.model.workloads import Proton, Workload
from controlplane.sealing import KeyFile, make_key_file, new_key, open_values
from tests.integration.api.conftest import GATEWAY, artifact_body, container

PATH = "/api/v2/credentials/"
BASIC = {"credentialType": "basic", "name": "db", "user": "alice", "password": "hunter2!"}


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "credentials.key"
    make_key_file(path)
    return path


@pytest.fixture
async def api(make_api, key_file):
    """An API with a key."""
    return await make_api(
        Settings(up=UpSettings(data_dir=str(key_file.parent)), api=ApiSettings(gateway_url=GATEWAY))
    )


async def made(client, **body):
    answer = await client.post(PATH, json=BASIC | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def artifact_with(credential_id, key="password", **changes):
    variable = {
        "source": "dr-credential",
        "name": "PASSWORD",
        "drCredentialId": credential_id,
        "key": key,
    }
    spec = {"containerGroups": [{"containers": [container(environmentVars=[variable | changes])]}]}
    return artifact_body(spec=spec)


def opened(api, credential_id):
    record = api.services.mirror.get(Credential, credential_id)
    return open_values(api.services.keys.ring(), record)


# -- records ----------------------------------------------------------------------------------


@pytest.mark.parametrize("credential_type", list(TYPES))
async def test_values_of_every_type_come_in_and_never_go_out(api, credential_type):
    known = TYPES[credential_type]
    values = {name: f"secret-{name}" for name in known.all}
    created = await made(
        api.owner, **{"user": None, "password": None} | {"credentialType": credential_type} | values
    )
    assert created == {
        "id": created["credentialId"],
        "credentialId": created["credentialId"],
        "name": "db",
        "description": "",
        "credentialType": credential_type,
        "keys": list(known.all),
        "creationDate": created["creationDate"],
        "updatedAt": created["creationDate"],
    }
    one = f"{PATH}{created['credentialId']}"
    for answer in (await api.owner.get(one), await api.owner.get(PATH)):
        assert answer.status_code == 200
        assert "secret" not in answer.text
    assert opened(api, created["credentialId"]) == values


async def test_the_store_holds_no_readable_value(api, store):
    created = await made(api.owner)
    raw = await store.link.call("HGETALL", store.keys["rec:credential"])
    entries, _ = await store.read_journal("audit", limit=100)
    everything = b"".join([*raw, *entries])
    assert created["credentialId"].encode() in everything
    assert b"hunter2!" not in everything
    assert b"alice" not in everything


async def test_a_google_key_may_be_an_object(api):
    created = await made(
        api.owner, credentialType="gcp", user=None, password=None, gcpKey={"type": "sa", "n": 1}
    )
    assert opened(api, created["credentialId"]) == {"gcpKey": '{"type": "sa", "n": 1}'}


async def test_an_edit_changes_what_it_names_and_null_takes_an_optional_value_away(api):
    s3 = {
        "credentialType": "s3",
        "user": None,
        "password": None,
        "awsAccessKeyId": "a",
        "awsSecretAccessKey": "b",
        "awsSessionToken": "c",
    }
    one = f"{PATH}{(await made(api.owner, **s3))['credentialId']}"
    answer = await api.owner.patch(
        one, json={"name": "bucket", "description": "d", "awsSecretAccessKey": "B"}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert (body["name"], body["description"], body["keys"]) == (
        "bucket",
        "d",
        list(TYPES["s3"].all),
    )
    assert opened(api, body["credentialId"])["awsSecretAccessKey"] == "B"
    body = (await api.owner.patch(one, json={"awsSessionToken": None})).json()
    assert body["keys"] == ["awsAccessKeyId", "awsSecretAccessKey"]
    same = await api.owner.patch(one, json={"credentialType": "s3"})
    assert same.json() == body


@pytest.mark.parametrize(
    ("change", "where", "kind"),
    [
        ({"password": None}, "password", "missing"),
        ({"apiToken": "x"}, "apiToken", "value_error"),
        ({"password": ""}, "password", "string_too_short"),
        ({"password": "a\0b"}, "password", "value_error"),
        ({"password": 7}, "password", "string_type"),
        ({"password": "hunter2!" * 9000}, "password", "string_too_long"),
        ({"passwords": "hunter2!"}, "passwords", "extra_forbidden"),
        ({"credentialType": "magic"}, "credentialType", "value_error"),
        ({"name": ""}, "name", "string_too_short"),
    ],
)
async def test_a_wrong_body_is_refused_without_repeating_what_was_sent(api, change, where, kind):
    answer = await api.owner.post(PATH, json=BASIC | change)
    assert answer.status_code == 422
    errors = answer.json()["detail"]
    assert {"loc": ["body", where], "type": kind} in [
        {"loc": error["loc"], "type": error["type"]} for error in errors
    ]
    assert all("input" not in error for error in errors)
    assert "hunter2!" not in answer.text


async def test_edits_that_do_not_fit_the_type_are_refused(api):
    one = f"{PATH}{(await made(api.owner))['credentialId']}"
    for change, where in (
        ({"password": None}, "password"),
        ({"token": "x"}, "token"),
        ({"credentialType": "s3"}, "credentialType"),
    ):
        answer = await api.owner.patch(one, json=change)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", where]


async def test_everybody_sees_their_own_and_admins_all(api):
    mine = await made(api.owner)
    _, other = await api.person("other")
    theirs = await made(other, name="theirs")
    assert [c["name"] for c in (await other.get(PATH)).json()["data"]] == ["theirs"]
    assert len((await api.owner.get(PATH)).json()["data"]) == 2
    one = f"{PATH}{mine['credentialId']}"
    for verb in ("get", "delete"):
        assert (await getattr(other, verb)(one)).status_code == 403
    assert (await other.patch(one, json={"name": "x"})).status_code == 403
    assert (await api.owner.get(f"{PATH}{theirs['credentialId']}")).status_code == 200
    assert (await api.owner.get(f"{PATH}{'0' * 24}")).status_code == 404


async def test_the_list_filters_and_orders(api):
    for name in ("b", "a", "x"):
        await made(api.owner, name=name)
    await made(api.owner, name="t", credentialType="bearer", user=None, password=None, token="x")

    async def names(query):
        answer = await api.owner.get(f"{PATH}?{query}")
        assert answer.status_code == 200, answer.text
        return [c["name"] for c in answer.json()["data"]]

    assert await names("") == ["t", "x", "a", "b"]
    assert await names("orderBy=creationDate") == ["b", "a", "x", "t"]
    assert await names("orderBy=-name") == ["x", "t", "b", "a"]
    assert await names("types=bearer") == ["t"]
    assert await names("types=bearer&types=basic&search=X") == ["x"]
    assert (await api.owner.get(f"{PATH}?types=magic")).status_code == 422
    assert (await api.owner.get(f"{PATH}?orderBy=type")).status_code == 422


async def test_if_match_guards_an_edit(api):
    created = await api.owner.post(PATH, json=BASIC)
    one = f"{PATH}{created.json()['credentialId']}"
    tag = created.headers["etag"]
    assert (await api.owner.get(one)).headers["etag"] == tag
    headers = {"If-Match": tag}
    assert (await api.owner.patch(one, json={"name": "x"}, headers=headers)).status_code == 200
    assert (await api.owner.patch(one, json={"name": "y"}, headers=headers)).status_code == 409


# -- keys -------------------------------------------------------------------------------------


async def test_without_a_key_the_answer_names_the_file_and_the_remedy(api, key_file):
    key_file.unlink()
    answer = await api.owner.post(PATH, json=BASIC)
    assert answer.status_code == 503
    assert str(key_file) in answer.json()["detail"]
    assert "tidegate credential key" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "cannot be read (Is a directory)", id="a-directory"),
        pytest.param(b"", "holds no key", id="empty"),
        pytest.param(b"root:x:0:0:root\n", "Line 1 of", id="another-file"),
        pytest.param(b"# hunter2\n\xff\xfehunter2", "Line 2 of", id="no-text"),
    ],
)
async def test_a_key_file_that_is_none_is_told_with_setting_and_remedy_and_not_its_content(
    api, key_file, content, says
):
    before = await made(api.owner)
    key_file.unlink()
    if content is None:
        key_file.mkdir()
    else:
        key_file.write_bytes(content)
    values = {"user": "app", "password": "battery staple"}
    for answer in (
        await api.owner.post(PATH, json=BASIC | values),
        await api.owner.patch(f"{PATH}{before['id']}", json=values),
    ):
        detail = answer.json()["detail"]
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        for part in (says, str(key_file), "api.credentials_key_file", "tidegate credential key"):
            assert part in detail
        for part in ("root:", "hunter2", "battery"):
            assert part not in detail
    assert (await api.owner.get(PATH)).status_code == 200


async def test_a_lost_key_is_named_and_entering_all_values_again_heals(api, key_file):
    created = await made(api.owner)
    one = f"{PATH}{created['credentialId']}"
    old = key_file.read_text()
    key_file.write_text(new_key() + "\n")
    lost = await api.owner.patch(one, json={"password": "new"})
    assert lost.status_code == 503
    assert "which is not in" in lost.json()["detail"]
    assert (await api.owner.get(one)).status_code == 200
    key_file.write_text(key_file.read_text() + old)
    assert (await api.owner.patch(one, json={"password": "new"})).status_code == 200
    key_file.write_text(new_key() + "\n")
    healed = await api.owner.patch(one, json={"user": "u", "password": "p"})
    assert healed.status_code == 200
    assert opened(api, created["credentialId"]) == {"user": "u", "password": "p"}


async def test_a_new_first_key_seals_and_the_old_one_still_opens(api, key_file):
    created = await made(api.owner)
    key_file.write_text(f"{new_key()}\n{key_file.read_text()}")
    assert opened(api, created["credentialId"])["user"] == "alice"
    again = await made(api.owner)
    ring = KeyFile(key_file).ring()
    sealed = api.services.mirror.get(Credential, again["credentialId"]).sealed
    assert sealed.split(".")[1] == ring.ids[0]


# -- references -------------------------------------------------------------------------------


async def test_an_environment_refers_to_a_credential_and_no_record_holds_its_value(api, store):
    created = await made(api.owner)
    workload = await api.workload(artifact=artifact_with(created["credentialId"]))
    artifact = (await api.owner.get(f"/api/v2/artifacts/{workload['artifactId']}")).json()
    (variable,) = artifact["spec"]["containerGroups"][0]["containers"][0]["environmentVars"]
    assert variable == {
        "source": "dr-credential",
        "name": "PASSWORD",
        "drCredentialId": created["credentialId"],
        "key": "password",
    }
    for cls in (Artifact, Proton, Workload):
        raw = await store.link.call("HGETALL", store.keys[f"rec:{cls.kind}"])
        assert b"hunter2!" not in b"".join(raw)


WAY = ["containerGroups", 0, "containers", 0, "environmentVars", 0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"drCredentialId": "0" * 24}, "drCredentialId"), ({"key": "apiToken"}, "key")],
)
async def test_a_wrong_reference_is_refused_where_it_stands(api, changes, field):
    created = await made(api.owner)
    wrong = artifact_with(created["credentialId"], **changes)
    draft = await api.artifact()
    one = f"/api/v2/artifacts/{draft['id']}"
    for answer, way in (
        (await api.owner.post("/api/v2/artifacts", json=wrong), ["body", "spec"]),
        (await api.owner.put(one, json=wrong), ["body", "spec"]),
        (await api.owner.patch(one, json={"spec": wrong["spec"]}), ["body", "spec"]),
        (
            await api.owner.post("/api/v2/workloads", json={"name": "w", "artifact": wrong}),
            ["body", "artifact", "spec"],
        ),
    ):
        assert answer.status_code == 422
        (error,) = answer.json()["detail"]
        assert error["loc"] == [*way, *WAY, field]


async def test_somebody_elses_credential_is_no_credential_of_yours(api):
    created = await made(api.owner)
    _, other = await api.person("other")
    wrong = artifact_with(created["credentialId"])
    answer = await other.post("/api/v2/artifacts", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == "drCredentialId"


async def test_a_credential_in_use_stays_and_its_users_are_named(api):
    created = await made(api.owner)
    one = f"{PATH}{created['credentialId']}"
    workload = await api.workload(artifact=artifact_with(created["credentialId"]))
    refused = await api.owner.delete(one)
    assert refused.status_code == 409
    assert workload["id"] in refused.json()["detail"]
    assert workload["artifactId"] in refused.json()["detail"]
    await api.owner.delete(f"/api/v2/workloads/{workload['id']}")
    assert (await api.owner.delete(one)).status_code == 409
    await api.owner.delete(f"/api/v2/artifacts/{workload['artifactId']}")
    assert (await api.owner.delete(one)).status_code == 204
    assert (await api.owner.get(one)).status_code == 404


async def test_a_locked_artifact_without_workloads_holds_no_credential_and_cannot_start(api):
    created = await made(api.owner)
    body = artifact_with(created["credentialId"])
    artifact = await api.artifact(lock=True, spec=body["spec"])
    assert (await api.owner.delete(f"{PATH}{created['credentialId']}")).status_code == 204
    answer = await api.owner.post(
        "/api/v2/workloads", json={"name": "w", "artifactId": artifact["id"]}
    )
    assert answer.status_code == 422
    assert "PASSWORD" in answer.json()["detail"][0]
    clone = await api.owner.post(f"/api/v2/artifacts/{artifact['id']}/clone", json={"name": "c"})
    assert clone.status_code == 422
