"""From OTLP messages to the records that are kept.

Times that cannot be (before 2000, or more than an hour ahead) become the time of arrival, so that
nothing escapes the retention. A log record's ids are dropped where they are none; a span without
valid ids is rejected.
"""

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec

from controlplane.telemetry.levels import INFO, severity_of
from controlplane.telemetry.records import Attributes, LogRecord, MetricPoint, SpanRecord, cut

MAX_RECORDS: Final = 20_000
"""Records of one request; the rest is rejected."""

_OLDEST_NS: Final = 946_684_800 * 10**9
"""2000-01-01."""
_AHEAD_NS: Final = 3600 * 10**9
_MAX_SEVERITY: Final = 24
_MAX_DEPTH: Final = 16
_MAX_UNIT: Final = 63
"""Characters: what OpenTelemetry's API lets a unit have."""
_MAX_SERVICE: Final = 255
"""Characters of a service's name in a span's own column; its resource has all of it."""
_MAX_INTEGER: Final = 2**53
"""Larger ones become texts: readers of JSON take numbers for doubles."""

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_DELTA: Final = 1


@dataclass(slots=True)
class Taken:
    """What a request held."""

    logs: list[LogRecord] = field(default_factory=list)
    spans: list[SpanRecord] = field(default_factory=list)
    points: list[MetricPoint] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""

    def reject(self, count: int, reason: str) -> None:
        """Count records that are not kept; the first reason is told."""
        self.rejected += count
        self.reason = self.reason or reason


_TOO_MANY: Final = f"more than {MAX_RECORDS} records in one request"


def take_logs(request: Any, now_ns: int) -> Taken:  # noqa: ANN401 - a protobuf message
    """Records of an `ExportLogsServiceRequest`."""
    taken = Taken()
    for group in request.resource_logs:
        resource = attributes(group.resource.attributes)
        for scoped in group.scope_logs:
            scope = {"otel.scope.name": scoped.scope.name} if scoped.scope.name else {}
            shared = {**resource, **scope}
            for record in scoped.log_records:
                if len(taken.logs) >= MAX_RECORDS:
                    taken.reject(1, _TOO_MANY)
                else:
                    taken.logs.append(_log(record, shared, now_ns))
    return taken


def take_spans(request: Any, now_ns: int) -> Taken:  # noqa: ANN401 - a protobuf message
    """Spans of an `ExportTraceServiceRequest`."""
    taken = Taken()
    for group in request.resource_spans:
        resource = attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            scope = {"name": scoped.scope.name, "version": scoped.scope.version}
            for span in scoped.spans:
                if len(taken.spans) >= MAX_RECORDS:
                    taken.reject(1, _TOO_MANY)
                elif not _hex(span.trace_id, _TRACE_BYTES) or not _hex(span.span_id, _SPAN_BYTES):
                    taken.reject(1, "a span's trace id or span id is not valid")
                else:
                    taken.spans.append(_span(span, resource, scope, now_ns))
    return taken


def take_metrics(request: Any, now_ns: int) -> Taken:  # noqa: ANN401 - a protobuf message
    """Points of an `ExportMetricsServiceRequest`."""
    taken = Taken()
    for group in request.resource_metrics:
        resource = attributes(group.resource.attributes)
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                data = getattr(metric, kind)
                room = MAX_RECORDS - len(taken.points)
                taken.points += islice(_points(metric, kind, data, resource, now_ns), room)
                if len(data.data_points) > room:
                    taken.reject(len(data.data_points) - room, _TOO_MANY)
    return taken


def attributes(pairs: Iterable[Any]) -> Attributes:
    """Key-value pairs as a JSON object."""
    return {pair.key: plain(pair.value) for pair in pairs}


def plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value from any AnyValue
    """An `AnyValue` as JSON has it; bytes become base64, what nests too deep becomes null."""
    kind = value.WhichOneof("value")
    if kind is None or depth > _MAX_DEPTH:
        return None
    inner = getattr(value, kind)
    if kind == "array_value":
        return [plain(item, depth + 1) for item in inner.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value, depth + 1) for pair in inner.values}
    if kind == "bytes_value":
        return base64.b64encode(inner).decode()
    large = kind == "int_value" and abs(inner) > _MAX_INTEGER
    endless = kind == "double_value" and not math.isfinite(inner)
    return str(inner) if large or endless else inner


