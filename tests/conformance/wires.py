"""Both ends of a lane: a client that says exact bytes, and an origin that records what comes.

Neither understands more of HTTP than it must to know when a message has ended; judging is for
`verdicts`.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

from tests.conformance.messages import Reading, read_responses
from tests.conformance.script import (
    ECHO,
    Answered,
    Case,
    Close,
    Continue,
    Echo,
    HalfClose,
    Hear,
    OtherHears,
    Rest,
    Send,
    Step,
    Tell,
    Told,
    Transcript,
    Whole,
)

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:[^\r]*chunked[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_LAST_CHUNK = re.compile(rb"(?:\A|\r\n)0+(?:;[^\r]*)?\r\n(?:[^\r\n]+\r\n)*\r\n")


class Wire(asyncio.Protocol):
    """One connection: keeps what came, and how it ended."""

    def __init__(self, poke: Callable[[], None]) -> None:
        self._poke = poke
        self.heard = bytearray()
        self.end = "open"
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._poke()

    def eof_received(self) -> bool:
        self.end = "eof"
        self._poke()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.end == "open":
            self.end = "reset" if exc is not None else "eof"
        self._poke()

    def send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def half_close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            with suppress(OSError):
                self.transport.write_eof()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Lane:
    """One case's way: its origin, and one client connection."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._expand: Callable[[bytes], bytes] = bytes
        self._changed = asyncio.Event()
        self._turns = list(case.turns)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.connections: list[Wire] = []
        self.client = Wire(self._changed.set)
        self._stalled = ""
        self._told = False

    async def listen(self) -> int:
        """Start the origin.

        Returns:
            Its port.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def run(
        self, address: tuple[str, int], expand: Callable[[bytes], bytes], deadline_s: float
    ) -> Transcript:
        """Let the client play its script against a proxy.

        Args:
            address: Where the proxy listens for this case.
            expand: Puts in what the placeholders stand for.
            deadline_s: Most time for all of it.
        """
        self._expand = expand
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._play(address)
        return Transcript(
            client=bytes(self.client.heard),
            client_end=self.client.end,
            origin=tuple(bytes(wire.heard) for wire in self.connections),
            methods=self.case.methods,
            stalled=self._stalled,
        )

    async def close(self) -> None:
        """End everything that is open."""
        if self._server is not None:
            self._server.close()
        for wire in (self.client, *self.connections):
            wire.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ---- the client's side

    async def _play(self, address: tuple[str, int]) -> None:
        self._stalled = "connection"
        await asyncio.get_running_loop().create_connection(lambda: self.client, *address)
        for step in self.case.client:
            self._stalled = _name(step)
            await self._step(self.client, step)
        self._stalled = "answer"
        await self._until(self._over)
        self._stalled = ""
        if self.case.ends:
            await self._until(
                lambda: self.client.end != "open" or self._whole() > self.case.answers
            )

    def _whole(self) -> int:
        """Final answers that are whole."""
        return sum(message.status >= 200 for message in self._answers().whole)

    def _over(self) -> bool:
        """Enough final answers came, and the end where the last one announces it."""
        if self.client.end != "open":
            return True
        reading = self._answers()
        whole = [m for m in reading.whole if m.status >= 200]
        if reading.fault:
            return True
        if reading.messages and reading.messages[-1].status == 101:
            return False  # a tunnel is over when it ends
        return len(whole) >= self.case.answers and b"close" not in whole[-1].list("connection")

    def _answers(self) -> Reading:
        ended = self.client.end == "eof"
        return read_responses(bytes(self.client.heard), self.case.methods, ended=ended)

    # ---- the origin's side

    def _accept(self) -> Wire:
        wire = Wire(self._changed.set)
        self.connections.append(wire)
        task = asyncio.get_running_loop().create_task(self._serve(wire))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return wire

    async def _serve(self, wire: Wire) -> None:
        at = 0
        while at >= 0:
            at = await self._serve_one(wire, at)
        wire.close()

    async def _serve_one(self, wire: Wire, at: int) -> int:
        """Serve the request that begins at `at`; where the next one begins, -1 when none will."""
        await self._until(lambda: self._head_end(wire, at) >= 0 or wire.end != "open")
        if self._head_end(wire, at) < 0:
            return -1
        turn = self._turns.pop(0) if self._turns else ECHO
        for step in turn:
            await self._step(wire, step, at=at)
        await self._until(lambda: self._end(wire, at) >= 0 or wire.end != "open")
        return self._end(wire, at)

    @staticmethod
    def _head_end(wire: Wire, at: int) -> int:
        end = wire.heard.find(b"\r\n\r\n", at)
        return end + 4 if end >= 0 else -1

    def _end(self, wire: Wire, at: int) -> int:
        """Where the request that begins at `at` ends; -1 while it has not."""
        body_at = self._head_end(wire, at)
        if body_at < 0:
            return -1
        head = bytes(wire.heard[at:body_at])
        if _CHUNKED.search(head):
            last = _LAST_CHUNK.search(wire.heard[body_at:])
            return body_at + last.end() if last else -1
        length = _LENGTH.search(head)
        end = body_at + (int(length[1]) if length else 0)
        return end if len(wire.heard) >= end else -1

    # ---- steps

    async def _step(self, wire: Wire, step: Step, *, at: int = 0) -> None:
        match step:
            case Send(data):
                wire.send(self._expand(data) if wire is self.client else data)
            case Hear(data):
                await self._until(lambda: data in wire.heard)
            case OtherHears(data):
                ends = [self.client] if wire is not self.client else self.connections
                await self._until(lambda: any(data in end.heard for end in ends))
            case Answered(count):
                await self._until(lambda: self.client.end != "open" or self._whole() >= count)
            case Whole():
                await self._until(lambda: self._end(wire, at) >= 0)
            case Echo():
                target = bytes(wire.heard[at : self._head_end(wire, at)]).split(b" ")[1]
                wire.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Origin: yes\r\n\r\n%b"
                    % (len(target), target)
                )
            case HalfClose():
                wire.half_close()
            case Close():
                wire.close()
            case Continue():
                if _EXPECTS.search(wire.heard):
                    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            case Rest(seconds):
                await asyncio.sleep(seconds)
            case Tell():
                self._told = True
                self._changed.set()
            case Told():
                await self._until(lambda: self._told)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            if condition():
                return
            await self._changed.wait()


def _name(step: Step) -> str:
    match step:
        case Hear(data) | OtherHears(data):
            return f"`{repr(data[:30])[2:-1]}`"
        case Answered(count):
            return f"answer {count}"
        case _:
            return "answer"
