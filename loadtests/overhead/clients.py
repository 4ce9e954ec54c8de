"""`python -m loadtests.overhead.clients KIND URL CONNECTIONS SECONDS`: load that wrk cannot make.

    events      that many streams of server-sent events, read for SECONDS
    websocket   that many connections, one message under way on each, for SECONDS
    idle        that many keep-alive connections, one request on each, then silence

Prints READY when connected (idle: before), waits for a line, prints a SUMMARY line, and holds its
connections until it is killed. The first thing that is not as it should be ends it with a message.
The token comes in `OVERHEAD_TOKEN`.
"""

import asyncio
import base64
import os
import sys
import time
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop

from loadtests.overhead.children import allow_many_files
from loadtests.overhead.load import summary

DEADLINE_S: Final = 25.0
"""Longest time until all connections stand, and of any wait."""

SAMPLED: Final = 16
"""Streams whose events' delays are read: reading all would take the load's core."""

MESSAGE: Final = b'{"text":"the tide comes in and the tide goes out, twice a day"}'
"""What is sent to be echoed, 63 bytes: one frame of at most 125."""

_MASK: Final = b"\x01\x02\x03\x04"
AT_A_TIME: Final = 16
"""Idle connections that are being opened."""

_ADDRESSES: Final = 8
"""Loopback addresses that idle connections come from: one has too few ports on some machines."""


def head(url: str, *fields: str) -> bytes:
    """A GET request for this URL."""
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: Bearer {os.environ['OVERHEAD_TOKEN']}",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(text: bytes) -> bytes:
    """A masked text frame of at most 125 bytes (RFC 6455 section 5.2)."""
    masked = bytes(byte ^ _MASK[index & 3] for index, byte in enumerate(text))
    return bytes((0x81, 0x80 | len(text))) + _MASK + masked


class Run:
    """What all connections of one run share."""

    def __init__(self, connections: int) -> None:
        self.waiting_for = connections
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.counting = False
        self.count = 0
        self.times_ms: list[float] = []

    def one_ready(self) -> None:
        """One more connection does what it should."""
        self.waiting_for -= 1
        if not self.waiting_for and not self.ready.done():
            self.ready.set_result(None)

    def fail(self, why: str) -> None:
        """End the program: one error makes the whole run worthless."""
        print(why, flush=True)
        os._exit(1)


class Connection(asyncio.Protocol):
    """A connection that sends a head and looks at the answer's."""

    expected = b"HTTP/1.1 200"

    def __init__(self, run: Run, request: bytes, *, sampled: bool) -> None:
        self._run = run
        self._request = request
        self._sampled = sampled
        self._begun = False
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._run.fail(f"a connection ended: {exc or 'closed by the proxy'}")

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if self._begun:
            self.body(data)
            return
        self._held += data
        answer, end, rest = self._held.partition(b"\r\n\r\n")
        if not end:
            return
        if not answer.startswith(self.expected):
            self._run.fail(f"answered: {answer!r}")
        self._begun = True
        self.begun(answer)
        if rest:
            self.body(rest)

    def begun(self, answer: bytes) -> None:
        """The answer's head is good."""

    def body(self, data: bytes) -> None:
        """What comes after it."""


class EventStream(Connection):
    """Counts events: each has one `{"at"` and, as small as it is, comes in one piece."""

    _heard = False

    def body(self, data: bytes) -> None:  # noqa: D102
        count = data.count(b'{"at"')
        if not self._heard and count:
            self._heard = True
            self._run.one_ready()
        if not self._run.counting:
            return
        self._run.count += count
        if self._sampled and count:
            at_ns = int(data.rpartition(b'{"at": ')[2].partition(b",")[0])
            self._run.times_ms.append((time.monotonic_ns() - at_ns) / 1e6)


class Echo(Connection):
    """Sends the next message when the last one has come back."""

    expected = b"HTTP/1.1 101"
    _message = frame(MESSAGE)
    _answer = bytes((0x81, len(MESSAGE))) + MESSAGE

    def begun(self, answer: bytes) -> None:  # noqa: D102
        self._held = b""
        self._run.one_ready()

    def send(self) -> None:
        """One message."""
        self._sent_s = time.monotonic()
        self.transport.write(self._message)

    def body(self, data: bytes) -> None:  # noqa: D102
        self._held += data
        if len(self._held) < len(self._answer):
            return
        if self._held != self._answer:
            self._run.fail(f"echoed: {self._held!r}")
        self._held = b""
        if self._run.counting:
            self._run.count += 1
            self._run.times_ms.append(1e3 * (time.monotonic() - self._sent_s))
            self.send()


class Idle(Connection):
    """Asks once, then keeps the connection and says nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        super().connection_made(transport)

    def begun(self, answer: bytes) -> None:  # noqa: D102
        if b"\r\nconnection: close" in answer.lower():
            self._run.fail("the proxy does not keep the connection")

    def body(self, data: bytes) -> None:  # noqa: D102
        if data.endswith(b"}"):  # as the application's answer does
            self.answered.set_result(None)


async def stream(kind: type[Connection], url: str, connections: int, seconds: float) -> None:
    """Connect, say READY, wait for the word, count for `seconds`, sum up, hold."""
    loop = asyncio.get_running_loop()
    run = Run(connections)
    parts = urlsplit(url)
    key = base64.b64encode(b"0123456789abcdef").decode()
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    fields = (*upgrade, f"Sec-WebSocket-Key: {key}") if kind is Echo else ()
    request = head(url, *fields)
    opened = [
        await loop.create_connection(
            lambda index=index: kind(run, request, sampled=index < SAMPLED),  # type: ignore[misc]
            parts.hostname or "",
            parts.port or 80,
        )
        for index in range(connections)
    ]
    async with asyncio.timeout(DEADLINE_S):
        await run.ready
    print("READY", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begin_s = time.monotonic()
    run.counting = True
    for _, connection in opened:
        if isinstance(connection, Echo):
            connection.send()
    await asyncio.sleep(seconds)
    run.counting = False
    print(summary(run.count, time.monotonic() - begin_s, run.times_ms), flush=True)
    await asyncio.Event().wait()


async def idle(url: str, connections: int) -> None:
    """Say READY, wait for the word, open all connections, sum up, hold."""
    run = Run(connections)
    print("READY", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    request, parts = head(url), urlsplit(url)
    numbers = iter(range(connections))
    opened: list[Idle] = []

    async def open_next() -> None:
        loop = asyncio.get_running_loop()
        for number in numbers:
            sent_s = time.monotonic()
            _, connection = await loop.create_connection(
                lambda: Idle(run, request, sampled=False),
                parts.hostname or "",
                parts.port or 80,
                local_addr=(f"127.0.0.{2 + number % _ADDRESSES}", 0),
            )
            opened.append(connection)
            await connection.answered
            run.times_ms.append(1e3 * (time.monotonic() - sent_s))

    begin_s = time.monotonic()
    await asyncio.gather(*(open_next() for _ in range(AT_A_TIME)))
    print(summary(len(opened), time.monotonic() - begin_s, run.times_ms), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run one load; exit code 1 with a message when anything went wrong."""
    kind, url, connections, seconds = sys.argv[1:]
    try:
        allow_many_files()
        if kind == "idle":
            uvloop.run(idle(url, int(connections)))
        else:
            protocol = {"events": EventStream, "websocket": Echo}[kind]
            uvloop.run(stream(protocol, url, int(connections), float(seconds)))
    except OSError as exc:  # TimeoutError is one
        print(f"{type(exc).__name__}: {exc}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
