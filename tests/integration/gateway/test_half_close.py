"""Ending one direction of a connection."""

import asyncio
import socket
import struct
from typing import cast

from gateway.net.half_close import half_close

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Server(asyncio.Protocol):
    """One accepted connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[asyncio.Transport] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.set_result(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


async def connected() -> tuple[Server, asyncio.Transport, socket.socket]:
    """A connection that was accepted, and its client."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    _, server = await asyncio.get_running_loop().connect_accepted_socket(Server, accepted)
    return server, await server.made, client


async def test_the_other_side_reads_the_end_and_the_way_back_stays_open():
    server, transport, client = await connected()
    with client:
        client.setblocking(False)
        assert half_close(transport)
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert not server.lost.done()
    async with asyncio.timeout(5):
        await server.lost


async def test_a_connection_that_was_reset_a_moment_ago_is_lost_and_nothing_raises():
    server, transport, client = await connected()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    client.close()
    half_close(transport)  # before the loop could tell
    async with asyncio.timeout(5):
        await server.lost
