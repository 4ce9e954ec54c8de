"""Ports: one owner each, round robin, never one in use."""

import socket
from collections.abc import Iterator

import pytest

from autoscaler.reconcilers.processes_ports import PortPool


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def free_run(length: int) -> int:
    """First port of a run of free ones; an oracle that the pool's own test does not share."""
    for first in range(45_000, 60_000, length):
        sockets = [socket.socket() for _ in range(length)]
        try:
            for offset, made in enumerate(sockets):
                made.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        else:
            return first
        finally:
            for made in sockets:
                made.close()
    raise AssertionError("no free ports")


def test_every_port_has_one_owner_and_comes_back_last():
    first = free_run(3)
    pool = PortPool(first, first + 2)
    taken = [pool.take() for _ in range(3)]
    assert sorted(port for port in taken if port) == [first, first + 1, first + 2]
    assert pool.take() is None
    pool.release(first + 1)
    pool.release(first + 1)
    assert pool.take() == first + 1


def test_a_port_in_use_is_passed_over(listener: socket.socket):
    port = listener.getsockname()[1]
    assert PortPool(port, port).take() is None


def test_a_reserved_port_is_not_handed_out():
    port = free_run(1)
    pool = PortPool(port, port)
    pool.reserve(port)
    assert pool.take() is None
    assert pool.taken == {port}


def test_a_pool_begins_at_its_offset_whatever_its_size():
    pool = PortPool(21_000, 21_009, offset=25)
    first = pool.take()
    assert first is not None
    assert 21_005 <= first <= 21_009
