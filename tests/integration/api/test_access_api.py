import asyncio

import msgspec
import pytest

from controlplane import accounts
from controlplane.model.people import Scope, Token
from controlplane.model.states import AccessRole
from controlplane.model.workloads import Workload
from tests.integration.api.conftest import artifact_body

PUBLIC = ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/api/v2/openapi.yaml"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic dXNlcjpwYXNz",
        "tg_wrong",
        "Bearer \u00e4\u00f6",
    ],
)
async def test_without_a_valid_token_nothing_answers(api, header):
    stranger = api.client(None)
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for verb, path in (
        ("GET", "/api/v2/workloads"),
        ("POST", "/api/v2/workloads"),
        ("GET", "/api/v2/version/"),
        ("GET", "/api/v2/nothing"),
        ("GET", "/api/v2"),
    ):
        answer = await stranger.request(verb, path, headers=headers, content=b"{")
        assert answer.status_code == 401
        assert isinstance(answer.json()["detail"], str)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", PUBLIC)
async def test_what_describes_or_watches_needs_no_token(api, path):
    assert (await api.client(None).get(path)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "token"])
async def test_both_schemes_work(api, scheme):
    _, text = await accounts.create_token(api.store, name="t")
    await api.settle()
    answer = await api.client(None).get(
        "/api/v2/version/", headers={"Authorization": f"{scheme} {text}"}
    )
    assert answer.status_code == 200


async def test_revoked_and_expired_tokens_stop_working(api):
    revoked, revoked_text = await accounts.create_token(api.store, name="r")
    _, expiring_text = await accounts.create_token(api.store, name="e", expires_s=60)
    await api.settle()
    clients = [api.client(revoked_text), api.client(expiring_text)]
    for client in clients:
        assert (await client.get("/api/v2/version")).status_code == 200
    await accounts.revoke_token(api.store, revoked.id)
    await api.settle()
    now = api.services.clock()
    api.services.clock = lambda: now + 61
    for client in clients:
        assert (await client.get("/api/v2/version")).status_code == 401


async def test_a_token_of_nobody_is_worth_nothing(api):
    token, text = await accounts.create_token(api.store, name="t")
    await api.write(msgspec.structs.replace(token, user_id="0" * 24))
    assert (await api.client(text).get("/api/v2/version")).status_code == 401


async def test_the_account_is_the_callers(api):
    user, client = await api.person("ann")
    body = (await client.get("/api/v2/account/info/")).json()
    assert (body["uid"], body["email"], body["tenantId"]) == (user.id, "ann@test", None)
    assert body["orgId"]
    assert body["limits"] == {"maxConcurrentWorkloads": 0, "maxWorkloadReplicas": 1000}
    assert (await api.owner.get("/api/v2/account/info")).json()["admin"] is True


