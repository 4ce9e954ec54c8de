"""An open-loop HTTP/1.1 client: requests leave when they are due, however slow the answers are.

Response times count from the moment a request was *meant* to be sent, so a client or server that
falls behind cannot hide it. Small on purpose: general clients cost a millisecond of CPU per
request, which would be measured along.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httptools

TIMEOUT_S: Final = 60.0
"""Longest wait for one whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one request."""

    phase: str
    at_s: float
    """The intended moment, on the client's clock."""
    seconds: float
    """From the intended moment to the last byte, or to the failure."""
    status: int | None
    """None: no whole answer."""
    error: str = ""
    """Why there was none, or the gateway's error code."""

    @property
    def failed(self) -> bool:
        """Anything but a whole 2xx answer."""
        return self.status is None or self.status // 100 != 2  # noqa: PLR2004 - 2xx


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.usable = True
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[tuple[int, str]] | None = None
        self._code = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP gives nothing else
        self.transport = transport

    def send(self, data: bytes) -> "asyncio.Future[tuple[int, str]]":
        """Write a request; the future gives the status and the gateway's error code."""
        self._answer = asyncio.get_running_loop().create_future()
        self._code = ""
        if self.transport is not None:
            self.transport.write(data)
        return self._answer

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._fail(ConnectionError(f"not HTTP: {exc}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(exc or ConnectionError("closed before the whole answer"))

    def close(self) -> None:
        """Drop the connection."""
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    # -- parser callbacks ----------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the gateway's error code."""
        if name.lower() == b"x-tidegate-error":
            self._code = value.decode("latin-1")

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        self.usable = self._parser.should_keep_alive()
        # The parser keeps state between messages only for pipelining, which is not used.
        self._parser = httptools.HttpResponseParser(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, self._code))

    def _fail(self, exc: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc)


class OpenLoopClient:
    """Sends requests below one base path of one server. Use it as an async context manager."""

    def __init__(self, host: str, port: int, *, prefix: str, headers: Mapping[str, str]) -> None:
        self._host = host
        self._port = port
        self._prefix = prefix.rstrip("/")
        lines = {"Host": f"{host}:{port}", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def __aenter__(self) -> "OpenLoopClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._open:
            connection.close()
        # One turn, so that the transports are really gone.
        await asyncio.sleep(0)

    async def request(
        self, *, method: str, path: str, body: bytes, phase: str, at_s: float
    ) -> Outcome:
        """Send one request and wait for its whole answer.

        Args:
            method: The method.
            path: Path and query below the base.
            body: The body; empty: none.
            phase: Label of the outcome.
            at_s: The intended moment on the event loop's clock.
        """
        loop = asyncio.get_running_loop()
        status: int | None = None
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                connection = await self._take()
                status, error = await connection.send(self._render(method, path, body))
        except TimeoutError:
            error = f"no answer within {TIMEOUT_S:g} s"
        except OSError as exc:
            error = str(exc) or type(exc).__name__
        seconds = loop.time() - at_s
        if connection is not None:
            self._give_back(connection, whole=status is not None)
        return Outcome(phase=phase, at_s=at_s, seconds=seconds, status=status, error=error)

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._open.discard(connection)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        self._open.add(connection)
        return connection

    def _give_back(self, connection: _Connection, *, whole: bool) -> None:
        if whole and connection.usable:
            self._idle.append(connection)
        else:
            connection.close()
            self._open.discard(connection)

    def _render(self, method: str, path: str, body: bytes) -> bytes:
        kind = b"Content-Type: application/json\r\n" if body else b""
        return b"%b %b%b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (
            method.encode(),
            self._prefix.encode(),
            path.encode(),
            self._head,
            kind,
            len(body),
            body,
        )
