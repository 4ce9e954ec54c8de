"""Nodes: what machines have for replicas, as the autoscaler tells it."""

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from controlplane.model.bundles import ReplicaNeeds, gpu_memory_fits, gpu_type_fits
from controlplane.model.kinds import Kind, Record


class NodeGpus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Equal GPUs of one node."""

    type: str
    """As the driver calls them."""
    memory_bytes: int | None = None
    """Of each; None: not known."""
    count: int = 1


class Node(Record, frozen=True, kw_only=True):
    """One machine; written by the autoscaler that leads, read by the control plane."""

    kind: ClassVar[Kind] = Kind.NODE
    name: str
    cpu: float
    """Cores."""
    memory_bytes: int
    gpus: tuple[NodeGpus, ...] = ()
    """One entry per model."""


def could_carry(node: Node, needs: ReplicaNeeds) -> bool:
    """Whether a replica would fit on a node if nothing else were there; all GPUs of one model."""
    if needs.cpu > node.cpu or needs.memory_bytes > node.memory_bytes:
        return False
    return not needs.gpus or any(
        gpus.count >= needs.gpus
        and gpu_type_fits(needs.gpu_type, gpus.type)
        and gpu_memory_fits(needs.gpu_memory_bytes, gpus.memory_bytes)
        for gpus in node.gpus
    )


def has_room(nodes: Iterable[Node], needs: ReplicaNeeds) -> bool:
    """Whether some node could carry a replica; where no node is known, nothing is ruled out."""
    known = list(nodes)
    return not known or any(could_carry(node, needs) for node in known)
