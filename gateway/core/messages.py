"""What the gateway needs of a message's head, without how it is read (`core.framing`)."""

from typing import Final

from gateway.core.routing import Target

BODY_NONE: Final = 0
BODY_FIXED: Final = 1
BODY_CHUNKED: Final = 2
BODY_TO_CLOSE: Final = 3
"""How the end of a body is told (RFC 9112 section 6)."""


class RequestHead:
    """What the gateway needs of a request's head. `lines` go on to the replica as they came.

    Defaults stand on the class: most heads leave most of them, and setting twenty attributes for
    each would cost a microsecond.
    """

    host: bytes | None = None
    body = BODY_NONE
    content_length: int | None = None
    keep_alive = False
    close = False
    named: list[bytes] | None = None
    upgrade: bytes | None = None
    upgrading = False
    trailers = False
    """The client takes trailers (`TE: trailers`)."""
    max_forwards: int | None = None
    authorization: bytes | None = None
    api_key: bytes | None = None
    request_id: bytes | None = None
    traceparent: bytes | None = None
    """The client's, if it is valid."""
    tracestate: list[bytes] | None = None
    forwarded: list[bytes] | None = None
    invoke: Target | None = None
    """The target taken apart; None: no invoke URL."""
    prefix = b""
    """The head as the replica sees it, up to the lines that differ by request."""

    def __init__(self, method: bytes, target: bytes, minor: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.lines: list[bytes] = []


class ResponseHead:
    """What the gateway needs of a response's head. `lines` go on to the client as they came."""

    body = BODY_NONE
    content_length: int | None = None
    keep_alive = False
    close = False
    named: list[bytes] | None = None
    upgrade: bytes | None = None
    upgrading = False
    dated = False
    prefix = b""
    """The head as an HTTP/1.1 client sees it, up to the lines that differ by request."""

    def __init__(self, status: int, reason: bytes, minor: int) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.lines: list[bytes] = []
