"""One end of a TCP connection in a test's hands: it says exactly the bytes it is given."""

import asyncio
import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field

DEADLINE_S = 10.0
"""For whatever must happen: long, because the machine may be busy; nothing waits it out."""

_REMEMBERED_BYTES = 500_000


@dataclass
class Head:
    """A message's head: its first line, its header lines, and all of it as it came."""

    raw: bytes
    first: str = field(init=False)
    lines: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        first, *lines = self.raw[:-4].decode("latin-1").split("\r\n")
        self.first = first
        self.lines = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.lines if known == name]

    def get(self, name: str) -> str | None:
        """The one value of a header; None when there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} comes {len(values)} times"
        return values[0] if values else None

    @property
    def status(self) -> int:
        return int(self.first.split(" ", 2)[1])

    @property
    def method(self) -> str:
        return self.first.split(" ")[0]

    @property
    def target(self) -> str:
        return self.first.split(" ")[1]


@dataclass
class Message:
    """A whole message, decoded."""

    head: Head
    body: bytes = b""
    interim: list[Head] = field(default_factory=list)
    trailers: list[str] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    """Chunks as they were cut; one piece for other bodies."""

    @property
    def status(self) -> int:
        return self.head.status

    def get(self, name: str) -> str | None:
        return self.head.get(name)


class Wire:
    """A connection with a record of what came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = b""
        """What was read, as it came: all of what tests look at, the beginning of floods."""

    def _remember(self, data: bytes) -> None:
        if len(self.received) < _REMEMBERED_BYTES:
            self.received += data

    # ---- saying

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def flush(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.writer.drain()

    async def send_slowly(self, data: bytes, *, size: int = 1) -> None:
        """In pieces that reach the other side one by one."""
        sock = self.writer.get_extra_info("socket")
        duplicate = socket.socket(fileno=os.dup(sock.fileno()))
        duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        duplicate.close()
        for at in range(0, len(data), size):
            self.writer.write(data[at : at + size])
            await self.writer.drain()
            await asyncio.sleep(0)

    # ---- hearing

    async def head(self) -> Head:
        async with asyncio.timeout(DEADLINE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        self._remember(raw)
        return Head(raw)

    async def line(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            raw = await self.reader.readuntil(b"\r\n")
        self._remember(raw)
        return raw[:-2]

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            data = await self.reader.readexactly(size)
        self._remember(data)
        return data

    async def to_end(self) -> bytes:
        """All until the other side ends the connection in order."""
        async with asyncio.timeout(DEADLINE_S):
            data = await self.reader.read()
        self._remember(data)
        return data

    async def rest(self) -> bytes:
        """What comes until the connection ends in whatever way."""
        data = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE_S):
                while piece := await self.reader.read(65_536):
                    data += piece
        return data

    async def chunk(self) -> bytes:
        """The next chunk's data; empty is the last one (its trailers are still to be read)."""
        size = int(await self.line(), 16)
        if not size:
            return b""
        data = await self.exactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def body(self, head: Head, message: Message) -> None:
        """Read a body as the head frames it, to the connection's end where nothing else does."""
        length = head.get("content-length")
        if head.get("transfer-encoding") == "chunked":
            assert length is None
            while piece := await self.chunk():
                message.pieces.append(piece)
            while trailer := await self.line():
                message.trailers.append(trailer.decode("latin-1"))
        elif length is not None:
            message.pieces.append(await self.exactly(int(length)))
        elif head.first.startswith("HTTP/"):
            message.pieces.append(await self.to_end())
        message.body = b"".join(message.pieces)

    async def request(self) -> Message:
        """A whole request, as a replica hears it."""
        head = await self.head()
        message = Message(head)
        await self.body(head, message)
        return message

    async def answer(self, method: str = "GET") -> Message:
        """A whole answer, with the interim ones before it."""
        interim: list[Head] = []
        head = await self.head()
        while head.status < 200:
            interim.append(head)
            head = await self.head()
        message = Message(head, interim=interim)
        if method != "HEAD" and head.status not in {204, 304}:
            await self.body(head, message)
        return message

    async def silent(self) -> bool:
        """Nothing has come that was not read (after the loop had its turns)."""
        for _ in range(20):
            await asyncio.sleep(0)
        return not self.reader._buffer  # type: ignore[attr-defined]

    async def ended(self) -> str:
        """Wait for the end: `eof` in order, `reset` otherwise; nothing may come before it."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                data = await self.reader.read()
        except ConnectionError:
            return "reset"
        assert data == b""
        return "eof"

    # ---- ending

    def half_close(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()

    def reset(self) -> None:
        """End with a RST: the other side cannot take it for an orderly end."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            duplicate = socket.socket(fileno=os.dup(sock.fileno()))
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            duplicate.close()
        self.writer.transport.abort()
