"""The sockets on which one worker takes requests: plain, TLS, Unix; its own or handed over.

A socket that was handed over stays open in the supervisor: what waits in its queue when this
worker stops to accept is accepted by the next one.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator

from controlplane.listening import BACKLOG, listen_tcp, listen_unix, remove_unix
from controlplane.model.sections import GatewaySettings
from gateway.net.tls import TlsListener
from gateway.net.worker import Worker

Factory = Callable[[], asyncio.Protocol]


class PlainListener:
    """Accepts on one TCP or Unix socket, without TLS."""

    def __init__(
        self, sock: socket.socket, *, factory: Factory, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.sock = sock
        self._factory = factory
        self._loop = loop
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Begin to accept."""
        # Not `create_unix_server`: since Python 3.13 it removes the path when it closes, and the
        # path may be another worker's by then.
        self._server = await self._loop.create_server(
            self._factory, sock=self.sock, backlog=BACKLOG
        )

    async def close(self) -> None:
        """Accept what waits in the queue, then no more.

        Connections that the kernel has already accepted for us would be reset by closing the last
        descriptor of the socket.
        """
        server, self._server = self._server, None
        if server is None:
            return
        waiting = list(_accepted(self.sock))
        server.close()
        for conn in waiting:
            with contextlib.suppress(OSError):  # it may be gone again
                await self._loop.connect_accepted_socket(self._factory, conn)


class Listeners:
    """All listeners of one worker, and its admin socket."""

    def __init__(
        self, worker: Worker, *, factory: Factory, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Take over or make the sockets; `open` begins to accept.

        Raises:
            OSError: A port is taken, a path cannot be used, or the certificate is bad.
        """
        self._settings = settings = worker.settings
        descriptors = settings.descriptors
        self._ready = descriptors.pop("ready", None)
        self._socks = {name: socket.socket(fileno=fd) for name, fd in descriptors.items()}
        self.handed_over = bool(self._socks)
        try:
            if not self.handed_over:
                self._make()
            self.admin = self._socks.get("admin") or _admin_socket(settings)
            self._socks["admin"] = self.admin
            self.tls: TlsListener | None = None
            if (sock := self._socks.get("https")) is not None:
                self.tls = TlsListener(sock, factory=factory, loop=loop, worker=worker)
        except OSError:
            for sock in self._socks.values():
                sock.close()
            raise
        self._plain = [
            PlainListener(sock, factory=factory, loop=loop)
            for name, sock in self._socks.items()
            if name in {"http", "unix"}
        ]

    def _make(self) -> None:
        settings, socks = self._settings, self._socks
        if settings.plain:
            socks["http"] = listen_tcp(settings.host, settings.port, shared=True)
        if settings.tls_cert_file:
            socks["https"] = listen_tcp(settings.host, settings.tls_port, shared=True)
        if settings.unix_path:
            socks["unix"] = listen_unix(settings.unix_path, int(settings.unix_mode, 8))

    @property
    def addresses(self) -> dict[str, object]:
        """Where it listens, for the log."""
        found: dict[str, object] = {"host": self._settings.host, "port": self._port("http")}
        if self.tls is not None:
            found["tls_port"] = self._port("https")
        if "unix" in self._socks:
            found["unix_path"] = self._socks["unix"].getsockname()
        return {**found, "admin_port": self._port("admin")}

    def _port(self, name: str) -> int:
        sock = self._socks.get(name)
        return int(sock.getsockname()[1]) if sock is not None else 0

    @property
    def handshakes(self) -> int:
        """TLS handshakes under way: connections that are no clients yet."""
        return self.tls.handshakes if self.tls is not None else 0

    async def open(self) -> None:
        """Begin to accept."""
        for listener in self._plain:
            await listener.open()
        if self.tls is not None:
            self.tls.open()
        if self._ready is not None:
            with contextlib.suppress(OSError):  # a supervisor that is gone needs no telling
                os.write(self._ready, b"\n")

    async def close(self) -> None:
        """Accept what waits in the queues, then no more."""
        if self.tls is not None:
            self.tls.close()
        for listener in self._plain:
            await listener.close()
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None
        if self._settings.unix_path and not self.handed_over:
            remove_unix(self._settings.unix_path)

    def abort(self) -> None:
        """Give up the handshakes that are left."""
        if self.tls is not None:
            self.tls.abort()


def _admin_socket(settings: GatewaySettings) -> socket.socket:
    port = settings.admin_port + settings.worker_index if settings.admin_port else 0
    return listen_tcp(settings.admin_host, port, shared=False)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in the listener's queue."""
    with contextlib.suppress(OSError):  # BlockingIOError: no more; others: no more of use
        while True:
            sock, _ = listener.accept()
            sock.setblocking(False)
            yield sock
