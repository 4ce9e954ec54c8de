"""Heads as the other side will see them: the part that follows from the head alone.

What differs between two requests with the same head (request id, caller) is appended by the
shell; everything else is composed here once and remembered with the head.
"""

from gateway.core.messages import BODY_CHUNKED, BODY_NONE, BODY_TO_CLOSE, RequestHead, ResponseHead


def request_prefix(head: RequestHead, path: bytes, *, stripped: bytes = b"") -> bytes:
    """The request line and all lines that only depend on the head; ends with CRLF.

    Args:
        head: The request.
        path: The target as the replica gets it.
        stripped: What was taken off the front of the path: applications that build links need it.
    """
    lines = [b"%b %b HTTP/1.1" % (head.method, path), b"Host: " + (head.host or b"localhost")]
    lines += head.lines
    if head.body == BODY_CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif head.content_length is not None:
        lines.append(b"Content-Length: %d" % head.content_length)
    if head.upgrade is not None:
        te = b"TE, " if head.trailers else b""
        lines.append(b"Connection: %bUpgrade\r\nUpgrade: %b" % (te, head.upgrade))
    elif head.trailers:
        lines.append(b"Connection: TE")
    if head.trailers:
        lines.append(b"TE: trailers")
    if head.max_forwards is not None:
        lines.append(b"Max-Forwards: %d" % (head.max_forwards - 1))
    # RFC 9110 section 7.6.3: a gateway must say so towards the application
    lines.append(b"Via: 1.%d tidegate" % head.minor)
    if stripped:
        lines.append(b"X-Forwarded-Prefix: " + stripped)
    lines.append(b"")
    return b"\r\n".join(lines)


def response_prefix(head: ResponseHead, *, client_minor: int) -> bytes:
    """The status line and all lines that only depend on the head; ends with CRLF.

    Args:
        head: The final response's head.
        client_minor: 1 for an HTTP/1.1 client, which takes bodies of unknown length in chunks;
            0 for HTTP/1.0, where the connection's end tells.
    """
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *head.lines]
    if head.status == 426 and head.upgrade is not None:  # noqa: PLR2004
        # RFC 9110 section 15.5.22: it must name what to upgrade to
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + head.upgrade)
    if head.body in {BODY_CHUNKED, BODY_TO_CLOSE}:
        if client_minor:
            lines.append(b"Transfer-Encoding: chunked")
    elif head.content_length is not None and (head.body != BODY_NONE or _may_say_length(head)):
        lines.append(b"Content-Length: %d" % head.content_length)
    lines.append(b"")
    return b"\r\n".join(lines)


def _may_say_length(head: ResponseHead) -> bool:
    """RFC 9110 section 8.6: no Content-Length in 1xx and 204; elsewhere it is information."""
    return head.status != 204 and head.status >= 200  # noqa: PLR2004


def interim(head: ResponseHead) -> bytes:
    """A whole 1xx head (RFC 9110 section 15.2)."""
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *head.lines]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def switching(head: ResponseHead, request_id: bytes) -> bytes:
    """A whole 101 head: the tunnel begins after it (RFC 9110 section 7.8)."""
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *head.lines]
    lines.append(b"Connection: Upgrade\r\nUpgrade: " + (head.upgrade or b""))
    lines.append(b"X-Request-Id: " + request_id)
    return b"\r\n".join(lines) + b"\r\n\r\n"
