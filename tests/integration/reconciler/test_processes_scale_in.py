"""Letting replicas go without breaking a request."""

import asyncio
import os
import signal
import sys

from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica
from tests.fakes.replicas import PROTON_ID, container, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench, marked, quick

FOREVER = 10**9
"""A revision that is beyond every write of a test."""

STUBBORN = (
    sys.executable,
    "-c",
    "import os, signal, socket\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "s = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
    "while True: s.accept()\n",
)


async def draining(bench: Bench) -> tuple[Replica, int]:
    """Wait until a drain is recorded; the replica and the revision of that record."""

    def recorded() -> list[Replica]:
        return [r for r in bench.writer.records.values() if r.phase is ReplicaPhase.DRAINING]

    await until(recorded, what="a recorded drain")
    [replica] = recorded()
    revision = bench.writer.history.index(replica) + 1
    return replica, revision


async def a_moment() -> None:
    """Let everything that could happen happen: for showing that something does not."""
    for _ in range(20):
        await asyncio.sleep(0.01)


async def test_a_drain_waits_until_every_gateway_knows_and_nothing_is_in_flight(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 1)
    await bench.ready(1)
    reconciler.plan(proton(), 0)
    replica, revision = await draining(bench)

    reconciler.set_load({}, acknowledged_revision=None)
    await a_moment()
    assert bench.replicas(ReplicaPhase.DRAINING), "no gateway known proves nothing"
    reconciler.set_load({}, acknowledged_revision=revision - 1)
    await a_moment()
    assert bench.replicas(ReplicaPhase.DRAINING), "a gateway may still send it requests"
    reconciler.set_load({replica.id: 1}, acknowledged_revision=revision)
    await a_moment()
    assert bench.replicas(ReplicaPhase.DRAINING), "a request is in flight"
    assert replica.pid in marked(bench.data_dir)

    reconciler.set_load({replica.id: 0}, acknowledged_revision=revision)
    await bench.empty()
    assert bench.writer.history[-1].phase is ReplicaPhase.STOPPING


async def test_a_drain_is_not_ended_before_the_store_has_it(bench: Bench):
    reconciler = await bench.start(quick(drain_timeout_s=0.05))
    reconciler.plan(proton(), 1)
    await bench.ready(1)
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])
    bench.writer.available.clear()
    reconciler.plan(proton(), 0)
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    await a_moment()
    assert bench.replicas(ReplicaPhase.DRAINING)
    bench.writer.available.set()
    await bench.empty()


async def test_a_drain_ends_at_its_deadline(bench: Bench):
    reconciler = await bench.start(quick(drain_timeout_s=0.2))
    reconciler.plan(proton(), 1)
    [replica] = await bench.ready(1)
    reconciler.set_load({replica.id: 5}, acknowledged_revision=FOREVER)
    reconciler.plan(proton(), 0)
    await bench.empty()


async def test_a_draining_replica_comes_back_when_it_is_wanted_again(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 1)
    [before] = await bench.ready(1)
    reconciler.plan(proton(), 0)
    await draining(bench)
    reconciler.plan(proton(), 1)
    [after] = await bench.ready(1)
    assert after == before
    await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    await a_moment()
    assert [r.pid for r in bench.replicas(ReplicaPhase.READY)] == [before.pid]


async def test_the_busiest_of_the_draining_comes_back_first(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 3)
    replicas = await bench.ready(3)
    busy = replicas[1]
    reconciler.plan(proton(), 0)
    reconciler.set_load({busy.id: 9, replicas[0].id: 1, replicas[2].id: 1}, acknowledged_revision=0)
    await until(lambda: len(bench.replicas(ReplicaPhase.DRAINING)) == 3)
    reconciler.plan(proton(), 1)
    assert [r.id for r in bench.replicas(ReplicaPhase.READY)] == [busy.id]


async def test_the_idlest_goes_first(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 3)
    first, second, third = await bench.ready(3)
    reconciler.set_load({first.id: 2, third.id: 1}, acknowledged_revision=FOREVER)
    reconciler.plan(proton(), 2)
    await until(lambda: len(bench.writer.records) == 2)
    assert {r.id for r in reconciler.replicas()} == {first.id, third.id}
    assert second.id not in bench.writer.records


async def test_replicas_that_are_still_launching_go_first_and_at_once(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 1)
    [ready] = await bench.ready(1)
    reconciler.plan(proton(), 4)
    reconciler.plan(proton(), 1)
    await until(lambda: len(reconciler.replicas()) == 1)
    assert [r.id for r in bench.replicas(ReplicaPhase.READY)] == [ready.id]


async def test_what_ignores_sigterm_is_killed_after_the_grace(bench: Bench):
    reconciler = await bench.start(quick(stop_grace_s=0.3))
    reconciler.plan(proton(container(STUBBORN, readiness=None)), 1)
    await bench.ready(1)
    reconciler.plan(proton(container(STUBBORN, readiness=None)), 0)
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    await until(lambda: bench.replicas(ReplicaPhase.STOPPING))
    await bench.empty()


async def test_a_removed_proton_drains_and_is_forgotten(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 2)
    await bench.ready(2)
    reconciler.remove(PROTON_ID)
    reconciler.remove(PROTON_ID)
    await until(lambda: len(bench.replicas(ReplicaPhase.DRAINING)) == 2)
    await until(lambda: bench.writer.phases() == [ReplicaPhase.DRAINING] * 2)
    reconciler.set_load({}, acknowledged_revision=FOREVER)
    await bench.empty()
    assert reconciler.cold_starts(PROTON_ID) == []
    reconciler.remove("unknown")


async def test_a_draining_replica_that_dies_is_gone(bench: Bench):
    reconciler = await bench.start()
    reconciler.plan(proton(), 1)
    [replica] = await bench.ready(1)
    reconciler.set_load({replica.id: 1}, acknowledged_revision=FOREVER)
    reconciler.plan(proton(), 0)
    await draining(bench)
    assert replica.pid is not None
    os.kill(replica.pid, signal.SIGKILL)
    await bench.empty()
