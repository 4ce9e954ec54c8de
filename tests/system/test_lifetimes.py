"""Drafts end, promoted workloads serve on and nobody notices; agents show their cards."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Up, installation, wait_until
from tests.system.service import (
    READY_PROBE,
    api,
    api_status,
    client,
    deploy,
    replica_processes,
    steady,
    tally,
    wait_state,
)

TTL_S = 12
SETTINGS = ["autoscaler.tick_s=0.2", "gateway.report_interval_s=0.1", f"api.draft_ttl_s={TTL_S}"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def test_a_draft_ends_with_its_replicas_and_a_promoted_workload_serves_on(up: Up) -> None:
    kept = deploy(up, "kept", group={"replicaCount": 1})
    promoted = api(up, "POST", f"/workloads/{kept}/promote", code=202)
    assert (promoted["artifact"]["version"], promoted["expiresAt"]) == (1, None)
    wait_state(up, kept, "running")
    before = replica_processes(up, kept)
    ended = deploy(up, "ended", group={"replicaCount": 1})

    def until_the_draft_is_gone() -> None:
        path = f"/workloads/{ended}"
        wait_until(lambda: api_status(up, "GET", path)[0] == 404, timeout_s=90, what="the end")
        wait_until(lambda: not replica_processes(up, ended), timeout_s=60, what="no replicas")

    async def run() -> dict[str, int]:
        async with client(up, kept) as caller:
            return tally(await steady(caller, until_the_draft_is_gone, per_s=20))

    assert set(asyncio.run(run())) == {"200"}
    assert replica_processes(up, kept) == before

    async def call_the_other() -> dict[str, int]:
        async with client(up, ended) as caller:
            return tally(await steady(caller, lambda: None, per_s=5))

    assert set(asyncio.run(call_the_other())) == {"404 no_route"}


def test_an_agent_at_zero_is_woken_for_its_card(up: Up, tmp_path: Path) -> None:
    card = {"name": "planner", "version": "1.0", "skills": []}
    known = tmp_path / ".well-known"
    known.mkdir()
    (known / "agent-card.json").write_text(json.dumps(card))
    container = {
        "name": "main",
        "primary": True,
        "port": 8080,
        "imageUri": "sample/agent:1",
        "entrypoint": [
            "/bin/sh",
            "-c",
            f'cd "{tmp_path}" && exec "{sys.executable}" -m http.server "$PORT"',
        ],
        "readinessProbe": {**READY_PROBE, "path": "/"},
    }
    spec = {"containerGroups": [{"containers": [container]}], "a2aEnabled": True}
    artifact = api(up, "POST", "/artifacts/", {"name": "agent", "type": "agent", "spec": spec})
    api(up, "PATCH", f"/artifacts/{artifact['id']}/", {"status": "locked"})
    policy = {"scalingMetric": "httpRequestsConcurrency", "target": 4}
    group = {"autoscaling": {"minReplicaCount": 0, "maxReplicaCount": 1, "policies": [policy]}}
    body = {
        "name": "agent",
        "artifactId": artifact["id"],
        "runtime": {"containerGroups": [group]},
    }
    agent = api(up, "POST", "/workloads/", body, code=201)["id"]
    wait_state(up, agent, "suspended")
    (listed,) = api(up, "GET", "/agentCards/?limit=100")["data"]
    assert (listed["agentCard"], listed["workloadId"]) == (None, agent)
    assert api(up, "GET", f"/workloads/{agent}/agentCard/") == card
    (asked,) = api(up, "GET", f"/agentCards/?limit=100&workloadIds={agent}")["data"]
    assert asked["agentCard"] == card
