"""Who the client was, told to the application: X-Forwarded-* and Forwarded (RFC 7239).

    sender                what the application gets
    --------------------  -------------------------------------------------------------------
    a stranger            the connection's own address and scheme; the sender's claims are dropped
    one of our proxies    its X-Forwarded-For and Forwarded, with its own address added at the end;
                          its X-Forwarded-Proto, -Host, -Port and the like as they came

Our proxies are those in `gateway.trusted_proxies`.
"""

import ipaddress
from typing import Final

from gateway.core.peers import UNIX, forwarded_node

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_FORWARDED: Final = b"forwarded"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """The senders whose claims are believed."""

    __slots__ = ("_all", "_networks", "_sockets")

    def __init__(self, text: str) -> None:
        """Read a setting.

        Args:
            text: Addresses and networks (`10.0.0.0/8, ::1`), `unix` for clients of the Unix-domain
                listener, `*` for everybody; separated by commas or blanks; empty: nobody.

        Raises:
            ValueError: A part is none of these.
        """
        parts = text.replace(",", " ").split()
        self._all = "*" in parts
        self._sockets = "unix" in parts
        self._networks: list[Network] = []
        for part in parts:
            if part in {"*", "unix"}:
                continue
            self._networks.append(ipaddress.ip_network(part))

    def trusts(self, peer: str) -> bool:
        """Whether this sender is one of ours. `peer`: from `core.peers.peer_address`."""
        if self._all or (self._sockets and peer == UNIX):
            return True
        if not self._networks or peer == UNIX:
            return False
        address = ipaddress.ip_address(peer)
        return any(address in network for network in self._networks)


def joined_lines(claims: list[bytes], peer: str, *, tls: bool) -> bytes:
    """A trusted sender's claims, with the sender itself as the last hop.

    Args:
        claims: The sender's own lines, without CRLF.
        peer: Its address.
        tls: Whether it speaks TLS with us: told where it says nothing of the client's scheme.

    Returns:
        Lines that each end with CRLF.
    """
    proto = "https" if tls else "http"
    hops: list[bytes] = []
    elements: list[bytes] = []
    others: list[bytes] = []
    scheme = False
    for line in claims:
        name, _, value = line.partition(b":")
        folded = name.lower()
        if folded == _FOR:
            hops.append(value.strip(b" \t"))
        elif folded == _FORWARDED:
            elements.append(value.strip(b" \t"))
        else:
            scheme = scheme or folded == _PROTO
            others.append(line)
    hops.append(peer.encode())
    elements.append(f"for={forwarded_node(peer)};proto={proto}".encode())
    lines = [b"X-Forwarded-For: " + b", ".join(hop for hop in hops if hop)]
    if not scheme:
        lines.append(b"X-Forwarded-Proto: " + proto.encode())
    lines.append(b"Forwarded: " + b", ".join(element for element in elements if element))
    return b"\r\n".join(lines + others) + b"\r\n"
