"""What a replica's pod asks of Kubernetes for its size: a plain structure, rendered elsewhere.

    the runtime states    requests                          limits
    --------------------  --------------------------------  ----------------------------------
    resourceBundles       the bundle                        the bundle (QoS class Guaranteed)
    an allocation only    the allocation                    the inferred bundle
    neither               none                              none (BestEffort)

A bundle is the size of the whole pod. Containers share one that is stated in the proportion of
their allocations, equally where not all of them state one; of an inferred one each gets its
allocation, and what is left over is shared in the same way.

GPUs are extended resources: whole numbers, requests equal to limits, never shared between
containers (https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/). All of a replica go to
its primary container, as one kind of resource: with more than one kind NVIDIA's device plugin
leaves open which of them a container sees. A pod lives on one node, and so do all of its GPUs.
"""

import math
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, Resources
from controlplane.model.bundles import MIB, VISIBLE_GPU_MEMORY, gpu_maker, gpu_type_fits
from controlplane.model.sizing import Misfit, NoBundle, replica_needs
from controlplane.model.workloads import GroupRuntime

GPU_RESOURCES: Final = {
    "nvidia": "nvidia.com/gpu",
    "amd": "amd.com/gpu",
    "intel": "gpu.intel.com/xe",
}
"""The device plugins' names. MIG slices under NVIDIA's `mixed` strategy have names of their own
(`nvidia.com/mig-1g.10gb`): a bundle's `gpu_resource`."""

PRODUCT_LABELS: Final = {
    "nvidia": "nvidia.com/gpu.product",
    "amd": "amd.com/gpu.product-name",
}
"""Node labels that GPU feature discovery and AMD's node labeller write."""

GPU_MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
"""MiB of each GPU of a node, from NVIDIA's GPU feature discovery."""

GPU_COUNT_LABEL: Final = "nvidia.com/gpu.count"

SHM_PER_GPU_BYTES: Final = 2048 * MIB
"""`/dev/shm` per GPU: without a volume it has 64 MiB, and NCCL and torch exchange tensors in it.
2 GiB is what vLLM's example for Kubernetes mounts for one GPU."""


class ContainerSize(msgspec.Struct, frozen=True, kw_only=True):
    """One container's share. None: nothing is asked for, or no limit is set."""

    name: str | None
    cpu_request_millicores: int | None = None
    cpu_limit_millicores: int | None = None
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None
    extended: dict[str, int] = {}
    """Extended resources: in requests and in limits."""
    mounts_shm: bool = False
    """Whether the pod's `/dev/shm` volume is mounted into it."""

    def requests(self) -> dict[str, str]:
        """As `resources.requests` has it."""
        return self._quantities(self.cpu_request_millicores, self.memory_request_bytes)

    def limits(self) -> dict[str, str]:
        """As `resources.limits` has it."""
        return self._quantities(self.cpu_limit_millicores, self.memory_limit_bytes)

    def _quantities(self, millicores: int | None, memory_bytes: int | None) -> dict[str, str]:
        stated = {} if millicores is None else {"cpu": f"{millicores}m"}
        if memory_bytes is not None:
            stated["memory"] = str(memory_bytes)
        return stated | {name: str(count) for name, count in self.extended.items()}


class NodeRule(msgspec.Struct, frozen=True, kw_only=True):
    """One `matchExpressions` entry of a required node affinity."""

    key: str
    operator: str
    """`In` or `Gt`."""
    values: tuple[str, ...]


class Toleration(msgspec.Struct, frozen=True, kw_only=True):
    """One toleration of a taint that keeps other pods off GPU nodes."""

    key: str
    operator: str = "Exists"
    effect: str = "NoSchedule"


