import pytest

from controlplane.model.sections import ApiSettings, Settings
from tests.integration.api.conftest import GATEWAY, artifact_body, container

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


async def test_generic_is_the_old_word_for_service(api):
    made = await api.artifact(type="generic")
    assert made["type"] == "service"
    await api.artifact(type="agent")
    for path in (*PATHS, "/api/v2/artifactRepositories"):
        for word in ("generic", "service"):
            found = (await api.owner.get(f"{path}?type={word}")).json()
            assert found["totalCount"] == 1, path


# -- clone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("lock", [False, True])
async def test_a_clone_is_a_new_draft_in_the_same_repository(api, path, slash, lock):
    original = await api.artifact(description="d", lock=lock)
    answer = await api.owner.post(f"{path}/{original['id']}/clone{slash}", json={"name": "twin"})
    assert answer.status_code == 200, answer.text
    clone = answer.json()
    assert clone["id"] != original["id"]
    assert (clone["name"], clone["status"], clone["version"]) == ("twin", "draft", None)
    kept = ("description", "type", "artifactRepositoryId", "spec")
    assert {key: clone[key] for key in kept} == {key: original[key] for key in kept}
    locked = await api.owner.patch(f"/api/v2/artifacts/{clone['id']}", json={"status": "locked"})
    assert locked.json()["version"] == (2 if lock else 1)


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 5001}, {"name": "n", "spec": {}}]
)
async def test_a_clone_needs_a_name_and_nothing_else(api, body):
    original = await api.artifact()
    answer = await api.owner.post(f"/api/v2/artifacts/{original['id']}/clone", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


async def test_somebody_elses_artifact_is_not_cloned(api):
    original = await api.artifact()
    _, stranger = await api.person("stranger")
    path = f"/api/v2/artifacts/{original['id']}/clone"
    assert (await stranger.post(path, json={"name": "n"})).status_code == 403
    unknown = f"/api/v2/artifacts/{'0' * 24}/clone"
    assert (await api.owner.post(unknown, json={"name": "n"})).status_code == 404


# -- what may be inside -----------------------------------------------------------------------


async def test_images_outside_the_lists_are_refused_wherever_they_are_named(make_api):
    rules = ApiSettings(
        gateway_url=GATEWAY,
        image_validation=True,
        image_allowlist="registry/*, old/*",
        image_denylist="*:latest",
    )
    api = await make_api(Settings(api=rules))
    fine = await api.artifact()
    one = f"/api/v2/artifacts/{fine['id']}"

    def body(image):
        return artifact_body(
            spec={"containerGroups": [{"containers": [container(imageUri=image)]}]}
        )

    for image in ("elsewhere/app:1", "registry/app:latest"):
        for verb, path, content in (
            ("POST", "/api/v2/artifacts", body(image)),
            ("POST", "/api/v2/workloads", {"name": "w", "artifact": body(image)}),
            ("PUT", one, body(image)),
            ("PATCH", one, {"spec": body(image)["spec"]}),
        ):
            refused = await api.owner.request(verb, path, json=content)
            assert refused.status_code == 422
            told = {"detail": f"Image URI '{image}' is not permitted on this cluster."}
            assert refused.json() == told
    assert (await api.owner.get(one)).json() == fine
    assert (await api.owner.get("/api/v2/workloads")).json()["totalCount"] == 0

    stricter = await make_api(
        Settings(
            api=ApiSettings(gateway_url=GATEWAY, image_validation=True, image_denylist="registry/*")
        )
    )
    cloned = await stricter.owner.post(f"{one}/clone", json={"name": "twin"})
    assert cloned.status_code == 422
    runs = await stricter.workload(artifactId=fine["id"])
    assert runs["artifactId"] == fine["id"]


async def test_only_admins_loosen_a_containers_security(api):
    _, somebody = await api.person("somebody")
    loose = container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}})
    body = artifact_body(spec={"containerGroups": [{"containers": [loose]}]})
    refused = await somebody.post("/api/v2/artifacts", json=body)
    assert refused.status_code == 403
    assert "containers.0.securityContext.capabilities.add" in refused.json()["detail"]
    assert (await api.owner.post("/api/v2/artifacts", json=body)).status_code == 201


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"port": 80}, [0, "containers", 0, "port"]),
        ({"port": None}, [0, "containers", 0, "port"]),
        ({"primary": False}, [0, "containers"]),
        ({"imageUri": None}, [0, "containers", 0, "imageUri"]),
        ({"imageUri": "a b"}, [0, "containers", 0, "imageUri"]),
        ({"entrypoint": []}, [0, "containers", 0, "entrypoint"]),
        ({"readinessProbe": {}}, [0, "containers", 0, "readinessProbe", "path"]),
        (
            {"securityContext": {"runAsUser": 1}},
            [0, "containers", 0, "securityContext", "runAsUser"],
        ),
        ({"routes": [{"path": "/"}] * 51}, [0, "containers", 0, "routes"]),
        ({"routes": [{"path": "x" * 1025}]}, [0, "containers", 0, "routes", 0, "path"]),
    ],
)
@pytest.mark.parametrize("inline", [False, True])
async def test_what_is_wrong_with_a_container_is_pointed_at(api, change, where, inline):
    spec = {"containerGroups": [{"containers": [container(**change)]}]}
    body, path, start = artifact_body(spec=spec), "artifacts", ["body"]
    if inline:
        body, path, start = {"name": "w", "artifact": body}, "workloads", ["body", "artifact"]
    refused = await api.owner.post(f"/api/v2/{path}", json=body)
    assert refused.status_code == 422
    (entry,) = refused.json()["detail"]
    assert entry["loc"] == [*start, "spec", "containerGroups", *where]


