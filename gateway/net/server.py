"""One worker's life: connect to the store, load routes, listen, serve, drain, leave."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator

from controlplane.model.sections import Settings
from controlplane.store.client import Store
from controlplane.store.watch import Mirror
from gateway.net.access_log import AccessLog
from gateway.net.admin import Admin
from gateway.net.dispatcher import Dispatcher
from gateway.net.downstream import DownstreamProtocol
from gateway.net.reports import Reporter
from gateway.net.routes import KINDS, Routes
from gateway.net.worker import Worker

_BACKLOG = 4096
_DRAIN_LOOK_S = 0.02
_TURNS = 10
_NOTICE_S = 0.1

log = logging.getLogger(__name__)


class GatewayServer:
    """Runs one worker until it is told to stop.

    serving    accepts, answers
    lame duck  /readyz is 503, still accepts: load balancers in front notice
    draining   accepts no more; idle connections end, live exchanges finish
    gone       after the drain deadline what is left is cut
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.gateway
        self._all = settings
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def request_stop(self) -> None:
        """Begin to drain; asked again, hurry."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Serve until `request_stop`.

        Raises:
            StoreError: The store cannot be reached at the start.
            OSError: A port is taken.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        worker = Worker(
            settings,
            worker_id=f"{socket.gethostname()}-{settings.worker_index}-{os.urandom(6).hex()}",
            access_log=AccessLog(
                settings.access_log, sample_ratio=settings.access_log_sample_ratio
            ),
        )
        name = f"gateway-{settings.worker_index}"
        async with await Store.connect(self._all.store, client_name=name) as store:
            mirror = Mirror(store, KINDS)
            await mirror.start()
            routes = Routes(worker, mirror)
            reporter = Reporter(worker, routes, store)
            dispatcher = Dispatcher(worker, routes, loop, on_wait=reporter.wake)
            routes.load()
            admin = Admin(worker, routes, store)
            admin_port = settings.admin_port + settings.worker_index if settings.admin_port else 0
            admin_port = await admin.start(settings.admin_host, admin_port)
            listener = listen(settings.host, settings.port)
            server = await loop.create_server(
                lambda: DownstreamProtocol(dispatcher), sock=listener, backlog=_BACKLOG
            )
            reporter.start()
            admin.serving = True
            host, port = listener.getsockname()[:2]
            log.info("listening", extra={"host": host, "port": port, "admin_port": admin_port})
            try:
                await self._stop.wait()
                await self._drain(dispatcher, server, listener)
            finally:
                server.close()
                await reporter.stop()
                dispatcher.close()
                await admin.stop()
                await mirror.stop()
                worker.access_log.close()
            log.info("stopped")

    async def _drain(
        self, dispatcher: Dispatcher, server: asyncio.Server, listener: socket.socket
    ) -> None:
        settings, worker = self._settings, dispatcher.worker
        worker.draining = True
        log.info("draining", extra={"exchanges": worker.exchanges})
        if settings.lame_duck_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), settings.lame_duck_s)
        # Connections that the kernel has already accepted for us would be reset by closing the
        # listener, and those with unread requests by closing them: take and read what is there.
        waiting = list(_accepted(listener))
        server.close()
        for sock in waiting:
            with contextlib.suppress(OSError):  # it may be gone again
                await dispatcher.loop.connect_accepted_socket(
                    lambda: DownstreamProtocol(dispatcher), sock
                )
        # Answers say that the connection ends: clients in full swing are told by the next one,
        # instead of by an end that crosses with their next request.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), _NOTICE_S)
        await _turns()
        for client in list(worker.clients):
            if isinstance(client, DownstreamProtocol):
                client.drain()
        deadline_s = worker.monotonic() + settings.drain_timeout_s
        while worker.clients and worker.monotonic() < deadline_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), _DRAIN_LOOK_S)
                break
        if worker.clients:
            log.warning("drain deadline passed", extra={"connections": len(worker.clients)})
        for client in list(worker.clients):
            if isinstance(client, DownstreamProtocol):
                client.abort()
        await asyncio.sleep(0.01)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in the listener's queue."""
    with contextlib.suppress(OSError):  # BlockingIOError: no more; others: no more of use
        while True:
            sock, _ = listener.accept()
            sock.setblocking(False)
            yield sock


async def _turns() -> None:
    """Let the loop poll often enough to set a connection up and read from it."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket of this worker's own; SO_REUSEPORT lets the others have theirs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
