"""Clients that count exactly: what they sent, what came back, and where they left.

Raw HTTP/1.1 on keep-alive connections, one request at a time on each; cheap enough to send a
hundred thousand requests from the one core that the installation leaves.
"""

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit

import httptools

from tests.system.conftest import Up

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that ends a connection with a RST."""


class Stage(IntEnum):
    """How far an answer has come."""

    NOTHING = 0
    INTERIM = 1
    """An answer 100: the request is with a replica."""
    BEGUN = 2
    """The head and something of the body, or a tunnel."""
    WHOLE = 3


class Line(asyncio.Protocol):
    """One connection to the gateway, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.stage = Stage.NOTHING
        """Of the last request's answer."""
        self.touched = False
        """Any byte of that answer has come."""
        self.status = 0
        self.own_answer = False
        """The gateway answered in the replica's place."""
        self.keep_alive = True
        self.sent_at: list[float] = []
        """When each request was written, epoch seconds."""
        self.ended_at: list[float] = []
        """When each answer was whole, or known to stay a part."""
        self.finished: Counter[str] = Counter()
        self._tunnel = False
        self._parser = httptools.HttpResponseParser(self)
        self._wanted = Stage.NOTHING
        self._waiter: asyncio.Future[None] | None = None

    # -- what the client does

    def send(self, data: bytes) -> None:
        """Write a request."""
        self.stage, self.touched, self.own_answer = Stage.NOTHING, False, False
        self.sent_at.append(time.time())
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write more of it."""
        assert self.transport is not None
        if not self.lost:
            self.transport.write(data)

    async def reach(self, stage: Stage) -> None:
        """Wait until the answer has come this far, or will not come any more."""
        if self.stage < stage and not self.lost:
            self._wanted = stage
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def hang_up(self, *, reset: bool) -> None:
        """Vanish: with a RST, or as the kernel ends the connections of a process that dies."""
        assert self.transport is not None
        if reset and not self.lost:
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.lost = True
        self.transport.abort()

    def close(self) -> None:
        """Vanish when everything is written."""
        assert self.transport is not None
        self.lost = True
        self.transport.close()

    @property
    def usable(self) -> bool:
        """Whether it can take another request."""
        return not self.lost and self.keep_alive and not self._tunnel

    @property
    def port(self) -> int:
        """The client's port: what tells this connection from others in the kernel's tables."""
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    # -- the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        self.touched = True
        if self._tunnel:
            self._come(Stage.WHOLE)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._tunnel = True
            self._come(Stage.BEGUN)

    # -- the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"X-Tidegate-Error":
            self.own_answer = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._come(Stage.BEGUN)

    def on_message_complete(self) -> None:
        if self.status == 100:
            self._come(Stage.INTERIM)
        elif self.status != 101:
            self._come(Stage.WHOLE)

    def _come(self, stage: Stage) -> None:
        self.stage = max(self.stage, stage)
        if self.stage >= self._wanted:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass
class Tally:
    """What the clients know of their requests."""

    unconnected: int = 0
    """Connections that were not made."""
    sent: int = 0
    """Heads written whole."""
    dropped: int = 0
    """Of these: the connection ended without a byte of an answer."""
    finished: Counter[str] = field(default_factory=Counter)
    """Of the others, by the gateway's classes: how each must have ended."""
    unseen: int = 0
    """Sent, and left in the same moment: finished for nobody, or aborted."""
    made: Counter[str] = field(default_factory=Counter)
    """What was done how often, by the name in the mix."""

    @property
    def known(self) -> int:
        """Requests that have been started, as far as is proven."""
        return self.finished.total()


Mix = Mapping[str, float]
"""What the clients do, and how often in relation to each other."""

PLAIN: Mix = {"get": 85, "post": 10, "missing": 2, "failing": 1, "stream": 1, "tunnel": 0.5}
VANISHING: Mix = {"leave_answer": 2, "leave_body": 1, "leave_tunnel": 0.5, "leave_head": 0.5}
"""Clients that vanish when they know that their request is started, or that it cannot be."""
BLIND: Mix = {"leave_at_once": 1}


