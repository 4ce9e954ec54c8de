"""Query parameters of the OTel routes."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from controlplane.telemetry import levels
from controlplane.telemetry.queries import LogQuery, TraceQuery, Window
from controlplane.wire.base import Input, broken_rule

MAX_NS: Final = 2**63 - 1
_MAX_TEXTS: Final = 10
_MAX_OFFSET: Final = 1_000_000

_Text = Annotated[str, Field(min_length=1, max_length=1000)]
_Texts = Annotated[list[_Text], Field(max_length=_MAX_TEXTS)]
_Names = Annotated[list[_Text], Field(max_length=50)]
_Ns = Annotated[int, Field(ge=0, le=MAX_NS)]
_Offset = Annotated[int, Field(ge=0, le=_MAX_OFFSET)]


class InWindow(Input):
    """A window of time: from `startTime` on, before `endTime`; without a zone they are UTC."""

    start_time: datetime | None = None
    end_time: datetime | None = None

    def window(self, workload_id: str) -> Window:
        """The window for a workload's records."""
        return Window(
            workload_id=workload_id,
            start_ns=_epoch_ns(self.start_time),
            end_ns=_epoch_ns(self.end_time),
        )


class _Searching(InWindow):
    search_keys: _Texts = Field(
        default_factory=list,
        description="Names of attributes, of records or their resource, such as `proton_id`; the"
        " first belongs to the first of `searchValues`, and so on.",
    )
    search_values: _Texts = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if len(self.search_keys) != len(self.search_values):
            raise broken_rule(
                f"searchKeys and searchValues belong together: {len(self.search_keys)} keys were"
                f" given with {len(self.search_values)} values."
            )
        return self

    def attributes(self) -> list[tuple[str, str]]:
        """The pairs of keys and values."""
        return list(zip(self.search_keys, self.search_values, strict=True))


class LogParameters(_Searching):
    """Query of the log lines."""

    offset: _Offset = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    level: Literal["debug", "info", "warn", "warning", "error", "critical"] = Field(
        "debug", description="The least; searchKeys=level looks for exactly one."
    )
    includes: _Texts = Field(
        default_factory=list, description="All of these are in the message or stack trace."
    )
    excludes: _Texts = Field(default_factory=list, description="None of these is.")
    trace_id: Annotated[str, Field(max_length=64)] | None = None
    span_id: Annotated[str, Field(max_length=32)] | None = None

    def query(self, workload_id: str) -> LogQuery:
        """What to look for."""
        exact = [value.lower() for key, value in self.attributes() if key == "level"]
        return LogQuery(
            window=self.window(workload_id),
            severity=0 if self.level == "debug" else levels.LEAST[self.level],
            levels=exact,
            includes=self.includes,
            excludes=self.excludes,
            trace_id=None if self.trace_id is None else self.trace_id.lower(),
            span_id=None if self.span_id is None else self.span_id.lower(),
            attributes=[pair for pair in self.attributes() if pair[0] != "level"],
        )


class TraceParameters(_Searching):
    """Query of the traces. Durations are nanoseconds; no costs are known, so all are 0."""

    offset: _Offset = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 100
    status: Literal["error", "ok"] | None = Field(
        None, description="`error`: with at least one span in error; `ok`: without."
    )
    root_span_name: _Names = Field(default_factory=list)
    tools: _Names = Field(default_factory=list, description="A span has gen_ai.tool.name so.")
    trace_type: Literal["gen_ai"] | None = Field(
        None, description="`gen_ai`: a span has an attribute that begins so."
    )
    min_trace_duration: _Ns | None = None
    min_span_duration: _Ns | None = None
    max_span_duration: _Ns | None = None
    min_trace_cost: Annotated[float, Field(ge=0)] | None = None
    max_trace_cost: Annotated[float, Field(ge=0)] | None = None
    sort_by: Literal["timestamp", "duration", "cost"] = "timestamp"
    sort_direction: Literal["asc", "desc"] = "desc"

    def query(self, workload_id: str) -> TraceQuery:
        """What to look for."""
        return TraceQuery(
            window=self.window(workload_id),
            errors=None if self.status is None else self.status == "error",
            root_names=self.root_span_name,
            tools=self.tools,
            generative=self.trace_type is not None,
            min_trace_ns=self.min_trace_duration,
            min_span_ns=self.min_span_duration,
            max_span_ns=self.max_span_duration,
            attributes=self.attributes(),
            none=bool(self.min_trace_cost),
            by_duration=self.sort_by == "duration",
            ascending=self.sort_direction == "asc",
        )


class SpanParameters(Input):
    """Which spans of a trace."""

    offset: _Offset = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class MetricParameters(Input):
    """Which metrics."""

    search: Annotated[str, Field(max_length=1000)] | None = Field(
        None, description="In the name; upper and lower case differ."
    )
    metric_type: Annotated[str, Field(max_length=100)] | None = None


class ValueParameters(InWindow):
    """Which window, and whether histograms come with their buckets."""

    histogram_buckets: bool = False


def _epoch_ns(at: datetime | None) -> int | None:
    if at is None:
        return None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0, min(int(aware.timestamp() * 1_000_000) * 1000, MAX_NS))
