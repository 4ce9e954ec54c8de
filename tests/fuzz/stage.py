"""A whole gateway worker without sockets, store or clock; the test plays clients and replicas.

Only the edges are made up: the mirror of the store, the event loop's way to connect, and the
transports. Everything between them is the product.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from controlplane.model.kinds import Record
from controlplane.model.sections import GatewaySettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.traffic import Affinity, AffinityKind, Quota, Traffic
from controlplane.store.watch import Change, Mirror
from gateway.core.messages import RequestHead
from gateway.net.access_log import AccessLog, Line
from gateway.net.dispatcher import Dispatcher
from gateway.net.downstream import DownstreamProtocol
from gateway.net.flow import Exchange
from gateway.net.routes import Routes
from gateway.net.worker import Worker
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.fuzz.pipes import Pipe
from tests.integration.gateway import records

T = TypeVar("T")

SMALL: dict[str, Any] = {
    "queue_limit": 3,
    "replay_bytes": 300,
    "max_head_bytes": 1500,
    "max_target_bytes": 200,
    "max_headers": 30,
    "max_idle_per_endpoint": 2,
    "head_timeout_s": 2.0,
    "first_byte_timeout_s": 5.0,
    "keep_alive_timeout_s": 5.0,
    "body_timeout_s": 5.0,
    "idle_timeout_s": 15.0,
    "response_timeout_s": 15.0,
    "cold_start_timeout_s": 15.0,
}
"""Settings at whose limits small inputs, and short ones, arrive."""


WORLDS: tuple[tuple[dict[str, Any], Traffic], ...] = (
    ({}, Traffic()),
    ({"request_timeout_s": 8.0, "max_requests_per_connection": 2}, Traffic()),
    ({"server_timing": True, "cold_start_header": "X-Cold", "max_body_bytes": 50}, Traffic()),
    ({}, Traffic(quota=Quota(requests_per_minute=3, concurrent_requests=2))),
    ({}, Traffic(affinity=Affinity(kind=AffinityKind.COOKIE, name="s", ttl_s=10.0))),
    ({}, Traffic(affinity=Affinity(kind=AffinityKind.HEADER, name="X-Session"))),
    ({"max_connections": 2, "max_exchanges": 2, "max_attempts": 1}, Traffic(max_body_bytes=4)),
    ({"trusted_proxies": "*", "eject_s": 0.1, "replay_bytes": 0}, Traffic(request_timeout_s=3.0)),
)
"""Settings of the gateway and of the workload, beyond `SMALL`: what not everybody has."""


class StageLoop(VirtualTimeLoop):
    """Connects to whom the stage says."""

    stage: "Stage"

    async def create_connection(self, factory: Callable[[], Any], *_args: Any, **_more: Any) -> Any:  # type: ignore[override]
        return await self.stage.connected(factory)


class _Mirror:
    """Records without a store behind them."""

    revision = 1

    def __init__(self, known: list[Record]) -> None:
        self._records: dict[type[Record], dict[str, Record]] = {}
        self._callbacks: list[Callable[[list[Change]], None]] = []
        for record in known:
            self._records.setdefault(type(record), {})[record.id] = record

    def all(self, cls: type[Record]) -> dict[str, Record]:
        return self._records.get(cls, {})

    def get(self, cls: type[Record], record_id: str) -> Record | None:
        return self.all(cls).get(record_id)

    def subscribe(self, callback: Callable[[list[Change]], None]) -> None:
        self._callbacks.append(callback)

    def put(self, record: Record) -> None:
        self._records.setdefault(type(record), {})[record.id] = record
        for callback in self._callbacks:
            callback([Change(type(record), record.id, record)])


class _Journal(AccessLog):
    """Keeps the lines of exchanges: one for each that ended."""

    def __init__(self) -> None:
        super().__init__("off")
        self.mode = "all"
        self.lines: list[bytes] = []

    def write(self, line: Line) -> None:
        encoded = msgspec.json.encode(line)
        if line.proton:
            self.lines.append(encoded)


class Begun(NamedTuple):
    """A request that the gateway accepted the head of."""

    head: RequestHead
    exchange: Exchange | None
    """None: refused on the spot (no route, no token, no role)."""


class Attempt:
    """What one exchange put on one replica connection, and what was said to it."""

    def __init__(self, exchange: Exchange, pipe: Pipe) -> None:
        self.exchange = exchange
        self.pipe = pipe
        self.request = b""
        self.response = b""


class _Dispatcher(Dispatcher):
    stage: "Stage"

    def begin(self, client: DownstreamProtocol, head: RequestHead, now_s: float) -> Exchange | None:
        begun = self.stage.begun.setdefault(cast(Pipe, client.transport), [])
        place = len(begun)
        begun.append(Begun(head, None))
        exchange = super().begin(client, head, now_s)
        begun[place] = Begun(head, exchange)
        return exchange


class Stage:
    """One worker between clients and replicas; made inside a running `StageLoop`."""

    def __init__(
        self, *, replicas: int = 1, limit: int = 2, traffic: Traffic | None = None, **settings: Any
    ) -> None:
        """Raise the curtain.

        Args:
            replicas: Ready ones.
            limit: Requests in flight for each.
            traffic: What the workload's owner wants.
            settings: Of the gateway, where they are not the defaults.
        """
        loop = cast(StageLoop, asyncio.get_running_loop())
        loop.stage = self
        self.failures: list[str] = []
        loop.set_exception_handler(
            lambda _, context: self.failures.append(
                f"{context['message']}: {context.get('exception')!r}"
            )
        )
        self.loop = loop
        self.journal = _Journal()
        self.worker = Worker(GatewaySettings(**settings), worker_id="w", access_log=self.journal)
        self.worker.monotonic = loop.time
        self.worker.wall = lambda: 1_000_000 + loop.time()
        self.worker.random = random.Random(0).random
        self._replica_ids = [f"65f00000000000000000e{n:03x}" for n in range(replicas)]
        self.mirror = _Mirror([*records.world(limit=limit)])
        self.routes = Routes(self.worker, cast(Mirror, self.mirror))
        self.dispatcher = _Dispatcher(
            self.worker, self.routes, cast(Any, loop), on_wait=lambda _: None
        )
        self.dispatcher.stage = self
        self.routes.load()
        if traffic is not None:
            self.mirror.put(records.workload(traffic=traffic))
        for replica_id in self._replica_ids:
            self.announce(replica_id, ReplicaPhase.READY)
        self.clients: list[Pipe] = []
        self.sent: dict[Pipe, bytes] = {}
        """What each client said, as far as the gateway has read it."""
        self.begun: dict[Pipe, list[Begun]] = {}
        self.largest = 0
        """Bytes of the largest piece that the gateway was given at once."""
        self.upstreams: list[Pipe] = []
        self.attempts: list[Attempt] = []
        self.holding = False
        """Whether connects wait for `let_connect`."""
        self._held: list[asyncio.Future[bool]] = []

    # ---- records

    def announce(self, replica_id: str, phase: ReplicaPhase) -> None:
        port = 1 + self._replica_ids.index(replica_id)
        self.mirror.put(records.replica(replica_id, port, phase=phase))

    def renew(self) -> None:
        """Replicas that misbehaved are left out for a while; these are as new."""
        self.announce_all(ReplicaPhase.DRAINING)
        self.announce_all(ReplicaPhase.READY)

    def announce_last(self, phase: ReplicaPhase) -> None:
        self.announce(self._replica_ids[-1], phase)

    def announce_all(self, phase: ReplicaPhase) -> None:
        for replica_id in self._replica_ids:
            self.announce(replica_id, phase)

    def order(self, **fields: Any) -> None:
        """Change the proton's record."""
        self.mirror.put(records.proton(limit=2, **fields))

    # ---- connections

    def connect(self) -> Pipe:
        """A new client."""
        client = Pipe(DownstreamProtocol(self.dispatcher), self, peer=f"10.0.0.{len(self.clients)}")
        self.clients.append(client)
        self.sent[client] = b""
        return client

    async def connected(self, factory: Callable[[], Any]) -> tuple[Pipe, Any]:
        """The gateway connects to a replica."""
        await asyncio.sleep(0)
        if self.holding:
            held = self.loop.create_future()
            self._held.append(held)
            if not await held:
                raise ConnectionRefusedError
        protocol = factory()
        pipe = Pipe(protocol, self)
        self.upstreams.append(pipe)
        return pipe, protocol

    def let_connect(self, *, succeed: bool) -> None:
        """Answer the oldest connect that is held."""
        while self._held:
            held = self._held.pop(0)
            if not held.done():
                held.set_result(succeed)
                return

    def upstream_of(self, client: Pipe) -> Pipe | None:
        """The replica connection that serves a client now."""
        exchange = client.protocol._exchange
        upstream = exchange.upstream if exchange is not None else None
        return upstream.transport if upstream is not None else None

    def attempt_on(self, pipe: Pipe) -> Attempt | None:
        """The newest attempt on a replica connection."""
        return next((a for a in reversed(self.attempts) if a.pipe is pipe), None)

    # ---- what pipes tell

    def wrote(self, pipe: Pipe, data: bytes) -> None:
        if isinstance(pipe.protocol, DownstreamProtocol):
            return
        exchange = pipe.protocol.exchange
        assert exchange is not None, "a replica was told something that belongs to no exchange"
        attempt = self.attempt_on(pipe)
        if attempt is None or attempt.exchange is not exchange:
            attempt = Attempt(exchange, pipe)
            self.attempts.append(attempt)
        attempt.request += data

    def given(self, pipe: Pipe, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        if isinstance(pipe.protocol, DownstreamProtocol):
            self.sent[pipe] += data
        elif pipe.protocol.exchange is not None:
            attempt = self.attempt_on(pipe)
            assert attempt is not None
            assert attempt.exchange is pipe.protocol.exchange
            attempt.response += data

    def forget(self) -> None:
        """Whoever has left, and what was said."""
        self.clients = [client for client in self.clients if not client.lost]
        self.sent = {client: self.sent[client] for client in self.clients}
        self.begun = {c: begun for c, begun in self.begun.items() if not c.lost}
        self.upstreams = [pipe for pipe in self.upstreams if not pipe.lost]
        self.attempts = []

    # ---- time

    async def turns(self, count: int = 4) -> None:
        """Let callbacks run; no time passes."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Everybody leaves."""
        self.holding = False
        for client in self.clients:
            client.reset()
        await self.turns()
        while self._held:
            self.let_connect(succeed=False)
        await self.turns()
        self.dispatcher.close()
        await self.turns()


def run_on_stage(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh loop."""
    with asyncio.Runner(loop_factory=StageLoop) as runner:
        return runner.run(scenario)
