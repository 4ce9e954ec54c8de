"""Adds the token for clients that cannot: the last hop of a person's own machine.

`kosoku` has no option for a header, and a browser's WebSocket has none either. The relay adds one
line to the first head of each connection and passes everything else on as bytes, also the way a
connection ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK_BYTES = 1 << 18


@asynccontextmanager
async def relay(host: str, port: int, line: str) -> AsyncIterator[int]:
    """Listen on 127.0.0.1; yields the port.

    Args:
        host: Where to connect.
        port: Where to connect.
        line: The header line, without its line end.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                back.write(head[:-2] + line.encode() + b"\r\n\r\n")
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            for end in (writer, back):
                end.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    sink.write_eof()