async def test_a_patch_says_nothing_that_goes_with_another_type(api):
    made = await api.artifact()
    one = f"/api/v2/artifacts/{made['id']}"
    for spec in ({"a2aEnabled": True}, {"storage": {"mode": "nimCache"}}):
        refused = await api.owner.patch(one, json={"spec": spec})
        assert refused.status_code == 422
        assert "spec." in refused.json()["detail"][0]
    typed = await api.owner.patch(one, json={"spec": {"type": "agent", "templateId": "t"}})
    assert typed.status_code == 200
    assert (typed.json()["type"], typed.json()["spec"]["type"]) == ("service", "service")
    assert typed.json()["spec"]["templateId"] == "t"


# -- images from source -----------------------------------------------------------------------

UNBUILT = container(
    imageUri=None,
    imageBuildConfig={
        "codeRef": {"datarobot": {"catalogId": "c", "catalogVersionId": "v"}},
        "dockerfile": {"source": "provided", "path": "./Dockerfile"},
    },
)


async def test_a_draft_that_would_be_built_is_kept_and_neither_locked_nor_run(api):
    made = await api.artifact(spec={"containerGroups": [{"containers": [UNBUILT]}]})
    (shown,) = made["spec"]["containerGroups"][0]["containers"]
    assert shown["imageBuildConfig"]["dockerfile"]["path"] == "./Dockerfile"
    assert (shown["imageUri"], shown["build"]) == (None, None)
    one = f"/api/v2/artifacts/{made['id']}"
    for verb, path, body in (
        ("PATCH", one, {"status": "locked"}),
        ("POST", "/api/v2/workloads", {"name": "w", "artifactId": made["id"]}),
    ):
        refused = await api.owner.request(verb, path, json=body)
        assert refused.status_code == 422
        assert "runtime_image_uri" in refused.json()["detail"][0]
    named = {"containerGroups": [{"containers": [UNBUILT | {"imageUri": "registry/app:1"}]}]}
    assert (await api.owner.patch(one, json={"spec": named})).status_code == 200
    assert (await api.owner.patch(one, json={"status": "locked"})).status_code == 200


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_this_deployment_builds_no_images_and_says_so(api, path, slash):
    made = await api.artifact()
    builds = f"{path}/{made['id']}/builds"
    none = await api.owner.get(f"{builds}{slash}?limit=5")
    assert none.status_code == 200
    assert none.json() == {
        "totalCount": 0,
        "count": 0,
        "next": None,
        "previous": None,
        "data": [],
    }
    for verb, where in (
        ("POST", builds),
        ("GET", f"{builds}/{'0' * 24}"),
        ("DELETE", f"{builds}/{'0' * 24}"),
        ("GET", f"{builds}/{'0' * 24}/logs"),
    ):
        refused = await api.owner.request(verb, f"{where}{slash}")
        assert refused.status_code == 422
        assert "builds no images" in refused.json()["detail"][0]
    unknown = await api.owner.post(f"{path}/{'0' * 24}/builds{slash}")
    assert unknown.status_code == 404


# -- deleting repositories --------------------------------------------------------------------


async def test_a_repository_is_deleted_with_its_drafts(api):
    first = await api.artifact()
    home = first["artifactRepositoryId"]
    second = await api.artifact(artifactRepositoryId=home)
    other = await api.artifact()
    path = f"/api/v2/artifactRepositories/{home}"
    deleted = await api.owner.delete(f"{path}/")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for gone in (path, *(f"/api/v2/artifacts/{a['id']}" for a in (first, second))):
        assert (await api.owner.get(gone)).status_code == 404
    assert (await api.owner.delete(path)).status_code == 404
    left = (await api.owner.get("/api/v2/artifacts")).json()["data"]
    assert [a["id"] for a in left] == [other["id"]]


async def test_a_repository_with_a_locked_artifact_stays_whole(api):
    draft = await api.artifact()
    home = draft["artifactRepositoryId"]
    locked = await api.artifact(artifactRepositoryId=home, lock=True)
    refused = await api.owner.delete(f"/api/v2/artifactRepositories/{home}")
    assert refused.status_code == 409
    assert locked["id"] in refused.json()["detail"]
    assert draft["id"] not in refused.json()["detail"]
    assert (await api.owner.get(f"/api/v2/artifacts/{draft['id']}")).status_code == 200


async def test_a_repository_with_an_artifact_in_use_stays_until_it_is_free(api):
    workload = await api.workload()
    home = workload["artifact"]["artifactRepositoryId"]
    path = f"/api/v2/artifactRepositories/{home}"
    refused = await api.owner.delete(path)
    assert refused.status_code == 409
    assert workload["artifactId"] in refused.json()["detail"]
    await api.owner.delete(f"/api/v2/workloads/{workload['id']}")
    assert (await api.owner.delete(path)).status_code == 204


async def test_only_its_owner_deletes_a_repository(api):
    made = await api.artifact()
    _, stranger = await api.person("stranger")
    path = f"/api/v2/artifactRepositories/{made['artifactRepositoryId']}"
    assert (await stranger.delete(path)).status_code == 403
    assert (await api.owner.delete(path, headers={"If-Match": '"1"'})).status_code == 409
