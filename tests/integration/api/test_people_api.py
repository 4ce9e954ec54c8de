import asyncio

import pytest

from controlplane import accounts
from controlplane.lifecycle import people
from controlplane.model.people import Token, User
from controlplane.model.workloads import Workload
from tests.integration.api.conftest import artifact_body

USERS = "/api/v2/users"


async def create(api, username="ann", **fields):
    answer = await api.owner.post(USERS, json={"username": username} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def uid(client):
    return (await client.get("/api/v2/account/info")).json()["uid"]


async def artifact_of(client):
    answer = await client.post("/api/v2/artifacts", json=artifact_body())
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_user_is_created_found_changed_and_deleted(api, slash):
    made = (await api.owner.post(f"{USERS}{slash}", json={"username": "ann"})).json()
    assert made == {
        "id": made["id"],
        "username": "ann",
        "email": "ann@localhost",
        "firstName": "",
        "lastName": "",
        "admin": False,
        "disabled": False,
        "createdAt": made["createdAt"],
    }
    one = f"{USERS}/{made['id']}{slash}"
    assert (await api.owner.get(one)).json() == made
    change = {"email": "ann@test", "firstName": "Ann", "lastName": "A", "admin": True}
    changed = await api.owner.patch(one, json=change)
    assert changed.status_code == 200
    assert changed.json() == made | change
    deleted = await api.owner.delete(one)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await api.owner.get(one)).status_code == 404


async def test_an_address_as_the_name_is_the_address(api):
    assert (await create(api, "ann@test"))["email"] == "ann@test"


async def test_users_are_listed_searched_and_paged(api):
    for name in ("cid", "ann", "bob"):
        await create(api, name, email=f"{name}@example.test")

    async def names(query):
        return [u["username"] for u in (await api.owner.get(f"{USERS}{query}")).json()["data"]]

    assert await names("") == ["admin", "cid", "ann", "bob"]
    assert await names("?orderBy=-username") == ["cid", "bob", "ann", "admin"]
    assert await names("?search=EXAMPLE&orderBy=username") == ["ann", "bob", "cid"]
    first = (await api.owner.get(f"{USERS}?orderBy=username&limit=3")).json()
    assert (first["totalCount"], first["count"]) == (4, 3)
    assert [u["username"] for u in (await api.owner.get(first["next"])).json()["data"]] == ["cid"]
    assert (await api.owner.get(f"{USERS}?orderBy=email")).status_code == 422


async def test_users_are_for_admins_only(api):
    user, client = await api.person("ann")
    for verb, path, body in (
        ("GET", USERS, None),
        ("POST", USERS, {"username": "bob"}),
        ("GET", f"{USERS}/{user.id}", None),
        ("PATCH", f"{USERS}/{user.id}", {"admin": True}),
        ("DELETE", f"{USERS}/{user.id}", None),
    ):
        answer = await client.request(verb, path, json=body)
        assert (answer.status_code, "admins" in answer.json()["detail"]) == (403, True), verb


async def test_two_users_cannot_have_the_same_name(api):
    await create(api)
    answer = await api.owner.post(USERS, json={"username": "ann"})
    assert (answer.status_code, "called ann" in answer.json()["detail"]) == (409, True)


async def test_of_many_creations_of_one_name_at_once_one_succeeds(api):
    answers = await asyncio.gather(
        *(api.owner.post(USERS, json={"username": "ann"}) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"),
        *[({"username": name}, "username") for name in ("", " ann", "-ann", "a" * 101, "a/b", 7)],
        ({"username": "ann", "email": "nowhere"}, "email"),
        ({"username": "ann", "firstName": "x" * 101}, "firstName"),
        ({"username": "ann", "admin": "yes, please"}, "admin"),
        ({"username": "ann", "password": "x"}, "password"),
    ],
)
async def test_a_wrong_body_is_refused_with_a_pointer(api, body, field):
    answer = await api.owner.post(USERS, json=body)
    assert answer.status_code == 422
    assert [found["loc"] for found in answer.json()["detail"]] == [["body", field]]


@pytest.mark.parametrize("user_id", ["1" * 24, "nobody", "%20"])
async def test_an_unknown_user_is_404(api, user_id):
    one = f"{USERS}/{user_id}"
    for verb, body in (("GET", None), ("PATCH", {"admin": True}), ("DELETE", None)):
        assert (await api.owner.request(verb, one, json=body)).status_code == 404


async def test_a_disabled_user_may_do_nothing_until_enabled(api):
    user, client = await api.person("ann")
    one = f"{USERS}/{user.id}"
    assert (await api.owner.patch(one, json={"disabled": True})).status_code == 200
    answer = await client.get("/api/v2/version")
    assert (answer.status_code, "disabled" in answer.json()["detail"]) == (401, True)
    assert (await api.owner.patch(one, json={"disabled": False})).status_code == 200
    assert (await client.get("/api/v2/version")).status_code == 200


