import pytest

from controlplane.model.states import EVERYBODY
from tests.integration.api.conftest import artifact_body

WORKLOADS = "/api/v2/workloads/"
KINDS = [
    "workloads",
    "console/workloads",
    "artifacts",
    "registry/artifacts",
    "artifactRepositories",
]


def entry(role="USER", kind="user", **who):
    return {"shareRecipientType": kind, "role": role} | who


def body(*entries):
    return {"operation": "updateRoles", "roles": list(entries)}


EVERYONE = entry("CONSUMER", "organization", id=EVERYBODY)


async def owner_of(api):
    return entry("OWNER", id=(await api.owner.get("/api/v2/account/info")).json()["uid"])


async def shared(api, *entries, path=None):
    """A workload of the owner's, shared; its path."""
    if path is None:
        path = f"{WORKLOADS}{(await api.workload())['id']}"
    answer = await api.owner.patch(f"{path}/sharedRoles", json=body(await owner_of(api), *entries))
    assert (answer.status_code, answer.content) == (204, b"")
    return path


async def path_of(api, kind):
    workload = await api.workload()
    artifact = workload["artifactId"]
    home = (await api.owner.get(f"/api/v2/artifacts/{artifact}")).json()["artifactRepositoryId"]
    record = {"workloads": workload["id"], "artifacts": artifact}.get(kind.split("/")[-1], home)
    return f"/api/v2/{kind}/{record}"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("kind", KINDS)
async def test_everything_is_shared_with_the_same_request_in_both_families(api, kind, slash):
    ann, client = await api.person("ann")
    path = await path_of(api, kind)
    assert (await client.get(path)).status_code == 403
    url = f"{path}/sharedRoles{slash}"
    first = (await api.owner.get(url)).json()
    assert [(item["name"], item["role"]) for item in first["data"]] == [("admin", "OWNER")]
    wanted = body(await owner_of(api), entry(username="ann"))
    assert (await api.owner.patch(url, json=wanted)).status_code == 204
    assert (await client.get(path)).status_code == 200
    found = (await client.get(url)).json()
    assert found["totalCount"] == 2
    assert found["data"][1] == {
        "id": ann.id,
        "name": "ann",
        "role": "USER",
        "shareRecipientType": "user",
    }
    listed = (await client.get(path.rpartition("/")[0])).json()
    assert [item["id"] for item in listed["data"]] == [path.rpartition("/")[2]]
    assert (await client.patch(url, json=wanted)).status_code == 403


async def test_the_list_replaces_all_roles(api):
    ann, as_ann = await api.person("ann")
    bob, as_bob = await api.person("bob")
    path = await shared(api, entry(id=ann.id), entry("CONSUMER", id=bob.id))
    assert [c.status_code for c in [await as_ann.get(path), await as_bob.get(path)]] == [200, 200]
    await shared(api, entry(id=bob.id), path=path)
    assert [c.status_code for c in [await as_ann.get(path), await as_bob.get(path)]] == [403, 200]
    events = (await api.owner.get(f"{path}/events")).json()["data"]
    assert [event["eventType"] for event in events[:2]] == ["Sharing Changed"] * 2
    assert events[0]["details"]["before"][ann.id] == "USER"
    assert ann.id not in events[0]["details"]["after"]


async def test_no_role_takes_a_role_away(api):
    ann, client = await api.person("ann")
    path = await shared(api, entry(id=ann.id))
    await shared(api, entry("NO_ROLE", id=ann.id), path=path)
    assert (await client.get(path)).status_code == 403


async def test_a_new_owner_may_take_the_old_one_out(api):
    ann, as_ann = await api.person("ann")
    bob, as_bob = await api.person("bob")
    path = await shared(api, entry("OWNER", id=ann.id))
    wanted = body(entry("OWNER", id=bob.id))
    assert (await as_ann.patch(f"{path}/sharedRoles", json=wanted)).status_code == 204
    assert (await as_ann.get(path)).status_code == 403
    assert (await as_bob.delete(path)).status_code == 204


@pytest.mark.parametrize("kind", KINDS)
async def test_a_creator_who_is_no_longer_named_has_no_role(api, kind):
    _, as_ann = await api.person("ann")
    _, as_bob = await api.person("bob")
    made = (
        await as_ann.post(
            "/api/v2/workloads",
            json={"name": "w", "artifact": artifact_body()},
        )
    ).json()
    artifact = (await as_ann.get(f"/api/v2/artifacts/{made['artifactId']}")).json()
    path = (
        "/api/v2/"
        + {
            "workloads": f"{kind}/{made['id']}",
            "artifacts": f"{kind}/{artifact['id']}",
            "artifactRepositories": f"{kind}/{artifact['artifactRepositoryId']}",
        }[kind.split("/")[-1]]
    )
    wanted = body(entry("OWNER", username="bob"))
    assert (await as_ann.patch(f"{path}/sharedRoles", json=wanted)).status_code == 204
    assert (await as_ann.get(path)).status_code == 403
    assert (await as_bob.get(path)).status_code == 200


