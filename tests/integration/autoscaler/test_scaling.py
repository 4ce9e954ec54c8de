"""From reports and wake-ups to plans, records, journals and events, over a real store."""

import asyncio

import msgspec
import pytest

from autoscaler.core.again import differences
from autoscaler.core.basis import decode
from autoscaler.reconcilers.base import Failure
from autoscaler.version import code_version
from controlplane.model.decisions import Reason
from controlplane.model.reports import ProtonLoad, WorkerNumbers
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired, ProtonState
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.store.client import Store
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.integration.autoscaler.conftest import (
    Launch,
    Running,
    make_proton,
    until,
    until_stored,
)

CONCURRENCY = "httpRequestsConcurrency"


async def until_scale(running: Running, proton: Proton, **fields: object) -> Scale:
    """Wait until the Scale record has these values."""

    async def so() -> bool:
        scale = await running.scale(proton)
        return all(getattr(scale, name) == value for name, value in fields.items())

    await until_stored(so)
    return await running.scale(proton)


async def test_waking_from_zero_starts_what_the_queue_needs(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 5))
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=18)
        await until(lambda: running.reconciler.ready(proton.id) == 4)
        scale = await until_scale(running, proton, state=ProtonState.RUNNING, ready_replicas=4)
        assert scale.wanted_replicas == 4
        assert scale.cold_start_p50_s is not None
        decisions = await running.decisions(proton)
        woken = next(d for d in decisions if d.reason is Reason.WAKE_UP)
        assert woken.previous_replicas == 0
        assert woken.id
        assert "Scaled From Zero" in await running.events(proton)
        for recorded in decisions:
            assert differences(recorded, decode(recorded.basis))[1] == []
            assert recorded.code == code_version()


async def test_a_wake_up_does_not_wait_for_a_tick(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 5))
    await store.put(proton)
    # One tick at the start, the next one when the test is long over.
    running = await launch(chosen=AutoscalerSettings(admin_port=0, tick_s=3600.0))
    await running.leading()
    await running.scale(proton)
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=12)
        await until(lambda: running.reconciler.ready(proton.id) == 3)


class SlowlyCollected(Store):
    """Takes long to say what gateways report."""

    async def collect_numbers(self) -> list[WorkerNumbers]:
        await asyncio.sleep(0.3)
        return await super().collect_numbers()


async def test_a_slow_collection_delays_neither_the_first_replica_nor_the_others(
    launch: Launch, store: Store
):
    proton = make_proton((CONCURRENCY, 5))
    await store.put(proton)
    patient = AutoscalerSettings(admin_port=0, tick_s=3600.0)
    running = await launch(chosen=patient, store_class=SlowlyCollected)
    await running.leading()
    await running.scale(proton)
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=12)
        await until(lambda: running.reconciler.ready(proton.id) == 3)
        assert running.reconciler.plans == [(proton.id, 0), (proton.id, 1), (proton.id, 3)]


async def test_a_wake_up_of_a_proton_that_is_not_known_yet_is_kept(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 5))
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id)
        await asyncio.sleep(0.2)
        assert running.reconciler.plans == []
        await store.put(proton)
        await until(lambda: running.reconciler.ready(proton.id) == 1)


async def test_the_count_follows_the_load_up_and_down_and_to_zero(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 4), max_replicas=6)
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id)
        await until(lambda: running.reconciler.ready(proton.id) == 1)
        gateway.load(proton.id, in_flight=15)
        await until(lambda: running.reconciler.ready(proton.id) == 4)
        gateway.load(proton.id, in_flight=60)
        await until(lambda: running.reconciler.ready(proton.id) == 6)
        gateway.load(proton.id, in_flight=3)
        await until(lambda: running.reconciler.ready(proton.id) == 1)
        assert (proton.id, 0) not in running.reconciler.plans[1:]
        gateway.load(proton.id)
        await until(lambda: running.reconciler.replicas() == [])
        await until_scale(running, proton, state=ProtonState.SUSPENDED, reason="idle")
        assert await store.list(Replica) == []
        decisions = await running.decisions(proton)
        assert decisions[-1].reason is Reason.IDLE
        # The journal is a chain: every change of the count is in it.
        last = 0
        for decision in decisions:
            if decision.replicas != decision.previous_replicas:
                assert decision.previous_replicas == last
                last = decision.replicas
        assert last == 0
        events = await running.events(proton)
        assert events == [
            *("Scaled From Zero", "Panic Entered", "Maximum Reached", "Panic Left"),
            "Scaled To Zero",
        ]


