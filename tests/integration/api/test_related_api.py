"""What a workload is connected with."""

import pytest

from controlplane.model.artifacts import Artifact

FAMILIES = ["/api/v2/workloads", "/api/v2/console/workloads"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", FAMILIES)
async def test_artifact_repository_deployments_and_neighbours_are_listed(api, path, slash):
    locked = await api.artifact(name="what", lock=True)
    one = await api.workload(artifactId=locked["id"], name="one")
    two = await api.workload(artifactId=locked["id"], name="two")
    gone = await api.workload(artifactId=locked["id"], name="gone")
    await api.owner.delete(f"/api/v2/workloads/{gone['id']}")
    deployed = await api.owner.post(
        "/api/v2/deployments", json={"name": "three", "workloadId": one["id"]}
    )
    answer = await api.owner.get(f"{path}/{one['id']}/related{slash}")
    assert answer.status_code == 200
    word = "locked" if path == FAMILIES[0] else "registered"
    assert answer.json() == {
        "count": 4,
        "data": [
            {"id": locked["id"], "type": "artifact", "name": "what", "status": word},
            {
                "id": locked["artifactRepositoryId"],
                "type": "artifactRepository",
                "name": "what",
                "status": None,
            },
            {
                "id": deployed.json()["id"],
                "type": "deployment",
                "name": "three",
                "status": "submitted",
            },
            {"id": two["id"], "type": "workload", "name": "two", "status": "submitted"},
        ],
    }


async def test_only_what_the_caller_may_see_is_listed(api):
    locked = await api.artifact(lock=True)
    one = await api.workload(artifactId=locked["id"])
    await api.workload(artifactId=locked["id"])
    user, reader = await api.person("reader")
    shared = await api.owner.patch(
        f"/api/v2/workloads/{one['id']}/sharedRoles",
        json={
            "operation": "updateRoles",
            "roles": [
                {"shareRecipientType": "user", "role": "USER", "id": user.id},
                {"shareRecipientType": "user", "role": "OWNER", "id": one["creator"]["id"]},
            ],
        },
    )
    assert shared.status_code == 204, shared.text
    answer = await reader.get(f"/api/v2/workloads/{one['id']}/related")
    assert answer.json() == {"count": 0, "data": []}
    _, stranger = await api.person("stranger")
    assert (await stranger.get(f"/api/v2/workloads/{one['id']}/related")).status_code == 403
    assert (await api.owner.get("/api/v2/workloads/x/related")).status_code == 404
    odd = await api.owner.get(f"/api/v2/workloads/{one['id']}/related?limit=1")
    assert odd.status_code == 422


async def test_an_artifact_that_is_gone_is_not_listed(api):
    made = await api.workload()
    await api.store.delete(Artifact, made["artifactId"])
    await api.settle()
    answer = await api.owner.get(f"/api/v2/workloads/{made['id']}/related")
    assert answer.json() == {"count": 0, "data": []}
