"""The gateway's listening sockets, held by the supervisor for as long as the installation runs.

Workers come and go, the sockets stay: what the kernel has accepted for a worker that was killed,
or that is being replaced, waits in its socket for the next one. Each worker slot has TCP sockets
of its own (the kernel spreads connections over them) and its admin socket; all share the one
Unix socket.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from controlplane.cli.errors import CliError
from controlplane.cli.ports import Wanted, refusal
from controlplane.cli.slots import Slot
from controlplane.listening import listen_tcp, listen_unix, remove_unix
from controlplane.model.sections import GatewaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """What is held. Ports are 0 where there is no such listener."""

    slots: tuple[Slot, ...]
    """One per worker: `http`, `https`, `unix` as far as they are wanted, and `admin`."""
    gateway_port: int
    tls_port: int
    admin_ports: tuple[int, ...]

    def close(self) -> None:
        """Let go of them: a socket ends with the last worker that has it."""
        for slot in self.slots:
            slot.close()


@contextmanager
def held_sockets(gateway: GatewaySettings, *, workers: int) -> Iterator[Sockets]:
    """Make the sockets of all workers, and close what is left of them at the end.

    Args:
        gateway: Where to listen; a port of 0 is a free one, the same for all workers.
        workers: How many slots.

    Raises:
        CliError: A port is taken, or a path cannot be used.
    """
    with ExitStack() as stack:
        slots: list[dict[str, socket.socket]] = [{} for _ in range(workers)]
        if gateway.plain:
            _tcp(stack, slots, "http", Wanted("the gateway", gateway.host, gateway.port, "--port"))
        if gateway.tls_cert_file:
            option = "--set gateway.tls_port=..."
            wanted = Wanted("the gateway's TLS", gateway.host, gateway.tls_port, option)
            _tcp(stack, slots, "https", wanted)
        if gateway.unix_path:
            sock = _unix(gateway.unix_path, int(gateway.unix_mode, 8))
            stack.callback(remove_unix, gateway.unix_path)
            stack.enter_context(sock)
            for slot in slots:
                slot["unix"] = sock
        for index, slot in enumerate(slots):
            port = gateway.admin_port + index if gateway.admin_port else 0
            what = f"gateway worker {index}'s admin pages"
            wanted = Wanted(what, gateway.admin_host, port, "--admin-port")
            _tcp(stack, [slot], "admin", wanted)
        sockets = Sockets(
            slots=tuple(Slot(slot) for slot in slots),
            gateway_port=_port(slots[0], "http"),
            tls_port=_port(slots[0], "https"),
            admin_ports=tuple(_port(slot, "admin") for slot in slots),
        )
        stack.callback(sockets.close)
        yield sockets


def _tcp(
    stack: ExitStack, slots: list[dict[str, socket.socket]], name: str, wanted: Wanted
) -> None:
    port = wanted.port
    for slot in slots:
        try:
            sock = listen_tcp(wanted.host, port, shared=name != "admin")
        except OSError as exc:
            raise refusal(wanted, exc) from exc
        slot[name] = stack.enter_context(sock)
        port = _port(slot, name)


def _unix(path: str, mode: int) -> socket.socket:
    try:
        return listen_unix(path, mode)
    except OSError as exc:
        raise CliError(
            f"cannot listen on the Unix socket {path}: {exc.strerror or exc}",
            hint="Choose another path with --set gateway.unix_path=...",
        ) from exc


def _port(slot: dict[str, socket.socket], name: str) -> int:
    return int(slot[name].getsockname()[1]) if name in slot else 0
