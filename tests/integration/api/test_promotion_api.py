"""Promote: from a draft to production in place."""

import msgspec
import pytest

from controlplane.model.workloads import Proton, Replacement, Workload
from tests.integration.api.conftest import artifact_body, container

FAMILIES = [("/api/v2/workloads", "locked"), ("/api/v2/console/workloads", "registered")]


async def history(api, workload_id: str) -> list[Replacement]:
    entries, _ = await api.store.read_journal(f"history:{workload_id}")
    return [msgspec.json.decode(entry, type=Replacement) for entry in entries]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("path", "word"), FAMILIES)
async def test_promoting_locks_in_place_and_ends_the_countdown(api, path, word, slash):
    made = await api.workload(importance="high")
    assert made["expiresAt"] is not None
    before = await api.store.get(Proton, made["protonId"])

    answer = await api.owner.post(f"{path}/{made['id']}/promote{slash}")
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["expiresAt"] is None
    assert (body["artifact"]["status"], body["artifact"]["version"]) == (word, 1)
    kept = ("id", "endpoint", "protonId", "importance", "runtime", "artifactId", "owners")
    same = (await api.owner.get(f"{path}/{made['id']}")).json()
    assert {key: same[key] for key in kept} == {key: body[key] for key in kept}
    assert same["protonId"] == made["protonId"]
    assert await api.store.get(Proton, made["protonId"]) == before

    record = (await api.store.get(Workload, made["id"])).record
    assert record.stats_since is not None
    assert record.stats_since > record.created_at
    (entry,) = await history(api, made["id"])
    assert (entry.origin, entry.status, entry.candidate_proton_id) == (
        "promote",
        "completed",
        made["protonId"],
    )
    events = (await api.owner.get(f"/api/v2/workloads/{made['id']}/events")).json()["data"]
    assert events[0]["eventType"] == "Workload Promoted"
    assert events[0]["details"]["version"] == 1


async def test_a_second_promote_is_refused_and_changes_nothing(api):
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}/promote"
    assert (await api.owner.post(path, json={})).status_code == 202
    again = await api.owner.post(path)
    assert again.status_code == 422
    assert "locked as version 1" in again.json()["detail"][0]
    assert len(await history(api, made["id"])) == 1


async def test_a_stopped_workload_is_not_promoted(api):
    made = await api.workload()
    await api.owner.post(f"/api/v2/workloads/{made['id']}/stop")
    refused = await api.owner.post(f"/api/v2/workloads/{made['id']}/promote")
    assert refused.status_code == 422
    assert "no active proton" in refused.json()["detail"][0]


async def test_a_draft_that_was_edited_since_is_promoted_after_a_restart(api):
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}"
    spec = {"containerGroups": [{"containers": [container(imageUri="registry/app:2")]}]}
    edited = await api.owner.patch(f"/api/v2/artifacts/{made['artifactId']}", json={"spec": spec})
    assert edited.status_code == 200
    refused = await api.owner.post(f"{path}/promote")
    assert refused.status_code == 422
    assert "was edited since" in refused.json()["detail"][0]
    await api.owner.post(f"{path}/stop")
    assert (await api.owner.post(f"{path}/start")).status_code == 202
    assert (await api.owner.post(f"{path}/promote")).status_code == 202


async def test_a_renamed_draft_is_promoted_as_it_is(api):
    made = await api.workload()
    await api.owner.patch(f"/api/v2/artifacts/{made['artifactId']}", json={"name": "final"})
    answer = await api.owner.post(f"/api/v2/workloads/{made['id']}/promote")
    assert answer.json()["artifact"]["name"] == "final"


async def test_only_owners_promote(api):
    made = await api.workload()
    _, stranger = await api.person("stranger")
    refused = await stranger.post(f"/api/v2/workloads/{made['id']}/promote")
    assert refused.status_code == 403
    for unknown in ("0" * 24, "x"):
        answer = await api.owner.post(f"/api/v2/workloads/{unknown}/promote")
        assert answer.status_code == 404


async def test_versions_count_on_over_promotes_and_locks(api):
    first = await api.artifact(lock=True)
    home = first["artifactRepositoryId"]
    made = await api.workload(artifact=artifact_body(artifactRepositoryId=home))
    promoted = await api.owner.post(f"/api/v2/workloads/{made['id']}/promote")
    assert promoted.json()["artifact"]["version"] == 2
    assert (await api.artifact(artifactRepositoryId=home, lock=True))["version"] == 3
