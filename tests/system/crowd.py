"""Clients that count exactly: what they sent, what came back, and where they left.

Raw HTTP/1.1 on keep-alive connections, one request at a time on each; cheap enough to send a
hundred thousand requests from the one core that the installation leaves.
"""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

import httptools

from tests.system.conftest import Up

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that ends a connection with a RST."""


class Stage(IntEnum):
    """How far an answer has come."""

    NOTHING = 0
    INTERIM = 1
    """An answer 100: the request is with a replica."""
    BEGUN = 2
    """The head and something of the body, or a tunnel."""
    WHOLE = 3


class Line(asyncio.Protocol):
    """One connection to the gateway, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.stage = Stage.NOTHING
        """Of the last request's answer."""
        self.touched = False
        """Any byte of that answer has come."""
        self.status = 0
        self.own_answer = False
        """The gateway answered in the replica's place."""
        self.keep_alive = True
        self._tunnel = False
        self._parser = httptools.HttpResponseParser(self)
        self._wanted = Stage.NOTHING
        self._waiter: asyncio.Future[None] | None = None

    # -- what the client does

    def send(self, data: bytes) -> None:
        """Write a request."""
        self.stage, self.touched, self.own_answer = Stage.NOTHING, False, False
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write more of it."""
        assert self.transport is not None
        if not self.lost:
            self.transport.write(data)

    async def reach(self, stage: Stage) -> None:
        """Wait until the answer has come this far, or will not come any more."""
        if self.stage < stage and not self.lost:
            self._wanted = stage
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def hang_up(self, *, reset: bool) -> None:
        """Vanish: with a RST, or as the kernel ends the connections of a process that dies."""
        assert self.transport is not None
        if reset and not self.lost:
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.lost = True
        self.transport.abort()

    def close(self) -> None:
        """Vanish when everything is written."""
        assert self.transport is not None
        self.lost = True
        self.transport.close()

    @property
    def usable(self) -> bool:
        """Whether it can take another request."""
        return not self.lost and self.keep_alive and not self._tunnel

    @property
    def port(self) -> int:
        """The client's port: what tells this connection from others in the kernel's tables."""
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    # -- the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        self.touched = True
        if self._tunnel:
            self._come(Stage.WHOLE)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._tunnel = True
            self.stage = Stage.NOTHING  # the parser took the head for a whole answer
            self._come(Stage.BEGUN)

    # -- the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"X-Tidegate-Error":
            self.own_answer = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._come(Stage.BEGUN)

    def on_message_complete(self) -> None:
        self._come(Stage.INTERIM if self.status == 100 else Stage.WHOLE)

    def _come(self, stage: Stage) -> None:
        if stage > self.stage:
            self.stage = stage
            if stage >= self._wanted and self.status != 101:
                self._wake()
            elif self.status == 101 and self._tunnel and stage >= self._wanted:
                self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