async def test_the_organization_is_everybody(api):
    path = await shared(api, EVERYONE)
    _, stranger = await api.person("zoe")
    seen = await stranger.get(path)
    assert (seen.status_code, seen.json()["runtime"]) == (200, None)
    assert (await stranger.get(f"{path}/events")).status_code == 403
    found = (await api.owner.get(f"{path}/sharedRoles")).json()["data"]
    assert (found[1]["name"], found[1]["shareRecipientType"]) == ("Everybody", "organization")


async def test_who_has_two_roles_has_the_stronger(api):
    ann, as_ann = await api.person("ann")
    path = await shared(api, EVERYONE, entry(id=ann.id))
    assert (await as_ann.get(f"{path}/settings")).status_code == 200
    await shared(api, EVERYONE | {"role": "USER"}, entry("CONSUMER", id=ann.id), path=path)
    assert (await as_ann.get(f"{path}/settings")).status_code == 200


@pytest.mark.parametrize(
    ("role", "inside", "runs"), [("USER", True, 201), ("CONSUMER", False, 403)]
)
async def test_a_user_of_an_artifact_may_run_it_and_a_consumer_not(api, role, inside, runs):
    artifact = await api.artifact(lock=True)
    ann, as_ann = await api.person("ann")
    path = await shared(api, entry(role, id=ann.id), path=f"/api/v2/artifacts/{artifact['id']}")
    seen = (await as_ann.get(path)).json()
    assert (seen["name"], bool(seen["spec"]["containerGroups"])) == ("an artifact", inside)
    made = await as_ann.post(WORKLOADS, json={"name": "w", "artifactId": artifact["id"]})
    assert made.status_code == runs
    for verb, change in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await as_ann.request(verb, path, json=change)).status_code == 403


async def test_roles_flow_down_to_deployments(api):
    artifact = await api.artifact(lock=True)
    workload = await api.workload(artifactId=artifact["id"])
    made = await api.owner.post(
        "/api/v2/deployments", json={"name": "d", "workloadId": workload["id"]}
    )
    path = f"/api/v2/deployments/{made.json()['id']}"
    ann, as_ann = await api.person("ann")
    assert (await as_ann.get(path)).status_code == 403
    await shared(api, entry(id=ann.id), path=f"{WORKLOADS}{workload['id']}")
    assert (await as_ann.get(path)).status_code == 200
    assert (await as_ann.get("/api/v2/deployments")).json()["totalCount"] == 1
    assert (await as_ann.patch(path, json={"name": "x"})).status_code == 403


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        pytest.param([entry(username="ann")], "OWNER", id="nobody-owns-it"),
        pytest.param([entry("NO_ROLE", username="admin")], "OWNER", id="the-last-owner-goes"),
        pytest.param(
            [entry("OWNER", "organization", id=EVERYBODY)], "roles.0.role", id="all-are-owners"
        ),
        pytest.param(
            [entry("OWNER", username="admin"), entry(username="admin")],
            "roles.1: this recipient",
            id="named-twice",
        ),
        pytest.param([entry(username="nobody")], "roles.0.username: there is", id="unknown-name"),
        pytest.param([entry(id="1" * 24)], "roles.0.id: there is no user", id="unknown-id"),
    ],
)
async def test_a_list_that_cannot_be_is_refused_with_a_sentence(api, entries, says):
    await api.person("ann")
    path = f"{WORKLOADS}{(await api.workload())['id']}/sharedRoles"
    answer = await api.owner.patch(path, json=body(*entries))
    assert answer.status_code == 422
    assert says in answer.json()["detail"][0]
    assert (await api.owner.get(path)).json()["totalCount"] == 1


@pytest.mark.parametrize(
    ("wrong", "loc"),
    [
        ({}, ["operation"]),
        ({"operation": "add", "roles": [EVERYONE]}, ["operation"]),
        ({"operation": "updateRoles", "roles": []}, ["roles"]),
        ({"operation": "updateRoles", "roles": [EVERYONE] * 101}, ["roles"]),
        (body(EVERYONE) | {"note": "x"}, ["note"]),
        *[(body(entry(r, id="1" * 24)), ["roles", 0, "role"]) for r in ("owner", "READ_WRITE", "")],
        (body(entry(kind="team", id="1" * 24)), ["roles", 0, "shareRecipientType"]),
        *[
            (body(entry(kind=k, id="1" * 24)), ["roles", 0, "shareRecipientType"])
            for k in ("group", "role")
        ],
        (body(entry()), ["roles", 0]),
        (body(entry(id="1" * 24, username="ann")), ["roles", 0]),
        (body(entry(id="no-id")), ["roles", 0, "id"]),
        (body(entry(kind="organization", id="1" * 24)), ["roles", 0, "id"]),
        (body(entry(id="1" * 24, note="x")), ["roles", 0, "note"]),
    ],
)
async def test_a_wrong_body_is_refused_with_a_pointer(api, wrong, loc):
    path = f"{WORKLOADS}{(await api.workload())['id']}/sharedRoles"
    answer = await api.owner.patch(path, json=wrong)
    assert answer.status_code == 422
    assert ["body", *loc] in [found["loc"] for found in answer.json()["detail"]]