async def test_strangers_see_nothing_and_may_do_nothing(api):
    artifact = await api.artifact(lock=True)
    workload = await api.workload(artifactId=artifact["id"])
    deployment = (
        await api.owner.post(
            "/api/v2/deployments", json={"name": "d", "workloadId": workload["id"]}
        )
    ).json()
    _, stranger = await api.person("ann")
    one = f"/api/v2/workloads/{workload['id']}"
    for verb, path in (
        ("GET", one),
        ("DELETE", one),
        ("POST", f"{one}/start"),
        ("POST", f"{one}/stop"),
        ("GET", f"{one}/settings"),
        ("GET", f"{one}/protons"),
        ("GET", f"{one}/protons/{workload['protonId']}"),
        ("GET", f"{one}/events"),
        ("GET", f"{one}/decisions"),
        ("GET", f"{one}/decisions/{'d' * 24}"),
        ("GET", f"/api/v2/artifacts/{artifact['id']}"),
        ("DELETE", f"/api/v2/artifacts/{artifact['id']}"),
        ("GET", f"/api/v2/artifactRepositories/{artifact['artifactRepositoryId']}"),
        ("GET", f"/api/v2/deployments/{deployment['id']}"),
        ("GET", f"/api/v2/deployments/{deployment['id']}/stats"),
        ("DELETE", f"/api/v2/deployments/{deployment['id']}"),
    ):
        answer = await stranger.request(verb, path)
        assert answer.status_code == 403, (verb, path)
        assert "role" in answer.json()["detail"]
    for verb, path, body in (
        ("PATCH", one, {"name": "x"}),
        ("PATCH", f"{one}/settings", {"runtime": {}}),
        ("PUT", f"/api/v2/artifacts/{artifact['id']}", artifact_body()),
        ("POST", "/api/v2/workloads", {"name": "x", "artifactId": artifact["id"]}),
        ("POST", "/api/v2/deployments", {"name": "x", "workloadId": workload["id"]}),
        (
            "POST",
            "/api/v2/artifacts",
            artifact_body(artifactRepositoryId=artifact["artifactRepositoryId"]),
        ),
    ):
        assert (await stranger.request(verb, path, json=body)).status_code == 403, (verb, path)
    for path in ("workloads", "artifacts", "artifactRepositories", "deployments"):
        assert (await stranger.get(f"/api/v2/{path}")).json()["totalCount"] == 0


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (AccessRole.OWNER, {"see", "look", "change"}),
        (AccessRole.USER, {"see", "look"}),
        (AccessRole.CONSUMER, {"see"}),
    ],
)
async def test_roles_say_who_may_what(api, role, may):
    workload = await api.workload()
    user, client = await api.person("ann")
    held = await api.store.get(Workload, workload["id"])
    await api.write(
        msgspec.structs.replace(held.record, roles={**held.record.roles, user.id: role})
    )
    one = f"/api/v2/workloads/{workload['id']}"
    seen = await client.get(one)
    assert seen.status_code == 200
    assert (seen.json()["runtime"] is not None) == ("look" in may)
    assert ("CAN_UPDATE" in seen.json()["permissions"]) == ("change" in may)
    assert (await client.get("/api/v2/workloads")).json()["totalCount"] == 1
    for path in ("settings", "protons", "events", "decisions"):
        allowed = (await client.get(f"{one}/{path}")).status_code == 200
        assert allowed == ("look" in may), path
    changed = (await client.patch(one, json={"name": "x"})).status_code == 200
    assert changed == ("change" in may)


async def test_an_admin_may_everything(api):
    user, ann = await api.person("ann")
    workload = (
        await ann.post("/api/v2/workloads", json={"name": "w", "artifact": artifact_body()})
    ).json()
    assert workload["creator"]["id"] == user.id
    assert [owner["username"] for owner in workload["owners"]] == ["ann"]
    one = f"/api/v2/workloads/{workload['id']}"
    assert (await api.owner.get(one)).status_code == 200
    assert (await api.owner.get(f"/api/v2/artifacts/{workload['artifactId']}")).status_code == 200
    assert (await api.owner.delete(one)).status_code == 204


async def test_a_new_token_is_known_without_a_restart(api):
    _, text = await accounts.create_token(api.store, name="t")
    client = api.client(text)
    async with asyncio.timeout(20):
        while (await client.get("/api/v2/version")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_store_keeps_no_token_text(api):
    _, text = await accounts.create_token(api.store, name="t")
    for held in await api.store.list(Token):
        assert text not in str(held.record)
        assert len(held.record.prefix) < 12


async def test_what_replicas_carry_has_no_admins_power(api):
    _, client = await api.person("ann")
    theirs = (
        await client.post("/api/v2/workloads/", json={"name": "w", "artifact": artifact_body()})
    ).json()["id"]
    assert (await api.owner.get(f"/api/v2/workloads/{theirs}")).status_code == 200
    token, text = await accounts.create_token(api.store, name="carried")
    await api.settle()
    await api.write(
        msgspec.structs.replace(token, scope=Scope.WORKLOAD, made_for="b" * 24, sealed="1.x.y")
    )
    carried = api.client(text)
    assert (await carried.get("/api/v2/version")).status_code == 200
    assert (await carried.get(f"/api/v2/workloads/{theirs}")).status_code == 403
    assert (await carried.get("/api/v2/audit")).status_code == 403
