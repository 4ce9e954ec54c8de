from datetime import UTC, datetime, timedelta

import pytest

from controlplane.model.people import Token

KEYS = "/api/v2/account/apiKeys"


async def key(client, **fields):
    """A new token of the client's: the answer to its creation."""
    answer = await client.post(KEYS, json={"name": "laptop"} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_token_is_made_shown_once_listed_and_revoked(api, slash):
    user, ann = await api.person("ann")
    made = (await ann.post(f"{KEYS}{slash}", json={"name": "laptop"})).json()
    text = made.pop("key")
    assert made == {
        "id": made["id"],
        "name": "laptop",
        "prefix": text[:10],
        "userId": user.id,
        "scope": "full",
        "workloadIds": [],
        "madeForWorkloadId": None,
        "expired": False,
        "createdAt": made["createdAt"],
        "expiresAt": None,
    }
    with_it = api.client(text)
    assert (await with_it.get("/api/v2/account/info")).json()["uid"] == user.id
    listed = await ann.get(f"{KEYS}{slash}")
    assert [item["name"] for item in listed.json()["data"]] == ["test", "laptop"]
    assert text not in listed.text
    one = f"{KEYS}/{made['id']}{slash}"
    assert (await ann.get(one)).json() == made
    assert (await ann.delete(one)).status_code == 204
    assert (await ann.delete(one)).status_code == 404
    assert (await with_it.get("/api/v2/version")).status_code == 401


async def test_the_store_keeps_no_text(api):
    text = (await key(api.owner))["key"]
    for held in await api.store.list(Token):
        assert text not in str(held.record)


@pytest.mark.parametrize("seconds", [60, 0.5])
async def test_a_token_expires_after_so_many_seconds(api, seconds):
    made = await key(api.owner, expiresInSeconds=seconds)
    client, now = api.client(made["key"]), api.services.clock()
    api.services.clock = lambda: now - 1
    assert (await client.get("/api/v2/version")).status_code == 200
    api.services.clock = lambda: now + seconds + 1
    assert (await client.get("/api/v2/version")).status_code == 401
    found = (await api.owner.get(f"{KEYS}/{made['id']}")).json()
    assert found["expired"] is True


async def test_a_token_expires_at_a_moment_of_any_zone(api):
    at = datetime.now(UTC) + timedelta(hours=1)
    made = await key(api.owner, expiresAt=at.isoformat())
    assert datetime.fromisoformat(made["expiresAt"]) == at
    assert (await api.client(made["key"]).get("/api/v2/version")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "expiresAt": "2040-01-01T00:00:00"}, "expiresAt"),
        ({"name": "x", "expiresAt": "tomorrow"}, "expiresAt"),
        *[({"name": "x", "expiresInSeconds": s}, "expiresInSeconds") for s in (0, -1, 1e12, "x")],
        (
            {"name": "x", "expiresAt": "2040-01-01T00:00:00Z", "expiresInSeconds": 1},
            "expiresInSeconds",
        ),
        ({"name": "x", "scope": "write"}, "scope"),
        ({"name": "x", "workloadIds": ["no-id"]}, "workloadIds"),
        ({"name": "x", "workloadIds": ["1" * 24] * 101}, "workloadIds"),
        ({"name": "x", "userId": "ann"}, "userId"),
        ({"name": "x", "key": "tg_mine"}, "key"),
    ],
)
async def test_a_wrong_body_is_refused_with_a_pointer(api, body, field):
    answer = await api.owner.post(KEYS, json=body)
    assert answer.status_code == 422
    assert field in [part for found in answer.json()["detail"] for part in found["loc"]]


async def test_a_token_that_would_never_work_is_refused(api):
    past = await api.owner.post(KEYS, json={"name": "x", "expiresAt": "2020-01-01T00:00:00Z"})
    assert (past.status_code, "expiresAt" in past.json()["detail"][0]) == (422, True)
    user, _ = await api.person("ann")
    await api.owner.patch(f"/api/v2/users/{user.id}", json={"disabled": True})
    answer = await api.owner.post(KEYS, json={"name": "x", "userId": user.id})
    assert (answer.status_code, "disabled" in answer.json()["detail"][0]) == (422, True)


async def test_admins_make_list_and_revoke_tokens_of_others(api):
    user, ann = await api.person("ann")
    made = await key(api.owner, userId=user.id)
    assert (await api.client(made["key"]).get("/api/v2/account/info")).json()["uid"] == user.id
    listed = (await api.owner.get(f"{KEYS}?userId={user.id}")).json()
    assert [item["name"] for item in listed["data"]] == ["test", "laptop"]
    assert (await ann.get(f"{KEYS}?userId={user.id}")).json()["totalCount"] == 2
    assert (await api.owner.get(f"{KEYS}/{made['id']}")).status_code == 200
    assert (await api.owner.delete(f"{KEYS}/{made['id']}")).status_code == 204