async def test_draining_replicas_are_kept_while_a_gateway_has_requests_on_them(
    launch: Launch, store: Store
):
    proton = make_proton((CONCURRENCY, 4))
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway, FakeGatewayWorker(store) as other:
        await gateway.wake(proton.id)
        await until(lambda: running.reconciler.ready(proton.id) == 1)
        replica = running.reconciler.replicas()[0]
        gateway.endpoints[replica.id] = 2
        other.endpoints[replica.id] = 1
        await until(lambda: running.reconciler.loads == {replica.id: 3})
        gateway.load(proton.id)
        await until(lambda: running.reconciler.ready(proton.id) == 0)
        gateway.endpoints.clear()
        await until(lambda: running.reconciler.loads == {replica.id: 1})
        assert [r.id for r in running.reconciler.replicas()] == [replica.id]
        other.endpoints.clear()
        await until(lambda: running.reconciler.replicas() == [])


async def test_silent_gateways_hold_the_count(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 4))
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=12)
        await until(lambda: running.reconciler.ready(proton.id) == 3)
        gateway.silent = True
        await until_scale(running, proton, reason="no_data")
        gateway.load(proton.id)
        await asyncio.sleep(2.0)  # several windows and cooldowns
        assert running.reconciler.ready(proton.id) == 3
        gateway.silent = False
        await until(lambda: running.reconciler.replicas() == [])


async def test_a_worker_that_leaves_in_order_does_not_hold_the_count(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 4))
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway, FakeGatewayWorker(store) as leaver:
        await gateway.wake(proton.id)
        await until(lambda: running.reconciler.ready(proton.id) == 1)
        await leaver.leave()
        gateway.load(proton.id)
        await until(lambda: running.reconciler.replicas() == [])


async def test_a_fixed_count_is_kept_whatever_gateways_say(launch: Launch, store: Store):
    proton = make_proton(replica_count=2)
    await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 2)
    scale = await until_scale(running, proton, state=ProtonState.RUNNING)
    assert (scale.wanted_replicas, scale.reason) == (2, "fixed")
    assert await running.events(proton) == []


async def test_a_replica_that_dies_is_seen_at_once(launch: Launch, store: Store):
    proton = make_proton(replica_count=2)
    await store.put(proton)
    running = await launch(chosen=AutoscalerSettings(admin_port=0, tick_s=3600.0))
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 2)
    gone = running.reconciler.replicas()[0].id
    running.reconciler.crash(gone)
    await until(lambda: gone not in {r.id for r in running.reconciler.replicas()})
    await until(lambda: running.reconciler.ready(proton.id) == 2)


async def test_the_hourly_count_sizes_by_the_starts_kept_in_the_store(launch: Launch, store: Store):
    proton = make_proton(("httpRequestsPerHour", 100), min_replicas=1)
    proton = msgspec.structs.replace(proton, created_at=proton.created_at - 7200)
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        report = gateway.report()
        minute = int(report.sent_at // 60)
        counters = {"workload_id": "", "started": 350, "starts_by_minute": {minute: 350}}
        report = msgspec.structs.replace(
            report, worker_id="busy", protons={proton.id: msgspec.convert(counters, ProtonLoad)}
        )
        await store.publish_report(report, ttl_s=60.0)
        await until(lambda: running.reconciler.ready(proton.id) == 4)


async def test_cpu_sizes_by_what_the_reconciler_measures(launch: Launch, store: Store):
    proton = make_proton(("cpuAverageUtilization", 50), min_replicas=1)
    await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 1)
    running.reconciler.cpu[proton.id] = [150.0]
    await until(lambda: running.reconciler.ready(proton.id) == 3)
    running.reconciler.cpu[proton.id] = [50.0, 50.0, 50.0]
    await until_scale(running, proton, ready_replicas=3, reason="on_target")


