"""What the telemetry store keeps: log lines, spans, points of metrics. Times are epoch ns, UTC."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

Attributes = dict[str, Any]
"""Name to a JSON value."""

MAX_TEXT: Final = 64 * 1024
"""Longest message, stack trace or set of attributes kept, characters; the rest is cut."""

ROW_OVERHEAD: Final = 160
"""What a row costs on disk besides its texts, bytes: columns, and its entries in the indexes."""


class LogRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One log line."""

    time_ns: int
    severity: int
    """OpenTelemetry's severity number, 1 to 24."""
    message: str
    stacktrace: str | None = None
    trace_id: str = ""
    """32 lower-case hexadecimal digits; empty: none."""
    span_id: str = ""
    attributes: Attributes = {}
    resource: Attributes = {}


class SpanRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One span."""

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    """Empty: a root."""
    name: str
    kind: str
    """`internal`, `server`, `client`, `producer`, `consumer` or `unspecified`."""
    service: str
    start_ns: int
    duration_ns: int
    status: str
    """`unset`, `ok` or `error`."""
    status_message: str = ""
    attributes: Attributes = {}
    resource: Attributes = {}
    scope: Attributes = {}
    events: list[Attributes] = []
    links: list[Attributes] = []


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One point of one series."""

    time_ns: int
    name: str
    type: str
    """`counter`, `upDownCounter`, `gauge`, `histogram` or `summary`."""
    unit: str = ""
    description: str = ""
    delta: bool = False
    """The value counts since the point before, not since the start."""
    start_ns: int = 0
    """Where the series began to count; 0: not told."""
    value: float | None = None
    """Sum of a histogram or summary; None: not told."""
    count: int | None = None
    """Observations of a histogram or summary."""
    bounds: list[float] = []
    counts: list[int] = []
    attributes: Attributes = {}
    resource: Attributes = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a replica's output has been read."""

    replica_id: str
    workload_id: str
    proton_id: str
    path: str
    offset: int
    """Bytes of whole lines."""
    ended: bool = False
    """Nothing more will come."""
    gone: bool = False
    """Its file is not there any more: forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one workload that are written together, or not at all."""

    workload_id: str
    size: int
    """Bytes as they came; what the queue is bounded by."""
    logs: list[LogRecord] = field(default_factory=list)
    spans: list[SpanRecord] = field(default_factory=list)
    points: list[MetricPoint] = field(default_factory=list)
    position: Position | None = None


def to_json(value: object) -> str:
    """JSON of attributes, bounded: what is too long is replaced by a note that says so."""
    text = msgspec.json.encode(value).decode()
    if len(text) <= MAX_TEXT:
        return text
    return json.dumps({"tidegate.cut": f"{len(text)} characters, more than {MAX_TEXT}"})


def cut(text: str) -> str:
    """A text of bounded length; what it lost is said at its end."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT} characters cut)"
