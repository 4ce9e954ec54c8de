"""Store URLs: what they may say, and how they are refused."""

import ssl

import pytest

from controlplane.store.address import Address, parse_url
from controlplane.store.errors import StoreSettingsError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("redis://host", Address(host="host"), id="host-only"),
        pytest.param("redis://host:7000/3", Address(host="host", port=7000, database=3), id="all"),
        pytest.param("redis://host?db=2", Address(host="host", database=2), id="db-option"),
        pytest.param(
            "redis://:p%40ss@host", Address(host="host", password="p@ss"), id="password-only"
        ),
        pytest.param(
            "redis://me:secret@[::1]:7000",
            Address(host="::1", port=7000, username="me", password="secret"),
            id="ipv6-and-user",
        ),
        pytest.param(
            "rediss://host?ca=/etc/ca.pem&verify=no",
            Address(host="host", tls=True, ca_file="/etc/ca.pem", verify=False),
            id="tls",
        ),
        pytest.param("unix:///run/a%20b.sock", Address(path="/run/a b.sock"), id="unix"),
        pytest.param("unix:///a.sock?db=1", Address(path="/a.sock", database=1), id="unix-db"),
    ],
)
def test_urls_are_taken_apart(url, expected):
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("http://host", "'http' is not redis", id="scheme"),
        pytest.param("host:6379", "is not redis", id="no-scheme"),
        pytest.param("redis://", "needs a host", id="no-host"),
        pytest.param("unix://", "needs a path", id="no-path"),
        pytest.param("redis://host:99999", "Port out of range", id="port-too-large"),
        pytest.param("redis://host:x", "Port could not be cast", id="port-no-number"),
        pytest.param("redis://host/x", "database 'x' is not a number", id="database"),
        pytest.param("redis://host?ssl=1", "unknown option 'ssl'; known: db", id="option"),
        pytest.param("redis://host?ca=/x", "unknown option 'ca'", id="tls-option-without-tls"),
    ],
)
def test_wrong_urls_are_refused_with_the_reason(url, message):
    with pytest.raises(StoreSettingsError, match=message):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("redis://me:secret@host/2", "redis://host:6379/2", id="tcp"),
        pytest.param("rediss://:secret@host", "rediss://host:6379/0", id="tls"),
        pytest.param("unix://me:secret@/run/x.sock", "unix:///run/x.sock", id="unix"),
    ],
)
def test_passwords_are_never_shown(url, text):
    address = parse_url(url)
    assert str(address) == text
    assert "secret" not in repr(address)


def test_a_move_keeps_the_account_and_an_empty_host_keeps_the_host():
    address = parse_url("redis://me:secret@first:7000")
    assert address.moved("second", 7001) == parse_url("redis://me:secret@second:7001")
    assert address.moved("", 7001) == parse_url("redis://me:secret@first:7001")


def test_tls_checks_the_server_unless_told_not_to():
    assert parse_url("redis://host").ssl_context() is None
    checked = parse_url("rediss://host").ssl_context()
    assert checked is not None
    assert checked.verify_mode is ssl.CERT_REQUIRED
    unchecked = parse_url("rediss://host?verify=no").ssl_context()
    assert unchecked is not None
    assert unchecked.verify_mode is ssl.CERT_NONE
