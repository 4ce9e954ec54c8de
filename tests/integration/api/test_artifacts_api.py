import pytest

from tests.integration.api.conftest import artifact_body, container

PATHS = ["/api/v2/artifacts", "/api/v2/registry/artifacts"]
LOCKED = {"/api/v2/artifacts": "locked", "/api/v2/registry/artifacts": "registered"}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_artifact_lives_from_create_to_delete(api, path, slash):
    created = await api.owner.post(path + slash, json=artifact_body(description="d"))
    assert created.status_code == 201
    body = created.json()
    assert (body["status"], body["version"], body["description"]) == ("draft", None, "d")
    assert len(body["id"]) == len(body["artifactRepositoryId"]) == 24
    one = f"{path}/{body['id']}{slash}"

    assert (await api.owner.get(one)).json() == body

    replaced = await api.owner.put(one, json=artifact_body(name="replaced"))
    assert replaced.status_code == 200
    assert (replaced.json()["name"], replaced.json()["description"]) == ("replaced", "")
    assert replaced.json()["artifactRepositoryId"] == body["artifactRepositoryId"]

    patched = await api.owner.patch(one, json={"description": "patched"})
    assert patched.status_code == 200
    assert (patched.json()["name"], patched.json()["description"]) == ("replaced", "patched")

    listed = (await api.owner.get(path + slash)).json()
    assert [a["id"] for a in listed["data"]] == [body["id"]]

    deleted = await api.owner.delete(one)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await api.owner.get(one)).status_code == 404
    assert (await api.owner.get(path)).json()["totalCount"] == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("word", ["locked", "registered"])
async def test_locking_is_for_ever_and_counts_versions(api, path, word):
    first = await api.artifact()
    one = f"{path}/{first['id']}"
    locked = await api.owner.patch(one, json={"status": word})
    assert locked.status_code == 200
    assert (locked.json()["status"], locked.json()["version"]) == (LOCKED[path], 1)

    for verb, body in (
        ("PATCH", {"name": "x"}),
        ("PATCH", {"status": word}),
        ("PUT", artifact_body()),
    ):
        refused = await api.owner.request(verb, one, json=body)
        assert refused.status_code == 403
        assert "locked as version 1" in refused.json()["detail"]
    kept = await api.owner.delete(one)
    assert kept.status_code == 409

    second = await api.artifact(artifactRepositoryId=first["artifactRepositoryId"], lock=True)
    assert second["version"] == 2
    home = await api.owner.get(f"/api/v2/artifactRepositories/{first['artifactRepositoryId']}/")
    assert home.json()["lastVersionNumber"] == 2
    assert home.json()["numArtifacts"] == 2


async def test_a_new_artifact_is_a_draft_whatever_it_says(api):
    for word in ("locked", "registered", "draft"):
        assert (await api.artifact(status=word))["status"] == "draft"


async def test_a_draft_may_be_empty_and_then_not_locked(api):
    made = await api.artifact(spec={})
    refused = await api.owner.patch(f"/api/v2/artifacts/{made['id']}", json={"status": "locked"})
    assert refused.status_code == 422
    (sentence,) = refused.json()["detail"]
    assert "no primary container" in sentence


async def test_patching_containers_replaces_them_all(api):
    made = await api.artifact()
    groups = [{"containers": [container(name="other", port=9000)]}]
    one = f"/api/v2/artifacts/{made['id']}"
    patched = (await api.owner.patch(one, json={"spec": {"containerGroups": groups}})).json()
    (only,) = patched["spec"]["containerGroups"][0]["containers"]
    assert (only["name"], only["port"], only["primary"]) == ("other", 9000, True)


async def test_what_get_answers_can_be_put_back(api):
    probe = {"path": "/ready", "initialDelaySeconds": 0.5}
    whole = container(
        entrypoint=["app", "--fast"],
        environmentVars=[{"name": "A", "value": "1"}, {"source": "api-key"}],
        readinessProbe=probe,
        resourceRequest={"cpu": 1, "memory": "1GB"},
    )
    made = await api.artifact(spec={"containerGroups": [{"containers": [whole]}]})
    body = {key: made[key] for key in ("name", "description", "type", "status", "spec")}
    again = await api.owner.put(f"/api/v2/artifacts/{made['id']}", json=body)
    assert again.status_code == 200, again.text
    assert again.json()["spec"] == made["spec"]


