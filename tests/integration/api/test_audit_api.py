import asyncio
import json
import logging

import msgspec
import pytest

from controlplane import accounts
from controlplane.audit import JOURNAL, AuditLine
from controlplane.conductor.term import Term
from controlplane.model.sections import ApiSettings, Settings
from controlplane.store.client import Put
from tests.integration.api.conftest import GATEWAY, artifact_body, container

AUDIT = "/api/v2/audit"


async def lines(api, query="", client=None):
    answer = await (client or api.owner).get(f"{AUDIT}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def changes(line):
    return {change["field"]: (change["before"], change["after"]) for change in line["changes"]}


async def test_a_change_has_a_line_with_who_what_before_and_after(api):
    user, ann = await api.person("ann")
    made = await ann.post("/api/v2/workloads", json={"name": "w", "artifact": artifact_body()})
    one = f"/api/v2/workloads/{made.json()['id']}"
    answer = await ann.patch(
        one, json={"importance": "high"}, headers={"X-Request-Id": "the-request"}
    )
    assert answer.status_code == 200
    (line,) = await lines(api, f"?kind=workload&action=updated&id={made.json()['id']}")
    token = ann.headers["Authorization"].removeprefix("Bearer ")
    assert line == {
        "id": line["id"],
        "timestamp": line["timestamp"],
        "actor": {
            "id": user.id,
            "name": "ann",
            "token": token[:10],
            "address": line["actor"]["address"],
        },
        "kind": "workload",
        "recordId": made.json()["id"],
        "recordName": "w",
        "action": "updated",
        "operation": "PATCH /api/v2/workloads/{workload_id}",
        "requestId": "the-request",
        "changes": [{"field": "importance", "before": "low", "after": "high"}],
    }


async def test_every_record_that_a_request_writes_has_its_line(api):
    workload = await api.workload()
    found = await lines(api, "?action=created&limit=4")
    assert {line["kind"] for line in found} == {"workload", "proton", "artifact", "repository"}
    assert len({line["requestId"] for line in found}) == 1
    assert workload["id"] in {line["recordId"] for line in found}


@pytest.mark.parametrize(
    ("path", "body"),
    [("", {"name": "a workload"}), ("/stop", {}), ("/sharedRoles", None)],
    ids=["the-same-name", "stopped-already", "shared-already"],
)
async def test_what_changes_nothing_has_no_line(api, path, body):
    one = f"/api/v2/workloads/{(await api.workload())['id']}"
    await api.owner.post(f"{one}/stop")
    before = await lines(api)
    roles = [{"shareRecipientType": "user", "role": "OWNER", "username": "admin"}]
    verb = "POST" if path == "/stop" else "PATCH"
    answer = await api.owner.request(
        verb,
        f"{one}{path}",
        json={"operation": "updateRoles", "roles": roles} if body is None else body,
    )
    assert answer.is_success
    assert await lines(api) == before


async def test_what_is_refused_has_no_line(api):
    one = f"/api/v2/workloads/{(await api.workload())['id']}"
    before = await lines(api)
    _, stranger = await api.person("ann")
    assert (await stranger.delete(one)).status_code == 403
    assert (await api.owner.patch(one, json={"name": ""})).status_code == 422
    assert [line for line in await lines(api) if line["kind"] != "token"] == [
        line for line in before if line["kind"] != "token"
    ]


async def test_sharing_and_people_are_audited(api):
    user, _ = await api.person("ann")
    one = f"/api/v2/workloads/{(await api.workload())['id']}"
    roles = [
        {"shareRecipientType": "user", "role": "OWNER", "username": "admin"},
        {"shareRecipientType": "user", "role": "USER", "id": user.id},
    ]
    await api.owner.patch(f"{one}/sharedRoles", json={"operation": "updateRoles", "roles": roles})
    (shared, *_) = await lines(api)
    assert changes(shared) == {f"roles.{user.id}": (None, "USER")}
    await api.owner.patch(f"/api/v2/users/{user.id}", json={"disabled": True})
    (disabled, *_) = await lines(api, "?kind=user")
    assert changes(disabled) == {"disabled": (False, True)}
    assert disabled["recordName"] == "ann"
    await api.owner.delete(f"/api/v2/users/{user.id}")
    gone = await lines(api, "?action=deleted")
    assert {line["kind"] for line in gone} == {"user", "token"}


async def test_no_secret_comes_into_the_audit(api):
    secret = "hunter2"
    variables = [{"name": "LEVEL", "value": secret}]
    artifact = await api.artifact(
        spec={"containerGroups": [{"containers": [container(environmentVars=variables)]}]}
    )
    variables[0]["value"] = f"{secret}-2"
    spec = {"containerGroups": [{"containers": [container(environmentVars=variables)]}]}
    one = f"/api/v2/artifacts/{artifact['id']}"
    assert (await api.owner.patch(one, json={"spec": spec})).status_code == 200
    made = await api.owner.post("/api/v2/account/apiKeys", json={"name": "t"})
    entries, _ = await api.store.read_journal(JOURNAL)
    everything = b"".join(entries).decode()
    digest = accounts.token_digest(made.json()["key"])
    assert not [word for word in (secret, made.json()["key"], digest) if word in everything]
    (line, *_) = await lines(api, f"?id={artifact['id']}")
    assert changes(line) == {
        "spec.containerGroups.0.containers.0.environment.0.value": ("***",) * 2
    }


async def test_the_command_lines_tokens_are_audited_as_the_systems_user(api):
    token, _ = await accounts.create_token(api.store, name="t")
    await accounts.revoke_token(api.store, token.id)
    gone, made = await lines(api, f"?id={token.id}")
    assert (made["action"], gone["action"]) == ("created", "deleted")
    assert made["actor"]["id"] is None
    assert made["actor"]["name"].endswith("(operating system)")
    assert (made["operation"], gone["operation"]) == (
        "tidegate token create",
        "tidegate token revoke",
    )
    assert changes(gone)["digest"] == ("***", None)


async def test_the_first_start_is_audited(api):
    first = (await lines(api, "?limit=100"))[-2:]
    assert {line["kind"] for line in first} == {"user", "token"}


async def test_the_audit_is_filtered(api):
    _, ann = await api.person("ann", admin=True)
    await api.workload()
    one = f"/api/v2/workloads/{(await api.workload())['id']}"
    await ann.patch(one, json={"name": "renamed"})
    everything = await lines(api, "?limit=100")

    async def kept(query, fits):
        wanted = [line["id"] for line in everything if fits(line)]
        assert wanted
        assert [line["id"] for line in await lines(api, f"?limit=100&{query}")] == wanted

    ann_id = (await ann.get("/api/v2/account/info")).json()["uid"]
    await kept("actor=ann", lambda line: line["actor"]["name"] == "ann")
    await kept(f"actor={ann_id}", lambda line: line["actor"]["name"] == "ann")
    await kept("kind=workload&kind=proton", lambda line: line["kind"] in {"workload", "proton"})
    await kept("action=updated", lambda line: line["action"] == "updated")
    middle = everything[len(everything) // 2]["timestamp"].replace("+", "%2B")
    at = everything[len(everything) // 2]["timestamp"]
    await kept(f"since={middle}", lambda line: line["timestamp"] >= at)
    await kept(f"until={middle}", lambda line: line["timestamp"] < at)
    assert await lines(api, "?actor=nobody") == []


@pytest.mark.parametrize(
    "query", ["kind=robot", "action=seen", "since=today", "since=2026-01-01T00:00:00", "who=ann"]
)
async def test_a_wrong_filter_is_refused(api, query):
    answer = await api.owner.get(f"{AUDIT}?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["query", query.split("=")[0]]


async def test_pages_cover_everything_once(api):
    for _ in range(4):
        await api.workload()
    whole = [line["id"] for line in await lines(api, "?limit=100")]
    found, url = [], f"{AUDIT}?limit=3"
    while url is not None:
        page = (await api.owner.get(url)).json()
        assert page["totalCount"] == len(whole)
        found += [line["id"] for line in page["data"]]
        url = page["next"]
    assert found == whole


async def test_the_audit_is_for_admins_only(api):
    _, ann = await api.person("ann")
    answer = await ann.get(AUDIT)
    assert (answer.status_code, "admins" in answer.json()["detail"]) == (403, True)


async def test_the_journal_keeps_as_many_lines_as_the_setting_says(make_api):
    api = await make_api(Settings(api=ApiSettings(gateway_url=GATEWAY, audit_kept=5)))
    for _ in range(3):
        await api.workload()
    page = (await api.owner.get(f"{AUDIT}?limit=2")).json()
    assert (page["totalCount"], page["count"]) == (5, 2)
    assert len(await lines(api, "?limit=100")) == 5


async def test_a_conflict_leaves_no_line_behind(api):
    one = f"/api/v2/workloads/{(await api.workload())['id']}"
    answers = await asyncio.gather(
        *(api.owner.patch(one, json={"name": f"name {n}"}) for n in range(8))
    )
    done = [answer for answer in answers if answer.status_code == 200]
    renamed = await lines(api, "?kind=workload&action=updated&limit=100")
    assert len(renamed) == len(done)
    told = [changes(line)["name"] for line in reversed(renamed)]
    assert [before for before, _ in told[1:]] == [after for _, after in told[:-1]]


async def test_committed_lines_are_logged_too(api, caplog):
    with caplog.at_level(logging.INFO, logger="controlplane.audit"):
        workload = await api.workload()
    (record,) = [r for r in caplog.records if r.args and r.args[0] == "workload"]
    assert record.args[1:] == (workload["id"], "created")
    assert json.dumps(record.audit)
    entries, _ = await api.store.read_journal(JOURNAL)
    kept = {msgspec.json.decode(entry, type=AuditLine).id for entry in entries}
    assert record.audit["id"] in kept


async def test_what_the_conductor_does_is_audited_as_its_own(api):
    user, _ = await api.person("ann")
    lease = await api.store.acquire("conductor", "a test", ttl_s=60)
    term = Term(api.services, lease)
    await term.commit([Put(msgspec.structs.replace(user, first_name="Ann"))], operation="a part")
    (line, *_) = await lines(api, "?actor=conductor")
    assert (line["actor"]["id"], line["operation"]) == (None, "a part")
    assert changes(line) == {"firstName": ("", "Ann")}
