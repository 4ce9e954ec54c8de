"""OTLP requests (opentelemetry-proto 1.x): decode, take apart, answer. No I/O.

    encoding  content type              ids
    --------  ------------------------  --------------------------------------------
    protobuf  application/x-protobuf    bytes
    JSON      application/json          hexadecimal, where protobuf's own JSON has base64

What cannot be kept is counted, and told to the sender as a partial success: such records must not
be sent again. Errors are protobuf `Status` messages, as the specification asks.
"""

import base64
import json
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from controlplane.telemetry.otlp_records import Taken, take_logs, take_metrics, take_spans

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Largest request body as it comes; the SDKs' own batches are a tenth of it."""
MAX_DECODED_BYTES: Final = 16 * 1024 * 1024
"""Largest body after decompression."""
MAX_JSON_BYTES: Final = 2 * 1024 * 1024
"""The same of a JSON body: to decode it costs some twenty times as much as protobuf."""


class Signal(StrEnum):
    """What a request carries; the end of its path."""

    LOGS = "logs"
    TRACES = "traces"
    METRICS = "metrics"


class OtlpError(Exception):
    """A request that is refused whole."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        """With it, the sender may send the same again."""


_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
_RESPONSES: Final[dict[Signal, tuple[type[Message], str]]] = {
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
}
_TAKERS: Final[dict[Signal, Callable[[Any, int], Taken]]] = {
    Signal.LOGS: take_logs,
    Signal.TRACES: take_spans,
    Signal.METRICS: take_metrics,
}
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


def read(signal: Signal, body: bytes, *, kind: str, now_ns: int) -> Taken:
    """The records of a request. Takes milliseconds for large ones: call it in a thread.

    Args:
        signal: Which of the three.
        body: Without its compression.
        kind: `PROTOBUF` or `JSON`.
        now_ns: When it came: the time of records that say none that can be.

    Raises:
        OtlpError: 400.
    """
    request = _decode(signal, body, as_json=kind == JSON)
    return _TAKERS[signal](request, now_ns)


def max_inflated(kind: str) -> int:
    """Largest body of a media type after decompression, bytes."""
    return MAX_JSON_BYTES if kind == JSON else MAX_DECODED_BYTES


def inflate(body: bytes, encoding: str, *, kind: str) -> bytes:
    """A body without its compression.

    Args:
        body: As it came.
        encoding: Its Content-Encoding: `gzip`, `identity` or empty.
        kind: `PROTOBUF` or `JSON`.

    Raises:
        OtlpError: 415 for another compression, 400 for a broken one, 413 for what grows too large.
    """
    limit = max_inflated(kind)
    if encoding.strip().lower() in {"", "identity"}:
        if len(body) > limit:
            raise _too_large(limit, kind)
        return body
    if encoding.strip().lower() != "gzip":
        raise OtlpError(415, f"Content-Encoding {encoding[:40]!r} is not read here: use gzip.")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as exc:
        raise OtlpError(400, f"The body is not gzip: {exc}.") from exc
    if len(plain) > limit:
        raise _too_large(limit, kind)
    if not inflater.eof:
        raise OtlpError(400, "The gzip body ends too early.")
    return plain


def _too_large(limit: int, kind: str) -> OtlpError:
    way = "send protobuf, or smaller batches" if kind == JSON else "send smaller batches"
    return OtlpError(413, f"The body is larger than {limit} bytes when inflated: {way}.")


def answer(signal: Signal, *, rejected: int, reason: str, kind: str) -> bytes:
    """The body of a 200: empty where all was kept, else how much was not, and why."""
    cls, field = _RESPONSES[signal]
    response: Any = cls()
    if rejected:
        setattr(response.partial_success, field, rejected)
        response.partial_success.error_message = reason
    if kind == JSON:
        return json_format.MessageToJson(response, indent=None).encode()
    return bytes(response.SerializeToString())


def error(message: str, *, kind: str) -> bytes:
    """The body of a 4xx or 5xx: `google.rpc.Status` with its message only."""
    if kind == JSON:
        return json.dumps({"message": message}).encode()
    text = message.encode()
    return b"\x12" + _varint(len(text)) + text  # field 2, length-delimited


def _decode(signal: Signal, body: bytes, *, as_json: bool) -> Message:
    request = _REQUESTS[signal]()
    try:
        if as_json:
            tree = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
            json_format.ParseDict(_with_base64_ids(tree), request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(body)
    except (DecodeError, json_format.ParseError, msgspec.DecodeError) as exc:
        raise OtlpError(400, f"The body is not an OTLP {signal} request: {exc}"[:500]) from exc
    except (RecursionError, ValueError, TypeError, AttributeError) as exc:
        raise OtlpError(400, f"The body is not an OTLP {signal} request.") from exc
    return request


def _with_base64_ids(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Ids as protobuf's JSON reads them. What is not hexadecimal becomes empty, and is refused."""
    if isinstance(value, dict):
        return {
            key: _base64(item) if key in _IDS else _with_base64_ids(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    return value


def _base64(value: object) -> str:
    try:
        return base64.b64encode(bytes.fromhex(value if isinstance(value, str) else "")).decode()
    except ValueError:
        return ""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
