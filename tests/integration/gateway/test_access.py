"""Who may invoke: roles, scopes of tokens, paths that need no token; and losing all that."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup
from controlplane.model.kinds import Record
from controlplane.model.people import Scope
from controlplane.model.states import EVERYBODY, AccessRole
from controlplane.model.traffic import Quota, Traffic
from controlplane.model.workloads import Proton
from controlplane.store.client import Put
from tests.integration.gateway import records
from tests.integration.gateway.records import (
    ADMIN_ID,
    ADMIN_TOKEN,
    DEPLOYMENT_ID,
    OTHER_PROTON_ID,
    OTHER_TOKEN,
    OTHER_USER_ID,
    TOKEN,
    USER_ID,
    WORKLOAD_ID,
)
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, ScriptedReplica, answering
from tests.integration.gateway.test_routing import refused
from tests.integration.gateway.wire import Message

pytestmark = uvloop_only  # nothing here depends on the loop

FOREIGN = "65f0000000000000000000f2"


async def start(rig: Rig) -> ScriptedReplica:
    await rig.start()
    return await rig.replica(answering(OK))


def proton(*routes: tuple[str, str], proton_id: str = records.PROTON_ID) -> Proton:
    container = Container(
        name="c",
        primary=True,
        port=80,
        routes=tuple({"path": path, "auth": auth} for path, auth in routes),
    )
    spec = ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),))
    return msgspec.structs.replace(records.proton(proton_id), spec=spec)


# -- roles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [AccessRole.USER, AccessRole.CONSUMER])
async def test_everybodys_role_lets_any_user_in_and_nobody_else(rig: Rig, role: AccessRole) -> None:
    await start(rig)
    refused(await rig.ask(token=OTHER_TOKEN), 403, "forbidden")
    await rig.commit(records.workload(roles={EVERYBODY: role}))
    assert (await rig.ask(token=OTHER_TOKEN)).status == 200
    assert (await rig.ask()).status == 200
    refused(await rig.ask(token="nobodys"), 401, "unauthenticated")
    refused(await rig.ask(token=None), 401, "unauthenticated")


async def test_a_creator_who_is_not_among_the_roles_may_not_invoke(rig: Rig) -> None:
    await start(rig)
    await rig.commit(records.workload(roles={OTHER_USER_ID: AccessRole.OWNER}, creator_id=USER_ID))
    refused(await rig.ask(), 403, "forbidden")
    assert (await rig.ask(token=OTHER_TOKEN)).status == 200


# -- tokens -------------------------------------------------------------------------------------

LIMITED = {
    "read": ({"scope": Scope.READ}, False),
    "invoke": ({"scope": Scope.INVOKE}, True),
    "full": ({"scope": Scope.FULL}, True),
    "this-workload": ({"workload_ids": (FOREIGN, WORKLOAD_ID)}, True),
    "another-workload": ({"workload_ids": (FOREIGN,)}, False),
    "invoke-this-workload": ({"scope": Scope.INVOKE, "workload_ids": (WORKLOAD_ID,)}, True),
    "read-this-workload": ({"scope": Scope.READ, "workload_ids": (WORKLOAD_ID,)}, False),
}


@pytest.mark.parametrize("admin", [False, True], ids=["user", "admin"])
@pytest.mark.parametrize(("limits", "may"), LIMITED.values(), ids=list(LIMITED))
async def test_a_tokens_limits_count_besides_its_users_roles(
    rig: Rig, limits: dict[str, Any], may: bool, admin: bool
) -> None:
    replica = await start(rig)
    token, user_id = (ADMIN_TOKEN, ADMIN_ID) if admin else (TOKEN, USER_ID)
    await rig.commit(
        records.token(token, token_id="65f0000000000000000000b7", user_id=user_id, **limits)
    )
    await rig.delete(
        type(records.token()), "65f0000000000000000000b3" if admin else records.TOKEN_ID
    )
    answer = await rig.ask(token=token)
    if may:
        assert answer.status == 200
    else:
        refused(answer, 403, "forbidden")
        assert b"This token" in answer.body
        assert not replica.wires


async def test_a_limited_token_gives_no_role(rig: Rig) -> None:
    await start(rig)
    await rig.commit(
        records.token(
            OTHER_TOKEN,
            token_id="65f0000000000000000000b2",
            user_id=OTHER_USER_ID,
            scope=Scope.INVOKE,
            workload_ids=(WORKLOAD_ID,),
        )
    )
    refused(await rig.ask(token=OTHER_TOKEN), 403, "forbidden")
    await rig.commit(records.workload(roles={EVERYBODY: AccessRole.CONSUMER}))
    assert (await rig.ask(token=OTHER_TOKEN)).status == 200


async def test_what_replicas_carry_has_no_admins_power(rig: Rig) -> None:
    await start(rig)
    assert (await rig.ask(token=ADMIN_TOKEN)).status == 200
    carried = {"token_id": "65f0000000000000000000b4", "user_id": ADMIN_ID}
    made = records.token("carried", scope=Scope.WORKLOAD, made_for=WORKLOAD_ID, **carried)
    await rig.commit(made)
    refused(await rig.ask(token="carried"), 403, "forbidden")
    await rig.commit(records.workload(roles={ADMIN_ID: AccessRole.OWNER}))
    assert (await rig.ask(token="carried")).status == 200


# -- losing it ----------------------------------------------------------------------------------


def without_role() -> Record:
    return records.workload(roles={OTHER_USER_ID: AccessRole.OWNER})


def disabled() -> Record:
    return records.user(disabled=True)


def expired() -> Record:
    return records.token(expires_at=records.now() - 1)


def narrowed() -> Record:
    return records.token(scope=Scope.READ)


@pytest.mark.parametrize(
    ("end", "status"), [(without_role, 403), (disabled, 401), (expired, 401), (narrowed, 403)]
)
async def test_what_is_taken_away_counts_within_a_second_on_open_connections_too(
    rig: Rig, end: Callable[[], Record], status: int
) -> None:
    """The bound is the mirror's: a hint, and a look every 0.8 s where the hint is lost."""
    await rig.start_child()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request())
    assert (await client.answer()).status == 200
    await rig.store.commit([Put(end())])
    began = time.monotonic()
    while True:
        client.send(request())
        answer = await client.answer()
        if answer.status == status:
            break
        assert answer.status == 200
        assert time.monotonic() - began < 20, "it never counts"
        await asyncio.sleep(0.01)


