"""Replica records wait for the store as long as it takes."""

import asyncio

import pytest

from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import Leadership
from autoscaler.records import StoreReplicaWriter
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica
from controlplane.store.client import Delete, Put
from controlplane.store.errors import StoreFullError
from tests.fakes.lease_store import LeaseStore
from tests.fakes.virtual_time import run_virtual

REPLICA = Replica(id="r", workload_id="w", proton_id="p", phase=ReplicaPhase.READY, created_at=0.0)


async def leading(store: LeaseStore) -> Leadership:
    clock = asyncio.get_running_loop().time
    one = Leadership(store, holder="a", ttl_s=1e9, clock=clock)  # type: ignore[arg-type]
    await one.campaign()
    return one


def test_records_are_written_under_the_lease():
    async def scenario() -> None:
        store = LeaseStore()
        writer = StoreReplicaWriter(await leading(store))
        assert await writer.save(REPLICA) == 2
        await writer.forget("r")
        assert store.commits[1:] == [[Put(REPLICA)], [Delete(Replica, "r")]]

    run_virtual(scenario())


def test_a_store_that_is_away_or_full_is_asked_again_with_growing_pauses():
    async def scenario() -> None:
        store = LeaseStore()
        writer = StoreReplicaWriter(await leading(store))
        store.away = True
        saving = asyncio.create_task(writer.save(REPLICA))
        await asyncio.sleep(60)
        assert not saving.done()
        store.away = False
        store.full = StoreFullError("disk")
        await asyncio.sleep(2.1)
        assert saving.done()
        assert store.commits[1:] == [[Put(REPLICA)]]

    run_virtual(scenario())


def test_without_the_lease_nothing_is_written():
    async def scenario() -> None:
        store = LeaseStore()
        one = await leading(store)
        await one.resign()
        with pytest.raises(LeadershipLostError):
            await StoreReplicaWriter(one).save(REPLICA)
        assert len(store.commits) == 1

    run_virtual(scenario())
