import errno
import os
import socket

import pytest

from controlplane.cli.errors import CliError
from controlplane.cli.ports import Wanted, check_free, free_ports, refusal, url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("127.0.0.1", "http://127.0.0.1:80", id="address"),
        pytest.param("0.0.0.0", "http://127.0.0.1:80", id="wildcard-is-reached-on-loopback"),
        pytest.param("::", "http://[::1]:80", id="ipv6-wildcard"),
        pytest.param("fe80::1", "http://[fe80::1]:80", id="ipv6"),
        pytest.param("tide.example", "http://tide.example:80", id="name"),
    ],
)
def test_url_of_a_listener(host, expected):
    assert url(host, 80) == expected


def test_url_of_a_listener_with_tls():
    assert url("::", 443, scheme="https") == "https://[::1]:443"


def test_free_ports_differ_and_are_free():
    ports = free_ports(["127.0.0.1"] * 20)
    assert len(set(ports)) == 20
    check_free(Wanted("it", "127.0.0.1", port, "--port") for port in ports)


def test_a_taken_port_names_its_owner_and_the_option():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CliError) as caught:
            check_free([Wanted("the API", "127.0.0.1", port, "--api-port")])
    assert f"port {port} for the API is in use by" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert "--api-port" in caught.value.hint


@pytest.mark.parametrize(
    ("number", "message", "hint"),
    [
        pytest.param(errno.EACCES, "not allowed to listen on", "1024", id="privileged"),
        pytest.param(errno.EADDRNOTAVAIL, "cannot listen on", "--host", id="not-our-address"),
    ],
)
def test_other_refusals_say_what_to_change(number, message, hint):
    error = refusal(Wanted("it", "192.0.2.1", 80, "--port"), OSError(number, "no"))
    assert message in error.message
    assert hint in error.hint


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(CliError, match="cannot listen on"):
        check_free([Wanted("it", "192.0.2.1", 0, "--port")])
