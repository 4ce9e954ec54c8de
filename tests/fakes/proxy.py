"""A proxy in front of a server's socket that breaks connections when a test says so."""

import asyncio
import contextlib
from pathlib import Path
from typing import Self


class BreakingProxy:
    """Forwards a Unix socket; `cut` and `swallow_replies` are what networks do.

    Use as an async context manager.
    """

    def __init__(self, target: Path, listen: Path) -> None:
        """Forward from `listen` to `target`."""
        self._target = target
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swallow = 0
        self._silent = asyncio.Event()
        self.connections = 0
        """Connections accepted so far."""

    @property
    def url(self) -> str:
        """Where the store finds the proxy."""
        return f"unix://{self._listen}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self._listen)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Break every connection now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def swallow_replies(self, count: int = 1) -> None:
        """Break the connection instead of forwarding, for the next `count` replies."""
        self._swallow = count

    def fall_silent(self) -> None:
        """Forward no reply any more, and keep the connections: a server that hangs."""
        self._silent.set()

    def speak_again(self) -> None:
        """End `fall_silent` for new connections."""
        self._silent.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._target)
            self._writers.add(upstream_writer)
            await asyncio.gather(
                self._requests(reader, upstream_writer), self._replies(upstream_reader, writer)
            )
            self._writers.discard(upstream_writer)
        except OSError:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                upstream.write(data)
        upstream.transport.abort()

    async def _replies(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await upstream.read(65536):
                if self._swallow > 0:
                    self._swallow -= 1
                    break
                if not self._silent.is_set():
                    writer.write(data)
        writer.transport.abort()