async def test_the_last_admin_can_neither_be_disabled_nor_demoted_nor_deleted(api):
    _, other = await api.person("second", admin=True)
    first, second = f"{USERS}/{await uid(api.owner)}", f"{USERS}/{await uid(other)}"
    assert (await api.owner.patch(first, json={"disabled": True})).status_code == 200
    for verb, body in (
        ("PATCH", {"admin": False}),
        ("PATCH", {"disabled": True}),
        ("DELETE", None),
    ):
        answer = await other.request(verb, second, json=body)
        assert (answer.status_code, "last admin" in answer.json()["detail"]) == (409, True)
    assert (await other.patch(first, json={"disabled": False})).status_code == 200
    assert (await other.patch(second, json={"admin": False})).status_code == 200
    assert (await other.get(USERS)).status_code == 403


async def test_two_admins_who_demote_each_other_at_once_leave_one(api):
    for attempt in range(5):
        _, other = await api.person(f"second-{attempt}", admin=True)
        first, second = f"{USERS}/{await uid(api.owner)}", f"{USERS}/{await uid(other)}"
        await asyncio.gather(
            api.owner.patch(second, json={"admin": False}),
            other.patch(first, json={"admin": False}),
        )
        admins = [held for held in await api.store.list(User) if held.record.admin]
        assert len(admins) == 1
        if admins[0].record.username == "admin":
            continue
        assert (await other.patch(first, json={"admin": True})).status_code == 200
        assert (await api.owner.patch(second, json={"admin": False})).status_code == 200


async def test_a_change_obeys_if_match(api):
    one = f"{USERS}/{(await create(api))['id']}"
    tag = {"If-Match": (await api.owner.get(one)).headers["ETag"]}
    assert (await api.owner.patch(one, json={"firstName": "A"}, headers=tag)).status_code == 200
    assert (await api.owner.patch(one, json={"firstName": "B"}, headers=tag)).status_code == 409
    assert (await api.owner.delete(one, headers=tag)).status_code == 409


# -- deleting with what they own ----------------------------------------------------------------


async def test_an_owner_is_not_deleted_before_somebody_else_owns_what_is_theirs(api):
    user, ann = await api.person("ann")
    artifact = await artifact_of(ann)
    one = f"{USERS}/{user.id}"
    answer = await api.owner.delete(one)
    assert answer.status_code == 409
    home = artifact["artifactRepositoryId"]
    assert f"artifact {artifact['id']}, repository {home}" in answer.json()["detail"]
    assert (await ann.get("/api/v2/version")).status_code == 200


async def test_an_heir_gets_what_a_deleted_user_owned_alone(api):
    user, ann = await api.person("ann")
    heir, bob = await api.person("bob")
    artifact = await artifact_of(ann)
    workload = await api.workload()
    shared = f"/api/v2/workloads/{workload['id']}"
    roles = [("OWNER", "admin"), ("USER", "ann")]
    body = {
        "operation": "updateRoles",
        "roles": [{"shareRecipientType": "user", "role": r, "username": u} for r, u in roles],
    }
    assert (await api.owner.patch(f"{shared}/sharedRoles", json=body)).status_code == 204
    answer = await api.owner.delete(f"{USERS}/{user.id}?transferTo={heir.id}")
    assert answer.status_code == 204
    assert (await ann.get("/api/v2/version")).status_code == 401
    one = f"/api/v2/artifacts/{artifact['id']}"
    assert (await bob.patch(one, json={"name": "x"})).json()["creator"] is None
    assert (await api.owner.get(f"{shared}/sharedRoles")).json()["totalCount"] == 1
    assert user.id not in {held.record.user_id for held in await api.store.list(Token)}
    assert (await bob.get(shared)).status_code == 403


async def test_more_than_a_commit_can_hold_goes_to_an_heir(api, monkeypatch):
    monkeypatch.setattr(people, "BATCH", 3)
    user, ann = await api.person("ann")
    heir, bob = await api.person("bob")
    for _ in range(4):
        await artifact_of(ann)
    for name in ("a", "b", "c", "d"):
        await accounts.create_token(api.store, username="ann", name=name)
    await api.settle()
    answer = await api.owner.delete(f"{USERS}/{user.id}?transferTo={heir.id}")
    assert answer.status_code == 204
    assert (await bob.get("/api/v2/artifacts")).json()["totalCount"] == 4
    assert (await api.owner.get(f"{USERS}/{user.id}")).status_code == 404


@pytest.mark.parametrize(
    ("heir", "status"), [("1" * 24, 422), ("no-id", 422), ("", 422), ("self", 422)]
)
async def test_an_heir_must_be_somebody_else_who_exists(api, heir, status):
    user, _ = await api.person("ann")
    heir = user.id if heir == "self" else heir
    answer = await api.owner.delete(f"{USERS}/{user.id}?transferTo={heir}")
    assert (answer.status_code, "transferTo" in answer.text) == (status, True)


async def test_a_workload_outlives_its_creator(api):
    user, ann = await api.person("ann")
    heir, bob = await api.person("bob")
    made = await ann.post("/api/v2/workloads", json={"name": "w", "artifact": artifact_body()})
    workload = made.json()
    await api.owner.delete(f"{USERS}/{user.id}?transferTo={heir.id}")
    held = await api.store.get(Workload, workload["id"])
    assert held.record.roles == {heir.id: "OWNER"}
    seen = (await bob.get(f"/api/v2/workloads/{workload['id']}")).json()
    assert (seen["creator"], [o["username"] for o in seen["owners"]]) == (None, ["bob"])