def _log(record: Any, resource: Attributes, now_ns: int) -> LogRecord:  # noqa: ANN401
    told = attributes(record.attributes)
    body = plain(record.body)
    stack = told.pop("exception.stacktrace", None)
    severity = record.severity_number
    if not 0 < severity <= _MAX_SEVERITY:
        severity = severity_of(record.severity_text) or INFO
    name = getattr(record, "event_name", "")
    if name:
        told.setdefault("event.name", name)
    return LogRecord(
        time_ns=_time(record.time_unix_nano or record.observed_time_unix_nano, now_ns),
        severity=severity,
        message=cut(_text(body if body is not None else name)),
        stacktrace=cut(_text(stack)) if stack else None,
        trace_id=_hex(record.trace_id, _TRACE_BYTES),
        span_id=_hex(record.span_id, _SPAN_BYTES),
        attributes=told,
        resource=resource,
    )


def _span(span: Any, resource: Attributes, scope: Attributes, now_ns: int) -> SpanRecord:  # noqa: ANN401
    start_ns = _time(span.start_time_unix_nano, now_ns)
    service = resource.get("service.name")
    return SpanRecord(
        trace_id=_hex(span.trace_id, _TRACE_BYTES),
        span_id=_hex(span.span_id, _SPAN_BYTES),
        parent_span_id=_hex(span.parent_span_id, _SPAN_BYTES),
        name=cut(span.name),
        kind=_of(_KINDS, span.kind),
        service=service[:_MAX_SERVICE] if isinstance(service, str) else "",
        start_ns=start_ns,
        duration_ns=max(0, min(span.end_time_unix_nano, now_ns + _AHEAD_NS) - start_ns),
        status=_of(_STATUSES, span.status.code),
        status_message=cut(span.status.message),
        attributes=attributes(span.attributes),
        resource=resource,
        scope=scope,
        events=[
            {
                "name": event.name,
                "timestamp": event.time_unix_nano,
                "attributes": attributes(event.attributes),
            }
            for event in span.events
        ],
        links=[
            {
                "traceId": link.trace_id.hex(),
                "spanId": link.span_id.hex(),
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ],
    )


def _points(
    metric: Any,  # noqa: ANN401 - a protobuf message
    kind: str,
    data: Any,  # noqa: ANN401 - a protobuf message
    resource: Attributes,
    now_ns: int,
) -> Iterable[MetricPoint]:
    delta = getattr(data, "aggregation_temporality", 0) == _DELTA
    name, description = cut(metric.name), cut(metric.description)
    unit = metric.unit[:_MAX_UNIT]
    for point in data.data_points:
        value, count = _number(point, kind)
        bounds, counts = _buckets(point) if kind == "histogram" else ([], [])
        yield MetricPoint(
            time_ns=_time(point.time_unix_nano, now_ns),
            name=name,
            type=_type(kind, data),
            unit=unit,
            description=description,
            delta=delta,
            start_ns=min(point.start_time_unix_nano, now_ns),
            value=value,
            count=count,
            bounds=bounds,
            counts=counts,
            attributes=attributes(point.attributes),
            resource=resource,
        )


def _buckets(point: Any) -> tuple[list[float], list[int]]:  # noqa: ANN401 - a protobuf message
    """Bounds and counts of a histogram's point; none where they do not fit each other."""
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if len(counts) != len(bounds) + 1 or not all(map(math.isfinite, bounds)):
        return [], []
    return bounds, counts


def _type(kind: str, data: Any) -> str:  # noqa: ANN401 - a protobuf message
    if kind == "sum":
        return "counter" if data.is_monotonic else "upDownCounter"
    return "histogram" if kind == "exponential_histogram" else kind


def _number(point: Any, kind: str) -> tuple[float | None, int | None]:  # noqa: ANN401
    """Value (or sum) and count of a point."""
    if kind in {"gauge", "sum"}:
        chosen = point.WhichOneof("value")
        value = None if chosen is None else float(getattr(point, chosen))
        return (value if value is not None and math.isfinite(value) else None), None
    total = float(point.sum)
    return (total if math.isfinite(total) else None), min(point.count, _MAX_INTEGER)


def _time(said_ns: int, now_ns: int) -> int:
    return said_ns if _OLDEST_NS <= said_ns <= now_ns + _AHEAD_NS else now_ns


def _of(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else names[0]


def _hex(raw: bytes, length: int) -> str:
    """An id in hexadecimal; empty where it is none, or all zeros, which means none."""
    return raw.hex() if len(raw) == length and any(raw) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
