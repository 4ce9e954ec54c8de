"""Listening sockets: made by a gateway worker for itself, or by the supervisor for its workers.

TCP sockets are made with SO_REUSEPORT: the kernel spreads connections over all that listen on the
port. A Unix socket has no such thing; workers share one.
"""

import contextlib
import errno
import os
import socket
import stat

BACKLOG = 4096
"""Connections that wait to be accepted, per socket (the kernel's `net.core.somaxconn` caps it)."""


def family_of(host: str) -> socket.AddressFamily:
    """IPv6 for literals with a colon, else IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listen_tcp(host: str, port: int, *, shared: bool) -> socket.socket:
    """A TCP socket that listens.

    Args:
        host: Address to bind; `::` is all of IPv6 and of IPv4.
        port: The port; 0: a free one.
        shared: Others of the same user may listen on the same port.

    Raises:
        OSError: The address is not ours, or the port is taken by others.
    """
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def listen_unix(path: str, mode: int) -> socket.socket:
    """A Unix socket that listens.

    Args:
        path: Where. A socket on which nobody listens any more is replaced.
        mode: Its permissions; nobody can connect before it has them.

    Raises:
        OSError: Somebody listens there, something else stands there, or it cannot be made.
    """
    _make_room(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        os.chmod(path, mode)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def remove_unix(path: str) -> None:
    """Remove a socket that we listened on, unless somebody else listens there by now."""
    with contextlib.suppress(OSError):
        _make_room(path)


def _make_room(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "not a socket, so it is not replaced", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full queue would make us wait
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, "somebody listens there", path)
