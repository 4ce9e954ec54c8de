import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.listening import listen_tcp, listen_unix, remove_unix


@pytest.fixture
def path() -> Iterator[Path]:
    """Short: a Unix socket's name has 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg-") as name:
        yield Path(name) / "s"


def test_shared_ports_are_listened_on_more_than_once_and_others_are_not():
    with listen_tcp("127.0.0.1", 0, shared=True) as first:
        port = first.getsockname()[1]
        with listen_tcp("127.0.0.1", port, shared=True) as second:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(OSError, match="in use") as caught:
            listen_tcp("127.0.0.1", port, shared=False)
    assert caught.value.errno == errno.EADDRINUSE


def test_all_of_ipv6_is_all_of_ipv4_too():
    with listen_tcp("::", 0, shared=False) as sock:
        port = sock.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_listening_does_not_block():
    with listen_tcp("127.0.0.1", 0, shared=True) as sock, pytest.raises(BlockingIOError):
        sock.accept()


def test_a_unix_socket_has_its_mode_whatever_the_umask(path):
    before = os.umask(0o077)
    try:
        with listen_unix(str(path), 0o666):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
    finally:
        assert os.umask(before) == 0o077


def test_a_socket_that_nobody_listens_on_is_replaced(path):
    listen_unix(str(path), 0o600).close()
    assert path.exists()
    with listen_unix(str(path), 0o600), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_that_somebody_listens_on_is_not_replaced_however_busy(path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))  # the queue is full now
            with pytest.raises(OSError, match="somebody listens there"):
                listen_unix(str(path), 0o600)
        remove_unix(str(path))
    assert path.exists()


def test_a_file_is_neither_replaced_nor_removed(path):
    path.write_text("mine")
    with pytest.raises(OSError, match="not a socket"):
        listen_unix(str(path), 0o600)
    remove_unix(str(path))
    assert path.read_text() == "mine"


def test_a_socket_of_ours_is_removed_once(path):
    listen_unix(str(path), 0o600).close()
    remove_unix(str(path))
    assert not path.exists()
    remove_unix(str(path))


def test_a_path_that_is_too_long_is_refused(path):
    with pytest.raises(OSError, match="too long"):
        listen_unix(str(path) + "x" * 200, 0o600)