class Crowd:
    """A number of clients that send requests, each one after the other, until told to stop."""

    def __init__(self, up: Up, workload_id: str) -> None:
        parts = urlsplit(up.gateway_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._prefix = f"/api/v2/endpoints/workloads/{workload_id}"
        self._lines = f"Host: {self._host}:{self._port}\r\nAuthorization: Bearer {up.token}\r\n"
        self._heads: dict[tuple[str, ...], bytes] = {}
        self.tally = Tally()
        self.lines: list[Line] = []
        """Every connection there was."""

    async def __aenter__(self) -> "Crowd":
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self.lines:
            line.hang_up(reset=False)
        await asyncio.sleep(0.01)  # for the transports to be gone

    async def run(self, clients: int, *, mix: Mix, more: Callable[[], bool]) -> None:
        """Send requests while `more()`; connections are left open."""
        kinds, weights = list(mix), list(mix.values())

        async def client(number: int) -> None:
            rng = random.Random(number)
            line: Line | None = None
            while more():
                (kind,) = rng.choices(kinds, weights)
                self.tally.made[kind] += 1
                act: Callable[..., Awaitable[Line]] = getattr(self, f"_{kind}")
                line = await act(line, rng)

        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(number))

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """A request's head."""
        key = (method, path, *lines)
        if key not in self._heads:
            text = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._lines}"
            text += "".join(f"{line}\r\n" for line in lines)
            self._heads[key] = f"{text}\r\n".encode()
        return self._heads[key]

    async def connect(self) -> Line:
        """A new connection."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                _, line = await loop.create_connection(Line, self._host, self._port)
            except ConnectionError:
                # Those that the kernel takes on in the very moment a worker ends are reset.
                self.tally.unconnected += 1
                await asyncio.sleep(0.01)
            else:
                self.lines.append(line)
                return line

    async def begin(
        self, line: Line | None, data: bytes, stage: Stage = Stage.WHOLE, *, again: bool = True
    ) -> Line:
        """Send a request, and wait until its answer has come this far.

        One whose connection ends without a byte is sent again, if it may be.
        """
        while True:
            if line is None or not line.usable:
                line = await self.connect()
            line.send(data)
            self.tally.sent += 1
            await line.reach(stage)
            if line.touched:
                return line
            self.tally.dropped += 1
            line.hang_up(reset=False)
            if not again:
                return line

    def settle(self, line: Line) -> Line:
        """Count how a request has ended, as far as its connection tells."""
        if line.stage == Stage.WHOLE:
            self._ended(line, "refused" if line.own_answer else f"{line.status // 100}xx")
        elif line.touched:
            self._ended(line, "aborted")
        if not line.usable:
            line.hang_up(reset=False)
        return line

    def _ended(self, line: Line, ending: str) -> None:
        self.tally.finished[ending] += 1
        line.finished[ending] += 1
        line.ended_at.append(time.time())

    # -- whole requests

    async def _get(self, line: Line | None, _rng: random.Random) -> Line:
        return self.settle(await self.begin(line, self.head("GET", "/predict")))

    async def _post(self, line: Line | None, _rng: random.Random) -> Line:
        body = b'{"input": [1, 2, 3]}'
        data = self.head("POST", "/predict", f"Content-Length: {len(body)}") + body
        # Whoever sends it knows nothing of it when there is no answer, and must not repeat it.
        return self.settle(await self.begin(line, data, again=False))

    async def _missing(self, line: Line | None, _rng: random.Random) -> Line:
        return self.settle(await self.begin(line, self.head("GET", "/status/404")))

    async def _failing(self, line: Line | None, _rng: random.Random) -> Line:
        return self.settle(await self.begin(line, self.head("GET", "/status/500")))

    async def _stream(self, line: Line | None, _rng: random.Random) -> Line:
        return self.settle(await self.begin(line, self.head("GET", "/stream?tokens=20")))

    async def _tunnel(self, line: Line | None, rng: random.Random) -> Line:
        line = await self._open_tunnel(line)
        line.write(b"are you there?")
        await line.reach(Stage.WHOLE)
        return self._leave(line, rng, ending="1xx")

    # -- requests of clients that vanish

    async def _leave_answer(self, line: Line | None, rng: random.Random) -> Line:
        head = self.head("GET", "/stream?tokens=10000")
        line = await self.begin(line, head, Stage.BEGUN)
        return self._leave(line, rng, ending="aborted")

    async def _leave_body(self, line: Line | None, rng: random.Random) -> Line:
        head = self.head("POST", "/predict", "Content-Length: 1000", "Expect: 100-continue")
        line = await self.begin(line, head, Stage.INTERIM)
        if line.stage == Stage.INTERIM:
            line.write(b"x" * rng.randrange(1000))
        return self._leave(line, rng, ending="aborted")

    async def _leave_tunnel(self, line: Line | None, rng: random.Random) -> Line:
        return self._leave(await self._open_tunnel(line), rng, ending="1xx")

    async def _leave_head(self, line: Line | None, rng: random.Random) -> Line:
        """Never a request."""
        head = self.head("GET", "/predict")
        if line is None or not line.usable:
            line = await self.connect()
        line.write(head[: rng.randrange(1, len(head) - 1)])
        line.hang_up(reset=rng.random() < 0.5)
        return line

    async def _leave_at_once(self, line: Line | None, _rng: random.Random) -> Line:
        """No RST: it would destroy what was sent."""
        if line is None or not line.usable:
            line = await self.connect()
        line.send(self.head("GET", "/predict"))
        line.close()
        self.tally.sent += 1
        self.tally.unseen += 1
        return line

    async def _open_tunnel(self, line: Line | None) -> Line:
        head = self.head("GET", "/ws", "Connection: Upgrade", "Upgrade: echo")
        return await self.begin(line, head, Stage.BEGUN)

    def _leave(self, line: Line, rng: random.Random, *, ending: str) -> Line:
        if line.stage == Stage.WHOLE and line.status // 100 != 1:
            return self.settle(line)  # refused: nothing to leave
        self._ended(line, ending)
        line.hang_up(reset=rng.random() < 0.5)
        return line