async def test_an_artifact_in_use_is_not_deleted(api):
    workload = await api.workload()
    refused = await api.owner.delete(f"/api/v2/artifacts/{workload['artifactId']}")
    assert refused.status_code == 409
    assert workload["id"] in refused.json()["detail"]
    await api.owner.delete(f"/api/v2/workloads/{workload['id']}")
    freed = await api.owner.delete(f"/api/v2/artifacts/{workload['artifactId']}")
    assert freed.status_code == 204


async def test_a_repository_has_one_type(api):
    made = await api.artifact(type="nim")
    refused = await api.owner.post(
        "/api/v2/artifacts",
        json=artifact_body(artifactRepositoryId=made["artifactRepositoryId"]),
    )
    assert refused.status_code == 422
    unknown = await api.owner.post(
        "/api/v2/artifacts", json=artifact_body(artifactRepositoryId="0" * 24)
    )
    assert unknown.status_code == 404


async def test_a_draft_moves_to_another_repository_by_put(api):
    first, second = await api.artifact(), await api.artifact()
    body = artifact_body(artifactRepositoryId=second["artifactRepositoryId"])
    moved = await api.owner.put(f"/api/v2/artifacts/{first['id']}", json=body)
    assert moved.json()["artifactRepositoryId"] == second["artifactRepositoryId"]


async def test_lists_filter(api):
    first = await api.artifact(name="Alpha", lock=True)
    second = await api.artifact(name="beta", description="the second ALPHA")
    third = await api.artifact(name="gamma", type="nim")

    async def ids(query, path="/api/v2/artifacts"):
        answer = await api.owner.get(f"{path}?{query}")
        assert answer.status_code == 200, answer.text
        return [a["id"] for a in answer.json()["data"]]

    assert await ids("") == [first["id"], second["id"], third["id"]]
    assert await ids("search=alpha") == [first["id"], second["id"]]
    assert await ids(f"search={third['id'][-8:]}") == [third["id"]]
    assert await ids("status=locked") == [first["id"]]
    assert await ids("status=registered", PATHS[1]) == [first["id"]]
    assert await ids("status=draft&type=nim") == [third["id"]]
    assert await ids(f"ids={first['id']}&ids={third['id']}") == [first["id"], third["id"]]
    assert await ids(f"repositoryId={second['artifactRepositoryId']}") == [second["id"]]
    assert await ids(f"createdBy={'0' * 24}") == []
    assert await ids("orderBy=-name") == [third["id"], second["id"], first["id"]]
    assert await ids("sort=-name", PATHS[1]) == [third["id"], second["id"], first["id"]]
    assert await ids("orderBy=status") == [second["id"], third["id"], first["id"]]
    assert await ids("orderBy=-updatedAt") == [third["id"], second["id"], first["id"]]


async def test_repositories_are_listed(api):
    made = await api.artifact(name="Alpha")
    nim = await api.artifact(name="other", type="nim")
    path = "/api/v2/artifactRepositories"
    listed = (await api.owner.get(path)).json()
    assert [r["id"] for r in listed["data"]] == [
        made["artifactRepositoryId"],
        nim["artifactRepositoryId"],
    ]
    assert [r["name"] for r in (await api.owner.get(f"{path}?search=LPHA")).json()["data"]] == [
        "Alpha"
    ]
    assert (await api.owner.get(f"{path}/?type=nim")).json()["totalCount"] == 1
    backwards = (await api.owner.get(f"{path}?orderBy=-name")).json()["data"]
    assert [r["name"] for r in backwards] == ["other", "Alpha"]
    assert (await api.owner.get(f"{path}?orderBy=updatedAt")).status_code == 200
    assert (await api.owner.get(f"{path}/{'0' * 24}")).status_code == 404
