"""From a URL and a token to a replica, and every refusal on the way."""

import json

import pytest

from controlplane.model.states import AccessRole, Desired, ReplicaPhase
from controlplane.model.workloads import Proton
from tests.integration.gateway import records
from tests.integration.gateway.records import (
    ADMIN_TOKEN,
    DEPLOYMENT_ID,
    OTHER_PROTON_ID,
    OTHER_TOKEN,
    PROTON_ID,
    TOKEN,
    USER_ID,
    WORKLOAD_ID,
)
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async
from tests.integration.gateway.wire import Message

pytestmark = uvloop_only  # nothing here depends on the loop


def refused(answer: Message, status: int, code: str) -> None:
    """The shape of the gateway's own answers."""
    assert answer.status == status
    assert answer.get("x-tidegate-error") == code
    assert answer.get("content-type") == "application/json"
    body = json.loads(answer.body)
    request_id = answer.get("x-request-id")
    assert request_id
    if status in {401, 403}:
        assert list(body) == ["message"]
    else:
        assert list(body) == ["detail", "code", "requestId"]
        assert body["code"] == code
        assert body["requestId"] == request_id


PATHS = [
    pytest.param("/predict", "/predict", id="plain"),
    pytest.param("", "/", id="the-bare-invoke-url"),
    pytest.param("/", "/", id="root"),
    pytest.param("?a=1", "/?a=1", id="query-without-a-path"),
    pytest.param("/a%2Fb/%7e/%zz?x=%20&y=+&y", "/a%2Fb/%7e/%zz?x=%20&y=+&y", id="odd-escapes"),
    pytest.param("//a/../b/./c//", "//a/../b/./c//", id="dots-and-slashes-are-not-cleaned"),
    pytest.param("/?q={}|^`[]\\'", "/?q={}|^`[]\\'", id="characters-that-others-escape"),
    pytest.param(f"/x?protonId={PROTON_ID}", "/x", id="the-pin-is-taken-out-alone"),
    pytest.param(f"/x?protonId={PROTON_ID}&a=1", "/x?a=1", id="the-pin-is-taken-out-first"),
    pytest.param(f"/x?a=1&protonId={PROTON_ID}", "/x?a=1", id="the-pin-is-taken-out-last"),
    pytest.param(f"?a&protonId={PROTON_ID}&b&a", "/?a&b&a", id="the-pin-is-taken-out-between"),
    pytest.param("/x?xprotonId=1", "/x?xprotonId=1", id="a-name-that-only-ends-like-the-pin"),
    pytest.param("/protonId=1", "/protonId=1", id="a-path-that-looks-like-the-pin"),
]


@pytest.mark.parametrize(("sent", "seen"), PATHS)
async def test_the_prefix_is_stripped_and_the_rest_arrives_byte_for_byte(
    rig: Rig, sent: str, seen: str
) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    assert (await rig.ask("GET", sent)).status == 200
    assert replica.wires[0].received.startswith(f"GET {seen} HTTP/1.1\r\n".encode("latin-1"))


async def test_any_method_is_forwarded_as_it_came(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "TRACE")
    client = await rig.client()
    for method in methods:
        client.send(request(method, "/m"))
        assert (await client.answer()).body == b"ok"
    text = replica.wires[0].received.decode()
    assert [
        line.split()[0] for line in text.split("\r\n") if line.endswith(" /m HTTP/1.1")
    ] == list(methods)