async def test_an_enabled_users_tokens_work_again(rig: Rig) -> None:
    await start(rig)
    await rig.commit(disabled())
    refused(await rig.ask(), 401, "unauthenticated")
    await rig.commit(records.user())
    assert (await rig.ask()).status == 200


# -- paths that need no token -------------------------------------------------------------------


async def open_paths(rig: Rig, *routes: tuple[str, str]) -> ScriptedReplica:
    replica = await start(rig)
    await rig.commit(proton(*routes))
    return replica


def seen(replica: ScriptedReplica) -> bytes:
    """What the replica received, in lower case."""
    return b"".join(wire.received for wire in replica.wires).lower()


@pytest.mark.parametrize(
    ("auth", "token", "status"),
    [
        ("required", None, 401),
        ("required", "nobodys", 401),
        ("required", OTHER_TOKEN, 403),
        ("required", TOKEN, 200),
        ("optional", None, 200),
        ("optional", "nobodys", 401),
        ("optional", OTHER_TOKEN, 200),
        ("optional", TOKEN, 200),
        ("disabled", None, 200),
        ("disabled", "nobodys", 200),
        ("disabled", OTHER_TOKEN, 200),
        ("disabled", TOKEN, 200),
    ],
)
async def test_a_paths_auth_says_what_a_request_needs(
    rig: Rig, auth: str, token: str | None, status: int
) -> None:
    await open_paths(rig, ("/", "disabled"), ("/a", auth))
    answer = await rig.ask("GET", "/a/b?x=1", token=token)
    assert answer.status == status


async def test_an_application_is_not_told_of_a_user_who_did_not_say_who_it_is(rig: Rig) -> None:
    replica = await open_paths(rig, ("/open", "disabled"))
    claims = ("X-DataRobot-User-Id: somebody", "X-DataRobot-Api-Key: nobodys")
    assert (await rig.ask("GET", "/open", *claims, token=None)).status == 200
    assert b"get /open http/1.1\r\n" in seen(replica)
    assert b"x-datarobot" not in seen(replica)
    assert (await rig.ask("POST", "/open", body=b"more")).status == 200
    assert f"x-datarobot-user-id: {USER_ID}\r\n\r\nmore".encode() in seen(replica)


@pytest.mark.parametrize("path", ["/open/../secret", "/open/%2e%2e/secret", "/opening", "/"])
async def test_what_is_not_plainly_below_an_open_path_needs_a_token(rig: Rig, path: str) -> None:
    replica = await open_paths(rig, ("/open", "disabled"))
    refused(await rig.ask("GET", path, token=None), 401, "unauthenticated")
    assert not replica.wires
    assert (await rig.ask("GET", path)).status == 200


async def test_while_two_protons_serve_a_path_is_open_if_both_say_so(rig: Rig) -> None:
    await open_paths(rig, ("/a", "disabled"), ("/b", "disabled"))
    assert (await rig.ask("GET", "/b", token=None)).status == 200
    beside = proton(("/a", "disabled"), proton_id=OTHER_PROTON_ID)
    await rig.commit(msgspec.structs.replace(beside, weight=0))  # it has no replica
    assert (await rig.ask("GET", "/a", token=None)).status == 200
    refused(await rig.ask("GET", "/b", token=None), 401, "unauthenticated")
    await rig.delete(Proton, OTHER_PROTON_ID)
    assert (await rig.ask("GET", "/b", token=None)).status == 200


async def test_a_deployments_url_has_its_workloads_open_paths(rig: Rig) -> None:
    await open_paths(rig, ("/open", "disabled"))
    await rig.commit(records.deployment())
    assert (await deployed(rig, "/open")).status == 200
    refused(await deployed(rig, "/other"), 401, "unauthenticated")


async def deployed(rig: Rig, path: str) -> Message:
    client = await rig.client()
    url = f"/api/v2/endpoints/deployments/{DEPLOYMENT_ID}{path}"
    client.send(f"GET {url} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    return await client.answer()


async def test_who_needs_no_token_counts_by_address(rig: Rig) -> None:
    await open_paths(rig, ("/open", "disabled"))
    quota = Traffic(quota=Quota(requests_per_minute=2))
    await rig.commit(records.workload(traffic=quota))
    statuses = [(await rig.ask("GET", "/open", token=None)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await rig.ask("GET", "/open")).status == 200