async def test_others_tokens_are_nobodys_business(api):
    user, _ = await api.person("ann")
    made = await key(api.owner, userId=user.id)
    _, bob = await api.person("bob")
    assert (await bob.get(f"{KEYS}?userId={user.id}")).status_code == 403
    assert (await bob.post(KEYS, json={"name": "x", "userId": user.id})).status_code == 403
    for verb in ("GET", "DELETE"):
        assert (await bob.request(verb, f"{KEYS}/{made['id']}")).status_code == 404
    unknown = await api.owner.get(f"{KEYS}?userId={'1' * 24}")
    assert (unknown.status_code, "userId" in unknown.json()["detail"][0]) == (422, True)


async def test_tokens_are_paged(api):
    _, ann = await api.person("ann")
    for name in ("a", "b", "c"):
        await key(ann, name=name)
    first = (await ann.get(f"{KEYS}?limit=3")).json()
    assert [item["name"] for item in first["data"]] == ["test", "a", "b"]
    assert [t["name"] for t in (await ann.get(first["next"])).json()["data"]] == ["c"]


# -- scopes -------------------------------------------------------------------------------------


async def test_a_reading_token_reads_and_changes_nothing(api):
    workload = await api.workload()
    one = f"/api/v2/workloads/{workload['id']}"
    reader = api.client((await key(api.owner, scope="read"))["key"])
    for path in ("/api/v2/workloads", one, f"{one}/events", "/api/v2/users", KEYS):
        assert (await reader.get(path)).status_code == 200, path
    for verb, path, body in (
        ("PATCH", one, {"name": "x"}),
        ("POST", f"{one}/stop", None),
        ("DELETE", one, None),
        ("POST", "/api/v2/artifacts", {}),
        ("POST", KEYS, {"name": "x"}),
        ("PATCH", f"{one}/sharedRoles", {}),
    ):
        answer = await reader.request(verb, path, json=body)
        assert (answer.status_code, "scope read" in answer.json()["detail"]) == (403, True), path


async def test_an_invoking_token_is_for_invoke_urls_only(api):
    caller = api.client((await key(api.owner, scope="invoke"))["key"])
    for verb, path in (("GET", "/api/v2/workloads"), ("GET", "/api/v2/version"), ("POST", KEYS)):
        answer = await caller.request(verb, path)
        assert (answer.status_code, "scope invoke" in answer.json()["detail"]) == (403, True)


async def test_a_token_of_some_workloads_knows_no_others(api):
    artifact = await api.artifact(lock=True)
    mine, other = [await api.workload(artifactId=artifact["id"]) for _ in range(2)]
    deployments = [
        await api.owner.post("/api/v2/deployments", json={"name": "d", "workloadId": w["id"]})
        for w in (mine, other)
    ]
    client = api.client((await key(api.owner, workloadIds=[mine["id"]]))["key"])
    inside, outside = [
        [
            f"/api/v2/workloads/{workload['id']}",
            f"/api/v2/workloads/{workload['id']}/",
            f"/api/v2/console/workloads/{workload['id']}/events",
            f"/api/v2/workloads/{workload['id']}/sharedRoles",
            f"/api/v2/deployments/{deployment.json()['id']}",
            f"/api/v2/console/deployments/{deployment.json()['id']}",
        ]
        for workload, deployment in zip((mine, other), deployments, strict=True)
    ]
    for path in [*inside, "/api/v2/version", "/api/v2/account/info/"]:
        assert (await client.get(path)).status_code == 200, path
    for path in [
        *outside,
        "/api/v2/workloads",
        "/api/v2/workloads/stats",
        "/api/v2/deployments",
        f"/api/v2/deployments/{'1' * 24}",
        f"/api/v2/artifacts/{artifact['id']}",
        "/api/v2/users",
        "/api/v2/audit",
        KEYS,
    ]:
        answer = await client.get(path)
        assert (answer.status_code, mine["id"] in answer.json()["detail"]) == (403, True), path
    assert (await client.post(KEYS, json={"name": "x"})).status_code == 403
    assert (await client.patch(inside[0], json={"name": "x"})).status_code == 200


async def test_a_token_can_only_be_limited_to_workloads_of_its_user(api):
    workload = await api.workload()
    _, ann = await api.person("ann")
    for workload_id in (workload["id"], "1" * 24):
        answer = await ann.post(KEYS, json={"name": "x", "workloadIds": [workload_id]})
        assert answer.status_code == 422
        assert "workloadIds.0: ann has no role" in answer.json()["detail"][0]
    twice = await key(api.owner, workloadIds=[workload["id"], workload["id"]])
    assert twice["workloadIds"] == [workload["id"]]
    assert (await api.owner.delete(f"/api/v2/workloads/{workload['id']}")).status_code == 204
    again = await api.owner.post(KEYS, json={"name": "x", "workloadIds": [workload["id"]]})
    assert again.status_code == 422