async def test_an_absolute_url_as_the_target_is_served_like_a_path(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    client = await rig.client()
    client.send(
        request().replace(b"GET /", b"GET http://named.example/").replace(b" HTTP", b"a HTTP")
    )
    assert (await client.answer()).status == 200
    assert b"GET /a HTTP/1.1\r\nHost: named.example\r\n" in replica.wires[0].received


async def test_a_deployments_url_leads_to_its_workload(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    await rig.commit(records.deployment())
    client = await rig.client()
    asked = request("GET", "/x?y").replace(
        f"workloads/{WORKLOAD_ID}".encode(), f"deployments/{DEPLOYMENT_ID}".encode()
    )
    client.send(asked)
    assert (await client.answer()).status == 200
    assert replica.wires[0].received.startswith(b"GET /x?y HTTP/1.1\r\n")
    await rig.commit(records.deployment(deleted_at=1.0))
    client.send(asked)
    refused(await client.answer(), 404, "no_route")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/api/v2/endpoints/workloads/",
        "/api/v2/endpoints/workloads/65f0000000000000000000aa/x",
        f"/api/v2/endpoints/workloads/{WORKLOAD_ID.upper()}/",
        f"/api/v2/endpoints/workloads/{WORKLOAD_ID}%2Fx",
        f"/api/v2/endpoints/deployments/{WORKLOAD_ID}/",
        f"/api/v2/endpoints/{WORKLOAD_ID}/",
        f"/x/../api/v2/endpoints/workloads/{WORKLOAD_ID}/",
        "/api/v2/workloads",
    ],
)
async def test_what_is_no_invoke_url_of_a_workload_is_404(rig: Rig, target: str) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(
        f"GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    refused(await client.answer(), 404, "no_route")
    client.send(request())
    assert (await client.answer()).status == 200, "the connection goes on"


@pytest.mark.parametrize(
    "line",
    [
        None,
        "Authorization: Bearer wrong",
        "Authorization: Bearer",
        "Authorization:",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: Bearer {TOKEN}x",
        f"Authorization: Bearer {TOKEN[:-1]}",
        f"X-DataRobot-Api-Key: {TOKEN}x",
        f"X-Api-Key: {TOKEN}",
        f"Cookie: token={TOKEN}",
    ],
)
async def test_without_a_known_token_the_answer_is_401(rig: Rig, line: str | None) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    answer = await rig.ask("GET", "/", *([line] if line else []), token=None)
    refused(answer, 401, "unauthenticated")
    assert json.loads(answer.body) == {"message": "Invalid API key"}
    assert answer.get("www-authenticate") == "Bearer"
    assert not replica.wires


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {TOKEN}",
        f"authorization: bearer {TOKEN}",
        f"Authorization: Token {TOKEN}",
        f"X-DataRobot-Api-Key: {TOKEN}",
        f"x-datarobot-api-token:{TOKEN}",
    ],
)
async def test_a_token_is_taken_from_where_clients_put_it(rig: Rig, line: str) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    assert (await rig.ask("GET", "/", line, token=None)).status == 200


