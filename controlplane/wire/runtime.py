"""A workload's runtime: replica counts, autoscaling, sizes.

Accepted: groups with `autoscaling.minReplicaCount/maxReplicaCount` (current), bounds inside each
policy (11.5, hoisted), and `replicaCount`/`autoscaling` at the top of the runtime (v2.41).
Answered: always the current form, and in the old family the top-level one beside it.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, JsonValue, model_validator

from controlplane.model.artifacts import Resources
from controlplane.model.workloads import (
    Autoscaling,
    ContainerResources,
    GroupRuntime,
    Runtime,
    ScalingPolicy,
)
from controlplane.wire.base import Count, Input, Number, Shape, broken_rule, maybe, whole
from controlplane.wire.families import Family
from controlplane.wire.sizes import ByteSize

METRICS: Final = (
    "httpRequestsConcurrency",
    "httpRequestsInFlight",
    "httpRequestsPerHour",
    "cpuAverageUtilization",
)
"""What this installation can scale on. Only the first may go to zero replicas."""

MAX_COOLDOWN_MINUTES: Final = 43_200
"""30 days; the contract names no bound."""

FloorCount = Annotated[int, Field(ge=0, le=1_000_000)]
"""A smallest number of replicas; may be zero."""

DEPRECATED: Final[dict[str, JsonValue]] = {"deprecated": True}
"""Marks older forms in the OpenAPI document; they stay accepted."""

_MINUTE_S: Final = 60


class PolicyShape(Shape):
    """One metric and its target per replica."""

    scaling_metric: str
    target: Number


class PolicyInput(Input):
    """One metric and its target per replica, as clients send it."""

    scaling_metric: str
    target: Annotated[Number, Field(gt=0, le=1e12)]
    min_count: FloorCount | None = Field(None, json_schema_extra=DEPRECATED)
    max_count: FloorCount | None = Field(None, json_schema_extra=DEPRECATED)
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scaling_metric not in METRICS:
            raise broken_rule(
                f"scalingMetric {self.scaling_metric!r} is not known here: use one of"
                f" {', '.join(METRICS)}"
            )
        return self


class AutoscalingShape(Shape):
    """Bounds and policies in an answer."""

    enabled: bool
    policies: list[PolicyShape]
    min_replica_count: int
    max_replica_count: int
    cooldown_period_minutes: Number | None

    @classmethod
    def of(cls, autoscaling: Autoscaling) -> Self:
        """The answer's form of autoscaling."""
        return cls(
            enabled=autoscaling.enabled,
            policies=[
                PolicyShape(scaling_metric=p.metric, target=whole(p.target))
                for p in autoscaling.policies
            ],
            min_replica_count=autoscaling.min_replicas,
            max_replica_count=autoscaling.max_replicas,
            cooldown_period_minutes=maybe(autoscaling.cooldown_s, lambda s: whole(s / _MINUTE_S)),
        )


