"""Users of every kind at once: kept and new connections, a stream, a WebSocket, a steady load."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from websockets.asyncio.client import connect

from tests.system.conftest import Up
from tests.system.service import client, steady, tally

DEADLINE_S = 60.0


class Crowd:
    """Clients of every kind, until they are told to end; `failures` must stay empty."""

    def __init__(self, up: Up, workload_id: str) -> None:
        parts = urlsplit(up.gateway_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._path = f"/api/v2/endpoints/workloads/{workload_id}"
        self._token = up.token
        self.failures: list[str] = []
        self.answered = 0
        self.echoed = 0
        self.tokens = 0
        self.streamed_at = 0.0
        self.over = asyncio.Event()

    def _request(self, path: str, *lines: str, method: str = "POST") -> bytes:
        head = [f"{method} {self._path}{path} HTTP/1.1", f"Host: {self._host}"]
        head += [f"Authorization: Bearer {self._token}", "Content-Length: 0", *lines]
        return "\r\n".join([*head, "", ""]).encode()

    async def new_connections(self) -> None:
        """A connection per request."""
        while not self.over.is_set():
            await self._one("a connection per request")

    async def pausing(self, pause_s: float) -> None:
        """A kept connection with pauses, a new one only when the gateway said so."""
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self.over.is_set():
            kept = await self._one(f"kept, with pauses of {pause_s} s", kept, keep=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), pause_s)
        if kept is not None:
            kept[1].close()

    async def _one(
        self,
        who: str,
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None,
        *,
        keep: bool = False,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = kept or await asyncio.open_connection(self._host, self._port)
                writer.write(self._request("/predict", *([] if keep else ["Connection: close"])))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as exc:
            self.failures.append(f"{who}: {exc!r}, {'kept' if kept else 'new'}")
            return None
        if not head.startswith(b"HTTP/1.1 200 "):
            self.failures.append(f"{who}: {head!r}")
        self.answered += 1
        if not keep or b"connection: close" in head.lower():
            writer.close()
            return None
        return reader, writer

    async def websocket(self) -> None:
        """One WebSocket, in use all the time."""
        async with connect(
            f"ws://{self._host}:{self._port}{self._path}/ws",
            additional_headers={"Authorization": f"Bearer {self._token}"},
            proxy=None,
        ) as socket:
            while not self.over.is_set():
                await socket.send(f"message {self.echoed}")
                if await socket.recv() != f"message {self.echoed}":
                    self.failures.append("websocket: another echo")
                self.echoed += 1
                await asyncio.sleep(0.02)

    async def stream(self, count: int) -> None:
        """Server-sent events, to their end."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(self._request(f"/stream?tokens={count}", "Connection: close", method="GET"))
        async with asyncio.timeout(DEADLINE_S):
            async for line in reader:
                self.tokens += line.startswith(b"data: ")
                if line == b"0\r\n":
                    break
            else:
                self.failures.append("stream: cut")
        self.streamed_at = time.monotonic()
        writer.close()


async def crowded(up: Up, workload_id: str, act: Callable[[], None], *, tokens: int) -> Crowd:
    """Do something while the crowd is busy; look at the WebSocket and the stream afterwards."""
    crowd = Crowd(up, workload_id)
    async with client(up, workload_id) as keep_alive, asyncio.TaskGroup() as tasks:
        stream = tasks.create_task(crowd.stream(tokens))
        tasks.create_task(crowd.websocket())
        tasks.create_task(crowd.new_connections())
        for pause_s in (0.05, 0.25, 0.25, 0.5):
            tasks.create_task(crowd.pausing(pause_s))
        outcomes = await steady(keep_alive, act, method="POST", per_s=60.0, after_s=1.0)
        echoed = crowd.echoed
        async with asyncio.timeout(DEADLINE_S):
            while crowd.echoed < echoed + 10:  # noqa: ASYNC110 - a counter tells no event
                await asyncio.sleep(0.02)
        await stream
        crowd.over.set()
    assert set(tally(outcomes)) == {"200"}, tally(outcomes)
    assert crowd.failures == []
    assert crowd.tokens >= tokens
    return crowd
