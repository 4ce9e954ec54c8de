"""Which bundle a replica gets, what it then may use, and why no bundle fits.

    the runtime states    bundles                            the replica's limits
    --------------------  ---------------------------------  ------------------------
    resourceBundles       those, in the owner's order        the bundle's; the
                                                             allocation does not count
    an allocation only    the smallest that fits, inferred   the allocation's
    neither               none                               none

`bundleSelectionPolicy: availability`: of candidates those that some node could carry, if it were
empty, come first, and the first one is the resolved one. Apart from that the owner's order holds;
of bundles to infer the cheapest comes first, without prices the smallest. Where capacity is shared
out, each new replica gets the first candidate that has room at that moment, and keeps it; what is
shown as resolved is then what most replicas have.

An inferred bundle names the size class that a client sees and that a pod is bound by; a process on
one machine gets what its owner stated, so that rounding up takes nothing from its neighbours.
With an empty catalogue nothing is inferred and nothing is refused.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from controlplane.model.artifacts import Container, Resources
from controlplane.model.bundles import (
    MIB,
    WORKLOAD_USE,
    Bundle,
    ReplicaNeeds,
    gpu_memory_fits,
    gpu_type_fits,
    needs_of_bundle,
)
from controlplane.model.nodes import Node, has_room
from controlplane.model.states import LEAVING
from controlplane.model.words import did_you_mean
from controlplane.model.workloads import GroupRuntime, Replica, Runtime

INFERENCE_ERROR: Final = "ResourceBundleInferenceError"
"""What the contract calls a runtime that leads to no bundle."""


class NoBundle(StrEnum):
    """Why there is no bundle for a replica."""

    UNKNOWN = "unknown_bundle"
    """A name that the catalogue does not have."""
    NOT_FOR_WORKLOADS = "not_for_workloads"
    """A bundle for other use cases."""
    GPU_TYPE = "no_such_gpu_type"
    GPUS = "not_enough_gpus"
    GPU_MEMORY = "not_enough_gpu_memory"
    CPU = "not_enough_cpu"
    MEMORY = "not_enough_memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """No bundle, and why."""

    reason: NoBundle
    sentence: str
    """What is wanted, what there is, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a replica may be."""

    needs: ReplicaNeeds
    bundle: Bundle | None = None
    """None: no bundle, but what its containers' allocations add up to."""


def replica_candidates(group: GroupRuntime) -> tuple[Candidate, ...]:
    """What one replica may occupy of its node, the first choice first; at least one.

    Returns:
        The bundles that the owner named, where there are any, else what the allocations of the
        containers add up to. Fractions of GPUs count as whole ones.
    """
    if group.resource_bundles and group.bundles:
        return tuple(Candidate(needs=needs_of_bundle(b), bundle=b) for b in group.bundles)
    return (Candidate(needs=_allocated(group)),)


def replica_needs(group: GroupRuntime) -> ReplicaNeeds:
    """What one replica occupies of its node when it is the first candidate."""
    return replica_candidates(group)[0].needs


def _allocated(group: GroupRuntime) -> ReplicaNeeds:
    stated = [container.resources for container in group.containers]
    memories = [r.gpu_memory_bytes for r in stated if r.gpu_memory_bytes is not None]
    types = [r.gpu_type for r in stated if r.gpu_type]
    gpus = sum(math.ceil(r.gpu or 0) for r in stated)
    return ReplicaNeeds(
        cpu=math.fsum(r.cpu or 0 for r in stated),
        memory_bytes=sum(r.memory_bytes or 0 for r in stated),
        # Who states only a GPU's type or memory wants one.
        gpus=gpus or (1 if memories or types else 0),
        gpu_memory_bytes=max(memories, default=None),
        gpu_type=types[0] if types else None,
    )


def container_resources(group: GroupRuntime, container: Container) -> Resources:
    """What one container may use.

    Returns:
        The set bundle's size, else the runtime's allocation for it, else what the artifact states.
    """
    if group.resource_bundles and group.bundles:
        return bundle_resources(group.bundles[0])
    for stated in group.containers:
        if stated.name == container.name or (container.name is None and stated.name == "default"):
            return stated.resources
    return container.resources or Resources()


def bundle_resources(bundle: Bundle) -> Resources:
    """What the container of a replica of this size may use."""
    return Resources(
        cpu=bundle.cpu_count,
        memory_bytes=bundle.memory_bytes,
        gpu=bundle.gpu_count,
        gpu_memory_bytes=bundle.gpu_memory_bytes,
        gpu_type=bundle.gpu_type_label,
    )


