"""Workloads, protons, replicas: who asks for what, what runs, and how it is scaled.

record      written by     read by
----------  -------------  --------------------------------
Workload    control plane  gateway, autoscaler
Proton      control plane  gateway, autoscaler
Deployment  control plane  gateway
Replica     autoscaler     gateway (endpoints), control plane
Scale       autoscaler     control plane, gateway (errored?)
"""

from typing import ClassVar

import msgspec

from controlplane.model.artifacts import ArtifactSpec, Resources
from controlplane.model.behavior import Behavior, Schedule
from controlplane.model.bundles import Bundle
from controlplane.model.kinds import Kind, Record, Tag
from controlplane.model.states import (
    AccessRole,
    Desired,
    Importance,
    ProtonRole,
    ProtonState,
    ReplacementStatus,
    ReplicaPhase,
)
from controlplane.model.traffic import NOTHING_SET, Traffic


class ScalingPolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One metric and the value per replica that scaling aims for (percent for CPU)."""

    metric: str
    target: float
    priority: int | None = None


class Autoscaling(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bounds and policies of one group; the highest wish of all policies wins."""

    enabled: bool = True
    policies: tuple[ScalingPolicy, ...] = ()
    min_replicas: int = 0
    max_replicas: int = 1
    cooldown_s: float | None = None
    """Idle time before zero. None: the platform's default (`autoscaler.cooldown_s`)."""
    behavior: Behavior | None = None
    """How the count may move (an extension). None: as the platform has it."""
    schedules: tuple[Schedule, ...] = ()
    """Other bounds at known times (an extension)."""
    shadow: "Autoscaling | None" = None
    """A second way to scale that only says what it would do (an extension)."""
    forecast: str | None = None
    """Whether what is expected counts (an extension): `shadow`, it only says what it would do;
    `act`, it raises the count. None: off."""

    def most(self) -> int:
        """The highest count that bounds and schedules allow at any time."""
        tops = [s.max_replicas or s.min_replicas or 0 for s in self.schedules]
        return max((self.max_replicas, *tops))


