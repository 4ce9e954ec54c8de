"""TCP ports of this machine: which are free, who has the others."""

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import psutil

from controlplane.cli.errors import CliError


class Wanted(NamedTuple):
    """A port that something is going to listen on."""

    what: str
    """In the owner's words: `the API`."""
    host: str
    port: int
    option: str
    """What to change when the port is taken: `--api-port`."""


def family_of(host: str) -> socket.AddressFamily:
    """IPv6 for literals with a colon, else IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def url(host: str, port: int) -> str:
    """The `http://` URL to reach a listener on this machine; wildcards become loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def check_free(wanted: Iterable[Wanted]) -> None:
    """Refuse ports that somebody listens on, or addresses that this machine does not have.

    Raises:
        CliError: Names the port, the process that has it where the kernel tells, and the option.
    """
    for want in wanted:
        with socket.socket(family_of(want.host), socket.SOCK_STREAM) as probe:
            # Without it, connections in TIME_WAIT of an earlier run would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((want.host, want.port))
                probe.listen(1)
            except OSError as exc:
                raise _refusal(want, exc) from exc


def free_ports(hosts: Iterable[str]) -> list[int]:
    """A port for each address, free now. Somebody may take one before it is used."""
    with ExitStack() as held:
        ports = []
        for host in hosts:
            sock = held.enter_context(socket.socket(family_of(host), socket.SOCK_STREAM))
            sock.bind((host, 0))
            ports.append(int(sock.getsockname()[1]))
        return ports


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Hold a port that several processes share with SO_REUSEPORT, without ever accepting on it.

    A bound socket that does not listen gets no connections, but nobody outside the group can
    take the port while a worker is being restarted.

    Args:
        host: Address to bind.
        port: The port; 0: a free one.

    Yields:
        The port.
    """
    with socket.socket(family_of(host), socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            sock.bind((host, port))
        except OSError as exc:
            raise _refusal(Wanted("the gateway", host, port, "--port"), exc) from exc
        yield int(sock.getsockname()[1])


def _refusal(want: Wanted, exc: OSError) -> CliError:
    where = f"{want.host}:{want.port}"
    if exc.errno == errno.EADDRINUSE:
        owner = _owner(want.port)
        return CliError(
            f"port {want.port} for {want.what} is in use{f' by {owner}' if owner else ''}",
            hint=f"End that process, or choose another port with {want.option} (0: a free one).",
        )
    if exc.errno == errno.EACCES:
        return CliError(
            f"not allowed to listen on {where} for {want.what}",
            hint=f"Choose a port from 1024 up with {want.option}.",
        )
    return CliError(
        f"cannot listen on {where} for {want.what}: {exc.strerror or exc}",
        hint="Choose an address of this machine with --host.",
    )


def _owner(port: int) -> str | None:
    """`name (pid 123)` of the process that listens on `port`, where we may know it."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port == port:
                pid = connection.pid
                return f"{psutil.Process(pid).name()} (pid {pid})" if pid else None
    except psutil.Error:
        return None
    return None