class AutoscalingInput(Input):
    """Bounds and policies as clients send them; group-level bounds win over a policy's own."""

    enabled: bool = True
    policies: tuple[PolicyInput, ...] = ()
    min_replica_count: FloorCount | None = None
    max_replica_count: Count | None = None
    cooldown_period_minutes: Annotated[Number, Field(ge=0, le=MAX_COOLDOWN_MINUTES)] | None = Field(
        None, description="Idle minutes before zero; fractions allowed. Null: the platform's."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.enabled:
            return self
        if not self.policies:
            raise broken_rule("autoscaling needs at least one policy")
        low, high = self._bounds()
        if high < 1:
            raise broken_rule("the largest replica count must be at least 1")
        if low > high:
            raise broken_rule(f"the smallest replica count ({low}) exceeds the largest ({high})")
        floored = sorted(self._metrics() - {METRICS[0]})
        if low < 1 and floored:
            raise broken_rule(
                f"{floored[0]} cannot wake a workload from zero: set minReplicaCount to at least 1"
            )
        return self

    def _metrics(self) -> set[str]:
        return {policy.scaling_metric for policy in self.policies}

    def _bounds(self) -> tuple[int, int]:
        """Smallest and largest count.

        Stated bounds first, then the legacy ones (smallest of the minima, largest of the maxima),
        then 0 where the metrics allow zero, else 1, and at least 1 as the largest.
        """
        lows = [p.min_count for p in self.policies if p.min_count is not None]
        highs = [p.max_count for p in self.policies if p.max_count is not None]
        low, high = self.min_replica_count, self.max_replica_count
        if low is None:
            low = min(lows) if lows else int(self._metrics() != {METRICS[0]})
        if high is None:
            high = max(highs) if highs else max(1, low)
        return low, high

    def to_model(self) -> Autoscaling:
        """The record's form."""
        low, high = self._bounds()
        return Autoscaling(
            enabled=self.enabled,
            policies=tuple(
                ScalingPolicy(metric=p.scaling_metric, target=p.target, priority=p.priority)
                for p in self.policies
            ),
            min_replicas=low,
            max_replicas=high,
            cooldown_s=maybe(self.cooldown_period_minutes, lambda m: float(m * _MINUTE_S)),
        )


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
    resource_bundles: list[str]
    bundle_selection_policy: str
    resolved_bundle: dict[str, Any] | None = None
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
            resource_bundles=list(group.resource_bundles),
            bundle_selection_policy=group.bundle_selection_policy,
            concurrency_limit_per_replica=group.concurrency_limit,
        )


class GroupRuntimeInput(Input):
    """How one group runs, as clients send it."""

    name: Annotated[str, Field(min_length=1)] = "default"
    replica_count: Count | None = None
    autoscaling: AutoscalingInput | None = None
    containers: tuple[ContainerRuntime, ...] = ()
    resource_bundles: tuple[str, ...] = ()
    bundle_selection_policy: Literal["availability"] = "availability"
    resolved_bundle: dict[str, Any] | None = Field(None, description="Read-only; ignored.")
    concurrency_limit_per_replica: Count | None = Field(
        None, description="Most requests in flight per replica; null: the platform decides."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.replica_count is not None and self.autoscaling and self.autoscaling.enabled:
            raise broken_rule(
                "replicaCount and enabled autoscaling exclude each other: leave one out"
            )
        names = [c.name for c in self.containers]
        if len(set(names)) != len(names):
            raise broken_rule("container names must differ")
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
    enclaves: list[str] | None = None
    replica_count: Count | None = Field(None, json_schema_extra=DEPRECATED)
    autoscaling: AutoscalingInput | None = Field(None, json_schema_extra=DEPRECATED)
    resource_bundles: tuple[str, ...] | None = Field(None, json_schema_extra=DEPRECATED)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.container_groups and self._is_flat():
            # What the old family answers has both forms; sent back unchanged it is accepted.
            if not self._flat_repeats_group():
                raise broken_rule(
                    "say it once: in containerGroups, or (v2.41) at the top of the runtime"
                )
        elif self._is_flat():
            self._flat_group()
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


class OldRuntimeShape(RuntimeShape):
    """The same with v2.41's fields at the top."""

    replica_count: int | None
    autoscaling: AutoscalingShape | None


def fixed_count(group: GroupRuntime) -> int:
    """Replicas of a group that does not scale by itself: 1 where nobody said."""
    return group.replica_count or 1


def runtime_shape(runtime: Runtime, family: Family) -> RuntimeShape:
    """A runtime in a family's form."""
    groups = [GroupRuntimeShape.of(g) for g in runtime.container_groups or (GroupRuntime(),)]
    if family is Family.OLD:
        return OldRuntimeShape(
            container_groups=groups,
            enclave_selection_policy=runtime.enclave_selection_policy,
            enclaves=maybe(runtime.enclaves, list),
            replica_count=groups[0].replica_count,
            autoscaling=groups[0].autoscaling,
        )
    return RuntimeShape(
        container_groups=groups,
        enclave_selection_policy=runtime.enclave_selection_policy,
        enclaves=maybe(runtime.enclaves, list),
    )


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
