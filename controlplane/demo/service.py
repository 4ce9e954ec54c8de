"""A small model-like HTTP service for demos and tests: `python -m controlplane.demo.service`.

    GET  /                 who it is and how much it has done, as JSON
    any  /predict          an answer as JSON after the service time
    any  /stream?tokens=N  server-sent events, one token each
    GET  /healthz          200 once started, 503 before
    any  /echo             method, target, headers and body length of the request, as JSON
    any  /status/CODE      an answer with that status
    GET  /bytes/N          N bytes
    GET  /ws               WebSocket echo; with another `Upgrade`, the bytes come back as they are

It is set up by its environment: `PORT`, `HOST`, and

    SAMPLE_STARTUP_S     time until it is ready (default 0)
    SAMPLE_SERVICE_S     time that one prediction takes (0.05)
    SAMPLE_TOKEN_S       time between two tokens (0.02)
    SAMPLE_CPU_S         computing time that one prediction takes besides (0)
    SAMPLE_CONCURRENCY   predictions and streams at a time, others queue inside; 0: no limit (0)
    SAMPLE_CRASH         exit with this code at once
    SAMPLE_NEVER_READY   1: /healthz always says 503
    SAMPLE_WRONG_PORT    listen on this port instead of PORT
    SAMPLE_GARBAGE       1: answer everything with bytes that are not HTTP

SIGTERM: no new connections, what runs is finished, exit code 0. Few imports on purpose: it is up
in about 0.1 s.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, cast

import httptools
import uvloop

from controlplane.demo.frames import CLOSE, PING, PONG, accept_key, make_frame, take_frame
from controlplane.demo.messages import Request, echo, head

PIECE: Final = bytes(range(256)) * 256
"""64 KiB of filler for /bytes."""

TUNNEL: Final = "/ws"

_MAX_TOKENS: Final = 100_000


class Settings:
    """What the environment asks for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.host = environ.get("HOST", "127.0.0.1")
        self.port = int(environ.get("SAMPLE_WRONG_PORT") or environ.get("PORT") or 8080)
        self.startup_s = float(environ.get("SAMPLE_STARTUP_S") or 0)
        self.service_s = float(environ.get("SAMPLE_SERVICE_S") or 0.05)
        self.token_s = float(environ.get("SAMPLE_TOKEN_S") or 0.02)
        self.cpu_s = float(environ.get("SAMPLE_CPU_S") or 0)
        self.concurrency = int(environ.get("SAMPLE_CONCURRENCY") or 0)
        self.crash = environ.get("SAMPLE_CRASH")
        self.never_ready = environ.get("SAMPLE_NEVER_READY", "") not in {"", "0"}
        self.garbage = environ.get("SAMPLE_GARBAGE", "") not in {"", "0"}
        self.replica = environ.get("TIDEGATE_REPLICA_ID", "")


class Service:
    """The whole server: its connections, its work, its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.began_s = time.monotonic()
        self.served = 0
        self.busy = 0
        self.stopping = False
        self.connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._server: asyncio.Server | None = None

    @property
    def ready(self) -> bool:
        """Whether the start-up is over."""
        started = time.monotonic() - self.began_s >= self.settings.startup_s
        return started and not self.settings.never_ready

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self._server = await loop.create_server(
            lambda: Connection(self), self.settings.host, self.settings.port, backlog=2048
        )
        print(f"sample: listening on {self.settings.port}", flush=True)  # noqa: T201 - its log
        await stop.wait()
        self.stopping = True
        self._server.close()
        for connection in list(self.connections):
            connection.finish()
        if self.connections:
            await self._empty.wait()

    def closed(self, connection: "Connection") -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if self.stopping and not self.connections:
            self._empty.set()

    async def work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do one piece of work, when its turn has come."""
        limit = self.settings.concurrency
        if limit and self.busy >= limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._hand_over()
                raise
        else:
            self.busy += 1
        try:
            await work()
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give a place to the next that waits; without one it is free."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1