async def test_without_a_role_on_the_workload_the_answer_is_403(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(answering(OK))
    refused(await rig.ask(token=OTHER_TOKEN), 403, "forbidden")
    assert not replica.wires


@pytest.mark.parametrize("role", list(AccessRole))
async def test_every_role_may_invoke(rig: Rig, role: AccessRole) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    await rig.commit(records.workload(roles={records.OTHER_USER_ID: role}))
    assert (await rig.ask(token=OTHER_TOKEN)).status == 200


async def test_an_admin_and_the_creator_may_invoke_without_a_role(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    await rig.commit(records.workload(roles={}, creator_id=USER_ID))
    assert (await rig.ask(token=ADMIN_TOKEN)).status == 200
    assert (await rig.ask()).status == 200


async def test_a_removed_role_is_403_from_then_on_and_a_given_one_is_not(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request())
    assert (await client.answer()).status == 200
    await rig.commit(records.workload(roles={records.OTHER_USER_ID: AccessRole.CONSUMER}))
    client.send(request())
    refused(await client.answer(), 403, "forbidden")
    assert (await rig.ask(token=OTHER_TOKEN)).status == 200


async def test_a_revoked_token_is_401_from_then_on(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request())
    assert (await client.answer()).status == 200
    await rig.delete(type(records.token()), records.TOKEN_ID)
    client.send(request())
    refused(await client.answer(), 401, "unauthenticated")


async def test_a_deleted_users_token_is_401(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
    await rig.delete(type(records.user()), USER_ID)
    refused(await rig.ask(), 401, "unauthenticated")


async def test_a_token_expires_without_anybody_writing_anything(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    await rig.commit(records.token(expires_at=records.now() + 0.3))
    client = await rig.client()
    statuses: list[int] = []

    async def expired() -> bool:
        client.send(request())
        answer = await client.answer()
        statuses.append(answer.status)
        return answer.status == 401

    await until_async(expired)
    assert set(statuses) == {200, 401} or statuses == [401]


async def test_an_unknown_proton_as_the_pin_is_404(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    for pin in ("65f0000000000000000000aa", "", "x"):
        refused(await rig.ask("GET", f"/?protonId={pin}"), 404, "no_route")


async def test_a_pin_chooses_the_proton_whatever_the_weights(rig: Rig) -> None:
    await rig.start()
    await rig.commit(records.proton(OTHER_PROTON_ID, weight=0))
    active = await rig.replica(answering(OK))
    candidate = await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    client = await rig.client()
    for _ in range(5):
        client.send(request("GET", f"/?protonId={OTHER_PROTON_ID}"))
        assert (await client.answer()).status == 200
    assert not active.wires
    for _ in range(5):
        client.send(request())
        assert (await client.answer()).status == 200
    assert candidate.wires[0].received.count(b"GET / HTTP/1.1") == 5
    assert active.wires[0].received.count(b"GET / HTTP/1.1") == 5


async def test_a_pin_to_another_workloads_proton_is_404(rig: Rig) -> None:
    await rig.start()
    other = "65f0000000000000000000f2"
    await rig.commit(
        records.workload(other, active_proton_id=OTHER_PROTON_ID),
        records.proton(OTHER_PROTON_ID, workload_id=other),
    )
    refused(await rig.ask("GET", f"/?protonId={OTHER_PROTON_ID}"), 404, "no_route")


async def test_traffic_splits_by_weight(rig: Rig) -> None:
    await rig.start()
    await rig.commit(records.proton(weight=75), records.proton(OTHER_PROTON_ID, weight=25))
    main = await rig.replica(answering(OK))
    canary = await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    client = await rig.client()
    total = 600
    for _ in range(total // 50):
        client.send(request() * 50)
        for _ in range(50):
            assert (await client.answer()).status == 200
    shares = [r.wires[0].received.count(b"GET / HTTP/1.1") / total for r in (main, canary)]
    assert sum(shares) == 1
    assert 0.15 < shares[1] < 0.35, "more than five standard deviations away"


async def test_a_stopped_workload_is_503_at_once(rig: Rig) -> None:
    await rig.start()
    await rig.commit(records.proton(desired=Desired.STOPPED))
    refused(await rig.ask(), 503, "workload_stopped")


async def test_an_errored_workload_is_503_at_once_and_serves_again_when_it_recovers(
    rig: Rig,
) -> None:
    await rig.start()
    await rig.commit(records.scale(errored=True))
    refused(await rig.ask(), 503, "workload_errored")
    await rig.commit(records.scale(errored=False))
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200


async def test_a_deleted_workload_is_404(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
    await rig.commit(records.workload(deleted_at=1.0))
    await rig.delete(Proton, PROTON_ID)
    refused(await rig.ask(), 404, "no_route")


async def test_a_replica_known_before_its_proton_serves_when_the_proton_comes(rig: Rig) -> None:
    await rig.start()
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    await rig.commit(records.proton(OTHER_PROTON_ID, weight=0))
    assert (await rig.ask("GET", f"/?protonId={OTHER_PROTON_ID}")).status == 200


@pytest.mark.parametrize("phase", [p for p in ReplicaPhase if p is not ReplicaPhase.READY])
async def test_only_ready_replicas_get_requests(rig: Rig, phase: ReplicaPhase) -> None:
    await rig.start()
    other = await rig.replica(phase=phase)
    ready = await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request() * 20)
    for _ in range(20):
        assert (await client.answer()).status == 200
    assert not other.wires
    assert ready.wires


async def test_a_replica_that_moves_is_found_at_its_new_address(rig: Rig) -> None:
    await rig.start()
    old = await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
    new = await rig.listen(answering(OK))
    new.id = old.id
    await rig.announce(new)
    assert (await rig.ask()).status == 200
    assert len(new.wires) == 1
