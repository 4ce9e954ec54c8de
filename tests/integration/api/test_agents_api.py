"""Agent cards: asked for at the invoke URL, with the caller's own token."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from controlplane.api import agents
from controlplane.model.sections import ApiSettings, Settings
from controlplane.model.states import ProtonState, ReplicaPhase
from controlplane.model.workloads import Replica, Scale
from tests.integration.api.conftest import IDS, Api, artifact_body

CARD = {"name": "planner", "version": "1", "url": "https://a.test/", "skills": [{"id": "s"}]}
NEW, OLD = (f"/{path}" for path in agents.PATHS)


class Gateway:
    """Answers at invoke URLs as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        """By path, from the workload's id on."""
        self.asked: list[tuple[str, str]] = []
        """Paths and tokens."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().splitlines()
                headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
                path = first.split()[1].removeprefix("/api/v2/endpoints/workloads/")
                self.asked.append((path, headers["authorization"]))
                status, body = self.answers.get(path, (404, b"{}"))
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@pytest.fixture
async def api(make_api, gateway) -> Api:
    return await make_api(Settings(api=ApiSettings(gateway_url=gateway.url)))


async def agent(api: Api, **body: object) -> dict:
    return await api.workload(artifact=artifact_body(type="agent"), **body)


async def start(api: Api, workload: dict) -> None:
    """What the autoscaler writes of a workload that runs."""
    proton_id = workload["protonId"]
    await api.write(
        Scale(
            id=proton_id,
            workload_id=workload["id"],
            wanted_replicas=1,
            ready_replicas=1,
            state=ProtonState.RUNNING,
            reason="on_target",
            updated_at=1.0,
        ),
        Replica(
            id=IDS.new(),
            workload_id=workload["id"],
            proton_id=proton_id,
            phase=ReplicaPhase.READY,
            created_at=1.0,
        ),
    )


@pytest.mark.parametrize("path", [NEW, OLD])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("family", ["/api/v2/workloads", "/api/v2/console/workloads"])
async def test_a_card_is_what_the_agent_serves_at_its_well_known_path(
    api, gateway, family, slash, path
):
    made = await agent(api)
    gateway.answers[made["id"] + path] = (200, json.dumps(CARD).encode())
    answer = await api.owner.get(f"{family}/{made['id']}/agentCard{slash}")
    assert (answer.status_code, answer.json()) == (200, CARD)
    token = api.owner.headers["authorization"].lower()
    assert {(path, sent) for path, sent in gateway.asked[-1:]} == {(made["id"] + path, token)}


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"{}", "serves no agent card at /.well-known/agent-card.json or /.well-known"),
        (503, b"{}", "answered 503"),
        (403, b"{}", "answered 403"),
        (200, b"[]", "no JSON object"),
        (200, b"{", "no JSON object"),
        (200, b'{"a": NaN}', "no JSON object"),
        (200, b'{"a":' * 33 + b"1" + b"}" * 33, "32 levels"),
        (200, b"[" * 100_000, "no JSON object"),
        (200, b'{"a": "%s"}' % (b"x" * agents.MAX_CARD_BYTES), "no JSON object"),
    ],
)
async def test_what_is_no_card_is_told_apart(api, gateway, status, body, told):
    made = await agent(api)
    gateway.answers[made["id"] + NEW] = (status, body)
    refused = await api.owner.get(f"/api/v2/workloads/{made['id']}/agentCard")
    assert refused.status_code == (404 if status == 404 else 409)
    assert told in refused.json()["detail"]


async def test_an_unreachable_gateway_is_told(make_api):
    deaf = await make_api(Settings(api=ApiSettings(gateway_url="http://127.0.0.1:1")))
    made = await agent(deaf)
    refused = await deaf.owner.get(f"/api/v2/workloads/{made['id']}/agentCard")
    assert refused.status_code == 409
    assert "cannot be asked" in refused.json()["detail"]


async def test_an_agent_that_takes_too_long_is_told(api, gateway, monkeypatch):
    made = await agent(api)
    monkeypatch.setattr(agents, "TIMEOUT_S", 0.0)
    refused = await api.owner.get(f"/api/v2/workloads/{made['id']}/agentCard")
    assert refused.status_code == 409
    assert "within 0 s" in refused.json()["detail"]


async def test_only_agents_have_cards(api):
    service = await api.workload()
    refused = await api.owner.get(f"/api/v2/workloads/{service['id']}/agentCard")
    assert refused.status_code == 404
    assert "of type service" in refused.json()["detail"]
    made = await agent(api)
    _, stranger = await api.person("stranger")
    assert (await stranger.get(f"/api/v2/workloads/{made['id']}/agentCard")).status_code == 403


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_list_has_every_agent_and_wakes_none(api, gateway, slash):
    await api.workload()
    awake, asleep = await agent(api, name="awake"), await agent(api, name="asleep")
    await start(api, awake)
    for made in (awake, asleep):
        gateway.answers[made["id"] + NEW] = (200, json.dumps(CARD).encode())
    body = (await api.owner.get(f"/api/v2/agentCards{slash}?limit=100")).json()
    assert (body["count"], body["totalCount"], body["next"]) == (2, 2, None)
    first, second = body["data"]
    assert first == {
        "id": awake["id"],
        "name": "awake",
        "workloadId": awake["id"],
        "deploymentId": None,
        "externalId": None,
        "agentCard": CARD,
        "message": "",
    }
    assert second["agentCard"] is None
    assert "is submitted: ask for its card by its id" in second["message"]
    assert {path for path, _ in gateway.asked} == {awake["id"] + NEW}


async def test_ids_choose_agents_and_wake_them(api, gateway):
    first, second, third = [await agent(api) for _ in range(3)]
    gateway.answers[second["id"] + NEW] = (200, json.dumps(CARD).encode())
    for query in (
        f"workloadIds={first['id']},{second['id']}",
        f"workloadIds={first['id']}&workloadIds={second['id']},{second['id']}",
    ):
        body = (await api.owner.get(f"/api/v2/agentCards/?{query}")).json()
        assert [entry["workloadId"] for entry in body["data"]] == [first["id"], second["id"]]
        assert [entry["agentCard"] for entry in body["data"]] == [None, CARD]
    assert third["id"] not in str(gateway.asked)
    page = (await api.owner.get(f"/api/v2/agentCards?{query}&limit=1&offset=1")).json()
    assert [entry["workloadId"] for entry in page["data"]] == [second["id"]]
    assert page["previous"] is not None


async def test_agents_are_found_by_their_deployments(api, gateway):
    made = await agent(api)
    await api.owner.post(f"/api/v2/workloads/{made['id']}/promote")
    deployed = await api.owner.post(
        "/api/v2/deployments", json={"name": "d", "workloadId": made["id"]}
    )
    gateway.answers[made["id"] + NEW] = (200, json.dumps(CARD).encode())
    deployment_id = deployed.json()["id"]
    path = f"/api/v2/agentCards?deploymentIds={deployment_id},{'0' * 24}"
    (entry,) = (await api.owner.get(path)).json()["data"]
    assert (entry["deploymentId"], entry["workloadId"]) == (deployment_id, None)
    assert entry["agentCard"] == CARD


async def test_external_ids_find_nothing_here(api):
    await agent(api)
    body = (await api.owner.get("/api/v2/agentCards?externalIds=x")).json()
    assert (body["data"], body["totalCount"]) == ([], 0)


async def test_queries_that_make_no_sense_are_refused(api):
    both = await api.owner.get("/api/v2/agentCards?workloadIds=a&deploymentIds=b")
    assert both.status_code == 400
    assert "not both" in both.json()["detail"]
    for query in (f"workloadIds={','.join(str(n) for n in range(21))}", "ids=a", "limit=101"):
        refused = await api.owner.get(f"/api/v2/agentCards?{query}")
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"][1] == query.partition("=")[0]


async def test_agents_of_others_are_not_listed(api):
    await agent(api)
    _, stranger = await api.person("stranger")
    assert (await stranger.get("/api/v2/agentCards")).json()["data"] == []
