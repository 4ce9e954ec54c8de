"""kill -9 of each process under steady load: what its users may notice, and what must hold.

Of the supervisor itself: see test_up_lifecycle.
"""

import asyncio
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.system.conftest import Up, installation, wait_until
from tests.system.service import (
    api,
    call,
    client,
    deploy,
    ready_count,
    replica_processes,
    scaling,
    steady,
    tally,
    wait_state,
)

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "autoscaler.stable_window_s=5",
    "autoscaler.scale_down_delay_s=0",
    "autoscaler.lease_ttl_s=2",
    "gateway.report_interval_s=0.2",
    "gateway.report_ttl_s=2",
]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the whole module: it must survive everything done to it."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


@pytest.fixture(scope="module")
def target(up: Up) -> str:
    """A workload that always has three replicas."""
    workload_id = deploy(up, "target", group={"replicaCount": 3}, SAMPLE_SERVICE_S="0.05")
    wait_state(up, workload_id, "running")
    wait_until(lambda: ready_count(up, workload_id) == 3, what="three ready replicas")
    return workload_id


def under_load(
    up: Up, workload_id: str, during: Callable[[], Any], *, method: str = "GET", after_s: float = 2
) -> dict[str, int]:
    """Steady load while something happens; what became of the requests."""

    async def run() -> dict[str, int]:
        async with client(up, workload_id) as caller:
            return tally(await steady(caller, during, method=method, after_s=after_s))

    return asyncio.run(run())


def restarted(up: Up, name: str) -> Callable[[], None]:
    """Kill a process and wait until the supervisor has another one."""

    def act() -> None:
        time.sleep(0.5)
        old = up.kill(name)
        wait_until(lambda: up.pids.get(name, old) != old, what=f"{name} restarted")
        wait_until(lambda: api_answers(up), what="the API is back")
        time.sleep(1.0)

    return act


def api_answers(up: Up) -> bool:
    """Whether the API is ready, its store included."""
    try:
        with urllib.request.urlopen(f"{up.api_url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_killed_replica_costs_idempotent_requests_nothing(up: Up, target: str) -> None:
    def act() -> None:
        time.sleep(0.5)
        next(iter(replica_processes(up, target).values())).kill()
        time.sleep(0.5)
        wait_until(lambda: ready_count(up, target) == 3, what="the replica is replaced")

    assert set(under_load(up, target, act)) == {"200"}


def test_a_killed_replica_costs_other_requests_at_most_what_was_on_it(up: Up, target: str) -> None:
    def act() -> None:
        time.sleep(0.5)
        next(iter(replica_processes(up, target).values())).kill()
        time.sleep(0.5)
        wait_until(lambda: ready_count(up, target) == 3, what="the replica is replaced")

    outcomes = under_load(up, target, act, method="POST")

    assert set(outcomes) <= {"200", "502 replica_reset"}, outcomes
    # 100/s for 50 ms over three replicas: about 2 in flight on each, plus those within one beat
    # of the loop. An endpoint that was not left out at once would cost dozens.
    assert outcomes.get("502 replica_reset", 0) <= 12, outcomes


def test_a_killed_gateway_worker_resets_its_own_connections_only(up: Up, target: str) -> None:
    outcomes = under_load(up, target, restarted(up, "gateway-0"))

    failed = {k: v for k, v in outcomes.items() if k != "200"}
    assert not any(key[:3].isdigit() for key in failed), outcomes
    # Connections on the killed worker and those in its accept queue; the other worker's go on.
    assert sum(failed.values()) <= 40, outcomes
    assert tally_now(up, target) == {"200"}


def tally_now(up: Up, workload_id: str) -> set[str]:
    """What a few requests get now."""

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally([await call(caller) for _ in range(10)]))

    return asyncio.run(run())


def test_a_killed_autoscaler_is_not_noticed_and_its_successor_adopts_the_replicas(
    up: Up, target: str
) -> None:
    before = {i: p.pid for i, p in replica_processes(up, target).items()}

    outcomes = under_load(up, target, restarted(up, "autoscaler"))

    assert set(outcomes) == {"200"}
    assert {i: p.pid for i, p in replica_processes(up, target).items()} == before
    second = deploy(up, "after-the-autoscaler", group=scaling(0, 1))
    assert tally_now(up, second) == {"200"}


def test_a_killed_control_plane_is_not_noticed_on_the_data_path(up: Up, target: str) -> None:
    assert set(under_load(up, target, restarted(up, "api"))) == {"200"}
    wait_state(up, target, "running")


def test_a_killed_store_is_not_noticed_on_the_data_path_and_loses_nothing(
    up: Up, target: str
) -> None:
    created = deploy(up, "written-before", group=scaling(0, 1))

    outcomes = under_load(up, target, restarted(up, "store"))

    assert set(outcomes) == {"200"}
    assert api(up, "GET", f"/workloads/{created}/")["name"] == "written-before"
    assert tally_now(up, created) == {"200"}
    assert len(replica_processes(up, target)) == 3
