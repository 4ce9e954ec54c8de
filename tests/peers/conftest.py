"""One installation for all peers: real clients reach real servers through the invoke URL."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.applications import Application
from tests.system.conftest import Up, installation

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "gateway.report_interval_s=0.1",
    "gateway.half_closed_timeout_s=1",
    "autoscaler.drain_timeout_s=5",
    "autoscaler.stop_grace_s=2",
]


@pytest.fixture(scope="session")
def up() -> Iterator[Up]:
    """The installation. Its directory has a short path: a Unix socket's name has 108 bytes."""
    with (
        tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True) as name,
        installation(Path(name), settings=SETTINGS) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def websocket_server(up: Up) -> Iterator[Application]:
    """The server of apps/websocket_server.py."""
    with Application.deployed(up, "websocket_server.py") as application:
        yield application
