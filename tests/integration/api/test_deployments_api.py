import pytest

from controlplane.model.reports import LoadReport, ProtonLoad
from tests.integration.api.conftest import GATEWAY

PATHS = ["/api/v2/deployments", "/api/v2/console/deployments"]


async def locked_workload(api):
    artifact = await api.artifact(lock=True)
    return await api.workload(artifactId=artifact["id"])


async def deploy(api, workload, path=PATHS[0], **body):
    answer = await api.owner.post(path, json={"name": "d", "workloadId": workload["id"]} | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_deployment_lives_from_create_to_delete(api, path, slash):
    workload = await locked_workload(api)
    made = await api.owner.post(
        path + slash, json={"name": "d", "workloadId": workload["id"], "importance": "critical"}
    )
    assert made.status_code == 201
    body = made.json()
    assert body["endpoint"] == f"{GATEWAY}/api/v2/endpoints/deployments/{body['id']}/"
    assert (body["workloadId"], body["status"]) == (workload["id"], "submitted")
    assert body["importance"] == "critical"
    one = f"{path}/{body['id']}{slash}"
    assert (await api.owner.get(one)).json() == body
    patched = await api.owner.patch(one, json={"description": "x", "importance": "low"})
    assert (patched.json()["description"], patched.json()["importance"]) == ("x", "low")
    assert (await api.owner.patch(one, json={})).json() == patched.json()
    listed = (await api.owner.get(path + slash)).json()
    assert [d["id"] for d in listed["data"]] == [body["id"]]
    assert (await api.owner.delete(one)).status_code == 204
    assert (await api.owner.get(one)).status_code == 404
    assert (await api.owner.get(path)).json()["data"] == []
    assert (await api.owner.get(f"/api/v2/workloads/{workload['id']}")).status_code == 200


async def test_a_draft_is_not_deployed(api):
    workload = await api.workload()
    refused = await api.owner.post(PATHS[0], json={"name": "d", "workloadId": workload["id"]})
    assert refused.status_code == 422
    assert workload["artifactId"] in refused.json()["detail"][0]


async def test_a_deployment_needs_a_workload(api):
    refused = await api.owner.post(PATHS[0], json={"name": "d", "workloadId": "0" * 24})
    assert refused.status_code == 404


async def test_a_workload_with_deployments_is_not_deleted(api):
    workload = await locked_workload(api)
    deployment = await deploy(api, workload)
    path = f"/api/v2/workloads/{workload['id']}"
    refused = await api.owner.delete(path)
    assert refused.status_code == 409
    assert deployment["id"] in refused.json()["detail"]
    await api.owner.delete(f"{PATHS[0]}/{deployment['id']}")
    assert (await api.owner.delete(path)).status_code == 204


async def test_deployments_are_in_the_journal_of_their_workload(api):
    workload = await locked_workload(api)
    deployment = await deploy(api, workload)
    await api.owner.patch(f"{PATHS[0]}/{deployment['id']}", json={"name": "n"})
    await api.owner.delete(f"{PATHS[0]}/{deployment['id']}")
    events = (await api.owner.get(f"/api/v2/workloads/{workload['id']}/events")).json()["data"]
    assert [event["eventType"] for event in events][:3] == [
        "Deployment Deleted",
        "Deployment Updated",
        "Deployment Created",
    ]


async def test_lists_filter_and_order(api):
    first = await locked_workload(api)
    second = await locked_workload(api)
    a = await deploy(api, first, name="b", importance="critical")
    b = await deploy(api, second, name="a", description="special")
    await api.owner.post(f"/api/v2/workloads/{second['id']}/stop")

    async def ids(query, path=PATHS[0]):
        answer = await api.owner.get(f"{path}?{query}")
        assert answer.status_code == 200, answer.text
        return [d["id"] for d in answer.json()["data"]]

    assert await ids(f"workloadId={first['id']}") == [a["id"]]
    assert await ids("search=SPECIAL") == [b["id"]]
    assert await ids("importance=critical") == [a["id"]]
    assert await ids(f"ids={b['id']}") == [b["id"]]
    assert await ids("orderBy=name") == [b["id"], a["id"]]
    assert await ids("orderBy=importance") == [b["id"], a["id"]]
    assert await ids("orderBy=status") == [b["id"], a["id"]]
    assert await ids("orderBy=-updatedAt") == [b["id"], a["id"]]
    assert await ids("sort=-createdAt", PATHS[1]) == [b["id"], a["id"]]
    assert await ids("createdBy=nobody") == []


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_stats_sum_up_all_workers(api, path, slash):
    workload = await locked_workload(api)
    deployment = await deploy(api, workload)
    stats = f"{path}/{deployment['id']}/stats{slash}"
    nothing = (await api.owner.get(stats)).json()
    assert set(nothing["metrics"].values()) == {0}
    assert nothing["period"]["start"] == workload["createdAt"]

    now_s = api.services.clock() + 1
    api.services.clock = lambda: now_s
    for worker in ("w1", "w2"):
        load = ProtonLoad(
            workload_id=workload["id"],
            started=10,
            finished={"2xx": 4, "4xx": 1, "5xx": 1, "refused": 1, "aborted": 1},
            in_flight=1,
            queued=1,
            cold_starts=2,
            response_time={700: 6},
            load_seconds=3.0,
        )
        other = ProtonLoad(workload_id="0" * 24, started=99)
        report = LoadReport(
            worker_id=worker,
            sent_at=now_s,
            clock_s=1.0,
            revision=1,
            protons={workload["protonId"]: load, "0" * 24: other},
        )
        await api.store.publish_report(report, ttl_s=60)
    now_s += 1
    body = (await api.owner.get(stats)).json()
    assert body["period"]["start"] == workload["createdAt"]
    metrics = body["metrics"]
    assert metrics.pop("responseTime") == pytest.approx(63_438, rel=0.02)
    assert metrics.pop("concurrentRequests") > 0
    assert metrics == {
        "totalRequests": 20,
        "requestsPerMinute": 20,
        "slowRequests": 12,
        "queuedRequests": 2,
        "serverErrors": 4,
        "userErrors": 2,
        "refusedRequests": 2,
        "abortedRequests": 2,
        "totalErrorRate": 6 / 16,
        "serverErrorRate": 4 / 16,
        "userErrorRate": 2 / 16,
        "coldStarts": 4,
    }
