"""What gateway workers say of sampled requests: one span each, for the telemetry store."""

import msgspec


class GatewaySpan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One request through the gateway, in OpenTelemetry's words. Times are epoch nanoseconds."""

    workload_id: str
    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    parent_span_id: str = ""
    """The client's span; empty: the trace begins here."""
    name: str
    start_ns: int
    duration_ns: int
    error: bool = False
    message: str = ""
    """What went wrong."""
    attributes: dict[str, str | int | float | bool] = {}


class SpanNews(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Spans of one gateway worker."""

    worker_id: str
    spans: list[GatewaySpan]