# -- life cycle ---------------------------------------------------------------------------------


async def test_a_stopped_proton_is_drained_and_says_so(launch: Launch, store: Store):
    proton = make_proton(replica_count=2)
    version = await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 2)
    async with FakeGatewayWorker(store):
        stopped = msgspec.structs.replace(proton, desired=Desired.STOPPED)
        await store.put(stopped, expected=version)
        await until(lambda: running.reconciler.replicas() == [])
        await until_scale(running, proton, state=ProtonState.STOPPED, wanted_replicas=0)


async def test_what_is_left_of_a_deleted_proton_goes(launch: Launch, store: Store):
    proton = make_proton(replica_count=1)
    await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 1)
    await running.scale(proton)
    async with FakeGatewayWorker(store):
        await store.delete(Proton, proton.id)
        await until(lambda: running.reconciler.replicas() == [])
        await until_stored(lambda: _absent(store, proton))


async def test_leftovers_of_a_proton_deleted_in_between_go_at_the_start(
    launch: Launch, store: Store
):
    proton = make_proton(replica_count=1)
    leftover = Scale(
        id=proton.id,
        workload_id=proton.workload_id,
        wanted_replicas=1,
        ready_replicas=1,
        state=ProtonState.RUNNING,
        reason="fixed",
        updated_at=0.0,
    )
    await store.put(leftover)
    running = await launch()
    await running.leading()
    await until_stored(lambda: _absent(store, proton))


async def _absent(store: Store, proton: Proton) -> bool:
    _, entries = await store.read_journal(f"decisions:{proton.id}")
    return await store.get(Scale, proton.id) is None and entries == 0


async def test_a_proton_that_is_given_up_on_is_errored_until_it_recovers(
    launch: Launch, store: Store
):
    proton = make_proton((CONCURRENCY, 5), min_replicas=1)
    await store.put(proton)
    running = await launch(start_s=float("inf"))
    await running.leading()
    await until(lambda: len(running.reconciler.replicas()) == 1)
    running.reconciler.failures[proton.id] = Failure(
        message="It exits with code 1.", log_tail=("Traceback", "KeyError"), sticky=True
    )
    scale = await until_scale(running, proton, errored=True)
    assert scale.state is ProtonState.ERRORED
    assert scale.reason == "errored"
    assert scale.message == "It exits with code 1."
    assert scale.log_tail == ("Traceback", "KeyError")
    running.reconciler.failures.clear()
    await until_scale(running, proton, errored=False)
    events = await running.events(proton)
    assert events == ["Proton Errored", "Proton Recovered"]


async def test_a_failure_that_may_pass_is_told_and_changes_nothing_else(
    launch: Launch, store: Store
):
    proton = make_proton(replica_count=1)
    await store.put(proton)
    running = await launch(start_s=float("inf"))
    await running.leading()
    await until(lambda: len(running.reconciler.replicas()) == 1)
    running.reconciler.failures[proton.id] = Failure(message="No answer on port 21000 yet.")
    scale = await until_scale(running, proton, message="No answer on port 21000 yet.")
    assert not scale.errored
    assert scale.wanted_replicas == 1


async def test_one_proton_that_cannot_be_decided_on_does_not_stop_the_others(
    launch: Launch, store: Store, caplog: pytest.LogCaptureFixture
):
    bad, good = make_proton(replica_count=1), make_proton(replica_count=1)
    running = await launch()
    await running.leading()
    running.reconciler.cold[bad.id] = [None]  # type: ignore[list-item]
    running.reconciler.failures[bad.id] = "not a failure"  # type: ignore[assignment]
    await store.put(bad)
    await store.put(good)
    await until(lambda: running.reconciler.ready(good.id) == 1)
    await until(lambda: "cannot decide" in caplog.text)
