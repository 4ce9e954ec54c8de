import re

import pytest

from controlplane.model.sections import ApiSettings, GatewaySettings, Settings
from tests.integration.api.conftest import (
    CONCURRENCY,
    ELASTIC,
    GATEWAY,
    artifact_body,
    container,
    runtime_body,
)

PATHS = ["/api/v2/workloads", "/api/v2/console/workloads"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_workload_lives_from_create_to_delete(api, path, slash):
    created = await api.owner.post(
        path + slash,
        json={
            "name": "w",
            "description": "d",
            "importance": "high",
            "artifact": artifact_body(),
            "runtime": runtime_body(autoscaling=ELASTIC),
        },
    )
    assert created.status_code == 201
    body = created.json()
    assert re.fullmatch("[0-9a-f]{24}", body["id"])
    assert body["endpoint"] == f"{GATEWAY}/api/v2/endpoints/workloads/{body['id']}/"
    assert body["status"] == "submitted"
    assert body["statusDetails"] is None
    assert (body["importance"], body["replacement"]) == ("high", None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", body["createdAt"])
    one = f"{path}/{body['id']}{slash}"

    assert (await api.owner.get(one)).json() == body

    patched = await api.owner.patch(one, json={"name": "n", "importance": "low"})
    assert patched.status_code == 200
    assert (patched.json()["name"], patched.json()["description"]) == ("n", "d")
    assert patched.json()["protonId"] == body["protonId"]

    listed = (await api.owner.get(path + slash)).json()
    assert [w["id"] for w in listed["data"]] == [body["id"]]
    assert listed["totalCount"] == listed["count"] == 1

    deleted = await api.owner.request(
        "DELETE", one, content=b"null", headers={"Content-Type": "application/json"}
    )
    assert (deleted.status_code, deleted.content) == (204, b"")
    for verb in ("GET", "DELETE"):
        gone = await api.owner.request(verb, one)
        assert gone.status_code == 404
        assert body["id"] in gone.json()["detail"]
    artifact = await api.owner.get(f"/api/v2/artifacts/{body['artifactId']}")
    assert artifact.status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_workload_by_reference_shares_a_locked_artifact(api, path):
    artifact = await api.artifact(lock=True)
    first = await api.workload(path, artifactId=artifact["id"])
    second = await api.workload(path, artifactId=artifact["id"])
    assert first["artifactId"] == second["artifactId"] == artifact["id"]
    assert first["artifact"]["version"] == 1
    assert first["artifact"]["status"] == ("registered" if "console" in path else "locked")


async def test_a_draft_backs_one_running_workload(api):
    artifact = await api.artifact()
    first = await api.workload(artifactId=artifact["id"])
    body = {"name": "second", "artifactId": artifact["id"]}
    refused = await api.owner.post("/api/v2/workloads", json=body)
    assert refused.status_code == 409
    assert first["id"] in refused.json()["detail"]
    await api.owner.post(f"/api/v2/workloads/{first['id']}/stop")
    assert (await api.owner.post("/api/v2/workloads", json=body)).status_code == 201


async def test_only_the_old_family_does_without_a_name(api):
    body = {"artifact": artifact_body(name="its artifact")}
    named = await api.owner.post("/api/v2/console/workloads/", json=body)
    assert named.json()["name"] == "its artifact"
    refused = await api.owner.post("/api/v2/workloads/", json=body)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "name"]
    assert refused.json()["detail"][0]["type"] == "missing"


@pytest.mark.parametrize("path", PATHS)
async def test_bodies_of_both_generations_are_accepted_in_both_families(api, path):
    old = await api.workload(
        path,
        artifact=artifact_body(
            spec={
                "containerGroups": [
                    {"containers": [container(resourceRequest={"cpu": 1, "memory": 1073741824})]}
                ]
            }
        ),
        runtime={"replicaCount": 2},
    )
    (group,) = old["runtime"]["containerGroups"]
    assert group["replicaCount"] == 2
    (sizes,) = group["containers"]
    assert sizes["name"] == "main"
    assert sizes["resourceAllocation"]["memory"] == 1073741824
    assert ("replicaCount" in old["runtime"]) == ("console" in path)

    legacy = CONCURRENCY | {"minCount": 0, "maxCount": 3, "priority": 1}
    middle = await api.workload(path, runtime=runtime_body(autoscaling={"policies": [legacy]}))
    assert middle["runtime"]["containerGroups"][0]["autoscaling"] == {
        "enabled": True,
        "policies": [legacy if "console" in path else CONCURRENCY],
        "minReplicaCount": 0,
        "maxReplicaCount": 3,
        "cooldownPeriodMinutes": None,
    }


async def test_a_misspelt_field_or_parameter_is_told_what_was_meant(api):
    body = {"name": "w", "artefactId": "0" * 24, "colour": "x" * 10_000}
    (meant, unlike, *_) = (await api.owner.post("/api/v2/workloads/", json=body)).json()["detail"]
    assert meant["msg"] == "Extra inputs are not permitted, did you mean 'artifactId'?"
    assert unlike["msg"] == "Extra inputs are not permitted"
    assert len(unlike["input"]) == 200
    (query,) = (await api.owner.get("/api/v2/workloads/?order_by=name")).json()["detail"]
    assert query["msg"].endswith(", did you mean 'orderBy'?")


async def test_of_very_many_wrong_fields_the_first_are_told_and_how_many_more_there_are(api):
    body = {"name": "w"} | {f"artifactIdd{n}": 1 for n in range(300)}
    answer = await api.owner.post("/api/v2/workloads/", json=body)
    assert answer.status_code == 422
    *told, last = answer.json()["detail"]
    hints = ["did you mean" in one["msg"] for one in told if one["type"] == "extra_forbidden"]
    assert len(told) == 100
    assert 5 <= sum(hints) <= 10
    assert last["loc"] == ["body"]
    assert int(re.search(r"besides those above: (\d+)\.", last["msg"])[1]) >= 200


async def test_without_a_word_about_scaling_there_is_one_replica(api):
    workload = await api.workload()
    (group,) = workload["runtime"]["containerGroups"]
    assert (group["replicaCount"], group["autoscaling"]) == (1, None)


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        ({"name": "w"}, ["body"], "value_error"),
        ({"name": "w", "artifactId": "x", "colour": 1}, ["body", "colour"], "extra_forbidden"),
        ({"name": "w", "artifactId": 5}, ["body", "artifactId"], "string_type"),
        (
            {
                "name": "w",
                "artifact": {
                    "name": "a",
                    "spec": {"containerGroups": [{"containers": [container(port=80)]}]},
                },
            },
            [
                "body",
                "artifact",
                "spec",
                "containerGroups",
                0,
                "containers",
                0,
                "port",
            ],
            "greater_than_equal",
        ),
        (
            {
                "name": "w",
                "artifactId": "x",
                "runtime": runtime_body(replicaCount=1, autoscaling=ELASTIC),
            },
            ["body", "runtime", "containerGroups", 0, "replicaCount"],
            "value_error",
        ),
    ],
)
async def test_wrong_bodies_are_refused_in_the_contracts_shape(api, body, place, kind):
    answer = await api.owner.post("/api/v2/workloads", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert (error["loc"], error["type"]) == (place, kind)
    assert error["msg"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"", b'{"name": "\\ud800", "artifactId": "x"}'])
