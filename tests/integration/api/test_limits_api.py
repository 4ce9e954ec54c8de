"""The installation's limits: counted where workloads start, also when many start at once."""

import asyncio
from collections import Counter

import pytest

from controlplane.model.sections import ApiSettings, Settings
from tests.integration.api.conftest import GATEWAY, Api, artifact_body, runtime_body

MOST = 3


@pytest.fixture
async def api(make_api) -> Api:
    settings = ApiSettings(
        gateway_url=GATEWAY, max_concurrent_workloads=MOST, max_workload_replicas=5
    )
    return await make_api(Settings(api=settings))


async def test_of_many_that_are_created_at_once_as_many_start_as_may(api):
    body = {"name": "w", "artifact": artifact_body()}
    answers = await asyncio.gather(
        *(api.owner.post("/api/v2/workloads", json=body) for _ in range(12))
    )
    assert Counter(a.status_code for a in answers) == {201: MOST, 403: 12 - MOST}
    # What was refused has written nothing, its artifact neither.
    for path in ("workloads", "artifacts", "artifactRepositories"):
        assert (await api.owner.get(f"/api/v2/{path}")).json()["totalCount"] == MOST


async def test_of_many_that_are_started_at_once_as_many_start_as_may(api):
    paths = []
    for _ in range(MOST + 2):
        made = await api.workload()
        paths.append(f"/api/v2/workloads/{made['id']}")
        assert (await api.owner.post(f"{paths[-1]}/stop")).status_code == 202
    started = await asyncio.gather(
        *(api.owner.post(f"{path}/start") for path in paths[:-1]),
        api.owner.patch(f"{paths[-1]}/settings", json={"runtime": runtime_body(replicaCount=2)}),
    )
    assert Counter(a.status_code for a in started) == {202: MOST, 403: 2}


@pytest.mark.parametrize(
    "group",
    [
        {"replicaCount": 6},
        {
            "autoscaling": {
                "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 1}],
                "maxReplicaCount": 6,
            }
        },
    ],
)
async def test_too_many_replicas_are_refused_wherever_they_are_asked_for(api, group):
    told = {
        "detail": "Requested replicas (6) exceeds the maximum allowed (5). Lower"
        f" {'maxReplicaCount' if 'autoscaling' in group else 'replicaCount'},"
        " or have api.max_workload_replicas raised."
    }
    body = {"name": "w", "artifact": artifact_body(), "runtime": runtime_body(**group)}
    refused = await api.owner.post("/api/v2/workloads", json=body)
    assert (refused.status_code, refused.json()) == (403, told)
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}/settings"
    for _ in ("running", "stopped"):
        refused = await api.owner.patch(path, json={"runtime": runtime_body(**group)})
        assert (refused.status_code, refused.json()) == (403, told)
        await api.owner.post(f"/api/v2/workloads/{made['id']}/stop")


async def test_a_no_op_start_is_no_breach_of_a_limit(api):
    made = [await api.workload() for _ in range(MOST)]
    again = await api.owner.post(f"/api/v2/workloads/{made[0]['id']}/start")
    assert again.status_code == 200
