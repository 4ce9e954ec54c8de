"""Replacements: what starts one, and what is said about it.

`weightSteps` and `weightRule` are an extension; without them the traffic moves all at once.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from controlplane.model.workloads import (
    Replacement,
    ReplacementConfig,
    WeightRule,
    WeightStep,
)
from controlplane.wire.base import (
    Count,
    Input,
    Integer,
    Number,
    Shape,
    broken_rule,
    maybe,
    maybe_timestamp,
    timestamp,
    whole,
)
from controlplane.wire.families import Family
from controlplane.wire.runtime import OldRuntimeShape, RuntimeInput, RuntimeShape, runtime_shape

MAX_MINUTES: Final = 43_200
"""30 days; the contract names no bound."""
MAX_STEPS: Final = 50

TENANT_ID: Final = "00000000-0000-4000-8000-000000000000"
"""An installation is one tenant; clients only want a UUID of version 4 to be there."""

_MINUTE_S: Final = 60

Minutes = Annotated[Number, Field(ge=0, le=MAX_MINUTES)]
"""A duration; fractions are an extension of ours."""


class WeightStepInput(Input):
    """A share of the traffic for the candidate, for a while."""

    percent: Annotated[Integer, Field(ge=1, le=99)]
    duration_minutes: Minutes = Field(0, description="How long at least.")


class WeightRuleInput(Input):
    """When the candidate counts as worse than the active proton, and what happens then."""

    error_rate_margin: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.01, description="Most that its share of failed requests may exceed the active one's."
    )
    latency_margin: Annotated[Number, Field(ge=0, le=1000)] = Field(
        0.25, description="Most that its response time may exceed the active one's, as a part."
    )
    quantile: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.95, description="Which response times are compared."
    )
    min_requests: Count = Field(20, description="Requests that a judgement needs.")
    on_worse: Literal["hold", "rollback"] = Field(
        "hold", description="`hold`: stay at this share and say so; `rollback`: the old one stays."
    )
    hold_minutes: Minutes = Field(
        10, description="How long a hold may last before it is rolled back."
    )


class ReplacementConfigInput(Input):
    """How a replacement goes."""

    warmup_duration_minutes: Minutes = Field(
        0, description="How long a ready candidate waits before it gets traffic."
    )
    keep_old_version_minutes: Minutes = Field(
        0, description="How long the old proton stays after the switch; a cancel goes back to it."
    )
    weight_steps: Annotated[list[WeightStepInput], Field(max_length=MAX_STEPS)] = Field(
        default_factory=list,
        description="An extension: the candidate's share of the traffic, step by step.",
    )
    weight_rule: WeightRuleInput | None = Field(
        None, description="An extension: what holds or ends the weight steps."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for index, (before, after) in enumerate(
            zip(self.weight_steps, self.weight_steps[1:], strict=False), start=1
        ):
            if after.percent < before.percent:
                raise broken_rule(
                    f"the share must not fall from {before.percent} to {after.percent} percent:"
                    " order the steps from the smallest to the largest",
                    "weightSteps",
                    index,
                    "percent",
                )
        return self

    def to_model(self) -> ReplacementConfig:
        """The record's form."""
        rule = self.weight_rule or WeightRuleInput.model_validate({})
        return ReplacementConfig(
            warmup_s=self.warmup_duration_minutes * _MINUTE_S,
            keep_old_s=self.keep_old_version_minutes * _MINUTE_S,
            steps=tuple(
                WeightStep(percent=s.percent, duration_s=s.duration_minutes * _MINUTE_S)
                for s in self.weight_steps
            ),
            rule=WeightRule(
                error_rate_margin=rule.error_rate_margin,
                latency_margin=rule.latency_margin,
                quantile=rule.quantile,
                min_requests=rule.min_requests,
                on_worse=rule.on_worse,
                hold_s=rule.hold_minutes * _MINUTE_S,
            ),
        )


