"""A workload's runtime: replica counts, autoscaling, sizes.

Accepted: groups with `autoscaling.minReplicaCount/maxReplicaCount` (current), bounds inside each
policy (11.5, hoisted), and `replicaCount`/`autoscaling` at the top of the runtime (v2.41).
Answered: always the current form, and in the old family the older ones beside it.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from controlplane.model.artifacts import Resources
from controlplane.model.workloads import ContainerResources, GroupRuntime, Runtime
from controlplane.wire.autoscaling import (
    DEPRECATED,
    AutoscalingInput,
    AutoscalingShape,
    OldAutoscalingShape,
)
from controlplane.wire.base import Count, Input, Number, Shape, broken_rule, maybe, whole
from controlplane.wire.bundles import ResolvedBundle
from controlplane.wire.families import Family
from controlplane.wire.sizes import ByteSize

MAX_ENCLAVES: Final = 100
MAX_BUNDLES: Final = 100

Bundles = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    Field(max_length=MAX_BUNDLES, description="Ids in order of preference; the first fits."),
]
Enclaves = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MAX_ENCLAVES)
]


class Allocation(Input):
    """Resources of one container. Sizes answered are bytes."""

    cpu: Annotated[Number, Field(ge=0, le=1_000_000)] | None = None
    memory: ByteSize | None = None
    gpu: Annotated[Number, Field(ge=0, le=1_000_000)] | None = None
    gpu_memory: ByteSize | None = None


class ContainerRuntime(Input):
    """One container's size."""

    name: Annotated[str, Field(min_length=1)]
    resource_allocation: Allocation | None = None


class GroupRuntimeShape(Shape):
    """How one group runs, in an answer."""

    name: str
    replica_count: int | None
    autoscaling: AutoscalingShape | None
    containers: list[ContainerRuntime]
    resource_bundles: list[str] = Field(
        description="As the owner ordered them, or the one inferred from the allocations."
    )
    bundle_selection_policy: str
    resolved_bundle: ResolvedBundle | None = Field(
        None,
        description="The size of its replicas, of most of them where several bundles are named;"
        " null: as large as they state, or unlimited.",
    )
    concurrency_limit_per_replica: int | None

    @classmethod
    def of(cls, group: GroupRuntime) -> Self:
        """The answer's form: `replicaCount` is null while autoscaling is on."""
        scaled = group.autoscaling is not None and group.autoscaling.enabled
        return cls(
            name=group.name,
            replica_count=None if scaled else fixed_count(group),
            autoscaling=maybe(group.autoscaling, AutoscalingShape.of),
            containers=[_container_runtime(c) for c in group.containers],
            resource_bundles=list(group.resource_bundles) or [b.id for b in group.bundles],
            resolved_bundle=ResolvedBundle.of(group.bundles[0]) if group.bundles else None,
            bundle_selection_policy=group.bundle_selection_policy,
            concurrency_limit_per_replica=group.concurrency_limit,
        )


