import socket

import pytest

from controlplane.api.server import listen, url_of
from controlplane.model.sections import ApiSettings


def test_port_zero_takes_a_free_one_and_the_url_names_it():
    with listen(ApiSettings(port=0)) as sock:
        port = sock.getsockname()[1]
        assert port > 0
        assert url_of(sock) == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_an_error_and_leaves_nothing_open():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            listen(ApiSettings(port=taken.getsockname()[1]))


def test_ipv6_addresses_stand_in_brackets():
    try:
        sock = listen(ApiSettings(host="::1", port=0))
    except OSError:
        pytest.skip("needs IPv6 on the loopback interface")
    with sock:
        assert url_of(sock).startswith("http://[::1]:")
