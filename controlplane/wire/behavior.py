"""How a workload's count may move, and bounds at known times: extensions of `autoscaling`.

Both are optional everywhere, absent from answers where nobody set them, and replaced as a whole.
A behavior's fields are settings of `autoscaler` by the same names, in the API's spelling.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field, model_validator

from controlplane.model.behavior import Behavior, Schedule
from controlplane.wire.base import Count, Input, Integer, Number, broken_rule, maybe, whole

MAX_SCHEDULES: Final = 50
MAX_DURATION_MINUTES: Final = 10_080
"""A week."""

_MINUTE_S: Final = 60
_CRON_FIELDS: Final = 5
_EARLY: Final = datetime(2000, 1, 1, tzinfo=UTC)

Rate = Annotated[Number, Field(gt=1, le=1_000_000)]
Delay = Annotated[Number, Field(ge=0, le=3600)]
"""Knative and the HPA allow an hour, too."""


def _cron(text: str) -> str:
    if len(text.split()) != _CRON_FIELDS:
        raise broken_rule(
            "a cron expression has five fields: minute, hour, day of month, month, day of week,"
            " for example `0 8 * * 1-5`"
        )
    try:
        if next(CronSim(text, _EARLY), None) is None:
            raise broken_rule(f"the cron expression {text!r} never comes true")
    except CronSimError as exc:
        said = str(exc).removeprefix("Bad ")
        raise broken_rule(
            f"the cron expression {text!r} has no valid {said}: use numbers in range, `*`, `a-b`,"
            " `a,b`, `*/n`, or names like MON and JAN"
        ) from exc
    return " ".join(text.split())


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise broken_rule(
            f"{name!r} is no time zone: use a name of the IANA database, such as Europe/Vienna"
        ) from exc
    return name


def absent(value: object) -> bool:
    """Whether a field is left out of answers: nobody set it."""
    return value is None


def _named(setting: str) -> str:
    """The field that stands for a field of the record: units are written out."""
    return f"{setting[:-1]}seconds" if setting.endswith("_s") else setting


class ScalingBehavior(Input):
    """How the count may move (an extension). What is absent or null is as the platform has it."""

    max_scale_up_rate: Rate | None = Field(
        None,
        exclude_if=absent,
        description="Most growth in one decision, as a multiple of the ready replicas.",
    )
    max_scale_down_rate: Rate | None = Field(
        None,
        exclude_if=absent,
        description="Most shrinking in one decision: never below ready replicas divided by this.",
    )
    max_scale_up_replicas: Count | None = Field(
        None,
        exclude_if=absent,
        description="Most replicas more than the lowest count of the last"
        " scaleLimitPeriodSeconds; not from zero.",
    )
    max_scale_down_replicas: Count | None = Field(
        None,
        exclude_if=absent,
        description="Most replicas fewer than the highest count of the last"
        " scaleLimitPeriodSeconds; except to zero.",
    )
    scale_limit_period_seconds: Annotated[Number, Field(ge=1, le=1800)] | None = Field(
        None, exclude_if=absent, description="What the two limits in replicas are counted over."
    )
    scale_up_delay_seconds: Delay | None = Field(
        None,
        exclude_if=absent,
        description="A higher wish must have held this long before it counts; not from zero.",
    )
    scale_down_delay_seconds: Delay | None = Field(
        None,
        exclude_if=absent,
        description="A lower wish must have held this long before it counts.",
    )
    stabilization_window_seconds: Delay | None = Field(
        None,
        exclude_if=absent,
        description="For this long after the present count was wanted, one replica less is noise.",
    )
    panic_window_ratio: Annotated[Number, Field(ge=0.01, le=1)] | None = Field(
        None, exclude_if=absent, description="The short window as a share of the stable one."
    )
    panic_threshold: Annotated[Number, Field(gt=1, le=1000)] | None = Field(
        None,
        exclude_if=absent,
        description="Panic when the short window wants this many times the ready replicas.",
    )
    tolerance_ratio: Annotated[Number, Field(ge=0, le=0.9)] | None = Field(
        None,
        exclude_if=absent,
        description="No change while within this share of the target; of all metrics.",
    )
    activation_scale: Annotated[Integer, Field(ge=1, le=1000)] | None = Field(
        None, exclude_if=absent, description="Fewest replicas while any are wanted."
    )
    min_run_time_seconds: Annotated[Number, Field(ge=0, le=86_400)] | None = Field(
        None,
        exclude_if=absent,
        description="A replica that became ready less than this ago is not taken away.",
    )

    @classmethod
    def of(cls, behavior: Behavior) -> Self:
        """The answer's form: what was said, and nothing else."""
        told: dict[str, Any] = {_named(n): whole(value) for n, value in behavior.said().items()}
        return cls.model_construct(**told)

    def to_model(self) -> Behavior | None:
        """The record's form; None where nothing is said."""
        said = {name: getattr(self, _named(name)) for name in Behavior.__struct_fields__}
        made = msgspec.convert(said, Behavior)
        return None if made == Behavior() else made


class ScalingSchedule(Input):
    """Other bounds for a while, again and again (an extension)."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None,
        exclude_if=absent,
        description="What decisions call it; its cron expression where it has no name.",
    )
    cron: Annotated[
        str,
        Field(
            max_length=200,
            description="When it begins: minute, hour, day of month, month, day of week.",
        ),
        AfterValidator(_cron),
    ]
    timezone: Annotated[
        str,
        Field(max_length=100, description="Name in the IANA database."),
        AfterValidator(_zone),
    ] = "UTC"
    duration_minutes: Annotated[
        Number,
        Field(gt=0, le=MAX_DURATION_MINUTES, description="How long it holds, elapsed minutes."),
    ]
    min_replica_count: Annotated[Integer, Field(ge=0, le=1_000_000)] | None = Field(
        None, exclude_if=absent, description="Absent: the group's own."
    )
    max_replica_count: Count | None = Field(
        None,
        exclude_if=absent,
        description="Absent: the group's own, or minReplicaCount where that is more.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.min_replica_count, self.max_replica_count
        if low is None and high is None:
            raise broken_rule(
                "a schedule needs minReplicaCount or maxReplicaCount, or it changes nothing",
                "minReplicaCount",
            )
        if low is not None and high is not None and low > high:
            raise broken_rule(
                f"the smallest replica count ({low}) exceeds the largest ({high})",
                "minReplicaCount",
            )
        return self

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """The answer's form."""
        return cls.model_construct(
            name=schedule.name,
            cron=schedule.cron,
            timezone=schedule.timezone,
            duration_minutes=whole(schedule.duration_s / _MINUTE_S),
            min_replica_count=schedule.min_replicas,
            max_replica_count=schedule.max_replicas,
        )

    def to_model(self) -> Schedule:
        """The record's form."""
        return Schedule(
            name=self.name,
            cron=self.cron,
            timezone=self.timezone,
            duration_s=float(self.duration_minutes * _MINUTE_S),
            min_replicas=self.min_replica_count,
            max_replicas=self.max_replica_count,
        )


Schedules = Annotated[tuple[ScalingSchedule, ...], Field(max_length=MAX_SCHEDULES)]
"""As clients send them, and as answers show them."""


def behavior_of(behavior: Behavior | None) -> ScalingBehavior | None:
    """The answer's form, None where nobody set it."""
    return maybe(behavior, ScalingBehavior.of)


def schedules_of(schedules: tuple[Schedule, ...]) -> tuple[ScalingSchedule, ...] | None:
    """The answer's form, None where there are none."""
    return tuple(ScalingSchedule.of(schedule) for schedule in schedules) or None
