"""From a line that a replica wrote to a log record: JSON fields where there are any, else text."""

from datetime import datetime
from typing import Any, Final

import msgspec

from controlplane.telemetry import levels
from controlplane.telemetry.records import Attributes, LogRecord, cut

_MESSAGE: Final = ("message", "msg", "event", "text", "body")
_LEVEL: Final = ("level", "levelname", "severity", "severity_text", "lvl", "log.level")
_TIME: Final = ("timestamp", "time", "ts", "@timestamp", "asctime", "datetime")
_TRACE: Final = ("trace_id", "traceId", "otelTraceID", "trace.id", "traceid")
_SPAN: Final = ("span_id", "spanId", "otelSpanID", "span.id", "spanid")
_STACK: Final = ("stacktrace", "exc_info", "exception", "stack_info", "stack", "error.stack_trace")

_TRACE_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16
_NS: Final = 1_000_000_000
_DAY_NS: Final = 24 * 3600 * _NS
_UNITS: Final = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (1e8, _NS))
"""A number above the first is a time in a unit of that many nanoseconds."""


def read_line(line: str, *, time_ns: int, resource: Attributes) -> LogRecord:
    """A log record for a line.

    Args:
        line: Without its end.
        time_ns: When it was read: the record's time, where the line says none that can be.
        resource: Who wrote it.
    """
    if line.startswith("{"):
        try:
            fields = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            fields = None
        if isinstance(fields, dict):
            return _structured(fields, line, time_ns=time_ns, resource=resource)
    return LogRecord(
        time_ns=time_ns, severity=levels.guess(line), message=cut(line), resource=resource
    )


def _structured(
    fields: dict[str, Any], line: str, *, time_ns: int, resource: Attributes
) -> LogRecord:
    rest = dict(fields)
    message = _take(rest, _MESSAGE)
    severity = levels.severity_of(_take(rest, _LEVEL))
    said_ns = _time(_take(rest, _TIME))
    if said_ns is None or abs(said_ns - time_ns) > _DAY_NS:
        said_ns = time_ns
    stack = _take(rest, _STACK)
    return LogRecord(
        time_ns=said_ns,
        severity=levels.INFO if severity is None else severity,
        message=cut(line if message is None else _text(message)),
        stacktrace=None if not stack else cut(_text(stack)),
        trace_id=_digits(_take(rest, _TRACE), _TRACE_DIGITS),
        span_id=_digits(_take(rest, _SPAN), _SPAN_DIGITS),
        attributes=rest if message is not None else {},
        resource=resource,
    )


def _take(fields: dict[str, Any], names: tuple[str, ...]) -> object:
    for name in names:
        if name in fields:
            return fields.pop(name)
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _digits(value: object, length: int) -> str:
    """A trace or span id; empty where it is none, or all zeros, which means none."""
    text = value.lower() if isinstance(value, str) else ""
    valid = len(text) == length and text.strip("0") and not text.strip("0123456789abcdef")
    return text if valid else ""


def _time(value: object) -> int | None:
    """Epoch nanoseconds of a time as loggers write it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        for above, unit_ns in _UNITS:
            if value > above:
                return int(value * unit_ns)
        return None
    if not isinstance(value, str):
        return None
    try:
        # Without a zone it is local time, as loggers write it; replicas are on this machine.
        return int(datetime.fromisoformat(value.replace(",", ".")).timestamp() * 1_000_000) * 1000
    except (OverflowError, ValueError):
        return None
