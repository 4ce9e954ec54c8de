"""A workload's life through the vendor's own client; run by an interpreter that has it.

Environment: `DATAROBOT_ENDPOINT`, `DATAROBOT_API_TOKEN`, `AUTH_RESOLUTION_STRATEGY=config`. Takes
the command of a service as its arguments. Prints `done` and what it saw as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from datarobot.errors import ClientError
from datarobot_genai.drtools.core.clients.datarobot_workload import WorkloadApiClient
from datarobot_genai.drtools.workload import (
    artifacts,
    openapi_spec,
    workload_observability,
    workload_runtime,
    workloads,
)

DEADLINE_S = 90


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll, as the client's users are told to."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return value


def refused(status: int, call: Callable[[], Any]) -> str:
    """The client's error for a refusal with this status."""
    found: ClientError | None = None
    try:
        call()
    except ClientError as error:
        found = error
    assert found is not None, f"not refused with {status}"
    assert found.status_code == status, found
    return str(found)


def reached(workload_id: str, status: str) -> Callable[[], bool]:
    """Whether the workload is in a state, asked as the client's tool does."""

    def ask() -> bool:
        found = asyncio.run(workloads.workload_get(workload_id=workload_id, target_status=status))
        return bool(found["target_reached"])

    return ask


def service(command: list[str], name: str) -> dict[str, Any]:
    """The client's own payload, with the command that an installation without images needs."""
    built = asyncio.run(
        workloads.workload_create_payload_build(
            name=name,
            artifact_name=name,
            image_uri="example/service:1",
            port=8080,
            cpu=1,
            memory_bytes=134_217_728,
            environment_vars=[{"name": "SAMPLE_SERVICE_S", "value": "0.01"}],
        )
    )
    payload: dict[str, Any] = built["payload"]
    container = payload["artifact"]["spec"]["containerGroups"][0]["containers"][0]
    container["entrypoint"] = command
    container["readinessProbe"] = {"path": "/healthz", "initialDelaySeconds": 0, "periodSeconds": 1}
    return payload


def main(command: list[str]) -> dict[str, Any]:
    """The whole life; returns what it saw."""
    client = WorkloadApiClient()
    payload = service(command, "life")
    made = asyncio.run(workloads.workload_create(payload=payload))
    wid = made["id"]
    until(reached(wid, "running"), "it runs")
    found = asyncio.run(workloads.workload_list(search="life", limit=10))
    assert [item["id"] for item in found["workloads"]] == [wid]
    updated = asyncio.run(workloads.workload_update(workload_id=wid, importance="HIGH"))
    assert updated["importance"] == "high"

    # Protons
    (proton,) = client.list_protons(wid)["data"]
    assert client.get_proton(wid, proton["id"])["role"] == "active"
    snapshot = until(lambda: client.get_proton_status_details(wid, proton["id"]), "replicas")
    assert snapshot["replicas"][0]["status"] == "running"

    # Settings, and a replacement
    settings = asyncio.run(workload_runtime.workload_settings(workload_id=wid))
    assert settings["replacement"] is None
    spec = payload["artifact"]["spec"]
    second = client.create_artifact({"name": "second", "spec": spec})
    started = asyncio.run(
        workload_runtime.workload_artifact_replace(workload_id=wid, artifact_id=second["id"])
    )
    assert started["candidateArtifactId"] == second["id"]
    until(lambda: client.get_workload(wid)["artifactId"] == second["id"], "it has switched")
    until(lambda: client.get_workload(wid)["replacement"] is None, "the replacement is over")
    told = refused(404, lambda: client.get_workload_replacement(wid))
    assert "no active replacement" in told
    history = client.list_workload_history(wid)
    events = client.list_workload_events(wid)
    assert "Replacement Completed" in {event["eventType"] for event in events["data"]}

    # What it did
    stats = asyncio.run(workload_observability.workload_stats_get(workload_id=wid))
    logs = client.list_workload_logs(wid, limit=10)

    # Artifacts
    locked = client.promote_workload_artifact(wid)
    assert locked["artifact"]["status"] == "locked"
    refused(403, lambda: client.patch_artifact(second["id"], {"status": "locked"}))
    refused(409, lambda: client.delete_artifact(second["id"]))
    copy = client.clone_artifact(second["id"], "copy")
    assert client.put_artifact(copy["id"], {"name": "put", "spec": spec})["name"] == "put"
    assert client.get_artifact(copy["id"])["status"] == "draft"
    assert client.list_artifacts(search="put")["totalCount"] == 1
    client.delete_artifact(copy["id"])
    refused(422, lambda: client.trigger_artifact_build(made["artifactId"]))
    home = client.get_artifact(made["artifactId"])["artifactRepositoryId"]
    assert client.get_artifact_repository(home)["numArtifacts"] == 1
    assert client.list_artifact_repositories()["totalCount"] >= 2

    # Its own view of the document
    described = asyncio.run(openapi_spec.read_openapi_spec(path="/workloads"))

    # Stop, start, delete
    accepted = asyncio.run(workloads.workload_action_run(workload_id=wid, action="stop"))
    assert accepted["accepted"]["workloadId"] == wid
    until(reached(wid, "stopped"), "it has stopped")
    asyncio.run(workloads.workload_action_run(workload_id=wid, action="start"))
    until(reached(wid, "running"), "it runs again")
    asyncio.run(workloads.workload_action_run(workload_id=wid, action="delete"))
    refused(404, lambda: client.get_workload(wid))
    assert asyncio.run(artifacts.artifact_get(artifact_id=second["id"]))
    return {
        "stats": stats,
        "history": history["totalCount"],
        "logs": logs["data"],
        "described": described,
    }


if __name__ == "__main__":
    sys.stdout.write(f"done {json.dumps(main(sys.argv[1:]))}\n")
