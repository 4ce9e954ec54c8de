"""What the gateway accepts, a parser of another author reads the same way."""

import h11
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.core.framing import FramingError
from gateway.core.messages import BODY_CHUNKED, BODY_FIXED, RequestHead
from gateway.net.heads import Heads
from tests.unit.gateway.net.generated import CHUNKED, LINES, heads

BODY = {BODY_CHUNKED: b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", BODY_FIXED: b"abcde"}
NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"


def accepted(raw: bytes) -> RequestHead | None:
    try:
        return Heads(max_headers=20).request(raw)
    except FramingError:
        event("refused")
        return None


def body_of(head: RequestHead) -> bytes:
    return BODY.get(head.body, b"")[: head.content_length]


def pairs(head_lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    split = (line.partition(b":") for line in head_lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in split]


@settings(max_examples=200)
@given(raw=heads())
def test_accepted_requests_are_the_same_to_another_parser(raw):
    head = accepted(raw)
    if head is None:
        return
    event(f"accepted, body {head.body}")
    server = h11.Connection(h11.SERVER)
    server.receive_data(raw + body_of(head) + NEXT)
    request = server.next_event()
    assert isinstance(request, h11.Request)

    method, target, version = raw.partition(b"\r\n")[0].split(b" ")
    assert (request.method, request.target) == (method, target)
    assert head.method == method
    assert target.endswith(head.target.removeprefix(b"/"))
    assert request.http_version == version.removeprefix(b"HTTP/") == b"1.%d" % head.minor
    headers = list(request.headers)
    position = 0
    for pair in pairs(head.lines):  # in the same order, and none of our own making
        position = headers.index(pair, position) + 1

    size = 0
    while isinstance(read := server.next_event(), h11.Data):
        size += len(read.data)
    assert isinstance(read, h11.EndOfMessage)
    assert size == {BODY_CHUNKED: 3, BODY_FIXED: head.content_length}.get(head.body, 0)
    assert server.trailing_data[0] == NEXT
    if head.minor and b"upgrade" not in dict(headers):
        assert head.keep_alive is (server.their_state is h11.DONE)


@settings(max_examples=200)
@given(raw=heads())
def test_what_replicas_get_of_accepted_requests_is_one_request(raw):
    head = accepted(raw)
    if head is None or head.invoke is None:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(head.prefix + b"X-DataRobot-User-Id: u\r\n\r\n" + body_of(head) + NEXT)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (head.method, head.invoke.path)
    assert request.http_version == b"1.1"
    names = [name for name, _ in request.headers]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert names.count(b"x-datarobot-user-id") == 1
    assert not {b"authorization", b"proxy-connection", b"x-forwarded-for"} & set(names)
    assert not {b"transfer_encoding", b"content_length", b"x_datarobot_user_id"} & set(names)

    payload = b""
    while isinstance(read := server.next_event(), h11.Data):
        payload += read.data
    assert isinstance(read, h11.EndOfMessage)
    assert payload == (b"abc" if head.body == BODY_CHUNKED else body_of(head))
    assert server.trailing_data[0] == NEXT


@given(
    start=st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 X", b"HTTP/1.1 304"]
    ),
    framing=st.sampled_from([b"Content-Length: 5", CHUNKED, b"X-None: 1", b"Content-Length: 0"]),
    more=st.lists(st.one_of(LINES[False], LINES[False], LINES[True]), max_size=3),
    method=st.sampled_from([b"GET", b"HEAD"]),
)
def test_accepted_responses_are_the_same_to_another_parser(start, framing, more, method):
    raw = b"\r\n".join([start, framing, *more]) + b"\r\n\r\n"
    raw = raw[: raw.index(b"\r\n\r\n") + 4]
    try:
        head = Heads(max_headers=20).response(raw, method=method)
    except FramingError:
        event("refused")
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    body = BODY.get(head.body, b"")[: head.content_length] if head.body else b""
    client.receive_data(raw + body + NEXT)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == head.status
    if not head.keep_alive and head.body not in BODY:
        return  # a body up to the end of the connection, or none: nothing may follow
    while isinstance(read := client.next_event(), h11.Data):
        pass
    assert isinstance(read, h11.EndOfMessage)
    assert client.trailing_data[0] == NEXT
