"""The admin port: whether the process lives and decides, and its numbers."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import generate_latest

from autoscaler.telemetry import Telemetry

_METRICS: Final = "/metrics"
_REQUEST_TIMEOUT_S: Final = 5.0
_MAX_HEAD_BYTES: Final = 8192


class AdminServer:
    """`/livez`, `/readyz` and `/metrics` over plain HTTP/1.1, one request per connection."""

    def __init__(self, telemetry: Telemetry, checks: Callable[[], Mapping[str, bool]]) -> None:
        """Prepare; `start` listens.

        Args:
            telemetry: What `/metrics` shows.
            checks: What `/readyz` asks; all must be true.
        """
        self._telemetry = telemetry
        self._checks = checks
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_HEAD_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def answer(self, path: str) -> tuple[str, str, bytes]:
        """Status line, content type and body for a path."""
        if path == "/livez":
            return "200 OK", "text/plain", b"ok\n"
        if path == "/readyz":
            checks = dict(self._checks())
            status = "200 OK" if all(checks.values()) else "503 Service Unavailable"
            return status, "application/json", json.dumps(checks).encode()
        if path == _METRICS:
            text = generate_latest(self._telemetry.registry)
            return "200 OK", "text/plain; version=0.0.4; charset=utf-8", text
        return "404 Not Found", "text/plain", b"/livez /readyz /metrics\n"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                words = head.split(b"\r\n", 1)[0].split(b" ")
                target = words[1] if len(words) > 1 else b""
                path = target.split(b"?")[0].decode("latin-1")
                if path == _METRICS:  # a thousand protons' page takes a fifth of a second
                    status, kind, body = await asyncio.to_thread(self.answer, path)
                else:
                    status, kind, body = self.answer(path)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
