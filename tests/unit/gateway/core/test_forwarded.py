"""What the application is told about the client, and whose word counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.forwarded import TrustedProxies, joined_lines


@pytest.mark.parametrize(
    ("setting", "peer", "trusted"),
    [
        pytest.param("", "127.0.0.1", False, id="nobody-by-default"),
        pytest.param("", "unix", False, id="no-unix-by-default"),
        pytest.param("127.0.0.1", "127.0.0.1", True, id="an-address"),
        pytest.param("127.0.0.1", "127.0.0.2", False, id="another-address"),
        pytest.param("10.0.0.0/8, 192.168.1.0/24", "192.168.1.7", True, id="one-of-two-networks"),
        pytest.param("10.0.0.0/8 192.168.1.0/24", "192.168.2.7", False, id="in-neither"),
        pytest.param("::1", "::1", True, id="ipv6"),
        pytest.param("unix", "unix", True, id="unix"),
        pytest.param("unix", "127.0.0.1", False, id="only-unix"),
        pytest.param("10.0.0.0/8", "unix", False, id="unix-is-in-no-network"),
        pytest.param("*", "203.0.113.9", True, id="everybody"),
    ],
)
def test_only_named_senders_are_trusted(setting, peer, trusted):
    assert TrustedProxies(setting).trusts(peer) is trusted


@pytest.mark.parametrize("part", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "300.1.1.1"])
def test_what_is_no_network_is_refused_by_name(part):
    with pytest.raises(ValueError, match=part):
        TrustedProxies(f"10.0.0.0/8, {part}")


def test_a_trusted_sender_is_the_last_hop_of_its_own_claims():
    claims = [
        b"x-forwarded-for:  198.51.100.7 ",
        b"X-Forwarded-Host: api.example.com",
        b"X-Forwarded-For: 10.0.0.9",
        b"Forwarded: for=198.51.100.7;proto=https",
    ]
    assert joined_lines(claims, "10.0.0.1", tls=False).split(b"\r\n") == [
        b"X-Forwarded-For: 198.51.100.7, 10.0.0.9, 10.0.0.1",
        b"X-Forwarded-Proto: http",
        b"Forwarded: for=198.51.100.7;proto=https, for=10.0.0.1;proto=http",
        b"X-Forwarded-Host: api.example.com",
        b"",
    ]


def test_a_trusted_senders_scheme_is_the_clients():
    lines = joined_lines([b"X-Forwarded-Proto: https", b"X-Forwarded-For:"], "10.0.0.1", tls=False)
    assert lines.count(b"X-Forwarded-Proto") == 1
    assert b"X-Forwarded-Proto: https\r\n" in lines
    assert lines.startswith(b"X-Forwarded-For: 10.0.0.1\r\n")


@given(
    st.lists(
        st.sampled_from(
            [b"X-Forwarded-For: 1.1.1.1", b"Forwarded: for=1.1.1.1", b"X-Real-IP: 1.1.1.1"]
        )
    )
)
def test_the_sender_is_always_the_last_hop(claims):
    lines = joined_lines(claims, "10.0.0.1", tls=False).split(b"\r\n")
    assert lines[0].endswith(b"10.0.0.1")
    assert next(line for line in lines if line.startswith(b"Forwarded:")).endswith(
        b"for=10.0.0.1;proto=http"
    )
    assert lines.count(b"X-Real-IP: 1.1.1.1") == claims.count(b"X-Real-IP: 1.1.1.1")
