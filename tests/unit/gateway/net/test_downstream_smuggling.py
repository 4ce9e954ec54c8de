"""Whatever bytes a client sends: replicas see only requests that the gateway has judged."""

import asyncio
from typing import NamedTuple

import h11
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from controlplane.model.sections import GatewaySettings
from gateway.core import exchange as exchange_module
from gateway.core.routing import read_target
from gateway.net.access_log import AccessLog
from gateway.net.callers import Identity
from gateway.net.dispatcher import Dispatcher
from gateway.net.downstream import DownstreamProtocol
from gateway.net.endpoints import Endpoint, ProtonRoute, WorkloadRoute
from gateway.net.flow import Exchange
from gateway.net.upstream import UpstreamProtocol
from gateway.net.worker import Worker
from tests.fakes.virtual_time import run_virtual
from tests.unit.gateway.net.generated import INVOKE, WORKLOAD, streams

pytestmark = pytest.mark.skipif(
    "_native" in str(exchange_module.__file__), reason="needs interpreted classes for its fakes"
)

CREDENTIALS = b"Authorization: Bearer t"


class Seen(NamedTuple):
    """A request as a server of another author understands it."""

    method: bytes
    path: bytes
    body: bytes
    headers: list[tuple[bytes, bytes]]


class Wire(asyncio.Transport):
    """A transport whose other end never stalls; closing is heard in the next iteration."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__(extra={"peername": ("127.0.0.1", 1)})
        self.protocol = protocol
        self.written = b""
        self.closing = False

    def write(self, data) -> None:
        assert not self.closing
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class ReplicaWire(Wire):
    """A replica that reads with h11 and answers every whole request; doubt is an error."""

    def __init__(self, protocol: UpstreamProtocol, log: list[Seen]) -> None:
        super().__init__(protocol)
        self.log = log
        self.server = h11.Connection(h11.SERVER)
        self.request: h11.Request | None = None
        self.body = b""

    def write(self, data) -> None:
        super().write(data)
        self.server.receive_data(data)
        while True:
            read = self.server.next_event()  # raises where h11 sees no valid request
            if isinstance(read, h11.Request):
                self.request, self.body = read, b""
            elif isinstance(read, h11.Data):
                self.body += read.data
            elif isinstance(read, h11.EndOfMessage):
                self._answer()
            else:
                return

    def _answer(self) -> None:
        request, server = self.request, self.server
        assert request is not None
        self.log.append(Seen(request.method, request.target, self.body, list(request.headers)))
        wire = server.send(h11.Response(status_code=200, headers=[("Content-Length", "2")]))
        wire += server.send(h11.Data(data=b"ok" if request.method != b"HEAD" else b""))
        wire += server.send(h11.EndOfMessage())
        server.start_next_cycle()
        asyncio.get_running_loop().call_soon(self._deliver, wire)

    def _deliver(self, wire: bytes) -> None:
        if not self.closing:
            self.protocol.data_received(wire)


class KnownRoutes:
    """One workload, one proton, one caller."""

    def __init__(self, proton: ProtonRoute) -> None:
        route = WorkloadRoute("w", (proton,), frozenset({"user-1"}))
        self.workloads = {WORKLOAD: route}
        self.deployments: dict[bytes, bytes] = {}
        self.protons = {proton.id: proton}
        self.on_progress = None
        self.callers = self

    def authenticate(self, credentials: bytes | None) -> Identity | None:
        if credentials == b"Bearer t":
            return Identity(user_id="user-1", admin=False, expires_at=None)
        return None


class NearDispatcher(Dispatcher):
    """Replicas are next door: connecting succeeds at once."""

    log: list[Seen]

    def connect(self, exchange: Exchange, endpoint: Endpoint) -> None:
        upstream = UpstreamProtocol(self.worker, endpoint)
        upstream.connection_made(ReplicaWire(upstream, self.log))
        exchange.send(upstream, self.worker.monotonic())


async def serve(parts: list[bytes]) -> tuple[list[Seen], bytes, ProtonRoute]:
    """Send parts over one connection: what replicas saw, what the client got, the counters."""
    worker = Worker(GatewaySettings(), worker_id="w1", access_log=AccessLog("off"))
    proton = ProtonRoute("p", "w", now_s=worker.monotonic())
    proton.weight = 100
    endpoint = Endpoint("r1", "127.0.0.1", 1, limit=10, proton=proton)
    endpoint.routable = True
    proton.endpoints["r1"] = endpoint
    proton.refresh()
    loop = asyncio.get_running_loop()
    dispatcher = NearDispatcher(worker, KnownRoutes(proton), loop, on_wait=lambda _: None)  # type: ignore[arg-type]
    dispatcher.log = []
    client = DownstreamProtocol(dispatcher)
    wire = Wire(client)
    client.connection_made(wire)
    for part in parts:
        if not wire.closing:
            client.data_received(part)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    wire.close()
    await asyncio.sleep(0.001)
    assert endpoint.in_flight == 0
    dispatcher.close()
    return dispatcher.log, wire.written, proton


def read_by_h11(stream: bytes) -> list[Seen]:
    """The requests of a stream as h11 sees them, up to the first that it refuses."""
    found = []
    while stream:
        while stream.startswith(b"\r\n"):
            stream = stream[2:]
        server = h11.Connection(h11.SERVER)
        server.receive_data(stream)
        try:
            request = server.next_event()
            if not isinstance(request, h11.Request):
                break
            body = b""
            while isinstance(read := server.next_event(), h11.Data):
                body += read.data
        except h11.RemoteProtocolError:
            break
        if not isinstance(read, h11.EndOfMessage):
            break
        found.append(Seen(request.method, request.target, body, list(request.headers)))
        stream = server.trailing_data[0]
    return found


def meant_for_the_replica(seen: Seen) -> bool:
    target = read_target(seen.path.removeprefix(b"http://h"))
    return (
        target is not None
        and target.id == WORKLOAD
        and target.pin in {None, b"p"}
        and (b"authorization", b"Bearer t") in seen.headers
    )


@settings(max_examples=120)
@given(stream=streams(credentials=CREDENTIALS), data=st.data())
def test_replicas_get_exactly_the_requests_of_the_client_or_fewer(stream, data):
    parts, left = [], stream
    whole = data.draw(st.booleans())
    while left:
        size = len(left) if whole else data.draw(st.integers(1, len(left)))
        parts.append(left[:size])
        left = left[size:]
    seen, written, proton = run_virtual(serve(parts))

    sent = [request for request in read_by_h11(stream) if meant_for_the_replica(request)]
    event(f"{len(seen)} of {len(sent)} requests went on")
    assert len(seen) <= len(sent)
    for got, meant in zip(seen, sent, strict=False):
        target = read_target(meant.path.removeprefix(b"http://h"))
        assert target is not None
        assert (got.method, got.path, got.body) == (meant.method, target.path, meant.body)
        names = [name for name, _ in got.headers]
        assert names.count(b"x-datarobot-user-id") == 1
        assert (b"x-datarobot-user-id", b"user-1") in got.headers
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        assert not {b"authorization", b"proxy-connection", b"content_length"} & set(names)
        assert b"6.6.6.6" not in dict(got.headers)[b"x-forwarded-for"]
    meter = proton.meter
    assert meter.started == sum(meter.finished)
    assert (meter.in_flight, meter.queued) == (0, 0)
    ours = written.count(b"\r\nAllow: ")  # OPTIONS that asks about the gateway itself
    assert written.count(b"HTTP/1.1 200 ") - ours <= len(seen)


def test_a_plain_pipeline_goes_through_whole():
    """The property above is not empty: nothing is refused without need."""
    one = b"POST " + INVOKE + b"/a HTTP/1.1\r\nHost: h\r\n" + CREDENTIALS
    stream = one + b"\r\nContent-Length: 2\r\n\r\nab"
    stream += one + b"\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\ncd\r\n0\r\nX-Sum: 1\r\n\r\n"
    stream += one.replace(b"POST", b"HEAD") + b"\r\n\r\n"
    for parts in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        seen, written, _ = run_virtual(serve(parts))
        assert [(r.method, r.path, r.body) for r in seen] == [
            (b"POST", b"/a", b"ab"),
            (b"POST", b"/a", b"cd"),
            (b"HEAD", b"/a", b""),
        ]
        assert written.count(b"HTTP/1.1 200 ") == 3
