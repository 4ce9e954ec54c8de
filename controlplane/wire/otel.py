"""Logs, traces and metrics of a workload, as the OTel routes answer.

Durations and times of spans and traces are nanoseconds (epoch), as numbers; times of log lines are
RFC 3339. Attributes keep the names that the application gave them.
"""

import json
import sqlite3
from itertools import pairwise
from typing import Any, Final, Literal, Self

from pydantic import Field

from controlplane.telemetry import levels
from controlplane.telemetry.queries import MetricValue
from controlplane.wire.base import Number, Shape, timestamp

LogLevel = Literal["debug", "info", "warning", "error", "critical"]

_NS: Final = 1_000_000_000


class LogFormatted(Shape):
    """One log line."""

    timestamp: str
    level: LogLevel
    message: str
    stacktrace: str | None
    span_id: str | None
    trace_id: str | None
    attributes: dict[str, Any] = Field(description="An extension: of the line.")
    resource: dict[str, Any] = Field(description="An extension: of who wrote it.")

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The answer's form of a row of `logs`."""
        return cls.model_validate(
            {
                "timestamp": timestamp(row["time_ns"] // 1000 / 1_000_000),
                "level": levels.word(row["severity"]),
                "message": row["message"],
                "stacktrace": row["stacktrace"],
                "span_id": row["span_id"] or None,
                "trace_id": row["trace_id"] or None,
                "attributes": json.loads(row["attributes"]),
                "resource": json.loads(row["resource"]),
            }
        )


class LogPage(Shape):
    """Log lines, newest first. Nobody counts them all."""

    count: int = Field(description="Lines on this page.")
    next: str | None
    previous: str | None
    data: list[LogFormatted]


class TraceFormatted(Shape):
    """One trace."""

    trace_id: str
    timestamp: int = Field(description="Begin of its first span, epoch nanoseconds.")
    duration: int = Field(description="From its first span's begin to its last one's end, ns.")
    root_span_name: str
    root_service_name: str
    spans_count: int
    error_spans_count: int
    cost: Number = Field(description="Always 0: no prices are known here.")

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The answer's form of a row of `traces`."""
        return cls(
            trace_id=row["trace_id"],
            timestamp=row["start_ns"],
            duration=row["end_ns"] - row["start_ns"],
            root_span_name=row["root_name"],
            root_service_name=row["root_service"],
            spans_count=row["spans"],
            error_spans_count=row["errors"],
            cost=0,
        )


class TracePage(Shape):
    """Traces."""

    count: int = Field(description="Traces on this page.")
    next: str | None
    previous: str | None
    data: list[TraceFormatted]


class Attributed(Shape):
    """Something with attributes."""

    attributes: dict[str, Any]


class SpanEventFormatted(Attributed):
    """Something that happened within a span."""

    name: str
    timestamp: int = Field(description="Epoch nanoseconds.")


class SpanLinkFormatted(Attributed):
    """Another span that this one has to do with."""

    trace_id: str
    span_id: str


class SpanFormatted(Shape):
    """One span."""

    span_id: str
    trace_id: str
    parent_span_id: str | None
    name: str
    service_name: str
    kind: str
    start_time: int = Field(description="Epoch nanoseconds.")
    duration: int = Field(description="Nanoseconds.")
    status_code: Literal["unset", "ok", "error"]
    status_message: str | None
    has_permission: bool = Field(description="Always true: who sees the trace sees its spans.")
    attributes: dict[str, Any]
    events: list[SpanEventFormatted]
    links: list[SpanLinkFormatted]
    resource: Attributed
    scope: dict[str, Any]

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The answer's form of a row of `spans`."""
        fields = ("span_id", "trace_id", "name", "kind", "duration_ns", "status", "status_message")
        told = {name: row[name] for name in fields}
        events, links = (json.loads(row[name]) for name in ("events", "links"))
        return cls.model_validate(
            told
            | {
                "parent_span_id": row["parent_span_id"] or None,
                "service_name": row["service"],
                "start_time": row["time_ns"],
                "duration": row["duration_ns"],
                "status_code": row["status"],
                "status_message": row["status_message"] or None,
                "has_permission": True,
                "attributes": json.loads(row["attributes"]),
                "events": events if isinstance(events, list) else [],
                "links": links if isinstance(links, list) else [],
                "resource": {"attributes": json.loads(row["resource"])},
                "scope": json.loads(row["scope"]),
            }
        )


class TraceDetail(Shape):
    """One trace with its spans, earliest first."""

    trace_id: str
    root_span_name: str
    root_service_name: str
    timestamp: int
    duration: int
    span_count: int
    error_spans_count: int
    total_count: int = Field(description="Spans on all pages.")
    next: str | None
    previous: str | None
    spans: list[SpanFormatted]


class MetricFormatted(Shape):
    """A metric that a workload reports."""

    otel_name: str
    description: str | None
    metric_type: str
    units: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The answer's form of a metric's newest point."""
        return cls(
            otel_name=row["name"],
            description=row["description"] or None,
            metric_type=row["type"],
            units=row["unit"] or None,
        )


class MetricPage(Shape):
    """All metrics that a workload reports, by name."""

    count: int
    next: None = None
    previous: None = None
    data: list[MetricFormatted]


class BucketFormatted(Shape):
    """One bucket of a histogram."""

    lower_bound: float | None = Field(description="Null: the lowest.")
    upper_bound: float | None = Field(description="Null: the highest.")
    count: int


class MetricValueFormatted(Shape):
    """What a metric says over a window."""

    otel_name: str
    display_name: str | None
    aggregation: str
    unit: str | None
    aggregated_value: float | None = Field(description="Over the window.")
    current_value: float | None
    buckets: list[BucketFormatted] | None

    @classmethod
    def of(cls, value: MetricValue, *, buckets: bool) -> Self:
        """The answer's form of a metric that an application reports."""
        edges = [None, *value.bounds, None]
        return cls(
            otel_name=value.name,
            display_name=None,
            aggregation=value.aggregation,
            unit=value.unit or None,
            aggregated_value=value.value,
            current_value=value.current,
            buckets=[
                BucketFormatted(lower_bound=lower, upper_bound=upper, count=count)
                for (lower, upper), count in zip(pairwise(edges), value.counts, strict=False)
            ]
            if buckets and value.counts
            else None,
        )


class MetricValues(Shape):
    """Every reported metric's value over a window."""

    start_time: str
    end_time: str
    metric_aggregations: list[MetricValueFormatted]


class PlatformValues(Shape):
    """What the platform itself knows of a workload."""

    start_time: str
    end_time: str
    count: int
    data: list[MetricValueFormatted]
