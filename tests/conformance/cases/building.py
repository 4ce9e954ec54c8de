"""How cases are put together: requests, answers, and the shapes that most cases have."""

from typing import Any

from tests.conformance.script import (
    PASS,
    Answered,
    Case,
    Check,
    Send,
    Step,
    Transcript,
    Turn,
    Verdict,
    Whole,
    fail,
)
from tests.conformance.verdicts import every, finals, readable


def request(
    *lines: bytes,
    method: bytes = b"GET",
    target: bytes = b"{P}/case",
    version: bytes = b"HTTP/1.1",
    host: bytes | None = b"Host: h",
    body: bytes = b"",
) -> bytes:
    """A request's bytes."""
    return raw(b"%b %b %b" % (method, target, version), *lines, host=host, body=body)


def raw(first: bytes, *lines: bytes, host: bytes | None = b"Host: h", body: bytes = b"") -> bytes:
    """A request with any first line."""
    head = [first, *([host] if host is not None else [])]
    rest = b"".join(line + b"\r\n" for line in lines)
    return b"\r\n".join(head) + b"\r\n{A}" + rest + b"\r\n" + body


def post(*lines: bytes, body: bytes = b"", **more: Any) -> bytes:
    """A POST; its framing is among the lines."""
    return request(*lines, method=b"POST", body=body, **more)


AFTER = request(target=b"{P}/after")
"""Sent behind a case's request: shows where the proxy thinks that it ended."""

HIDDEN = request(target=b"{P}/hidden")
"""What an attacker would like to get past the proxy inside another request."""

CHUNKED = b"Transfer-Encoding: chunked"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def sent(case_id: str, section: str, title: str, data: bytes, check: Check, **more: Any) -> Case:
    """A request with `/after` in the same write."""
    more.setdefault("answers", 2)
    return Case(
        id=case_id,
        section=section,
        title=title,
        client=(Send(data + AFTER),),
        check=check,
        **more,
    )


def alone(case_id: str, section: str, title: str, data: bytes, check: Check, **more: Any) -> Case:
    """A request with nothing behind it."""
    return Case(id=case_id, section=section, title=title, client=(Send(data),), check=check, **more)


def answer(
    *lines: bytes, status: bytes = b"200 OK", body: bytes = b"", version: bytes = b"HTTP/1.1"
) -> bytes:
    """A response's bytes; its framing is among the lines."""
    head = b"%b %b\r\n" % (version, status)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def fixed(body: bytes, *lines: bytes, status: bytes = b"200 OK", **more: Any) -> bytes:
    """A response with its Content-Length."""
    return answer(*lines, b"Content-Length: %d" % len(body), status=status, body=body, **more)


def replied(data: bytes, *then: Step) -> Turn:
    """The origin reads the whole request and answers with these bytes."""
    return (Whole(), Send(data), *then)


def in_step(seen: Transcript) -> Verdict:
    """After the first answer the next request got its own, or the connection had ended."""
    if (verdict := readable(seen)) is not PASS:
        return verdict
    answers, _ = finals(seen)
    rest = answers[1:]
    if not rest:
        return fail("the next request has no answer") if seen.client_end == "open" else PASS
    if rest[0].status == 502 and rest[0].complete:
        return PASS
    if (rest[0].status, rest[0].body) != (200, b"/after"):
        return fail(
            f"the next request got {rest[0].status} `{rest[0].body[:30].decode('latin-1')}`"
        )
    return PASS


def response(
    case_id: str,
    section: str,
    title: str,
    turn: bytes | Turn,
    check: Check,
    *,
    method: bytes = b"GET",
    lines: tuple[bytes, ...] = (),
    version: bytes = b"HTTP/1.1",
) -> Case:
    """The origin's first answer is this; then the client asks for `/after`."""
    first = request(*lines, method=method, version=version)
    return Case(
        id=case_id,
        section=section,
        title=title,
        client=(Send(first), Answered(1), Send(AFTER)),
        turns=(replied(turn) if isinstance(turn, bytes) else turn,),
        check=every(check, in_step),
        answers=2,
        methods=(method.decode(), "GET"),
    )