class StartReplacement(Input):
    """Body of POST replacement."""

    artifact_id: str = Field(description="What shall run: of the same status as what runs now.")
    strategy: Literal["rolling"]
    config: ReplacementConfigInput | None = None
    runtime: RuntimeInput | None = Field(
        None, description="The whole runtime; without it the workload's stays."
    )


class WeightStepShape(Shape):
    """A step in an answer."""

    percent: int
    duration_minutes: Number


class WeightRuleShape(Shape):
    """A rule in an answer."""

    error_rate_margin: Number
    latency_margin: Number
    quantile: Number
    min_requests: int
    on_worse: str
    hold_minutes: Number


class ReplacementConfigShape(Shape):
    """How a replacement goes, in an answer."""

    warmup_duration_minutes: Number
    keep_old_version_minutes: Number
    weight_steps: list[WeightStepShape]
    weight_rule: WeightRuleShape | None = Field(description="Null without weight steps.")

    @classmethod
    def of(cls, config: ReplacementConfig) -> Self:
        """The answer's form."""
        rule = config.rule
        return cls(
            warmup_duration_minutes=whole(config.warmup_s / _MINUTE_S),
            keep_old_version_minutes=whole(config.keep_old_s / _MINUTE_S),
            weight_steps=[
                WeightStepShape(percent=s.percent, duration_minutes=whole(s.duration_s / _MINUTE_S))
                for s in config.steps
            ],
            weight_rule=WeightRuleShape(
                error_rate_margin=whole(rule.error_rate_margin),
                latency_margin=whole(rule.latency_margin),
                quantile=whole(rule.quantile),
                min_requests=rule.min_requests,
                on_worse=rule.on_worse,
                hold_minutes=whole(rule.hold_s / _MINUTE_S),
            )
            if config.steps
            else None,
        )


class ReplacementFormatted(Shape):
    """A replacement: under way, ended, or one that never had to roll anything."""

    id: str
    name: str
    workload_id: str
    user_id: str
    tenant_id: str = TENANT_ID
    candidate_artifact_id: str
    candidate_proton_ids: list[str]
    previous_proton_ids: list[str] | None
    previous_artifact_id: str | None = Field(description="An extension: what ran before.")
    config: ReplacementConfigShape
    runtime: OldRuntimeShape | RuntimeShape
    status: str = Field(
        description="`submitted`, `initializing`, `awaiting_promotion` (it warms up, or takes its"
        " weight steps), `switching` (it has the traffic, the old one is kept or drains),"
        " `cleaning_up` (failed or cancelled), `completed`, `errored`."
    )
    strategy: str
    origin: str = Field(description="An extension: `artifact`, `settings` or `promote`.")
    message: str | None = Field(description="What it does or why it failed, for people.")
    switched_at: str | None
    is_deleted: bool = Field(description="Somebody cancelled it.")
    deleted_at: str | None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, replacement: Replacement, family: Family) -> Self:
        """The answer's form of a replacement."""
        candidate, previous = replacement.candidate_proton_id, replacement.previous_proton_id
        return cls(
            id=replacement.id,
            name=replacement.name,
            workload_id=replacement.workload_id,
            user_id=replacement.user_id,
            candidate_artifact_id=replacement.candidate_artifact_id,
            candidate_proton_ids=[] if candidate is None else [candidate],
            previous_proton_ids=maybe(previous, lambda proton_id: [proton_id]),
            previous_artifact_id=replacement.previous_artifact_id,
            config=ReplacementConfigShape.of(replacement.config),
            runtime=runtime_shape(replacement.runtime, family),
            status=replacement.status,
            strategy=replacement.strategy,
            origin=replacement.origin,
            message=replacement.message,
            switched_at=maybe_timestamp(replacement.switched_at),
            is_deleted=replacement.deleted_at is not None,
            deleted_at=maybe_timestamp(replacement.deleted_at),
            created_at=timestamp(replacement.created_at),
            updated_at=timestamp(replacement.updated_at),
        )
