"""Replicas that do what a test says, and remember what they were told."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from tests.integration.gateway.wire import DEADLINE_S, Wire

Script = Callable[[Wire], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: my-protocol\r\n\r\n"
)


def answering(*answers: bytes) -> Script:
    """Read whole requests; give the answers in turn on each connection, the last for ever."""

    async def script(wire: Wire) -> None:
        count = 0
        while True:
            await wire.request()
            wire.send(answers[min(count, len(answers) - 1)])
            count += 1

    return script


class ScriptedReplica:
    """A listening socket with a script for every connection; without one the test takes them."""

    def __init__(self, script: Script | None) -> None:
        self.script = script
        self.wires: list[Wire] = []
        """All connections, oldest first."""
        self._waiting: asyncio.Queue[Wire] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.id = ""

    async def start(self, *, port: int = 0, receive_bytes: int | None = None) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.bind(("127.0.0.1", port))
        self._server = await asyncio.start_server(
            self._connected, sock=sock, limit=receive_bytes or 1024 * 1024, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self.wires.append(wire)
        if self.script is None:
            self._waiting.put_nowait(wire)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self.script(wire)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway ended the connection
        except RuntimeError:
            if not writer.transport.is_closing():
                raise
            # uvloop: a write to a connection that has just been reset
        except asyncio.CancelledError:
            pass  # the test is over, or the replica "died"
        finally:
            writer.close()

    async def accepted(self) -> Wire:
        """The next connection that no script serves."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._waiting.get()

    def stop_listening(self) -> None:
        """New connections are refused; open ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def die(self) -> None:
        """As a killed process: everything is reset."""
        self.stop_listening()
        for wire in self.wires:
            wire.reset()

    async def stop(self) -> None:
        self.stop_listening()
        for task in list(self._tasks):
            task.cancel()
        for wire in self.wires:
            wire.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)