class GroupRuntimeInput(Input):
    """How one group runs, as clients send it."""

    name: Annotated[str, Field(min_length=1)] = "default"
    replica_count: Count | None = Field(
        None, description="At most `limits.maxWorkloadReplicas` of `account/info`."
    )
    autoscaling: AutoscalingInput | None = None
    containers: tuple[ContainerRuntime, ...] = ()
    resource_bundles: Bundles = ()
    bundle_selection_policy: Literal["availability"] = "availability"
    resolved_bundle: dict[str, Any] | None = Field(None, description="Read-only; ignored.")
    concurrency_limit_per_replica: Count | None = Field(
        None, description="Most requests in flight per replica; null: the platform decides."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.replica_count is not None and self.autoscaling and self.autoscaling.enabled:
            raise broken_rule(
                "replicaCount and enabled autoscaling exclude each other: leave one out",
                "replicaCount",
            )
        _differ([c.name for c in self.containers], "containers", "name")
        _differ(self.resource_bundles, "resourceBundles")
        return self

    def to_model(self) -> GroupRuntime:
        """The record's form."""
        return GroupRuntime(
            name=self.name,
            replica_count=self.replica_count,
            autoscaling=maybe(self.autoscaling, AutoscalingInput.to_model),
            containers=tuple(
                ContainerResources(name=c.name, resources=_resources(c.resource_allocation))
                for c in self.containers
            ),
            resource_bundles=self.resource_bundles,
            bundle_selection_policy=self.bundle_selection_policy,
            concurrency_limit=self.concurrency_limit_per_replica,
        )


class RuntimeInput(Input):
    """A whole runtime as clients send it."""

    container_groups: Annotated[tuple[GroupRuntimeInput, ...], Field(max_length=1)] = ()
    enclave_selection_policy: Literal["availability", "manual"] | None = None
    enclaves: Enclaves | None = None
    replica_count: Count | None = Field(None, json_schema_extra=DEPRECATED)
    autoscaling: AutoscalingInput | None = Field(None, json_schema_extra=DEPRECATED)
    resource_bundles: Bundles | None = Field(None, json_schema_extra=DEPRECATED)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.container_groups and self._is_flat():
            # What the old family answers has both forms; sent back unchanged it is accepted.
            if not self._flat_repeats_group():
                raise broken_rule(
                    "say it once: in containerGroups, or (v2.41) at the top of the runtime",
                    "containerGroups",
                )
        elif self._is_flat():
            if self.replica_count is not None and self.autoscaling and self.autoscaling.enabled:
                raise broken_rule(
                    "replicaCount and enabled autoscaling exclude each other: leave one out",
                    "replicaCount",
                )
            _differ(self.resource_bundles or (), "resourceBundles")
        if self.enclave_selection_policy == "manual" and not self.enclaves:
            raise broken_rule(
                "enclaveSelectionPolicy manual needs the names of enclaves", "enclaves"
            )
        _differ(self.enclaves or (), "enclaves")
        return self

    def _is_flat(self) -> bool:
        flat = (self.replica_count, self.autoscaling, self.resource_bundles)
        return any(value is not None for value in flat)

    def _flat_repeats_group(self) -> bool:
        group = self.container_groups[0]
        return (
            self.replica_count in {None, group.replica_count}
            and self.autoscaling in (None, group.autoscaling)
            and self.resource_bundles in (None, group.resource_bundles)
        )

    def _flat_group(self) -> GroupRuntimeInput:
        return GroupRuntimeInput.model_validate(
            {
                "replicaCount": self.replica_count,
                "autoscaling": maybe(self.autoscaling, lambda a: a.model_dump(exclude_unset=True)),
                "resourceBundles": self.resource_bundles or (),
            }
        )

    def to_model(self) -> Runtime:
        """The record's form."""
        groups = self.container_groups or ((self._flat_group(),) if self._is_flat() else ())
        return Runtime(
            container_groups=tuple(group.to_model() for group in groups),
            enclave_selection_policy=self.enclave_selection_policy,
            enclaves=maybe(self.enclaves, tuple),
        )


class RuntimeShape(Shape):
    """A whole runtime in an answer."""

    container_groups: list[GroupRuntimeShape]
    enclave_selection_policy: str | None = None
    enclaves: list[str] | None = None


class OldGroupRuntimeShape(GroupRuntimeShape):
    """How one group runs, in an answer of the old family."""

    autoscaling: OldAutoscalingShape | None


class OldRuntimeShape(RuntimeShape):
    """The same with v2.41's fields at the top."""

    container_groups: list[OldGroupRuntimeShape]  # type: ignore[assignment]  # as above
    replica_count: int | None
    autoscaling: OldAutoscalingShape | None


def fixed_count(group: GroupRuntime) -> int:
    """Replicas of a group that does not scale by itself: 1 where nobody said."""
    return group.replica_count or 1


def runtime_shape(runtime: Runtime, family: Family) -> RuntimeShape:
    """A runtime in a family's form."""
    groups = runtime.container_groups or (GroupRuntime(),)
    if family is Family.NEW:
        return RuntimeShape(
            container_groups=[GroupRuntimeShape.of(group) for group in groups],
            enclave_selection_policy=runtime.enclave_selection_policy,
            enclaves=maybe(runtime.enclaves, list),
        )
    old = [
        OldGroupRuntimeShape(
            **dict(GroupRuntimeShape.of(group))
            | {"autoscaling": maybe(group.autoscaling, OldAutoscalingShape.of)},
        )
        for group in groups
    ]
    return OldRuntimeShape(
        container_groups=old,
        enclave_selection_policy=runtime.enclave_selection_policy,
        enclaves=maybe(runtime.enclaves, list),
        replica_count=old[0].replica_count,
        autoscaling=old[0].autoscaling,
    )


def _differ(names: Sequence[str], *way: str) -> None:
    """That no name comes twice; `way` leads to the list, and from an item of it to the name."""
    for number, name in enumerate(names):
        if name in names[:number]:
            first, *rest = way
            raise broken_rule(f"names must differ: {name!r} comes twice", first, number, *rest)


def _resources(allocation: Allocation | None) -> Resources:
    if allocation is None:
        return Resources()
    return Resources(
        cpu=allocation.cpu,
        memory_bytes=allocation.memory,
        gpu=allocation.gpu,
        gpu_memory_bytes=allocation.gpu_memory,
    )


def _container_runtime(container: ContainerResources) -> ContainerRuntime:
    found = container.resources
    return ContainerRuntime.model_validate(
        {
            "name": container.name,
            "resourceAllocation": {
                "cpu": maybe(found.cpu, whole),
                "memory": found.memory_bytes,
                "gpu": maybe(found.gpu, whole),
                "gpuMemory": found.gpu_memory_bytes,
            },
        }
    )
