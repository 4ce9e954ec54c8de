"""Stop, delete and edit while traffic flows."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.conftest import Up, installation, wait_until
from tests.system.service import (
    api,
    api_status,
    client,
    deploy,
    replica_processes,
    steady,
    tally,
    wait_state,
    workload,
)

SETTINGS = ["autoscaler.tick_s=0.2", "gateway.report_interval_s=0.1"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def running(up: Up, name: str) -> str:
    workload_id = deploy(up, name, group={"replicaCount": 2}, SAMPLE_SERVICE_S="0.1")
    wait_state(up, workload_id, "running")
    return workload_id


def under_load(up: Up, workload_id: str, act: Callable[[], None]) -> dict[str, int]:
    async def run() -> dict[str, int]:
        async with client(up, workload_id) as caller:
            return tally(await steady(caller, act, method="POST", after_s=1))

    return asyncio.run(run())


def test_stopping_under_load_finishes_what_runs_and_refuses_the_rest(up: Up) -> None:
    workload_id = running(up, "stopped-under-load")

    def act() -> None:
        time.sleep(0.5)
        api(up, "POST", f"/workloads/{workload_id}/stop", code=202)
        wait_state(up, workload_id, "stopped")

    assert set(under_load(up, workload_id, act)) == {"200", "503 workload_stopped"}
    assert replica_processes(up, workload_id) == {}
    endpoint = workload(up, workload_id)["endpoint"]

    api(up, "POST", f"/workloads/{workload_id}/start", code=202)
    wait_state(up, workload_id, "running")
    assert workload(up, workload_id)["endpoint"] == endpoint
    assert set(under_load(up, workload_id, lambda: time.sleep(0.2))) == {"200"}


def test_deleting_under_load_finishes_what_runs_and_leaves_nothing(up: Up) -> None:
    workload_id = running(up, "deleted-under-load")
    neighbour = running(up, "neighbour")

    def act() -> None:
        time.sleep(0.5)
        api(up, "DELETE", f"/workloads/{workload_id}/", code=204)

    assert set(under_load(up, workload_id, act)) == {"200", "404 no_route"}
    assert api_status(up, "GET", f"/workloads/{workload_id}/")[0] == 404
    wait_until(lambda: not replica_processes(up, workload_id), what="its replicas are gone")
    assert set(under_load(up, neighbour, lambda: time.sleep(0.2))) == {"200"}
    assert len(replica_processes(up, neighbour)) == 2


def test_of_two_who_edit_at_once_one_is_told_and_nothing_is_lost(up: Up) -> None:
    workload_id = deploy(up, "edited", group={"replicaCount": 1})
    path = f"/workloads/{workload_id}/"
    refused = 0
    for turn in range(15):
        fields = [{"description": f"first {turn}"}, {"description": f"second {turn}"}]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda body: api_status(up, "PATCH", path, body), fields))
        statuses = sorted(status for status, _ in answers)
        assert statuses in ([200, 200], [200, 409]), answers
        refused += statuses == [200, 409]
        winners = [
            body["description"]
            for body, (status, _) in zip(fields, answers, strict=True)
            if status == 200
        ]
        assert workload(up, workload_id)["description"] in winners
    # With one request each the two rarely meet; what counts is that a meeting is told.
    stale = {"description": "late"}
    version = etag(up, path)
    api(up, "PATCH", path, {"description": "early"}, code=200)
    assert conditional(up, path, stale, version) in {409, 412}
    assert workload(up, workload_id)["description"] == "early"


def etag(up: Up, path: str) -> str:
    request = urllib.request.Request(
        f"{up.api_url}/api/v2{path}", headers={"Authorization": f"Bearer {up.token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.headers["ETag"])


def conditional(up: Up, path: str, body: dict[str, str], version: str) -> int:
    request = urllib.request.Request(
        f"{up.api_url}/api/v2{path}",
        data=json.dumps(body).encode(),
        method="PATCH",
        headers={
            "Authorization": f"Bearer {up.token}",
            "Content-Type": "application/json",
            "If-Match": version,
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code