async def test_a_wrong_role_is_answered_with_those_there_are(api):
    path = f"{WORKLOADS}{(await api.workload())['id']}/sharedRoles"
    answer = await api.owner.patch(path, json=body(entry("owner", username="admin")))
    assert "'OWNER', 'USER', 'CONSUMER'" in answer.json()["detail"][0]["msg"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_does_not_exist_cannot_be_shared(api, kind):
    for record in ("1" * 24, "nothing"):
        path = f"/api/v2/{kind}/{record}/sharedRoles"
        assert (await api.owner.get(path)).status_code == 404
        assert (await api.owner.patch(path, json=body(EVERYONE))).status_code == 404


async def test_roles_are_paged(api):
    people = [(await api.person(name))[0] for name in ("cid", "ann", "bob")]
    path = await shared(api, *(entry(id=person.id) for person in people))
    first = (await api.owner.get(f"{path}/sharedRoles?limit=2")).json()
    assert [item["name"] for item in first["data"]] == ["admin", "ann"]
    rest = (await api.owner.get(first["next"])).json()
    assert [item["name"] for item in rest["data"]] == ["bob", "cid"]
    assert (await api.owner.get(f"{path}/sharedRoles?limit=101")).status_code == 422
    assert (await api.owner.get(f"{path}/sharedRoles?role=USER")).status_code == 422


async def test_sharing_obeys_if_match(api):
    path = f"{WORKLOADS}{(await api.workload())['id']}/sharedRoles"
    tag = (await api.owner.get(path)).headers["ETag"]
    wanted = body(await owner_of(api), EVERYONE)
    headers = {"If-Match": tag}
    assert (await api.owner.patch(path, json=wanted, headers=headers)).status_code == 204
    again = body(await owner_of(api))
    assert (await api.owner.patch(path, json=again, headers=headers)).status_code == 409


async def test_an_owner_of_an_artifact_may_change_it_without_its_repository(api):
    artifact = await api.artifact()
    ann, as_ann = await api.person("ann")
    path = await shared(api, entry("OWNER", id=ann.id), path=f"/api/v2/artifacts/{artifact['id']}")
    assert (await as_ann.put(path, json=artifact_body(name="ann's"))).status_code == 200
    foreign = (await api.artifact())["artifactRepositoryId"]
    moved = artifact_body(artifactRepositoryId=foreign)
    assert (await as_ann.put(path, json=moved)).status_code == 403


async def test_who_may_only_run_an_artifact_does_not_promote_it(api):
    artifact = await api.artifact()
    ann, as_ann = await api.person("ann")
    path = await shared(api, entry(id=ann.id), path=f"/api/v2/artifacts/{artifact['id']}")
    made = await as_ann.post(WORKLOADS, json={"name": "w", "artifactId": artifact["id"]})
    promote = f"{WORKLOADS}{made.json()['id']}/promote"
    refused = await as_ann.post(promote)
    assert (refused.status_code, "artifact" in refused.json()["detail"]) == (403, True)
    assert (await api.owner.get(path)).json()["status"] == "draft"
    await shared(api, entry("OWNER", id=ann.id), path=path)
    assert (await as_ann.post(promote)).status_code == 202


async def test_an_artifacts_role_counts_when_it_is_put_behind_a_workload_not_afterwards(api):
    artifact = await api.artifact(lock=True)
    other = await api.artifact(lock=True)
    ann, as_ann = await api.person("ann")
    path = f"/api/v2/artifacts/{artifact['id']}"
    await shared(api, entry(id=ann.id), path=path)
    made = await as_ann.post(WORKLOADS, json={"name": "w", "artifactId": artifact["id"]})
    mine = f"{WORKLOADS}{made.json()['id']}"
    await shared(api, path=path)  # ann's role is taken away
    assert (await as_ann.get(path)).status_code == 403
    # What she owns goes on to obey her: whoever shared it could stop nothing by this.
    for action in ("stop", "start"):
        assert (await as_ann.post(f"{mine}/{action}")).status_code == 202
    runtime = {"runtime": {"containerGroups": [{"replicaCount": 2}]}}
    assert (await as_ann.patch(f"{mine}/settings", json=runtime)).status_code == 202
    # But nothing that would be another use of it.
    again = await as_ann.post(WORKLOADS, json={"name": "v", "artifactId": artifact["id"]})
    assert again.status_code == 403
    assert "artifact" in again.json()["detail"]
    replacement = {"artifactId": other["id"], "strategy": "rolling"}
    refused = await as_ann.post(f"{mine}/replacement", json=replacement)
    assert (refused.status_code, other["id"] in refused.json()["detail"]) == (403, True)


async def test_a_co_owner_without_a_role_on_the_artifact_starts_and_stops(api):
    workload = await api.workload()
    ann, as_ann = await api.person("ann")
    path = await shared(api, entry("OWNER", id=ann.id), path=f"{WORKLOADS}{workload['id']}")
    assert (await as_ann.get(f"/api/v2/artifacts/{workload['artifactId']}")).status_code == 403
    for action in ("stop", "start"):
        assert (await as_ann.post(f"{path}/{action}")).status_code == 202