def prevailing(bundles: Sequence[Bundle], replicas: Iterable[Replica]) -> Replica | None:
    """A replica of the candidate that most of them have; of equally many the earlier one.

    Args:
        bundles: The candidates.
        replicas: Of the proton; those that leave, or have no bundle yet, do not count.

    Returns:
        The oldest replica of that candidate: it tells why it has none of the earlier ones. None:
        nobody has any.
    """
    order = {bundle.id: number for number, bundle in enumerate(bundles)}
    having: dict[str, list[Replica]] = {}
    for replica in replicas:
        if replica.bundle in order and replica.phase not in LEAVING:
            having.setdefault(replica.bundle, []).append(replica)
    if not having:
        return None
    most = min(having, key=lambda bundle_id: (-len(having[bundle_id]), order[bundle_id]))
    return min(having[most], key=lambda replica: (replica.created_at, replica.id))


def resolved_to(runtime: Runtime, bundle_id: str | None) -> Runtime:
    """A runtime to show, whose resolved bundle is one of the candidates; the owner's order stays.

    Args:
        runtime: A proton's.
        bundle_id: What its replicas have; None, or no candidate: it stays as it is.
    """
    group = runtime.group()
    chosen = tuple(bundle for bundle in group.bundles if bundle.id == bundle_id)
    if not chosen or not group.resource_bundles:
        return runtime
    others = tuple(bundle for bundle in group.bundles if bundle.id != bundle_id)
    group = msgspec.structs.replace(group, bundles=chosen + others)
    return msgspec.structs.replace(runtime, container_groups=(group, *runtime.container_groups[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the installation has for replicas."""

    bundles: tuple[Bundle, ...] = ()
    """The catalogue."""
    nodes: tuple[Node, ...] = ()
    """As far as they are known."""

    def has_room(self, needs: ReplicaNeeds) -> bool:
        """Whether some node could carry a replica."""
        return has_room(self.nodes, needs)


NO_OFFER: Final = Offer()


def resolve(group: GroupRuntime, offer: Offer) -> GroupRuntime | Misfit:
    """A group with `bundles` as the table above has them, for the proton that runs it.

    What a client was answered it may send back: an allocation together with the one bundle that is
    inferred from it counts as the allocation alone.

    Args:
        group: With the containers' allocations filled in.
        offer: What the installation has.
    """
    needs = _allocated(group)
    inferred = infer_bundle(needs, offer) if offer.bundles and needs != ReplicaNeeds() else None
    if group.resource_bundles:
        if isinstance(inferred, Bundle) and group.resource_bundles == (inferred.id,):
            return msgspec.structs.replace(group, resource_bundles=(), bundles=(inferred,))
        stated = stated_bundles(group.resource_bundles, offer.bundles)
        if isinstance(stated, Misfit):
            return stated
        return msgspec.structs.replace(group, bundles=available_first(stated, offer))
    if isinstance(inferred, Misfit):
        return inferred
    bundles = () if inferred is None else (inferred,)
    return msgspec.structs.replace(group, bundles=bundles)


def stated_bundles(
    names: Sequence[str], catalogue: Sequence[Bundle]
) -> tuple[Bundle, ...] | Misfit:
    """The bundles of these names, in their order, or which of them cannot be used."""
    known = {bundle.id: bundle for bundle in catalogue}
    offered = [bundle.id for bundle in catalogue if WORKLOAD_USE in bundle.use_cases]
    listed = ", ".join(offered) or "none: the catalogue (`api.bundles_file`) is empty"
    found = []
    for name in names:
        bundle = known.get(name)
        if bundle is None:
            hint = did_you_mean(name, offered) or "."
            return Misfit(
                reason=NoBundle.UNKNOWN,
                sentence=f"There is no bundle {name!r}{hint} Known bundles: {listed}.",
            )
        if WORKLOAD_USE not in bundle.use_cases:
            return Misfit(
                reason=NoBundle.NOT_FOR_WORKLOADS,
                sentence=f"Bundle {name!r} is for {', '.join(bundle.use_cases)} only; for workloads"
                f" there are: {listed}.",
            )
        found.append(bundle)
    return tuple(found)


def infer_bundle(needs: ReplicaNeeds, offer: Offer) -> Bundle | Misfit:
    """The bundle for a replica whose owner states an allocation only.

    Of those that fit, the cheapest where all their prices are known, and of equally cheap ones
    the smallest: fewest GPUs, least GPU memory, fewest cores, least memory. A replica without
    GPUs gets no bundle with GPUs, as long as the catalogue has any without.

    Args:
        needs: What it states.
        offer: What there is; with a catalogue.
    """
    left = [bundle for bundle in offer.bundles if WORKLOAD_USE in bundle.use_cases]
    if not needs.gpus:
        left = [bundle for bundle in left if not bundle.gpu_count] or left
    if not left:
        return Misfit(
            reason=NoBundle.NOT_FOR_WORKLOADS,
            sentence="The catalogue has no bundle for workloads: add one to `api.bundles_file`.",
        )
    for step in _STEPS:
        fitting = [bundle for bundle in left if step.fits(needs, bundle)]
        if not fitting:
            return Misfit(reason=step.reason, sentence=_sentence(step, needs, left))
        left = fitting
    return available_first(cheapest_first(left), offer)[0]


def cheapest_first(bundles: Iterable[Bundle]) -> list[Bundle]:
    """By price where every price is known, then by size."""
    found = list(bundles)
    priced = all(bundle.price_per_hour is not None for bundle in found)

    def rank(bundle: Bundle) -> tuple[float, int, int, float, int, str]:
        price = (bundle.price_per_hour or 0.0) if priced else 0.0
        gpu_memory = bundle.gpu_memory_bytes or 0
        size = (bundle.gpu_count, gpu_memory, bundle.cpu_count, bundle.memory_bytes)
        return (price, *size, bundle.id)

    return sorted(found, key=rank)


def available_first(bundles: Sequence[Bundle], offer: Offer) -> tuple[Bundle, ...]:
    """Bundles that some node could carry before those that none could; else in their order."""
    return tuple(sorted(bundles, key=lambda bundle: not offer.has_room(needs_of_bundle(bundle))))


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that a bundle must have enough of."""

    reason: NoBundle
    fits: Callable[[ReplicaNeeds, Bundle], bool]
    wanted: Callable[[ReplicaNeeds], str]
    has: Callable[[Bundle], str]
    amount: Callable[[Bundle], float]


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / MIB / 1024:.4g} GiB" if size_bytes >= 1024 * MIB else _mib(size_bytes)


def _mib(size_bytes: float) -> str:
    return f"{size_bytes / MIB:.4g} MiB"


_STEPS: Final = (
    _Step(
        NoBundle.GPU_TYPE,
        lambda n, b: gpu_type_fits(n.gpu_type, b.gpu_type_label),
        lambda n: f"GPUs of type {n.gpu_type!r}",
        lambda b: str(b.gpu_type_label),
        lambda b: b.gpu_count,
    ),
    _Step(
        NoBundle.GPUS,
        lambda n, b: b.gpu_count >= n.gpus,
        lambda n: f"{n.gpus} GPUs",
        lambda b: str(b.gpu_count),
        lambda b: b.gpu_count,
    ),
    _Step(
        NoBundle.GPU_MEMORY,
        lambda n, b: gpu_memory_fits(n.gpu_memory_bytes, b.gpu_memory_bytes),
        lambda n: f"{_gib(n.gpu_memory_bytes or 0)} of memory in each GPU",
        lambda b: _gib(b.gpu_memory_bytes or 0),
        lambda b: b.gpu_memory_bytes or 0,
    ),
    _Step(
        NoBundle.CPU,
        lambda n, b: b.cpu_count >= n.cpu,
        lambda n: f"{n.cpu:g} cores",
        lambda b: f"{b.cpu_count:g}",
        lambda b: b.cpu_count,
    ),
    _Step(
        NoBundle.MEMORY,
        lambda n, b: b.memory_bytes >= n.memory_bytes,
        lambda n: f"{_gib(n.memory_bytes)} of memory",
        lambda b: _gib(b.memory_bytes),
        lambda b: b.memory_bytes,
    ),
)
"""In the order in which a bundle is ruled out: what cannot be had otherwise first."""


def _sentence(step: _Step, needs: ReplicaNeeds, left: Sequence[Bundle]) -> str:
    if step.reason is NoBundle.GPU_TYPE:
        labels = sorted({bundle.gpu_type_label for bundle in left if bundle.gpu_type_label})
        there = f"the catalogue has {', '.join(labels) or 'no GPU types'}"
    else:
        most = max(left, key=step.amount)
        there = f"the largest that has all else, {most.id}, has {step.has(most)}"
    return (
        f"No bundle has {step.wanted(needs)}: {there}. Ask for less, or add a bundle to the"
        " catalogue (`api.bundles_file`)."
    )
