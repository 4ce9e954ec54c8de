"""A leader tells what nodes there are; the autoscalers of these tests know of none."""

from controlplane.model.nodes import Node
from controlplane.store.client import Put
from tests.integration.autoscaler.conftest import ids, until_stored


async def test_a_node_that_is_no_more_is_taken_out_by_the_next_leader(store, launch):
    gone = Node(id=ids.new(), name="gone", cpu=1, memory_bytes=1)
    await store.commit([Put(gone)])
    await launch()

    async def is_out() -> bool:
        return await store.get(Node, gone.id) is None

    await until_stored(is_out)
