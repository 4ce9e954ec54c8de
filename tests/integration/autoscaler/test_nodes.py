"""A leader tells what nodes there are, and nothing else stays."""

from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.nodes import node_records
from controlplane.model.nodes import Node
from controlplane.store.client import Put
from tests.integration.autoscaler.conftest import ids, until_stored

BOX = Inventory(
    machines=(Machine(name="box", cpu=4, memory_bytes=8, gpus=(Gpu(id="0", type="NVIDIA L4"),)),)
)


async def test_a_leader_writes_its_nodes_and_takes_out_those_that_are_no_more(store, launch):
    gone = Node(id=ids.new(), name="gone", cpu=1, memory_bytes=1)
    await store.commit([Put(gone)])
    assert await names(store) == ["gone"]
    await launch(inventory=BOX)

    async def is_told() -> bool:
        return await names(store) == ["box"]

    await until_stored(is_told)
    assert [found.record for found in await store.list(Node)] == node_records(BOX)


async def test_a_leader_that_knows_of_no_nodes_leaves_none(store, launch):
    await store.commit([Put(node) for node in node_records(BOX)])
    await launch()

    async def is_empty() -> bool:
        return await names(store) == []

    await until_stored(is_empty)
    assert await store.get(Node, node_records(BOX)[0].id) is None


async def names(store) -> list[str]:
    """Of the nodes that the store has."""
    return [found.record.name for found in await store.list(Node)]
