"""One writer: takeover, fencing, a store that goes away, restarts and orderly ends."""

import asyncio
import tempfile
from pathlib import Path

import msgspec
import pytest

from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import LEADERS, LEASE
from controlplane.model.sections import AutoscalerSettings, StoreSettings
from controlplane.model.workloads import Replica
from controlplane.store.client import Put, Store
from controlplane.store.embedded import EmbeddedValkey
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.fakes.reconciler import World
from tests.integration.autoscaler.conftest import Launch, make_proton, until, until_stored

CONCURRENCY = "httpRequestsConcurrency"


async def test_a_standby_decides_nothing_and_takes_over_what_runs(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 4))
    await store.put(proton)
    world = World()
    first = await launch(world=world)
    await first.leading()
    second = await launch(world=world)
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=12)
        await until(lambda: first.reconciler.ready(proton.id) == 3)
        await until(lambda: second.autoscaler.checks()["leader_known"])
        assert second.reconcilers == []
        before = {r.id for r in first.reconciler.replicas()}
        gateway.load(proton.id, in_flight=12)
        await first.kill()
        await second.leading()
        await until(lambda: second.reconciler.ready(proton.id) == 3)
        assert {r.id for r in second.reconciler.replicas()} == before
        await asyncio.sleep(1.0)
        assert {r.id for r in second.reconciler.replicas()} == before
        decisions = await second.decisions(proton)
        changes = [d for d in decisions if d.replicas != d.previous_replicas]
        assert [(d.previous_replicas, d.replicas) for d in changes] == [(0, 3)]


async def test_an_orderly_end_hands_over_at_once(launch: Launch, store: Store):
    slow = AutoscalerSettings(admin_port=0, lease_ttl_s=3600.0, stop_replicas_on_exit=False)
    proton = make_proton(replica_count=1)
    await store.put(proton)
    world = World()
    first = await launch(world=world, chosen=slow)
    await first.leading()
    await until(lambda: first.reconciler.ready(proton.id) == 1)
    await first.stop()
    assert first.reconciler.stopped is False
    second = await launch(world=world, chosen=slow)
    await second.leading()
    assert set(world.alive) == {r.id for r in second.reconciler.replicas()}


async def test_the_end_ends_replicas_and_forgets_their_records(launch: Launch, store: Store):
    proton = make_proton(replica_count=2)
    await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 2)
    await running.stop()
    assert running.reconciler.stopped is True
    assert await store.list(Replica) == []
    assert await store.acquire(LEASE, "next", ttl_s=1.0) is not None


async def test_a_second_signal_hurries(launch: Launch, store: Store, monkeypatch):
    running = await launch()
    await running.leading()
    never = asyncio.Event()

    async def stop(*, end_replicas: bool) -> None:
        await never.wait()

    monkeypatch.setattr(running.reconciler, "stop", stop)
    running.autoscaler.stop()
    running.autoscaler.stop()
    async with asyncio.timeout(20):
        await running.task
    assert await store.acquire(LEASE, "next", ttl_s=1.0) is not None


async def test_ending_as_a_standby_is_immediate(launch: Launch, store: Store):
    assert await store.acquire(LEASE, "other", ttl_s=3600.0) is not None
    running = await launch()
    await until(lambda: running.autoscaler.checks()["leader_known"])
    assert not running.autoscaler.leading
    await running.stop()
    assert running.reconcilers == []


async def test_a_leader_whose_lease_was_taken_writes_nothing_and_stands_by(
    launch: Launch, store: Store
):
    proton = make_proton(replica_count=1)
    await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 1)
    old = running.reconciler
    # Somebody else gets the lease, as after a pause of ours longer than its time.
    await _expire(store)
    taken = await store.acquire(LEASE, "other", ttl_s=2.0)
    assert taken is not None
    await store.commit([], fence=taken, journal=[(LEADERS, b"other", 20)])
    revision = await store.put(make_proton(replica_count=1))
    await until(lambda: old.stopped is False)
    assert {r.id for r in old.replicas()} != set()
    assert not running.autoscaler.leading
    written = [v for v in await store.list(Replica) if v.version > revision]
    assert written == []
    # The other one ends; a new term begins with another reconciler.
    await store.release(taken)
    await until(lambda: len(running.reconcilers) == 2)
    await running.leading()


async def _expire(store: Store) -> None:
    await store.link.call("DEL", store.keys[f"lease:{LEASE}"])


