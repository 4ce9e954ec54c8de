"""Tells the control plane what nodes there are: a record per machine.

They are brought in order at the start of a term, and whenever there are others.

With them `controlplane.model.sizing` prefers bundles that some node could carry.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

from autoscaler.errors import LeadershipLostError
from autoscaler.inventory import Inventory
from autoscaler.leadership import Leadership
from controlplane.model.nodes import Node, NodeGpus
from controlplane.store.client import Delete, Put
from controlplane.store.errors import StoreUnavailableError

RETRY_S: Final = 1.0

logger = logging.getLogger(__name__)


def node_records(inventory: Inventory) -> list[Node]:
    """A record for each machine; the same machine has the same id at every start."""
    return [
        Node(
            id=hashlib.blake2b(node.name.encode(), digest_size=12).hexdigest(),
            name=node.name,
            cpu=node.cpu,
            memory_bytes=node.memory_bytes,
            gpus=tuple(
                NodeGpus(type=model.type, memory_bytes=model.memory_bytes, count=model.count)
                for model in node.gpus
            ),
        )
        for node in inventory.nodes().nodes
    ]


def changes(inventory: Inventory, known: Mapping[str, Node]) -> list[Put | Delete]:
    """What to write so that the records are those of the inventory; nothing when they are."""
    wanted = {node.id: node for node in node_records(inventory)}
    gone: list[Put | Delete] = [Delete(Node, id_) for id_ in known if id_ not in wanted]
    return gone + [Put(node) for node in wanted.values() if known.get(node.id) != node]


async def tell_nodes(
    leadership: Leadership, inventory: Inventory, known: Callable[[], Mapping[str, Node]]
) -> None:
    """Bring the records in order, and end; waits for the store where it is away.

    Args:
        leadership: Of this term.
        inventory: What there is.
        known: The records as they are, by id.

    Raises:
        StoreError: The store is there, and does not take them.
    """
    while True:
        try:
            if writes := changes(inventory, known()):
                await leadership.commit(writes)
        except StoreUnavailableError as exc:
            logger.debug("cannot tell of nodes", extra={"error": str(exc)})
            await asyncio.sleep(RETRY_S)
        except LeadershipLostError:
            return
        else:
            return
