import asyncio

import pytest

from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.workloads import Proton, Workload
from tests.integration.api.conftest import artifact_body


async def test_of_two_edits_at_once_one_is_told_and_nothing_is_lost(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    edits = [{"name": "first"}, {"description": "second"}]
    answers = await asyncio.gather(*(api.owner.patch(path, json=body) for body in edits))
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [200, 409]
    loser = statuses.index(409)
    assert "somebody else" in answers[loser].json()["detail"]
    again = await api.owner.patch(path, json=edits[loser])
    assert again.status_code == 200
    final = (await api.owner.get(path)).json()
    assert (final["name"], final["description"]) == ("first", "second")
    events = (await api.owner.get(f"{path}/events")).json()
    assert events["totalCount"] == 3


async def test_many_edits_at_once_each_win_or_are_told(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    answers = await asyncio.gather(
        *(api.owner.patch(path, json={"name": f"n{n}"}) for n in range(20))
    )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    winners = [a.json()["name"] for a in answers if a.status_code == 200]
    assert (await api.owner.get(path)).json()["name"] in winners
    events = (await api.owner.get(f"{path}/events?limit=100")).json()
    assert events["totalCount"] == 1 + len(winners)


async def test_if_match_refuses_what_was_read_too_long_ago(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    tag = (await api.owner.get(path)).headers["ETag"]
    first = await api.owner.patch(path, json={"name": "a"}, headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.headers["ETag"] != tag
    late = await api.owner.patch(path, json={"name": "b"}, headers={"If-Match": tag})
    assert late.status_code == 409
    assert "somebody else" in late.json()["detail"]
    assert (await api.owner.get(path)).json()["name"] == "a"
    for fine in (first.headers["ETag"], "*", f'"0", {first.headers["ETag"]}'):
        answer = await api.owner.patch(path, json={}, headers={"If-Match": fine})
        assert answer.status_code == 200
    deleted = await api.owner.delete(path, headers={"If-Match": tag})
    assert deleted.status_code == 409


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "DELETE"])
async def test_if_match_guards_artifacts_too(api, verb):
    artifact = await api.artifact()
    path = f"/api/v2/artifacts/{artifact['id']}"
    tag = (await api.owner.get(path)).headers["ETag"]
    await api.owner.patch(path, json={"name": "a"})
    body = {"json": artifact_body()} if verb != "DELETE" else {}
    if verb == "PATCH":
        body = {"json": {"name": "b"}}
    late = await api.owner.request(verb, path, headers={"If-Match": tag}, **body)
    assert late.status_code == 409


async def test_two_locks_in_one_repository_at_once_get_two_versions(api):
    first = await api.artifact()
    second = await api.artifact(artifactRepositoryId=first["artifactRepositoryId"])
    answers = await asyncio.gather(
        *(
            api.owner.patch(f"/api/v2/artifacts/{a['id']}", json={"status": "locked"})
            for a in (first, second)
        )
    )
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["version"] for answer in answers} == {1, 2}
    home = await api.store.get(Repository, first["artifactRepositoryId"])
    assert home.record.last_version == 2


async def test_of_two_workloads_on_one_draft_at_once_one_wins(api):
    artifact = await api.artifact()
    body = {"name": "w", "artifactId": artifact["id"]}
    answers = await asyncio.gather(
        *(api.owner.post("/api/v2/workloads", json=body) for _ in range(2))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len(await api.store.list(Workload)) == len(await api.store.list(Proton)) == 1


async def test_a_draft_that_is_deleted_while_a_workload_is_made_stays_consistent(api):
    artifact = await api.artifact()
    made, deleted = await asyncio.gather(
        api.owner.post("/api/v2/workloads", json={"name": "w", "artifactId": artifact["id"]}),
        api.owner.delete(f"/api/v2/artifacts/{artifact['id']}"),
    )
    stored = await api.store.get(Artifact, artifact["id"])
    if made.status_code == 201:
        assert deleted.status_code == 409
        assert stored.record.deleted_at is None
    else:
        assert made.status_code in {404, 409}
        assert deleted.status_code == 204
        assert stored.record.deleted_at is not None


async def test_start_and_delete_at_once_leave_no_orphan(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    await api.owner.post(f"{path}/stop")
    started, deleted = await asyncio.gather(api.owner.post(f"{path}/start"), api.owner.delete(path))
    assert 409 in {started.status_code, deleted.status_code}
    stored = await api.store.get(Workload, workload["id"])
    protons = await api.store.list(Proton)
    if deleted.status_code == 204:
        assert (stored.record.deleted_at is not None, protons) == (True, [])
    else:
        assert [p.record.id for p in protons] == [stored.record.active_proton_id]


async def test_two_api_processes_do_not_overwrite_each_other(api, make_api):
    other = await make_api()
    workload = await api.workload()
    await other.settle()
    path = f"/api/v2/workloads/{workload['id']}"
    answers = await asyncio.gather(
        api.owner.patch(path, json={"name": "a"}),
        other.owner.patch(path, json={"description": "b"}),
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    done = [answer.status_code == 200 for answer in answers]
    stored = (await api.store.get(Workload, workload["id"])).record
    assert (stored.name == "a", stored.description == "b") == tuple(done)
