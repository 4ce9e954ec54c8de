"""The answers that the gateway makes itself: one table, one shape.

JSON, marked with `X-Tidegate-Error: <code>`, with the request id. Authentication answers carry
`{"message": ...}`, as the contract's clients expect on the invoke path; the others
`{"detail": ..., "code": ..., "requestId": ...}`.
"""

import math
from typing import Final

import msgspec

REASONS: Final[dict[int, bytes]] = {
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


class Answer(msgspec.Struct, frozen=True):
    """One kind of answer: status, code, and the sentence (what happened, what to do)."""

    status: int
    code: str
    detail: str


UNAUTHENTICATED: Final = Answer(401, "unauthenticated", "Invalid API key")
FORBIDDEN: Final = Answer(403, "forbidden", "You have no role on this workload: ask its owner.")
FORBIDDEN_TOKEN: Final = Answer(
    403, "forbidden", "This token may not invoke this workload: its scope or its list excludes it."
)
NO_ROUTE: Final = Answer(404, "no_route", "There is no such workload at this invoke URL.")
NO_INVOKE_URL: Final = Answer(
    404,
    "no_route",
    "This is not an invoke URL (/api/v2/endpoints/workloads/<id>/...); the API is on another port.",
)
NO_HOPS: Final = Answer(
    405, "method_not_allowed", "TRACE went as far as Max-Forwards lets it; it is not answered here."
)
NO_PROTON: Final = Answer(404, "no_route", "The workload has no proton with this protonId.")
STOPPED: Final = Answer(503, "workload_stopped", "The workload is stopped: start it first.")
ERRORED: Final = Answer(
    503, "workload_errored", "The workload cannot run: its statusDetails say why."
)
QUEUE_FULL: Final = Answer(503, "queue_full", "All replicas are busy and the queue is full.")
OVERLOADED: Final = Answer(
    503, "overloaded", "The gateway is full, and more important workloads go first."
)
COLD_START_TIMEOUT: Final = Answer(
    504, "cold_start_timeout", "No replica became free or ready in time."
)
UNREACHABLE: Final = Answer(502, "replica_unreachable", "No connection to a replica succeeded.")
RESET: Final = Answer(
    502, "replica_reset", "The replica closed the connection before it had answered."
)
BAD_RESPONSE: Final = Answer(502, "replica_malformed", "The replica's answer is not valid HTTP.")
REPLICA_TIMEOUT: Final = Answer(504, "replica_timeout", "The replica did not answer in time.")
DRAINING: Final = Answer(503, "gateway_stopping", "The gateway is shutting down: try again.")
BODY_TOO_LARGE: Final = Answer(413, "body_too_large", "The request body exceeds the limit.")
REQUEST_TIMEOUT: Final = Answer(
    504, "request_timeout", "The request took longer than its workload allows."
)
CONNECTIONS: Final = Answer(
    429, "too_many_connections", "This address has too many connections open: reuse them."
)
GATEWAY_FULL: Final = Answer(
    503, "too_many_connections", "The gateway has no room for another connection: try again."
)
HEAD_TIMEOUT: Final = Answer(408, "head_timeout", "The request head did not arrive in time.")
BODY_TIMEOUT: Final = Answer(408, "body_timeout", "The request body stopped arriving.")

_CODES: Final[dict[int, str]] = {
    400: "bad_request",
    405: "method_not_allowed",
    414: "target_too_long",
    431: "head_too_large",
    501: "not_implemented",
    505: "version_not_supported",
}


def bad_request(status: int, rule: str) -> Answer:
    """The answer to a message that broke `rule`."""
    return Answer(status, _CODES[status], rule)


METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"
"""For `Allow`: any other method is passed on as well, CONNECT never."""


def retry_after_s(
    *, cold_start_p90_s: float | None, default_s: float = 5.0, at_most_s: float = 300.0
) -> int:
    """Seconds for Retry-After, from the proton's own cold starts where it had any."""
    wait_s = default_s if cold_start_p90_s is None else cold_start_p90_s
    return max(1, math.ceil(min(wait_s, at_most_s)))


def render(
    answer: Answer,
    *,
    request_id: bytes,
    date_line: bytes,
    close: bool,
    retry_after: int | None = None,
    head_only: bool = False,
) -> bytes:
    """The whole response.

    Args:
        answer: What to say.
        request_id: Echoed in the header and the body.
        date_line: The Date header with its CRLF.
        close: Whether the connection ends with this answer.
        retry_after: Seconds, where waiting helps.
        head_only: The request was a HEAD.
    """
    if answer.status in {401, 403}:
        body = msgspec.json.encode({"message": answer.detail})
    else:
        body = msgspec.json.encode(
            {
                "detail": answer.detail,
                "code": answer.code,
                "requestId": request_id.decode("ascii", "replace"),
            }
        )
    lines = [
        b"HTTP/1.1 %d %b" % (answer.status, REASONS[answer.status]),
        date_line[:-2],
        b"Cache-Control: no-store",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"X-Tidegate-Error: " + answer.code.encode(),
        b"X-Request-Id: " + request_id,
    ]
    if answer.status == 401:  # noqa: PLR2004
        lines.append(b"WWW-Authenticate: Bearer")  # RFC 9110 section 11.6.1: a 401 must
    if answer.status == 405:  # noqa: PLR2004
        lines.append(b"Allow: " + METHODS)  # RFC 9110 section 15.5.6: a 405 must
    if retry_after is not None:
        lines.append(b"Retry-After: %d" % retry_after)
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head_only else body)


def options(*, request_id: bytes, date_line: bytes, close: bool) -> bytes:
    """The answer to `OPTIONS *`: what the gateway itself can do (RFC 9110 section 9.3.7)."""
    lines = [b"HTTP/1.1 200 OK", date_line[:-2], b"Allow: " + METHODS, b"Content-Length: 0"]
    lines.append(b"X-Request-Id: " + request_id)
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"