class Connection(asyncio.Protocol):
    """One client connection; requests on it are answered one after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._received: bytearray | None = None
        self._is_websocket = False

    # The event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self._transport = cast("asyncio.Transport", transport)
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: so is the point of answering."""
        self._service.closed(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests, or of a tunnel."""
        if self._service.settings.garbage:
            self._transport.write(b"\x00\x01\x02 this is not HTTP\r\n")
            self._transport.close()
        elif self._received is not None:
            self._tunnelled(data)
        else:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._queue and self._queue[-1].path == TUNNEL:
                    self._upgrade(self._queue.pop(), data[upgrade.args[0] :])
            except httptools.HttpParserError:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                self._transport.close()

    def finish(self) -> None:
        """The service ends: close as soon as nothing is being answered."""
        if self._received is not None:
            if self._is_websocket:
                self._transport.write(make_frame(CLOSE, (1001).to_bytes(2, "big")))
            self._transport.close()
        elif self._task is None:
            self._transport.close()

    # The parser.

    def on_url(self, url: bytes) -> None:
        """Take in a part of the target."""
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in one header."""
        self._request.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Count a part of the body."""
        self._request.body_bytes += len(body)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        request = self._request
        request.method = self._parser.get_method().decode()
        request.keep_alive = self._parser.should_keep_alive()
        request.chunked_allowed = self._parser.get_http_version() != "1.0"
        if request.header(b"expect").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_message_complete(self) -> None:
        """The request is whole: answer it when its turn has come."""
        request, self._request = self._request, Request()
        self._queue.append(request)
        if self._parser.should_upgrade():
            request.keep_alive = False  # what follows is not HTTP for the parser
        upgrades = self._parser.should_upgrade() and request.path == TUNNEL
        if self._task is None and not upgrades:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    # Answers.

    async def _answer_all(self) -> None:
        try:
            while self._queue and not self._transport.is_closing():
                request = self._queue.popleft()
                await self._answer(request)
                self._service.served += 1
                if not request.keep_alive or self._service.stopping:
                    self._transport.close()
        finally:
            self._task = None

    async def _answer(self, request: Request) -> None:
        path = request.path
        service = self._service
        if path == "/healthz":
            status = 200 if service.ready else 503
            self._json(request, {"ready": service.ready}, status=status)
        elif not service.ready and not service.settings.never_ready:
            self._json(request, {"detail": "still starting"}, status=503)
        elif path == "/":
            self._json(request, self._about())
        elif path == "/predict":
            await service.work(lambda: self._predict(request))
        elif path == "/stream":
            await service.work(lambda: self._stream(request))
        elif path == "/echo":
            self._json(request, echo(request))
        elif path.startswith("/status/") and path[8:].isdigit():
            status = int(path[8:])
            self._json(request, {"status": status}, status=status)
        elif path.startswith("/bytes/") and path[7:].isdigit():
            await self._bytes(request, int(path[7:]))
        else:
            self._json(request, {"detail": "no such path"}, status=404)

    def _about(self) -> dict[str, object]:
        service = self._service
        return {
            "service": "tidegate sample",
            "replica": service.settings.replica,
            "pid": os.getpid(),
            "served": service.served,
            "up_s": round(time.monotonic() - service.began_s, 3),
        }

    async def _predict(self, request: Request) -> None:
        settings = self._service.settings
        if settings.cpu_s:
            end_s = time.process_time() + settings.cpu_s
            while time.process_time() < end_s:
                pass
        if settings.service_s:
            await asyncio.sleep(settings.service_s)
        answer = {"prediction": 0.5, "input_bytes": request.body_bytes, "pid": os.getpid()}
        self._json(request, answer)

    async def _stream(self, request: Request) -> None:
        count = min(request.query_int("tokens", 10), _MAX_TOKENS)
        extra = b"Cache-Control: no-cache\r\n"
        await self._pieces(request, "text/event-stream", self._tokens(count), extra=extra)

    async def _tokens(self, count: int) -> AsyncIterator[bytes]:
        for index in range(count):
            await asyncio.sleep(self._service.settings.token_s)
            yield b'data: {"index": %d, "token": "token-%d"}\n\n' % (index, index)
        yield b"data: [DONE]\n\n"

    async def _bytes(self, request: Request, count: int) -> None:
        self._transport.write(
            head(request, 200, b"application/octet-stream", b"Content-Length: %d\r\n" % count)
        )
        left = 0 if request.method == "HEAD" else count
        while left and not self._transport.is_closing():
            await self._writable.wait()
            self._transport.write(PIECE[: min(left, len(PIECE))])
            left -= min(left, len(PIECE))

    async def _pieces(
        self, request: Request, kind: str, pieces: AsyncIterator[bytes], *, extra: bytes
    ) -> None:
        """An answer of unknown length, each piece sent as it comes."""
        if request.chunked_allowed:
            extra += b"Transfer-Encoding: chunked\r\n"
        else:
            request.keep_alive = False  # HTTP/1.0: the end of the connection ends the body
        self._transport.write(head(request, 200, kind.encode(), extra))
        if request.method == "HEAD":
            return
        async for piece in pieces:
            await self._writable.wait()
            if self._transport.is_closing():
                return
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if request.chunked_allowed else piece
            self._transport.write(framed)
        if request.chunked_allowed:
            self._transport.write(b"0\r\n\r\n")

    def _json(self, request: Request, value: Mapping[str, object], *, status: int = 200) -> None:
        body = json.dumps(value).encode()
        length = b"Content-Length: %d\r\n" % len(body)
        if request.method == "HEAD" or status in {204, 304}:
            body = b""
        if status == HTTPStatus.NO_CONTENT:
            length = b""
        self._transport.write(head(request, status, b"application/json", length) + body)

    # Upgrades.

    def _upgrade(self, request: Request, rest: bytes) -> None:
        self._received = bytearray()
        wanted = request.header(b"upgrade")
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n" % wanted
        )
        self._is_websocket = wanted.lower() == b"websocket"
        if self._is_websocket:
            key = request.header(b"sec-websocket-key")
            answer += b"Sec-WebSocket-Accept: %b\r\n" % accept_key(key)
        self._transport.write(answer + b"\r\n")
        if rest:
            self._tunnelled(rest)

    def _tunnelled(self, data: bytes) -> None:
        if not self._is_websocket:
            self._transport.write(data)
            return
        assert self._received is not None  # noqa: S101 - a tunnel has one
        self._received += data
        while (frame := take_frame(self._received)) is not None:
            opcode, final, payload = frame
            if opcode == CLOSE:
                self._transport.write(make_frame(CLOSE, payload))
                self._transport.close()
            elif opcode == PING:
                self._transport.write(make_frame(PONG, payload))
            elif opcode != PONG:
                self._transport.write(make_frame(opcode, payload, final=final))


def main() -> None:
    """Run the service."""
    settings = Settings(os.environ)
    if settings.crash:
        sys.stderr.write(f"sample: told to crash with exit code {settings.crash}\n")
        sys.exit(int(settings.crash))
    uvloop.run(Service(settings).run())


if __name__ == "__main__":
    main()