async def test_bodies_that_are_no_object_are_refused(api, content):
    answer = await api.owner.post(
        "/api/v2/workloads", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


@pytest.mark.parametrize("count", [10**400, 10**25, "3000000000000000000000"])
async def test_numbers_beyond_all_bounds_are_refused(api, count):
    answer = await api.owner.post(
        "/api/v2/workloads",
        content=f'{{"name":"w","artifactId":"x","runtime":{{"replicaCount":{count}}}}}'.encode(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422


async def test_an_unknown_artifact_is_404(api):
    answer = await api.owner.post("/api/v2/workloads", json={"name": "w", "artifactId": "0" * 24})
    assert answer.status_code == 404
    assert "0" * 24 in answer.json()["detail"]


async def test_a_runtime_that_does_not_fit_the_artifact_is_refused(api):
    sizes = [{"name": "other", "resourceAllocation": {"cpu": 1}}]
    for group in ({"name": "other"}, {"containers": sizes}):
        answer = await api.owner.post(
            "/api/v2/workloads",
            json={"name": "w", "artifact": artifact_body(), "runtime": runtime_body(**group)},
        )
        assert answer.status_code == 422
        assert "'other'" in answer.json()["detail"][0]


async def test_limits_of_the_installation_hold(make_api):
    api = await make_api(
        Settings(api=ApiSettings(max_concurrent_workloads=1, max_workload_replicas=3))
    )
    info = (await api.owner.get("/api/v2/account/info/")).json()
    assert info["limits"] == {"maxConcurrentWorkloads": 1, "maxWorkloadReplicas": 3}

    async def create(**runtime):
        body = {"name": "w", "artifact": artifact_body(), "runtime": runtime_body(**runtime)}
        return await api.owner.post("/api/v2/workloads", json=body)

    many = await create(replicaCount=4)
    assert (many.status_code, many.json()) == (
        403,
        {
            "detail": "Requested replicas (4) exceeds the maximum allowed (3)."
            " Lower replicaCount, or have api.max_workload_replicas raised."
        },
    )
    first = await create(replicaCount=3)
    assert first.status_code == 201
    second = await create()
    assert second.status_code == 403
    assert "Running workloads (2)" in second.json()["detail"]
    await api.owner.post(f"/api/v2/workloads/{first.json()['id']}/stop")
    assert (await create()).status_code == 201


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1", "http://127.0.0.1:9999"),
        ("0.0.0.0", "http://api.test:9999"),
        ("::1", "http://[::1]:9999"),
    ],
)
async def test_without_a_setting_the_endpoint_is_the_gateways_own_address(make_api, host, base):
    api = await make_api(Settings(gateway=GatewaySettings(host=host, port=9999)))
    workload = await api.workload()
    assert workload["endpoint"] == f"{base}/api/v2/endpoints/workloads/{workload['id']}/"


async def test_an_edit_of_nothing_changes_nothing(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    for body in ({}, {"name": None}, {"name": workload["name"]}):
        same = await api.owner.patch(path, json=body)
        assert (same.status_code, same.json()) == (200, workload)
    events = (await api.owner.get(f"{path}/events")).json()
    assert events["totalCount"] == 1


async def test_a_second_api_process_sees_everything_too(api, make_api):
    workload = await api.workload()
    other = await make_api()
    path = f"/api/v2/workloads/{workload['id']}"
    assert (await other.owner.get(path)).json()["id"] == workload["id"]
    await other.owner.patch(path, json={"name": "renamed"})
    await api.settle()
    assert (await api.owner.get(path)).json()["name"] == "renamed"
