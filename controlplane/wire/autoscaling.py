"""How a workload scales by itself: metrics, targets and bounds.

Accepted: bounds of the group (current), and bounds inside each policy (11.5), which are hoisted.
Answered: the current form; in the old family with the bounds in each policy, too.
Extensions, absent from answers where nobody set them: `behavior`, `schedules`, `shadow` and
`forecast`.
"""

from typing import Annotated, Final, Literal, Self

import msgspec
from pydantic import Field, JsonValue, model_validator

from controlplane.model.workloads import Autoscaling, ScalingPolicy
from controlplane.wire.base import (
    Count,
    Flag,
    Input,
    Integer,
    Number,
    Shape,
    broken_rule,
    maybe,
    whole,
)
from controlplane.wire.behavior import (
    ScalingBehavior,
    ScalingSchedule,
    Schedules,
    absent,
    behavior_of,
    schedules_of,
)

WAKING_METRIC: Final = "httpRequestsConcurrency"
"""The one metric that may go to zero replicas: the gateway itself counts it."""

MAX_POLICIES: Final = 20
MAX_COOLDOWN_MINUTES: Final = 43_200
"""30 days; the contract names no bound."""

FloorCount = Annotated[Integer, Field(ge=0, le=1_000_000)]
"""A smallest number of replicas; may be zero."""

DEPRECATED: Final[dict[str, JsonValue]] = {"deprecated": True}
"""Marks older forms in the OpenAPI document; they stay accepted."""

_MINUTE_S: Final = 60


class PolicyShape(Shape):
    """One metric and its target per replica."""

    scaling_metric: str
    target: Number


class OldPolicyShape(PolicyShape):
    """The same with the bounds of its group, as older generations have them."""

    min_count: int
    max_count: int
    priority: int | None


class PolicyInput(Input):
    """One metric and its target per replica, as clients send it."""

    scaling_metric: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[!-~]+$",
            description="`httpRequestsConcurrency`, `httpRequestsInFlight`, `httpRequestsPerHour`,"
            " `cpuAverageUtilization`; of artifacts of type nim also `gpuCacheUtilization`,"
            " `gpuRequestQueueDepth` and names of metrics that the container exports.",
        ),
    ]
    target: Annotated[Number, Field(gt=0, le=1e12)]
    min_count: FloorCount | None = Field(None, json_schema_extra=DEPRECATED)
    max_count: FloorCount | None = Field(None, json_schema_extra=DEPRECATED)
    priority: Annotated[Integer, Field(ge=-(2**31), lt=2**31)] | None = None


class ForecastSettings(Input):
    """Whether what is expected counts (an extension)."""

    mode: Literal["off", "shadow", "act"] = Field(
        "shadow",
        description="`shadow`: it only says what it would do; `act`: it raises the count ahead of"
        " load that comes every day, or rises steadily, and never lowers it; `off`: neither.",
    )


class ShadowShape(Shape):
    """Bounds and policies in an answer."""

    enabled: bool
    policies: list[PolicyShape]
    min_replica_count: int
    max_replica_count: int
    cooldown_period_minutes: Number | None
    behavior: ScalingBehavior | None = Field(None, exclude_if=absent)
    schedules: tuple[ScalingSchedule, ...] | None = Field(None, exclude_if=absent)

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
            behavior=behavior_of(autoscaling.behavior),
            schedules=schedules_of(autoscaling.schedules),
        )


class AutoscalingShape(ShadowShape):
    """The same, and what is only tried out."""

    shadow: ShadowShape | None = Field(None, exclude_if=absent)
    forecast: ForecastSettings | None = Field(None, exclude_if=absent)

    @classmethod
    def of(cls, autoscaling: Autoscaling) -> Self:
        """The answer's form of autoscaling."""
        mode = autoscaling.forecast
        return cls(
            **dict(ShadowShape.of(autoscaling)),
            shadow=maybe(autoscaling.shadow, ShadowShape.of),
            forecast=maybe(mode, lambda mode: ForecastSettings.model_construct(mode=mode)),
        )


