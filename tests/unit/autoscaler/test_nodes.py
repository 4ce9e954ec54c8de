"""The control plane is told what nodes there are."""

import asyncio

import pytest

from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.leadership import Leadership
from autoscaler.nodes import changes, node_records, tell_nodes
from controlplane.model.nodes import NodeGpus
from controlplane.store.client import Delete, Put
from controlplane.store.errors import StoreError, StoreFullError, WrongTypeError
from tests.fakes.lease_store import LeaseStore
from tests.fakes.virtual_time import run_virtual

A10G = Gpu(id="0", type="NVIDIA A10G", memory_bytes=24)
BOX = Machine(name="box", cpu=4.0, memory_bytes=8, gpus=(A10G, A10G))
PLAIN = Machine(name="plain", cpu=2.0, memory_bytes=4)
BOTH = Inventory(machines=(BOX, PLAIN))


async def leading(store: LeaseStore) -> Leadership:
    clock = asyncio.get_running_loop().time
    one = Leadership(store, holder="a", ttl_s=1e9, clock=clock)  # type: ignore[arg-type]
    await one.campaign()
    return one


def test_a_machine_is_a_record_with_equal_gpus_counted():
    box, plain = node_records(BOTH)
    assert (box.name, box.cpu, box.memory_bytes) == ("box", 4.0, 8)
    assert box.gpus == (NodeGpus(type="NVIDIA A10G", memory_bytes=24, count=2),)
    assert (plain.name, plain.gpus) == ("plain", ())
    assert [len(node.id) for node in (box, plain)] == [24, 24]
    assert node_records(BOTH) == [box, plain], "the same machine has the same id"


def test_only_what_differs_is_written_and_what_is_gone_is_removed():
    box, plain = node_records(BOTH)
    known = {box.id: box, plain.id: plain}
    assert changes(BOTH, known) == []
    assert changes(BOTH, {box.id: box}) == [Put(plain)]
    assert changes(Inventory(machines=(BOX,)), known) == [Delete(type(plain), plain.id)]
    smaller = node_records(Inventory(machines=(Machine(name="box", cpu=1.0, memory_bytes=1),)))[0]
    assert changes(BOTH, {box.id: smaller, plain.id: plain}) == [Put(box)]


def test_they_are_written_once_under_the_lease_as_soon_as_the_store_is_there():
    async def scenario() -> None:
        store = LeaseStore()
        lead = await leading(store)
        store.away = True
        telling = asyncio.create_task(tell_nodes(lead, BOTH, dict))
        await asyncio.sleep(10)
        assert not telling.done()
        store.away = False
        await telling
        assert store.commits[1:] == [[Put(node) for node in node_records(BOTH)]]
        await tell_nodes(lead, BOTH, lambda: {node.id: node for node in node_records(BOTH)})
        assert len(store.commits) == 2

    run_virtual(scenario())


def test_without_the_lease_nothing_is_written():
    async def scenario() -> None:
        store = LeaseStore()
        lead = await leading(store)
        await lead.resign()
        before = len(store.commits)
        await tell_nodes(lead, BOTH, dict)
        assert len(store.commits) == before

    run_virtual(scenario())


@pytest.mark.parametrize("fault", [StoreFullError("no room"), WrongTypeError("a list")])
def test_a_store_that_does_not_take_them_is_for_those_who_asked(fault: StoreError):
    async def scenario() -> None:
        store = LeaseStore()
        lead = await leading(store)
        store.full = fault
        with pytest.raises(type(fault)):
            await tell_nodes(lead, BOTH, dict)

    run_virtual(scenario())
