"""The sample service on a running installation: deploy it, call it, look at it."""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psutil

from controlplane.demo.client import OpenLoopClient, Outcome
from tests.system.conftest import Up, processes_of, wait_until

READY_PROBE = {"path": "/healthz", "port": 8080, "initialDelaySeconds": 0, "periodSeconds": 1}


def api(up: Up, method: str, path: str, body: object = None, *, code: int | None = None) -> Any:
    """One call of the REST API; `code`: the status it must have, None: any 2xx."""
    status, answer = api_status(up, method, path, body)
    expected = {code} if code is not None else {200, 201, 202, 204}
    assert status in expected, f"{method} {path}: {status} {answer}\n{up.tell()}"
    return answer


def api_status(up: Up, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and decoded body of one call of the REST API."""
    request = urllib.request.Request(
        f"{up.api_url}/api/v2{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {up.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as exc:
        with exc:
            text = exc.read()
        return exc.code, json.loads(text) if text else None


def scaling(low: int, high: int, *, target: float = 4) -> dict[str, Any]:
    """A runtime that follows concurrency."""
    policy = {"scalingMetric": "httpRequestsConcurrency", "target": target}
    bounds = {"minReplicaCount": low, "maxReplicaCount": high}
    return {"autoscaling": {"enabled": True, **bounds, "policies": [policy]}}


def deploy(up: Up, name: str, *, group: dict[str, Any], **environ: str) -> str:
    """Create a workload of the sample service; returns its id."""
    container = {
        "name": "main",
        "primary": True,
        "port": 8080,
        "imageUri": "sample/service:1",
        "entrypoint": [sys.executable, "-m", "controlplane.demo.service"],
        "environmentVars": [{"name": k, "value": v} for k, v in environ.items()],
        "readinessProbe": READY_PROBE,
    }
    return deploy_container(up, name, group=group, container=container)


def deploy_container(up: Up, name: str, *, group: dict[str, Any], container: dict[str, Any]) -> str:
    """Create a workload of one container; returns its id."""
    spec = {"containerGroups": [{"containers": [container]}]}
    body = {
        "name": name,
        "artifact": {"name": name, "spec": spec},
        "runtime": {"containerGroups": [group]},
    }
    return str(api(up, "POST", "/workloads/", body, code=201)["id"])


def workload(up: Up, workload_id: str) -> Any:
    """The workload as the API shows it."""
    return api(up, "GET", f"/workloads/{workload_id}/")


def replicas(up: Up, workload_id: str) -> list[Any]:
    """The active proton's replicas as statusDetails shows them."""
    proton_id = workload(up, workload_id)["protonId"]
    path = f"/workloads/{workload_id}/protons/{proton_id}/statusDetails"
    status, answer = api_status(up, "GET", path)
    return answer["replicas"] if status == 200 and answer else []


def ready_count(up: Up, workload_id: str) -> int:
    """How many replicas take traffic."""
    return sum(
        any(c["ready"] for c in replica["containers"]) for replica in replicas(up, workload_id)
    )


def replica_processes(up: Up, workload_id: str) -> dict[str, psutil.Process]:
    """Replica id to its main process."""
    found = {}
    for process in processes_of(up.data_dir):
        try:
            environ = process.environ()
        except psutil.Error:  # it may end while we look
            continue
        if environ.get("WORKLOAD_ID") == workload_id and "TIDEGATE_REPLICA_ID" in environ:
            found[environ["TIDEGATE_REPLICA_ID"]] = process
    return found


def wait_state(up: Up, workload_id: str, *states: str, timeout_s: float = 60.0) -> Any:
    """Wait until the workload is in one of these states; returns it."""
    return wait_until(
        lambda: (found := workload(up, workload_id))["status"] in states and found,
        what=f"{workload_id} in {states}",
        timeout_s=timeout_s,
    )


def client(up: Up, workload_id: str) -> OpenLoopClient:
    """A client of the workload's invoke URL."""
    parts = urlsplit(up.gateway_url)
    return OpenLoopClient(
        parts.hostname or "",
        parts.port or 80,
        prefix=f"/api/v2/endpoints/workloads/{workload_id}",
        headers={"Authorization": f"Bearer {up.token}"},
    )


async def call(caller: OpenLoopClient, path: str = "/predict", *, method: str = "GET") -> Outcome:
    """One request, now."""
    body = b"{}" if method == "POST" else b""
    now_s = asyncio.get_running_loop().time()
    return await caller.request(method=method, path=path, body=body, phase="", at_s=now_s)


def tally(outcomes: list[Outcome]) -> Counter[str]:
    """Outcomes by status, or by error where there was none."""
    return Counter(f"{o.status or ''} {o.error}".strip() for o in outcomes)


async def steady(
    caller: OpenLoopClient,
    during: Callable[[], Any],
    *,
    path: str = "/predict",
    method: str = "GET",
    per_s: float = 100.0,
    after_s: float = 1.0,
) -> list[Outcome]:
    """Open-loop load while `during` runs in a thread, and a little longer."""
    pending: list[asyncio.Task[Outcome]] = []
    action = asyncio.create_task(asyncio.to_thread(during))
    until_s: float | None = None
    while until_s is None or time.monotonic() < until_s:
        pending.append(asyncio.create_task(call(caller, path, method=method)))
        await asyncio.sleep(1 / per_s)
        if until_s is None and action.done():
            until_s = time.monotonic() + after_s
    await action
    return list(await asyncio.gather(*pending))
