"""What a node could carry if it were empty."""

import pytest

from controlplane.model.bundles import MIB, ReplicaNeeds
from controlplane.model.nodes import Node, NodeGpus, could_carry, has_room

GIB = 1024 * MIB
GPUS = (
    NodeGpus(type="Tesla T4", memory_bytes=15_360 * MIB, count=1),
    NodeGpus(type="NVIDIA A10G", memory_bytes=23_028 * MIB, count=4),
)
NODE = Node(id="0" * 24, name="n", cpu=8, memory_bytes=32 * GIB, gpus=GPUS)


@pytest.mark.parametrize(
    ("needs", "fits"),
    [
        pytest.param(ReplicaNeeds(), True, id="nothing"),
        pytest.param(ReplicaNeeds(cpu=8, memory_bytes=32 * GIB), True, id="all-of-it"),
        pytest.param(ReplicaNeeds(cpu=8.1), False, id="too-many-cores"),
        pytest.param(ReplicaNeeds(memory_bytes=33 * GIB), False, id="too-much-memory"),
        pytest.param(ReplicaNeeds(gpus=4), True, id="four-gpus"),
        pytest.param(ReplicaNeeds(gpus=5), False, id="five-gpus-of-two-models"),
        pytest.param(ReplicaNeeds(gpus=2, gpu_type="t4"), False, id="only-one-of-that-model"),
        pytest.param(ReplicaNeeds(gpus=1, gpu_memory_bytes=24 * GIB), True, id="as-sold"),
        pytest.param(ReplicaNeeds(gpus=1, gpu_memory_bytes=40 * GIB), False, id="none-so-large"),
        pytest.param(ReplicaNeeds(gpus=1, gpu_type="h100"), False, id="no-such-model"),
    ],
)
def test_a_node_carries_what_fits_on_it_alone(needs, fits):
    assert could_carry(NODE, needs) is fits
    assert has_room([NODE], needs) is fits


def test_one_node_is_enough_and_unknown_nodes_rule_nothing_out():
    small = Node(id="1" * 24, name="s", cpu=1, memory_bytes=GIB)
    assert has_room([small, NODE], ReplicaNeeds(gpus=4))
    assert not has_room([small], ReplicaNeeds(gpus=4))
    assert has_room([], ReplicaNeeds(gpus=400))