async def test_a_lease_that_only_ran_out_is_taken_up_again(launch: Launch, store: Store):
    proton = make_proton(replica_count=1)
    await store.put(proton)
    running = await launch()
    await running.leading()
    await until(lambda: running.reconciler.ready(proton.id) == 1)
    for _ in range(3):
        await _expire(store)
        more = make_proton(replica_count=1)
        await store.put(more)
        await until(lambda more=more: running.reconciler.ready(more.id) == 1)
        await until_stored(lambda more=more: _has_scale(running, more))
    assert len(running.reconcilers) == 1


async def _has_scale(running, proton) -> bool:
    return (await running.scale(proton)).ready_replicas == 1


async def test_fenced_writes_raise_and_change_nothing(launch: Launch, store: Store):
    running = await launch()
    await running.leading()
    await _expire(store)
    assert await store.acquire(LEASE, "other", ttl_s=3600.0) is not None
    leadership = running.autoscaler._leadership
    record = make_proton()
    with pytest.raises(LeadershipLostError):
        await leadership.commit([Put(record)])
    assert await store.get(type(record), record.id) is None


# -- the store goes away --------------------------------------------------------------------------


async def test_a_store_that_is_away_holds_everything_and_nothing_is_lost(launch: Launch):
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as directory:
        server = EmbeddedValkey(Path(directory))
        await server.start()
        try:
            url = server.url
            async with await Store.connect(StoreSettings(url=url), client_name="t") as store:
                proton = make_proton((CONCURRENCY, 4))
                await store.put(proton)
                running = await launch(url=url)
                await running.leading()
                async with FakeGatewayWorker(store) as gateway:
                    await gateway.wake(proton.id, queued=12)
                    await until(lambda: running.reconciler.ready(proton.id) == 3)
                    await until_stored(lambda: _ready_records(store, 3))
                    gateway.load(proton.id, in_flight=12)
                    await server.stop()
                    await until(lambda: not running.autoscaler.leading)
                    # A replica dies and the load ends while nobody can be told.
                    running.reconciler.crash(running.reconciler.replicas()[0].id)
                    plans = running.reconciler.plan_calls
                    await asyncio.sleep(1.5)
                    assert running.reconciler.plan_calls - plans < 10
                    assert len(running.reconciler.replicas()) == 2
                    gateway.load(proton.id, in_flight=3)
                    await server.start()
                    await until(lambda: running.autoscaler.leading)
                    await until(lambda: running.reconciler.ready(proton.id) == 1)
                    await until_stored(lambda: _ready_records(store, 1))
                    assert len(running.reconcilers) == 1
                    gateway.load(proton.id)
                    await until(lambda: running.reconciler.replicas() == [])
                await running.stop()
        finally:
            await server.stop()


async def _ready_records(store: Store, count: int) -> bool:
    found = await store.list(Replica)
    return [v.record.phase for v in found] == ["ready"] * count


# -- restarts -------------------------------------------------------------------------------------


async def test_a_restart_keeps_what_runs_for_a_whole_cooldown(
    launch: Launch, store: Store, settings: AutoscalerSettings
):
    proton = make_proton((CONCURRENCY, 4))
    await store.put(proton)
    world = World()
    first = await launch(world=world)
    await first.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=12)
        await until(lambda: first.reconciler.ready(proton.id) == 3)
        gateway.load(proton.id)
        await first.kill()
        patient = msgspec.convert(
            {**msgspec.to_builtins(settings), "stable_window_s": 3.0}, AutoscalerSettings
        )
        second = await launch(world=world, chosen=patient)
        await second.leading()
        await until(lambda: second.reconciler.plans != [])
        assert second.reconciler.plans[0] == (proton.id, 3)
        scale = await second.scale(proton)
        assert scale.wanted_replicas == 3
        await asyncio.sleep(1.0)  # longer than the cooldown, shorter than the window
        assert second.reconciler.ready(proton.id) == 3
        await until(lambda: second.reconciler.replicas() == [])


async def test_replicas_that_did_not_survive_are_not_counted(launch: Launch, store: Store):
    proton = make_proton((CONCURRENCY, 4))
    await store.put(proton)
    first = await launch(world=World())
    await first.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=12)
        await until(lambda: first.reconciler.ready(proton.id) == 3)
        gateway.load(proton.id)
        await gateway.publish()
        await first.kill()
        second = await launch(world=World())
        await second.leading()
        await until_stored(lambda: _ready_records(store, 0))
        # One may start: the store repeats wake-ups of the last minute to a new listener.
        assert all(wanted <= 1 for _, wanted in second.reconciler.plans)
