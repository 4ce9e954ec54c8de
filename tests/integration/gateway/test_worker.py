"""The process itself: its start, and what it brings along."""

import signal
import socket

import pytest

from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.rig import Rig, uvloop_only
from tests.integration.gateway.scripted import OK, answering

pytestmark = uvloop_only  # a child process has the loop that it always has


async def test_a_taken_port_is_told_and_exits_1(rig: Rig) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AssertionError, match="cannot listen"):
            await rig.start_child(port=port)
        gateway = rig.gateway
        assert isinstance(gateway, ChildGateway)
        assert await gateway.exit_code() == 1


async def test_a_worker_imports_nothing_that_it_does_not_need(rig: Rig) -> None:
    gateway = await rig.start_child()
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
    with open(f"/proc/{gateway.process.pid}/maps", encoding="utf-8") as file:
        maps = file.read()
    for name in ("pydantic_core", "kubernetes", "locust"):
        assert name not in maps


async def test_hundreds_of_connections_at_one_instant_are_not_turned_away(rig: Rig) -> None:
    """A full backlog costs whoever meets it a second: that is when the kernel tries again."""
    gateway = await rig.start_child()
    await rig.replica(answering(OK))
    socks: list[socket.socket] = []
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        socks += [_connect(gateway.port) for _ in range(400)]
    finally:
        gateway.process.send_signal(signal.SIGCONT)
        for sock in socks:
            sock.close()
    assert (await rig.ask()).status == 200


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=0.5)
