import socket
from collections.abc import Iterator

import pytest

from controlplane.cli.slots import Slot
from controlplane.listening import listen_tcp


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot({"http": listen_tcp("127.0.0.1", 0, shared=True), "unix": listening_unix()})
    yield slot
    slot.close()


def listening_unix() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind("")  # Linux: an abstract name that is free
    sock.listen()
    return sock


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_was_let_go_is_taken_up_on_the_same_port(slot):
    port = slot.sockets["http"].getsockname()[1]
    slot.let_go()
    slot.let_go()
    assert not connects(port)
    slot.take_up()
    assert connects(port)
    assert slot.sockets["http"].getsockname()[1] == port
    assert min(slot.descriptors().values()) >= 0


def test_nothing_changes_for_what_was_not_let_go(slot):
    before = slot.descriptors()
    slot.take_up()
    assert slot.descriptors() == before


def test_unix_sockets_are_shared_and_stay(slot):
    before = slot.sockets["unix"]
    slot.let_go()
    assert before.fileno() >= 0
    slot.take_up()
    assert slot.sockets["unix"] is before


def test_a_port_that_somebody_took_meanwhile_is_told(slot):
    port = slot.sockets["http"].getsockname()[1]
    slot.let_go()
    with listen_tcp("127.0.0.1", port, shared=False), pytest.raises(OSError, match="in use"):
        slot.take_up()
    slot.take_up()
    assert connects(port)


def test_what_is_closed_stays_closed(slot):
    slot.let_go()
    slot.close()
    with pytest.raises(OSError, match="closed"):
        slot.take_up()
