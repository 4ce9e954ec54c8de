"""Workloads and what is said about their state."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from controlplane.model.states import Importance
from controlplane.wire.artifacts import ArtifactInput, ArtifactSummary
from controlplane.wire.base import Input, Name, Shape, broken_rule
from controlplane.wire.people import UserShape
from controlplane.wire.replacements import ReplacementFormatted
from controlplane.wire.runtime import OldRuntimeShape, RuntimeInput, RuntimeShape
from controlplane.wire.statistics import RequestStatsShape
from controlplane.wire.tags import TagShape, TagsInput
from controlplane.wire.traffic import TrafficInput, TrafficShape

ObjectIdText = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class WorkloadInput(Input):
    """Body of create: exactly one of `artifact` and `artifactId`."""

    name: Name
    artifact: ArtifactInput | None = None
    artifact_id: str | None = None
    description: str | None = None
    importance: Importance = Importance.LOW
    runtime: RuntimeInput | None = None
    traffic: TrafficInput | None = None
    tags: TagsInput | None = None
    use_case_id: ObjectIdText | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.artifact is None) == (self.artifact_id is None):
            raise broken_rule("give exactly one of artifact and artifactId")
        return self


class OldWorkloadInput(WorkloadInput):
    """Body of create in the old family: without a name the workload takes its artifact's."""

    name: Name | None = None  # type: ignore[assignment]  # the old family's one difference


class WorkloadPatch(Input):
    """Body of PATCH: what is absent or null stays. Nothing restarts.

    `traffic` is replaced as a whole.
    """

    name: Name | None = None
    description: str | None = None
    importance: Importance | None = None
    traffic: TrafficInput | None = None
    tags: TagsInput | None = None


class SettingsInput(Input):
    """Body of PATCH settings: the whole runtime, not a part of it."""

    runtime: RuntimeInput
    replacement: Any = Field(None, description="Read-only; ignored.")


class Empty(Input):
    """The body of an action: nothing."""


class Condition(Shape):
    """One thing that is true or false about a workload, proton or replica."""

    type: str
    value: bool
    last_transition_time: str | None = None
    reason: str | None = None
    message: str | None = None


class StatusDetails(Shape):
    """Why the status is what it is. `message` tells the owner what to do; empty: all is well."""

    message: str
    log_tail: list[str] | None
    conditions: list[Condition]
    reason: str | None = Field(description="The last scaling decision's reason.")
    wanted_replicas: int | None
    granted_replicas: int | None = Field(
        description="What capacity arbitration left of `wantedReplicas`; null: all of it."
    )
    ready_replicas: int


class WorkloadFormatted(Shape):
    """One workload."""

    id: str
    name: str
    description: str
    status: str
    status_details: StatusDetails | None
    importance: Importance
    type: str
    artifact_id: str | None
    artifact: ArtifactSummary | None
    endpoint: str
    proton_id: str | None
    runtime: OldRuntimeShape | RuntimeShape | None
    traffic: TrafficShape | None = Field(description="An extension: how its requests are treated.")
    replacement: ReplacementFormatted | None = Field(
        description="The one under way, or the last one if it failed."
    )
    request_stats: RequestStatsShape | None = Field(
        default=None, description="In lists with `serviceStats=true`; null for consumers."
    )
    last_response: str | None = Field(
        default=None,
        description="When a replica answered last; null: never since the statistics were reset, or"
        " not in this answer: it is in those of GET.",
    )
    use_case_id: str | None
    expires_at: str | None = Field(
        description="An extension: when a workload on a draft artifact is removed; null: never."
    )
    creator: UserShape | None
    owners: list[UserShape]
    permissions: list[str]
    tags: tuple[TagShape, ...]
    created_at: str
    updated_at: str


class Operation(Shape):
    """Answer of start and stop."""

    status: str = Field(description="One sentence for people.")
    workload_id: str
    track_via: str = Field(description="Where to follow it.")


class SettingsFormatted(Shape):
    """A workload's settings."""

    runtime: OldRuntimeShape | RuntimeShape
    replacement: ReplacementFormatted | None
