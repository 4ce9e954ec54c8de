"""TCP ports of this machine: which are free, who has the others."""

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from typing import NamedTuple

import psutil

from controlplane.cli.errors import CliError
from controlplane.listening import family_of


class Wanted(NamedTuple):
    """A port that something is going to listen on."""

    what: str
    """In the owner's words: `the API`."""
    host: str
    port: int
    option: str
    """What to change when the port is taken: `--api-port`."""


def url(host: str, port: int, *, scheme: str = "http") -> str:
    """The URL to reach a listener on this machine; wildcards become loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return (
        f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"
    )


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
                raise refusal(want, exc) from exc


def free_ports(hosts: Iterable[str]) -> list[int]:
    """A port for each address, free now. Somebody may take one before it is used."""
    with ExitStack() as held:
        ports = []
        for host in hosts:
            sock = held.enter_context(socket.socket(family_of(host), socket.SOCK_STREAM))
            sock.bind((host, 0))
            ports.append(int(sock.getsockname()[1]))
        return ports


def refusal(want: Wanted, exc: OSError) -> CliError:
    """Why a port cannot be listened on, and what to do."""
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
