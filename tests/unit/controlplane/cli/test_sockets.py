import socket
import tempfile
from pathlib import Path

import pytest

from controlplane.cli.errors import CliError
from controlplane.cli.sockets import held_sockets
from controlplane.model.sections import GatewaySettings

FREE = {"port": 0, "tls_port": 0, "admin_port": 0}


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_workers_share_the_port_and_have_admin_ports_of_their_own():
    with held_sockets(GatewaySettings(**FREE), workers=3) as sockets:
        ports = {slot.sockets["http"].getsockname()[1] for slot in sockets.slots}
        assert ports == {sockets.gateway_port}
        assert len({slot.sockets["http"].fileno() for slot in sockets.slots}) == 3
        assert len(set(sockets.admin_ports)) == 3
        assert sockets.tls_port == 0
        assert all(set(slot.sockets) == {"http", "admin"} for slot in sockets.slots)


def test_connections_wait_in_them_from_the_beginning_and_are_refused_after_the_end():
    with held_sockets(GatewaySettings(**FREE), workers=1) as sockets:
        assert connects(sockets.gateway_port)
        sockets.close()
        assert not connects(sockets.gateway_port)


def test_tls_and_a_unix_socket_come_when_they_are_set():
    with tempfile.TemporaryDirectory(prefix="tg-") as name:
        path = Path(name) / "s"
        settings = GatewaySettings(**FREE, plain=False, tls_cert_file="/c.pem", unix_path=str(path))
        with held_sockets(settings, workers=2) as sockets:
            first, second = sockets.slots
            assert set(first.sockets) == {"https", "unix", "admin"}
            assert first.sockets["unix"] is second.sockets["unix"]
            assert sockets.gateway_port == 0
            assert connects(sockets.tls_port)
            assert path.is_socket()
        assert not path.exists()


def test_a_taken_port_names_the_option_and_leaves_nothing_open():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        settings = GatewaySettings(port=0, admin_port=taken)
        with pytest.raises(CliError, match="admin pages is in use") as caught:
            held_sockets(settings, workers=1).__enter__()
    assert "--admin-port" in caught.value.hint


def test_a_path_that_cannot_be_used_names_the_setting():
    settings = GatewaySettings(**FREE, unix_path="/nowhere/at/all")
    with pytest.raises(CliError, match="Unix socket /nowhere/at/all") as caught:
        held_sockets(settings, workers=1).__enter__()
    assert "gateway.unix_path" in caught.value.hint
