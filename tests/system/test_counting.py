"""Every request is counted once: the gateway's counters and those of its clients are the same."""

import asyncio
import functools
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle
from signal import Signals

import psutil
import pytest
import uvloop

from tests.system.conftest import Up, installation, wait_until
from tests.system.crowd import BLIND, PLAIN, VANISHING, Crowd, Line, Mix, Stage, Tally
from tests.system.sampler import Counts, Sampler, sampling
from tests.system.service import (
    api,
    deploy,
    ready_count,
    replica_processes,
    replicas,
    scaling,
    wait_state,
    workload,
)

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "autoscaler.stable_window_s=2",
    "autoscaler.scale_down_delay_s=0",
    "autoscaler.cooldown_s=1",
    "gateway.report_interval_s=0.2",
    # Everything that is refused or cut on purpose would be a line.
    "gateway.access_log=off",
]
QUICK = {"SAMPLE_SERVICE_S": "0.005", "SAMPLE_TOKEN_S": "0.005"}

CLIENTS = 100


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation with two workers for the module; every test has its own workload."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


# -- what happens to the installation --------------------------------------------------------------


def scale_to(up: Up, workload_id: str, count: int) -> None:
    """Wish for exactly so many replicas; wait until they are ready and the others have ended."""
    if ready_count(up, workload_id) == count == len(replicas(up, workload_id)):
        return  # unchanged settings would roll the replicas
    runtime = {"containerGroups": [scaling(count, count, target=20)]}
    api(up, "PATCH", f"/workloads/{workload_id}/settings", {"runtime": runtime}, code=202)
    wait_until(
        lambda: ready_count(up, workload_id) == count == len(replicas(up, workload_id)),
        what=f"{count} replicas",
    )


def restart(up: Up, name: str, number: Signals = Signals.SIGTERM) -> None:
    """Signal a worker; wait until the supervisor has another one ready."""
    old = up.kill(name, number)
    wait_until(lambda: up.pids.get(name, old) != old, what=f"another {name}")
    url = up.admin_urls[int(name.removeprefix("gateway-"))]
    wait_until(lambda: is_ready(url), what=f"{name} is ready")


