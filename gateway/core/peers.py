"""Who is at the other end of a client connection, in logs and towards replicas."""

from typing import Final

UNIX: Final = "unix"
_MAPPED: Final = "::ffff:"


def peer_address(name: object) -> str:
    """A client's address from the socket's name for it.

    Args:
        name: `(host, port, ...)`; a path or nothing for clients of the Unix socket.

    Returns:
        `192.0.2.1` (also for IPv4 clients of an IPv6 socket), `2001:db8::1`, or `unix`.
    """
    if not isinstance(name, tuple) or not name:
        return UNIX
    host = str(name[0])
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    return host.partition("%")[0]


def forwarded_lines(address: str, *, tls: bool) -> bytes:
    """What replicas are told of a connection: header lines, each with its CRLF.

    Args:
        address: From `peer_address`.
        tls: Whether the client speaks TLS with us.
    """
    proto = "https" if tls else "http"
    return (
        f"X-Forwarded-For: {address}\r\nX-Forwarded-Proto: {proto}\r\n"
        f"Forwarded: for={forwarded_node(address)};proto={proto}\r\n"
    ).encode()


def forwarded_node(address: str) -> str:
    """An address as `Forwarded` writes it (RFC 7239 section 6)."""
    if ":" in address:
        return f'"[{address}]"'
    # RFC 7239 section 6.3: a name that is no address begins with `_`
    return "_unix" if address == UNIX else address