class OldAutoscalingShape(AutoscalingShape):
    """The same with bounds in each policy, too."""

    policies: list[OldPolicyShape]  # type: ignore[assignment]  # nobody changes an answer

    @classmethod
    def of(cls, autoscaling: Autoscaling) -> Self:
        """The answer's form of autoscaling."""
        common = AutoscalingShape.of(autoscaling)
        return cls(
            **dict(common)
            | {"policies": [_old_policy(autoscaling, p) for p in autoscaling.policies]}
        )


class ShadowInput(Input):
    """Bounds and policies as clients send them; group-level bounds win over a policy's own."""

    enabled: Flag = True
    policies: Annotated[tuple[PolicyInput, ...], Field(max_length=MAX_POLICIES)] = ()
    min_replica_count: FloorCount | None = None
    max_replica_count: Count | None = Field(
        None, description="At most `limits.maxWorkloadReplicas` of `account/info`."
    )
    cooldown_period_minutes: Annotated[Number, Field(ge=0, le=MAX_COOLDOWN_MINUTES)] | None = Field(
        None, description="Idle minutes before zero; fractions allowed. Null: the platform's."
    )
    behavior: ScalingBehavior | None = Field(
        None, description="How the count may move (an extension). Null: the platform's way."
    )
    schedules: Schedules | None = Field(
        None,
        description="Other bounds at known times (an extension). Where several hold, the highest"
        " minimum and the highest maximum win.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.enabled:
            return self
        if not self.policies:
            raise broken_rule("autoscaling needs at least one policy", "policies")
        low, high = self._bounds()
        if high < 1:
            raise broken_rule("the largest replica count must be at least 1", self._high())
        if low > high:
            told = f"the smallest replica count ({low}) exceeds the largest ({high})"
            raise broken_rule(told, self._low())
        floored = sorted(self._metrics() - {WAKING_METRIC})
        if low < 1 and floored:
            raise broken_rule(
                f"{floored[0]} cannot wake a workload from zero: set minReplicaCount to at least 1",
                self._low(),
            )
        self._check_schedules(low, floored)
        return self

    def _check_schedules(self, low: int, floored: list[str]) -> None:
        """That the bounds of every schedule work, with the group's own where it says nothing."""
        for number, schedule in enumerate(self.schedules or ()):
            least, most = schedule.min_replica_count, schedule.max_replica_count
            if least is None and most is not None and most < low:
                raise broken_rule(
                    f"the group's minReplicaCount ({low}) exceeds the schedule's largest ({most}):"
                    " give the schedule a minReplicaCount",
                    *("schedules", number, "maxReplicaCount"),
                )
            if least == 0 and floored:
                raise broken_rule(
                    f"{floored[0]} cannot wake a workload from zero: use at least 1",
                    *("schedules", number, "minReplicaCount"),
                )

    def _low(self) -> str:
        """The field that says the smallest count."""
        return "policies" if self.min_replica_count is None else "minReplicaCount"

    def _high(self) -> str:
        return "policies" if self.max_replica_count is None else "maxReplicaCount"

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
            low = min(lows) if lows else int(self._metrics() != {WAKING_METRIC})
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
            behavior=None if self.behavior is None else self.behavior.to_model(),
            schedules=tuple(schedule.to_model() for schedule in self.schedules or ()),
        )


class AutoscalingInput(ShadowInput):
    """Bounds and policies as clients send them, and what is only tried out."""

    shadow: ShadowInput | None = Field(
        None,
        description="A second way to scale that only says what it would do on the same traffic (an"
        " extension): see `shadowDecisions`.",
    )
    forecast: ForecastSettings | None = Field(
        None, description="Whether what is expected counts (an extension). Null: off."
    )

    def to_model(self) -> Autoscaling:
        """The record's form."""
        forecast = self.forecast
        return msgspec.structs.replace(
            super().to_model(),
            shadow=maybe(self.shadow, ShadowInput.to_model),
            forecast=None if forecast is None or forecast.mode == "off" else forecast.mode,
        )


def _old_policy(autoscaling: Autoscaling, policy: ScalingPolicy) -> OldPolicyShape:
    return OldPolicyShape(
        scaling_metric=policy.metric,
        target=whole(policy.target),
        min_count=autoscaling.min_replicas,
        max_count=autoscaling.max_replicas,
        priority=policy.priority,
    )