def is_ready(admin_url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{admin_url}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


async def load(
    crowd: Crowd, *, clients: int, mix: Mix, upto: int, meanwhile: list[Callable[[], None]]
) -> None:
    """Send requests until there were `upto` in all, and everything that goes on has ended."""
    acts = asyncio.gather(*(asyncio.to_thread(act) for act in meanwhile))
    await crowd.run(clients, mix=mix, more=lambda: crowd.tally.sent < upto or not acts.done())
    await acts


# -- what must be true of the counters -------------------------------------------------------------


def check_totals(counts: Counts, tally: Tally) -> None:
    """The gateway's totals are the clients', class by class."""
    assert counts.started == tally.sent - tally.dropped == tally.known + tally.unseen, tally
    theirs, ours = Counter(counts.finished), Counter(tally.finished)
    # Who left in the moment of sending cannot know whether the request was finished for nobody.
    assert 0 <= theirs["aborted"] - ours["aborted"] <= tally.unseen, (counts, tally)
    ours["aborted"], ours["2xx"] = theirs["aborted"], theirs["2xx"]
    assert theirs == ours, tally
    assert theirs.total() == counts.started


async def check_hours(sampler: Sampler, counts: Counts) -> None:
    """The hour's starts are those of the reports."""
    assert sum((await sampler.hours()).values()) == counts.started


@pytest.mark.timeout(300)
@pytest.mark.parametrize("requests", [40_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_every_request_is_counted_once_while_replicas_and_workers_come_and_go(
    up: Up, requests: int
) -> None:
    workload_id = deploy(up, "counted", group=scaling(0, 1, target=20), **QUICK)
    wait_state(up, workload_id, "suspended")
    proton_id = workload(up, workload_id)["protonId"]
    restarts = ["gateway-0", "gateway-1", "gateway-0", "gateway-1"]

    async def scenario() -> None:
        async with Crowd(up, workload_id) as crowd, sampling(up, proton_id, crowd.tally) as sampler:
            tally = crowd.tally

            def reached(sent: int) -> bool:
                return tally.sent >= sent

            def replicas_come_and_go(upto: int) -> Callable[[], None]:
                def act() -> None:
                    for count in cycle([3, 1, 4, 2]):
                        scale_to(up, workload_id, count)
                        if reached(upto):
                            return

                return act

            def workers_are_restarted() -> None:
                for done, name in enumerate(restarts):
                    at = requests * (6 + done) // 10
                    wait_until(functools.partial(reached, at), what=f"{at} requests")
                    restart(up, name)

            await load(
                crowd,
                clients=CLIENTS,
                mix={**PLAIN, **VANISHING, **BLIND},
                upto=requests // 2,
                meanwhile=[replicas_come_and_go(requests // 2)],
            )
            check_totals(await sampler.at_rest(), tally)
            assert not tally.dropped + tally.unconnected, "no worker has ended"

            # Only in an order in which a client can know what has become of its request.
            await load(
                crowd,
                clients=CLIENTS,
                mix={**PLAIN, **VANISHING},
                upto=requests,
                meanwhile=[replicas_come_and_go(requests), workers_are_restarted],
            )
            counts = await sampler.at_rest()
            check_totals(counts, tally)
            await check_hours(sampler, counts)
            assert counts.started + tally.dropped >= requests
            assert set(counts.finished) == {"1xx", "2xx", "4xx", "5xx", "aborted"}, "none refused"
            goodbyes = sum(report.draining for report in sampler.served())
            assert goodbyes == len(restarts) < len(sampler.served())
            assert sampler.busy, "two workers were never seen at work together"
            assert sampler.waiting, "no request was ever seen waiting"

    uvloop.run(scenario())
    assert workload(up, workload_id)["protonId"] == proton_id


def test_clients_that_give_up_waiting_and_those_that_are_sent_away_are_counted(up: Up) -> None:
    workload_id = deploy(up, "never", group=scaling(0, 1), SAMPLE_NEVER_READY="1")
    proton_id = workload(up, workload_id)["protonId"]
    wait_state(up, workload_id, "suspended")

    async def scenario() -> None:
        async with Crowd(up, workload_id) as crowd, sampling(up, proton_id, crowd.tally) as sampler:
            lines = [await crowd.connect() for _ in range(90)]
            for line in lines:
                line.send(crowd.head("GET", "/predict"))
                crowd.tally.sent += 1
            await sampler.until(lambda counts: counts.queued == 90)
            for index, line in enumerate(lines[:60]):
                line.hang_up(reset=bool(index % 2))
                crowd.tally.finished["aborted"] += 1
            await sampler.until(lambda counts: counts.queued == 30)

            await asyncio.to_thread(api, up, "POST", f"/workloads/{workload_id}/stop", code=202)
            for line in lines[60:]:
                await line.reach(Stage.WHOLE)
                crowd.settle(line)

            counts = await sampler.at_rest()
            check_totals(counts, crowd.tally)
            await check_hours(sampler, counts)
            assert counts.finished == {"aborted": 60, "refused": 30}

    uvloop.run(scenario())


def test_a_killed_replica_leaves_no_request_uncounted(up: Up) -> None:
    workload_id = deploy(up, "shot", group={"replicaCount": 3}, **QUICK)
    wait_until(lambda: ready_count(up, workload_id) == 3, what="three ready replicas")
    proton_id = workload(up, workload_id)["protonId"]

    def replicas_are_killed() -> None:
        for _ in range(3):
            time.sleep(0.3)
            next(iter(replica_processes(up, workload_id).values())).kill()
            time.sleep(0.3)
            wait_until(lambda: ready_count(up, workload_id) == 3, what="three again")

    async def scenario() -> None:
        async with Crowd(up, workload_id) as crowd, sampling(up, proton_id, crowd.tally) as sampler:
            await load(
                crowd,
                clients=40,
                mix={"get": 4, "post": 4, "stream": 1, "leave_answer": 1},
                upto=5_000,
                meanwhile=[replicas_are_killed],
            )
            counts = await sampler.at_rest()
            tally = crowd.tally
            # No worker has ended: a connection that is gone was cut by one, with its request.
            tally.finished["aborted"] += tally.dropped
            tally.dropped = 0
            check_totals(counts, tally)
            await check_hours(sampler, counts)
            assert set(counts.finished) <= {"2xx", "refused", "aborted"}

    uvloop.run(scenario())


def test_a_killed_worker_takes_only_its_own_newest_numbers_along(up: Up) -> None:
    workload_id = deploy(up, "bereft", group={"replicaCount": 2}, **QUICK)
    wait_until(lambda: ready_count(up, workload_id) == 2, what="two ready replicas")
    proton_id = workload(up, workload_id)["protonId"]

    def a_worker_is_killed() -> None:
        time.sleep(1)
        restart(up, "gateway-0", Signals.SIGKILL)

    async def scenario() -> None:
        async with Crowd(up, workload_id) as crowd, sampling(up, proton_id, crowd.tally) as sampler:
            mix = {"get": 10, "post": 1, "stream": 1}
            kill = a_worker_is_killed
            await load(crowd, clients=60, mix=mix, upto=3_000, meanwhile=[kill])
            # Connections stay where they are: it takes new ones to reach the new worker.
            upto = crowd.tally.sent + 2_000
            await load(crowd, clients=60, mix=mix, upto=upto, meanwhile=[])
            await sampler.at_rest()
            lines = lines_of_workers(up, crowd.lines)
            first, second = (sampler.ids(index) for index in (0, 1))
            killed, successor = first
            (survivor,) = second
            others = 0
            for worker_id, name in ((successor, "gateway-0"), (survivor, "gateway-1")):
                of_clients = sum((line.finished for line in lines[name]), Counter[str]())
                counts = sampler.of(worker_id)
                assert counts.finished == of_clients
                assert counts.started == sum(len(line.sent_at) for line in lines[name])
                assert counts.started == of_clients.total()
                others += counts.started

            # What it told last was true when it told it; what came after is lost, nothing else.
            told = sampler.newest[killed]
            counts = sampler.of(killed)
            answered = sum(at < told.sent_at for line in lines[""] for at in line.ended_at)
            sent = sum(at <= told.sent_at for line in lines[""] for at in line.sent_at)
            assert answered <= sum(counts.finished.values()) <= counts.started <= sent
            # The hour is written with the report: it lacks the last one at most.
            hour = sum((await sampler.hours()).values()) - others
            before = sampler.before[killed].protons.get(proton_id)
            at_least = 0 if before is None else before.started
            assert at_least <= hour <= sum(len(line.sent_at) for line in lines[""])

    uvloop.run(scenario())


def lines_of_workers(up: Up, lines: list[Line]) -> dict[str, list[Line]]:
    """Worker's name to the connections that it has; those that are no more have no name."""
    found: dict[str, list[Line]] = {"": [line for line in lines if line.lost]}
    by_port = {line.port: line for line in lines if not line.lost}
    for name in ("gateway-0", "gateway-1"):
        connections = psutil.Process(up.pids[name]).net_connections("tcp")
        ports = [c.raddr.port for c in connections if c.raddr]
        found[name] = [by_port.pop(port) for port in ports if port in by_port]
    assert not by_port, "connections that no worker has"
    return found
