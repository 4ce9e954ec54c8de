"""Replacing what runs, under load: no request fails."""

import asyncio
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.system.conftest import Up, installation, run_cli, wait_until
from tests.system.service import api, client, deploy, ready_count, steady, tally, wait_state
from tests.system.users import crowded

SETTINGS = ["autoscaler.tick_s=0.2", "gateway.report_interval_s=0.1"]
QUICK = {"SAMPLE_SERVICE_S": "0.02"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def running(up: Up, name: str, *, count: int) -> str:
    workload_id = deploy(up, name, group={"replicaCount": count}, **QUICK)
    wait_state(up, workload_id, "running")
    wait_until(lambda: ready_count(up, workload_id) == count, what=f"{count} replicas")
    return workload_id


def gateways(up: Up) -> dict[str, int]:
    return {name: pid for name, pid in up.pids.items() if name.startswith("gateway")}


def test_rolling_the_gateway_loses_no_request(up: Up) -> None:
    workload_id = running(up, "rolled", count=2)
    before = gateways(up)

    rolled_at = []

    def act() -> None:
        time.sleep(0.5)
        for _ in range(2):
            up.cli("roll")
            rolled_at.append(time.monotonic())

    crowd = asyncio.run(crowded(up, workload_id, act, tokens=500))
    assert crowd.answered > 50
    assert crowd.streamed_at > rolled_at[0], "it lived through the first roll at least"
    assert up.count("replaced") == 4
    wait_until(lambda: set(gateways(up)) == set(before), what="the old workers have finished")
    assert not set(before.values()) & set(gateways(up).values())
    assert up.count("died") == 0


def test_replacing_replicas_loses_no_request(up: Up) -> None:
    workload_id = running(up, "replaced", count=3)

    def scale(count: int) -> None:
        runtime = {"containerGroups": [{"replicaCount": count}]}
        api(up, "PATCH", f"/workloads/{workload_id}/settings", {"runtime": runtime}, code=202)
        wait_until(lambda: ready_count(up, workload_id) == count, what=f"{count} replicas")

    def act() -> None:
        for count in (1, 3, 1, 3):
            scale(count)
            time.sleep(0.3)

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally(await steady(caller, act, method="POST", per_s=100.0)))

    assert asyncio.run(run()) == {"200"}


def test_a_gateway_worker_that_is_told_to_end_is_replaced_without_a_lost_request(up: Up) -> None:
    workload_id = running(up, "left", count=1)
    pid = gateways(up)["gateway-0"]

    def act() -> None:
        up.kill("gateway-0", signal.SIGTERM)
        wait_until(lambda: gateways(up).get("gateway-0", pid) != pid, what="a successor")
        wait_until(lambda: not psutil.pid_exists(pid), what="its end")

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally(await steady(caller, act, method="POST", per_s=60.0)))

    assert asyncio.run(run()) == {"200"}


def test_the_command_says_what_went_wrong(up: Up) -> None:
    nowhere = run_cli("roll", "--data-dir", str(up.data_dir / "elsewhere"))
    assert nowhere.returncode == 1
    assert "no `tidegate up` is ready" in nowhere.stderr
