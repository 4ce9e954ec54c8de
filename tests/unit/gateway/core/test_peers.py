import pytest

from gateway.core.peers import forwarded_lines, peer_address


@pytest.mark.parametrize(
    ("name", "address"),
    [
        pytest.param(("192.0.2.1", 4711), "192.0.2.1", id="ipv4"),
        pytest.param(("2001:db8::1", 4711, 0, 0), "2001:db8::1", id="ipv6"),
        pytest.param(("::ffff:192.0.2.1", 4711, 0, 0), "192.0.2.1", id="ipv4-of-a-dual-stack"),
        pytest.param(("::ffff:0:1", 4711, 0, 0), "::ffff:0:1", id="ipv6-that-looks-mapped"),
        pytest.param(("fe80::1%eth0", 4711, 0, 2), "fe80::1", id="without-its-zone"),
        pytest.param("", "unix", id="unix"),
        pytest.param("/run/client.sock", "unix", id="unix-client-with-a-name"),
        pytest.param(b"\0abstract", "unix", id="unix-client-with-an-abstract-name"),
        pytest.param(None, "unix", id="nothing-known"),
        pytest.param((), "unix", id="nothing-said"),
    ],
)
def test_an_address_is_what_people_know_it_by(name, address):
    assert peer_address(name) == address


@pytest.mark.parametrize(
    ("address", "tls", "lines"),
    [
        (
            "192.0.2.1",
            False,
            "X-Forwarded-For: 192.0.2.1|X-Forwarded-Proto: http|"
            "Forwarded: for=192.0.2.1;proto=http|",
        ),
        (
            "2001:db8::1",
            True,
            "X-Forwarded-For: 2001:db8::1|X-Forwarded-Proto: https|"
            'Forwarded: for="[2001:db8::1]";proto=https|',
        ),
        (
            "unix",
            False,
            "X-Forwarded-For: unix|X-Forwarded-Proto: http|Forwarded: for=_unix;proto=http|",
        ),
    ],
)
def test_replicas_are_told_the_address_and_the_scheme(address, tls, lines):
    assert forwarded_lines(address, tls=tls).decode().replace("\r\n", "|") == lines
