"""What the gateway needs of a message's head, without how it is read (`core.framing`)."""

from typing import Final

from gateway.core.routing import Target

BODY_NONE: Final = 0
BODY_FIXED: Final = 1
BODY_CHUNKED: Final = 2
BODY_TO_CLOSE: Final = 3
"""How the end of a body is told (RFC 9112 section 6)."""


class RequestHead:
    """What the gateway needs of a request's head. `lines` go on to the replica as they came."""

    __slots__ = (
        "api_key",
        "authorization",
        "body",
        "close",
        "content_length",
        "expect",
        "forwarded",
        "host",
        "invoke",
        "keep_alive",
        "lines",
        "method",
        "minor",
        "named",
        "prefix",
        "request_id",
        "target",
        "traceparent",
        "upgrade",
        "upgrading",
    )

    def __init__(self, method: bytes, target: bytes, minor: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.lines: list[bytes] = []
        self.host: bytes | None = None
        self.body = BODY_NONE
        self.content_length: int | None = None
        self.keep_alive = False
        self.close = False
        self.named: list[bytes] | None = None
        self.expect = False
        self.upgrade: bytes | None = None
        self.upgrading = False
        self.authorization: bytes | None = None
        self.api_key: bytes | None = None
        self.request_id: bytes | None = None
        self.traceparent: bytes | None = None
        self.invoke: Target | None = None
        """The target taken apart; None: no invoke URL."""
        self.prefix = b""
        """The head as the replica sees it, up to the lines that differ by request."""
        self.forwarded: list[bytes] | None = None


class ResponseHead:
    """What the gateway needs of a response's head. `lines` go on to the client as they came."""

    __slots__ = (
        "body",
        "close",
        "content_length",
        "keep_alive",
        "lines",
        "minor",
        "named",
        "prefix",
        "reason",
        "status",
        "upgrade",
        "upgrading",
    )

    def __init__(self, status: int, reason: bytes, minor: int) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.lines: list[bytes] = []
        self.body = BODY_NONE
        self.content_length: int | None = None
        self.keep_alive = False
        self.close = False
        self.named: list[bytes] | None = None
        self.upgrade: bytes | None = None
        self.upgrading = False
        self.prefix = b""
        """The head as an HTTP/1.1 client sees it, up to the lines that differ by request."""
