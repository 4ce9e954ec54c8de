import asyncio
import random
from collections.abc import Iterator

import pytest

from controlplane.demo.client import OpenLoopClient, Outcome
from tests.system.conftest import Up, installation, wait_until
from tests.system.service import api, call, client, deploy, scaling, tally, wait_state, workload

QUICK = [
    "autoscaler.cooldown_s=0.3",
    "autoscaler.tick_s=0.1",
    "autoscaler.stable_window_s=2",
    "autoscaler.scale_down_delay_s=0",
    "gateway.report_interval_s=0.1",
]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=QUICK) as started:
        yield started


def run(up: Up, workload_id: str, times: int) -> list[Outcome]:
    async def together() -> list[Outcome]:
        async with client(up, workload_id) as caller:
            return list(await asyncio.gather(*(call(caller) for _ in range(times))))

    return asyncio.run(together())


def test_200_requests_at_one_instant_to_a_workload_at_zero_wait_for_one_cold_start(
    up: Up,
) -> None:
    workload_id = deploy(
        up, "sleepy", group=scaling(0, 4, target=50), SAMPLE_STARTUP_S="1", SAMPLE_SERVICE_S="0.05"
    )
    wait_state(up, workload_id, "suspended")

    outcomes = run(up, workload_id, 200)

    assert tally(outcomes) == {"200": 200}, up.tell()
    # One cold start, not two in a row, and no timeout on the way: start-up is 1 s.
    assert max(o.seconds for o in outcomes) < 20
    assert min(o.seconds for o in outcomes) > 0.9
    wait_state(up, workload_id, "suspended")


def test_requests_at_any_instant_on_the_way_to_zero_are_answered(up: Up) -> None:
    workload_id = deploy(up, "tidal", group=scaling(0, 2, target=50), SAMPLE_SERVICE_S="0.01")
    wait_state(up, workload_id, "suspended")  # the gateway knows it, too
    rng = random.Random(50)
    states = set()

    async def instants() -> list[Outcome]:
        outcomes: list[Outcome] = []
        async with client(up, workload_id) as caller:
            assert (await call(caller)).status == 200
            for _ in range(50):
                # From just after an answer, over the cooldown and the drain, to zero.
                await asyncio.sleep(rng.uniform(0.0, 1.0))
                states.add((await asyncio.to_thread(workload, up, workload_id))["status"])
                outcomes += await burst(caller, 4)
        return outcomes

    outcomes = asyncio.run(instants())

    assert tally(outcomes) == {"200": 200}, up.tell()
    assert "running" in states, "the instants were all too late"
    assert states & {"suspended", "launching", "provisioning"}, "the instants were all too early"


async def burst(caller: OpenLoopClient, times: int) -> list[Outcome]:
    return list(await asyncio.gather(*(call(caller) for _ in range(times))))


def test_the_event_journal_tells_that_a_workload_woke_from_zero(up: Up) -> None:
    workload_id = deploy(up, "learner", group=scaling(0, 1), SAMPLE_STARTUP_S="0.5")
    wait_state(up, workload_id, "suspended")

    assert tally(run(up, workload_id, 1)) == {"200": 1}

    wait_until(lambda: "from zero" in " ".join(events(up, workload_id)), what="the event")


def events(up: Up, workload_id: str) -> list[str]:
    found = api(up, "GET", f"/workloads/{workload_id}/events")["data"]
    return [event["eventType"].lower() for event in found]
