"""Every request is counted once: the gateway's counters and those of its clients are the same."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from signal import SIGTERM

import pytest
import uvloop

from tests.system.conftest import Up, processes_of, start_up, wait_until
from tests.system.crowd import BLIND, PLAIN, VANISHING, Crowd, Tally
from tests.system.sampler import sampling
from tests.system.service import api, deploy, ready_count, scaling, wait_state, workload
from tests.system.test_failures import replica_processes

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "autoscaler.stable_window_s=2",
    "autoscaler.cooldown_s=1",
    "gateway.report_interval_s=0.2",
    # Everything that is refused or cut on purpose would be a line.
    "gateway.access_log=off",
]
QUICK = {"SAMPLE_SERVICE_S": "0.005", "SAMPLE_TOKEN_S": "0.005"}
WORKERS = ["gateway-0", "gateway-1"]

REQUESTS = 100_000
CLIENTS = 100


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module; every test has a workload of its own."""
    started = start_up(tmp_path_factory.mktemp("up"), settings=SETTINGS)
    try:
        yield started.wait_ready()
    finally:
        started.stop()
        for process in processes_of(started.data_dir):
            process.kill()


def scale_to(up: Up, workload_id: str, count: int) -> None:
    """Wish for exactly so many replicas, and wait until they are there and the others gone."""
    runtime = {"containerGroups": [scaling(count, count, target=20)]}
    api(up, "PATCH", f"/workloads/{workload_id}/settings", {"runtime": runtime}, code=202)
    wait_until(
        lambda: ready_count(up, workload_id) == count == len(replica_processes(up, workload_id)),
        what=f"{count} replicas",
    )


def restart(up: Up, name: str) -> None:
    """Ask a worker to end in order, and wait until the supervisor has another one ready."""
    url = up.admin_urls[WORKERS.index(name)]
    old = up.kill(name, SIGTERM)
    wait_until(lambda: up.pids.get(name, old) != old, what=f"another {name}")
    wait_until(lambda: admin_ready(url), what=f"{name} is ready")


def admin_ready(url: str) -> bool:
    import urllib.request

    with suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


async def load(crowd: Crowd, requests: int, *actions: Callable[[], None]) -> None:
    """Send so many requests, and as many more as it takes until all is done to the installation."""
    enough = crowd.tally.sent + requests

    def act() -> None:
        for action in actions:
            t0 = time.monotonic()
            n = crowd.tally.sent
            action()
            print("    act", round(time.monotonic() - t0, 2), crowd.tally.sent - n)

    acting = asyncio.create_task(asyncio.to_thread(act))
    await crowd.run(CLIENTS, more=lambda: crowd.tally.sent < enough or not acting.done())
    await acting
    await crowd.close()


def check_totals(tally: Tally, started: int, finished: dict[str, int]) -> None:
    """The gateway's totals are the clients'."""
    assert started == tally.sent - tally.dropped == tally.known + tally.unseen
    # Who left in the moment of sending cannot know which of the two happened.
    ours, theirs = dict(tally.finished), dict(finished)
    either = ours.pop("2xx", 0) + ours.pop("aborted", 0) + tally.unseen
    assert either == theirs.pop("2xx", 0) + theirs.pop("aborted", 0)
    assert ours == theirs
    assert finished.get("aborted", 0) >= tally.finished["aborted"]


@pytest.mark.timeout(300)
def test_100_000_requests_are_counted_once_while_replicas_and_workers_come_and_go(up: Up) -> None:
    workload_id = deploy(up, "counted", group=scaling(0, 1, target=20), **QUICK)
    wait_state(up, workload_id, "suspended")
    proton_id = workload(up, workload_id)["protonId"]

    def scaled(*counts: int) -> list[Callable[[], None]]:
        return [lambda count=count: scale_to(up, workload_id, count) for count in counts]  # type: ignore[misc]

    async def scenario() -> None:
        crowd = Crowd(up, workload_id, mix={**PLAIN, **VANISHING, **BLIND})
        tally = crowd.tally
        async with sampling(up, proton_id, tally) as sampler:
            began = time.monotonic()
            await load(crowd, REQUESTS // 2, *scaled(3, 1, 4, 2))
            print(
                "A", time.monotonic() - began, tally, sampler.looks, sampler.busy, sampler.waiting
            )
            assert not tally.dropped, "no worker has ended, so no connection may have"
            there = await sampler.at_rest(tally)
            check_totals(tally, there.started, there.finished)
            left = REQUESTS - tally.sent
            crowd._mix = {**PLAIN, **VANISHING}
            await load(
                crowd,
                left,
                *scaled(3),
                lambda: restart(up, "gateway-0"),
                *scaled(1),
                lambda: restart(up, "gateway-1"),
                *scaled(3),
                lambda: restart(up, "gateway-0"),
            )
            print(
                "B", time.monotonic() - began, tally, sampler.looks, sampler.busy, sampler.waiting
            )
            there = await sampler.at_rest(tally)
            check_totals(tally, there.started, there.finished)
            print(there, len(sampler.newest))
            buckets = await sampler._store.hourly_buckets(proton_id, now_s=time.time())
            assert sum(buckets.values()) == there.started
            assert workload(up, workload_id)["protonId"] == proton_id
            print(time.monotonic() - began)

    uvloop.run(scenario())