class ContainerResources(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Resources of one named container."""

    name: str
    resources: Resources


class GroupRuntime(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many replicas of one container group, and of what size."""

    name: str = "default"
    replica_count: int | None = None
    autoscaling: Autoscaling | None = None
    containers: tuple[ContainerResources, ...] = ()
    resource_bundles: tuple[str, ...] = ()
    """Candidates as the owner ordered them; empty: the size follows from the allocations."""
    bundles: tuple[Bundle, ...] = ()
    """Of a proton: those candidates as they were defined when it was made, or the inferred one.
    The first is the resolved one, as long as no replica has another one of them
    (`Scale.bundle`). See `controlplane.model.sizing`."""
    bundle_selection_policy: str = "availability"
    concurrency_limit: int | None = None
    """Most requests in flight per replica (`concurrencyLimitPerReplica`, our extension).
    None: twice the concurrency target, or the platform's `gateway.concurrency_limit`."""


class Runtime(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The contract's WorkloadRuntime."""

    container_groups: tuple[GroupRuntime, ...] = ()
    enclave_selection_policy: str | None = None
    enclaves: tuple[str, ...] | None = None

    def group(self) -> GroupRuntime:
        """The primary group: artifacts have one (`default`) wherever clients make them."""
        return self.container_groups[0] if self.container_groups else GroupRuntime()


class WeightStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The candidate's share of the traffic for a while (an extension)."""

    percent: int
    """1 to 99."""
    duration_s: float
    """How long at least; the judgement of a step needs requests, too."""


class WeightRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When a candidate is worse than the active proton, and what happens then (an extension)."""

    error_rate_margin: float = 0.01
    """Most that its share of failed requests may exceed the active one's, 0..1."""
    latency_margin: float = 0.25
    """Most that its response-time quantile may exceed the active one's, as a part of it."""
    quantile: float = 0.95
    min_requests: int = 20
    """Requests that a step needs before anything is said of it."""
    on_worse: str = "hold"
    """`hold`: stay at this share and say so; `rollback`: cancel."""
    hold_s: float = 600
    """How long a hold may last before it is rolled back."""


class ReplacementConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a replacement goes: the contract's config, and weight steps (an extension)."""

    warmup_s: float = 0
    """Time that a ready candidate waits before it gets traffic."""
    keep_old_s: float = 0
    """Time that the old proton stays after the switch."""
    steps: tuple[WeightStep, ...] = ()
    rule: WeightRule = WeightRule()


class Replacement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The change of a workload's proton: under way on its record, ended in its history."""

    id: str
    workload_id: str
    name: str
    user_id: str
    origin: str = "artifact"
    """What asked for it: `artifact`, `settings` or `promote`."""
    status: ReplacementStatus = ReplacementStatus.SUBMITTED
    status_at: float
    """Since when."""
    strategy: str = "rolling"
    candidate_artifact_id: str
    candidate_proton_id: str | None = None
    previous_artifact_id: str | None = None
    previous_proton_id: str | None = None
    config: ReplacementConfig = ReplacementConfig()
    runtime: Runtime
    previous_runtime: Runtime | None = None
    created_at: float
    updated_at: float
    ready_at: float | None = None
    """When the candidate was ready first."""
    switched_at: float | None = None
    ended_at: float | None = None
    step: int = 0
    """Which of `config.steps` runs, from 0; as many as there are: all done."""
    step_at: float | None = None
    """When it began."""
    held_at: float | None = None
    """Since when the candidate is worse than the active proton."""
    deleted_at: float | None = None
    """When somebody cancelled it."""
    message: str | None = None


class Workload(Record, frozen=True, kw_only=True):
    """The governed identity: stable invoke URL, importance, sharing, runtime settings."""

    kind: ClassVar[Kind] = Kind.WORKLOAD
    name: str
    description: str = ""
    importance: Importance = Importance.LOW
    artifact_id: str
    runtime: Runtime
    traffic: Traffic = NOTHING_SET
    """How the gateway treats its requests; applies at once, no replica restarts."""
    desired: Desired = Desired.RUNNING
    active_proton_id: str | None = None
    roles: dict[str, AccessRole] = msgspec.field(default_factory=dict)
    """User id, or `EVERYBODY`, to role. Empty: the creator is the owner."""
    tags: tuple[Tag, ...] = ()
    replacement: Replacement | None = None
    """The one under way, or the last one if it failed; ended ones are in the history."""
    expires_at: float | None = None
    """When it is removed, if its artifact is still a draft then; None: never."""
    expiry_told: bool = False
    """Its journal has said that it will expire soon."""
    stats_since: float | None = None
    """Statistics begin here: they were reset. None: at the creation."""
    use_case_id: str | None = None
    creator_id: str
    created_at: float
    updated_at: float
    deleted_at: float | None = None


class Proton(Record, frozen=True, kw_only=True):
    """One running revision of a workload: a frozen copy of what to run and how.

    A proton is never edited but for `role`, `weight`, `least_replicas`, `desired`, `importance` and
    how its runtime scales (counts, autoscaling, concurrency limit): a start after a stop makes a
    new proton, so that a draft's edits take effect then and not before.
    """

    kind: ClassVar[Kind] = Kind.PROTON
    workload_id: str
    artifact_id: str
    name: str = ""
    role: ProtonRole | None = ProtonRole.ACTIVE
    weight: int = 100
    """Share of the workload's traffic against its other protons; 0 gets none unless pinned."""
    least_replicas: int = 0
    """Fewest replicas whatever its policies say, up to its maximum: in a replacement each side must
    be able to take the other's load over at once."""
    least_until: float | None = None
    """Epoch seconds at which that ends; None: it does not."""
    desired: Desired = Desired.RUNNING
    spec: ArtifactSpec
    runtime: Runtime
    importance: Importance = Importance.LOW
    creator_id: str
    created_at: float
    updated_at: float


class Replica(Record, frozen=True, kw_only=True):
    """One running copy of a proton; its address is an endpoint of the gateway when ready."""

    kind: ClassVar[Kind] = Kind.REPLICA
    workload_id: str
    proton_id: str
    phase: ReplicaPhase
    host: str | None = None
    port: int | None = None
    node: str = "localhost"
    pid: int | None = None
    process_started: float | None = None
    """Start time of the process as the kernel knows it: pid plus this is never reused."""
    gpus: tuple[str, ...] = ()
    """Ids of the GPUs that are its alone, as its node calls them."""
    gpu_type: str | None = None
    """What its node calls these GPUs; None: it has none."""
    bundle: str | None = None
    """Id of the bundle, of those that its owner named, that it has; None: no choice was made."""
    bundle_reason: str = ""
    """Why it has none of the earlier ones; empty: it has the first."""
    created_at: float
    started_at: float | None = None
    ready_at: float | None = None
    restart_count: int = 0
    exit_code: int | None = None
    message: str = ""
    """One sentence that tells the owner what is wrong and what to do; empty when nothing is."""
    log_path: str | None = None

    def shown_phase(self) -> ReplicaPhase:
        """Its phase for people: on its way up after it has ended before, it restarts in its place.

        Reconcilers of pods say so themselves, see `pods.phase_of`; the one of processes counts.
        """
        if self.restart_count and self.phase in {ReplicaPhase.PENDING, ReplicaPhase.LAUNCHING}:
            return ReplicaPhase.RESTARTING
        return self.phase


class Scale(Record, frozen=True, kw_only=True):
    """What the autoscaler last decided and found about one proton; `id` is the proton's."""

    kind: ClassVar[Kind] = Kind.SCALE
    workload_id: str
    wanted_replicas: int
    granted_replicas: int | None = None
    """What capacity arbitration left of it; None: all."""
    interrupted: bool = False
    """Nothing is left of it, because its replicas had to make room."""
    ready_replicas: int
    state: ProtonState
    errored: bool = False
    reason: str
    """A `decisions.Reason` value."""
    message: str = ""
    log_tail: tuple[str, ...] = ()
    bundle: str | None = None
    """Id of the bundle that most of its replicas have; None: nobody chose among several."""
    bundle_reason: str = ""
    """Why it is none of the earlier candidates; empty: it is the first."""
    cold_start_p50_s: float | None = None
    cold_start_p90_s: float | None = None
    """Over the proton's own starts, from asked to ready; None before the first."""
    decision_id: str | None = None
    updated_at: float


class Deployment(Record, frozen=True, kw_only=True):
    """The v2.41 wrapper of a workload, with an invoke URL of its own."""

    kind: ClassVar[Kind] = Kind.DEPLOYMENT
    name: str
    description: str = ""
    importance: Importance = Importance.LOW
    workload_id: str
    creator_id: str
    created_at: float
    updated_at: float
    deleted_at: float | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a workload's event journal."""

    id: str
    workload_id: str
    at: float
    type: str
    actor_id: str | None = None
    details: dict[str, object] = {}