class PodSize(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod of this size says of resources and of nodes."""

    containers: tuple[ContainerSize, ...]
    node_selector: dict[str, str] = {}
    node_rules: tuple[NodeRule, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    shm_bytes: int | None = None
    """`sizeLimit` of an `emptyDir` with `medium: Memory` at `/dev/shm`; None: no volume. What is
    written there counts against the memory limit of the container that writes."""


def pod_size(
    spec: ArtifactSpec, group: GroupRuntime, *, gpu_products: Collection[str] | None = None
) -> PodSize | Misfit:
    """The size of a replica's pod.

    Args:
        spec: What runs.
        group: How it runs; a proton's, with `bundles` filled in.
        gpu_products: What the cluster's nodes have in the maker's product label (see
            `PRODUCT_LABELS`); None: not known, then only the catalogue's `node_labels` choose.

    Returns:
        The size; `Misfit` when no node's product is of the wanted type.
    """
    containers = _containers(spec, group)
    stated = [_stated(container, group) for container in containers]
    bundle = group.bundles[0] if group.bundles else None
    needs = replica_needs(group)
    gpu_type, gpu_memory_bytes = needs.gpu_type, needs.gpu_memory_bytes
    if bundle is not None and bundle.gpu_count:
        gpu_type, gpu_memory_bytes = bundle.gpu_type_label, bundle.gpu_memory_bytes
    maker = bundle.gpu_maker if bundle is not None else None
    maker = maker or gpu_maker(gpu_type or "") or "nvidia"
    resource = (bundle.gpu_resource if bundle is not None else None) or GPU_RESOURCES[maker]
    rules: tuple[NodeRule, ...] = ()
    if needs.gpus:
        products = _product_rule(maker, gpu_type, gpu_products)
        if isinstance(products, Misfit):
            return products
        rules = (*products, *_nvidia_rules(resource, needs.gpus, gpu_memory_bytes))
    cpus = _shares(
        [None if r.cpu is None else math.ceil(r.cpu * 1000) for r in stated],
        None if bundle is None else math.ceil(bundle.cpu_count * 1000),
        allocated=not group.resource_bundles,
    )
    memories = _shares(
        [r.memory_bytes for r in stated],
        None if bundle is None else bundle.memory_bytes,
        allocated=not group.resource_bundles,
    )
    main = _main(containers)
    sizes = tuple(
        ContainerSize(
            name=container.name,
            cpu_request_millicores=cpu[0],
            cpu_limit_millicores=cpu[1],
            memory_request_bytes=memory[0],
            memory_limit_bytes=memory[1],
            extended={resource: needs.gpus} if needs.gpus and index == main else {},
            mounts_shm=bool(needs.gpus) and index == main,
        )
        for index, (container, cpu, memory) in enumerate(
            zip(containers, cpus, memories, strict=True)
        )
    )
    return PodSize(
        containers=sizes,
        node_selector={} if bundle is None else dict(bundle.node_labels),
        node_rules=rules,
        tolerations=_tolerations(resource, maker) if needs.gpus else (),
        shm_bytes=_shm(needs.gpus, sizes[main]) if needs.gpus else None,
    )


def _containers(spec: ArtifactSpec, group: GroupRuntime) -> tuple[Container, ...]:
    found = next((g for g in spec.container_groups if g.name == group.name), ContainerGroup())
    return found.containers or (Container(),)


def _main(containers: Sequence[Container]) -> int:
    return next((i for i, container in enumerate(containers) if container.primary), 0)


def _stated(container: Container, group: GroupRuntime) -> Resources:
    name = container.name or "default"
    return next((c.resources for c in group.containers if c.name == name), Resources())


def _shares(
    stated: Sequence[int | None], total: int | None, *, allocated: bool
) -> list[tuple[int | None, int | None]]:
    """Request and limit of each container for one resource.

    Args:
        stated: What each container's allocation says.
        total: The bundle's; None: there is none.
        allocated: Whether the bundle was inferred from the allocations.
    """
    if total is None:
        # Zero is what forms send for "nothing said".
        return [(amount or None, amount or None) for amount in stated]
    if not allocated:
        return [(share, share) for share in map(_least, _split(total, _weights(stated)))]
    base = [amount or 0 for amount in stated]
    extra = _split(max(0, total - sum(base)), _slack_weights(base))
    limits = [_least(amount + more) for amount, more in zip(base, extra, strict=True)]
    return [(amount or limit, limit) for amount, limit in zip(base, limits, strict=True)]


def _weights(stated: Sequence[int | None]) -> list[int]:
    """In the proportion of what is stated, where everybody states something."""
    known = [amount for amount in stated if amount]
    return known if len(known) == len(stated) else [1] * len(stated)


def _slack_weights(base: Sequence[int]) -> list[int]:
    """What is left over goes to those that state nothing, else to all in proportion."""
    if all(base):
        return list(base)
    return [0 if amount else 1 for amount in base]


def _split(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number in whole parts that add up to it."""
    whole = sum(weights)
    edges = [total * sum(weights[: i + 1]) // whole for i in range(len(weights))]
    return [edge - before for edge, before in zip(edges, [0, *edges], strict=False)]


def _least(part: int) -> int:
    """No limit may be 0: Kubernetes would read it as none."""
    return max(1, part)


def _product_rule(
    maker: str, gpu_type: str | None, products: Collection[str] | None
) -> tuple[NodeRule, ...] | Misfit:
    label = PRODUCT_LABELS.get(maker)
    if gpu_type is None or products is None or label is None:
        return ()
    fitting = tuple(sorted(name for name in products if gpu_type_fits(gpu_type, name)))
    if not fitting:
        there = ", ".join(sorted(products)) or "none"
        return Misfit(
            reason=NoBundle.GPU_TYPE,
            sentence=f"No node has a GPU of type {gpu_type!r}: their label {label} says {there}."
            " Choose another bundle, add such nodes, or correct the bundle's gpu_type_label.",
        )
    return (NodeRule(key=label, operator="In", values=fitting),)


def _nvidia_rules(resource: str, gpus: int, gpu_memory_bytes: int | None) -> tuple[NodeRule, ...]:
    """Nodes whose GPUs are large enough, and that have enough of them at all.

    Not for MIG slices: their sizes are in their names, and the labels speak of whole GPUs.
    """
    if resource != GPU_RESOURCES["nvidia"]:
        return ()
    rules = []
    if gpu_memory_bytes is not None:
        least_mib = math.floor(gpu_memory_bytes * VISIBLE_GPU_MEMORY / MIB)
        above = str(max(0, least_mib - 1))
        rules.append(NodeRule(key=GPU_MEMORY_LABEL, operator="Gt", values=(above,)))
    if gpus > 1:
        rules.append(NodeRule(key=GPU_COUNT_LABEL, operator="Gt", values=(str(gpus - 1),)))
    return tuple(rules)


def _tolerations(resource: str, maker: str) -> tuple[Toleration, ...]:
    """The taints that clouds and the ExtendedResourceToleration admission plugin use.

    Their key is the resource's name; nodes with MIG slices are tainted as GPU nodes, too.
    """
    keys = dict.fromkeys((resource, GPU_RESOURCES[maker]))
    return tuple(Toleration(key=key) for key in keys)


def _shm(gpus: int, size: ContainerSize) -> int:
    wanted = gpus * SHM_PER_GPU_BYTES
    limit = size.memory_limit_bytes
    # It counts as the container's memory: half of that must be left for everything else.
    return wanted if limit is None else max(1, min(wanted, limit // 2))
