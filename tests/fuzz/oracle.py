"""Messages as a parser of another author (h11) reads them, and what our rewriting may change."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h11

from gateway.core.headers import CLAIMS, KINDS
from gateway.core.routing import read_target

Headers = list[tuple[bytes, bytes]]
_LARGE = 10**6
_FRAMING_TRAILER = re.compile(
    rb"(?<=\r\n)(?:content-length|transfer-encoding):[^\r\n]*\r\n", re.IGNORECASE
)
"""h11 judges these in trailers as it does in heads; for us they mean nothing there."""
_MAX_TRAILERS = 8

_OURS = frozenset({b"via", b"x-forwarded-prefix", *KINDS}) | {
    *(b"server-timing", b"x-cold", b"x-session", b"cookie", b"set-cookie"),  # of `stage.WORLDS`
}
"""Names that the gateway answers for itself; all other lines go through as they came."""


@dataclass
class Message:
    """A request or a response, as far as it came."""

    headers: Headers
    version: bytes
    method: bytes = b""
    target: bytes = b""
    status: int = 0
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    whole: bool = False
    broken: bool = False
    """The body is not well-formed."""
    rest: bytes = b""
    """What follows a whole message."""
    interim: list[int] = field(default_factory=list)

    def all(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]

    def plain(self) -> Headers:
        """The lines that mean nothing to a proxy."""
        named = b",".join(self.all(b"connection")).lower().replace(b" ", b"").replace(b"\t", b"")
        return [
            (name, value)
            for name, value in self.headers
            if name not in named.split(b",")
            and (dashed := name.replace(b"_", b"-")) not in _OURS
            and not dashed.startswith(CLAIMS)
        ]


def _read_body(reader: h11.Connection, message: Message) -> Message:
    try:
        while isinstance(event := reader.next_event(), h11.Data):
            message.body += event.data
    except h11.RemoteProtocolError:
        message.broken = True
        return message
    if isinstance(event, h11.EndOfMessage):
        message.whole = True
        message.trailers = list(event.headers)
        message.rest = reader.trailing_data[0]
    return message


def read_request(stream: bytes) -> Message | None:
    """The first request of a stream; None when its head is not whole, or refused."""
    message = _read_request(stream)
    if message is not None and message.broken:
        for cleaned in _without_framing_trailers(stream, heads=1):
            again = _read_request(cleaned)
            if again is not None and not again.broken:
                return again
    return message


def _without_framing_trailers(stream: bytes, *, heads: int) -> Iterator[bytes]:
    *before, body = stream.split(b"\r\n\r\n", heads)
    for count in range(1, min(_MAX_TRAILERS, 1 + len(_FRAMING_TRAILER.findall(body)))):
        yield b"\r\n\r\n".join([*before, _FRAMING_TRAILER.sub(b"", body, count=count)])


def _read_request(stream: bytes) -> Message | None:
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGE)
    server.receive_data(stream)
    try:
        event = server.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    return _read_body(
        server,
        Message(
            headers=list(event.headers),
            version=event.http_version,
            method=event.method,
            target=event.target,
        ),
    )


def read_requests(stream: bytes) -> list[Message]:
    """The requests of a stream, up to the first that is not whole or is refused."""
    found: list[Message] = []
    while stream:
        while stream.startswith(b"\r\n"):  # RFC 9112 section 2.2
            stream = stream[2:]
        message = read_request(stream)
        if message is None:
            break
        found.append(message)
        if not message.whole:
            break
        stream = message.rest
    return found


def read_response(
    stream: bytes, *, method: bytes, upgrading: bool = False, ended: bool = False
) -> Message | None:
    """The first final response of a stream; None when its head is refused.

    Its status is 0 as long as nothing but interim responses, or less, has come.

    Args:
        stream: What the server said.
        method: Of the request.
        upgrading: Whether the request asked for another protocol.
        ended: Whether the server has ended the connection in order.
    """
    message = _read_response(stream, method, upgrading=upgrading, ended=ended)
    if message is not None and message.broken:
        for cleaned in _without_framing_trailers(stream, heads=len(message.interim) + 1):
            again = _read_response(cleaned, method, upgrading=upgrading, ended=ended)
            if again is not None and not again.broken:
                return again
    return message


def _read_response(stream: bytes, method: bytes, *, upgrading: bool, ended: bool) -> Message | None:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGE)
    headers = [("Host", "h")]
    if upgrading:
        headers += [("Connection", "upgrade"), ("Upgrade", "p")]
    client.send(h11.Request(method=method, target="/", headers=headers))
    client.send(h11.EndOfMessage())
    interim: list[int] = []
    if stream:
        client.receive_data(stream)
    if ended:
        with contextlib.suppress(RuntimeError):
            client.receive_data(b"")
    try:
        event: Any = client.next_event()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            interim.append(event.status_code)
            event = client.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        return Message(headers=[], version=b"", interim=interim)
    message = Message(
        headers=list(event.headers),
        version=event.http_version,
        status=event.status_code,
        interim=interim,
    )
    if event.status_code == 101:
        message.whole = True
        message.rest = client.trailing_data[0]
        return message
    return _read_body(client, message)


def read_responses(
    stream: bytes, *, asked: list[tuple[bytes, bool]], ended: bool
) -> tuple[list[Message], bytes]:
    """The final responses of a stream in order, and what nobody can read of it.

    Args:
        stream: What the server said.
        asked: Method of each request, and whether it asked for another protocol; GET beyond them.
        ended: Whether the server has ended the connection in order.
    """
    found: list[Message] = []
    while stream:
        method, upgrading = asked[len(found)] if len(found) < len(asked) else (b"GET", False)
        message = read_response(stream, method=method, upgrading=upgrading, ended=ended)
        if message is None:
            return found, stream
        if not message.status:
            break
        found.append(message)
        if not message.whole or message.status == 101:
            break
        stream = message.rest
    return found, b""


def check_request_rewritten(meant: Message, seen: Message) -> None:
    """A replica's request is the client's: nothing lost, nothing added but what is ours."""
    assert seen.method == meant.method
    target = meant.target
    host = meant.all(b"host")
    if not target.startswith(b"/"):
        _, _, after = target.partition(b"://")
        authority = after.partition(b"/")[0].partition(b"?")[0]
        target = after[len(authority) :]
        host = [authority]
    invoke = read_target(target)
    assert invoke is not None, meant.target
    assert seen.target == invoke.path
    assert seen.version == b"1.1"
    assert seen.all(b"host") == ([b"localhost"] if host in ([], [b""]) else host)
    assert len(seen.all(b"content-length")) + len(seen.all(b"transfer-encoding")) <= 1
    if meant.all(b"transfer-encoding"):
        assert seen.all(b"transfer-encoding") == [b"chunked"]
    elif meant.all(b"content-length"):
        (length,) = {int(value) for value in meant.all(b"content-length")}
        assert [int(value) for value in seen.all(b"content-length")] == [length]
    else:
        assert not seen.all(b"content-length")
        assert not seen.all(b"transfer-encoding")
    assert len(seen.all(b"x-datarobot-user-id")) == 1
    assert len(seen.all(b"x-request-id")) == 1
    names = {name for name, _ in seen.headers}
    dashed = {n.replace(b"_", b"-") for n in names if b"_" in n}
    imitations = {n for n in dashed if n in KINDS or n.startswith(CLAIMS)}
    assert not imitations, imitations
    assert not names & {b"authorization", b"x-datarobot-api-key", b"x-datarobot-api-token"}
    assert not names & {b"proxy-connection", b"keep-alive", b"proxy-authorization"}
    assert seen.all(b"te") in ([], [b"trailers"])
    options = b",".join(seen.all(b"connection")).lower().replace(b" ", b"").split(b",")
    assert set(options) <= {b"", b"upgrade", b"te"}
    assert meant.plain() == seen.plain()


def check_response_rewritten(meant: Message, seen: Message) -> None:
    """A client's response is the replica's."""
    assert seen.status == meant.status
    assert seen.version == b"1.1"
    assert len(seen.all(b"x-request-id")) == 1
    assert not seen.all(b"x-tidegate-error")
    assert len(seen.all(b"content-length")) + len(seen.all(b"transfer-encoding")) <= 1
    assert meant.plain() == seen.plain()
