"""One worker's life: connect to the store, load routes, listen, serve, drain, leave."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from typing import cast

from controlplane.model.sections import Settings
from controlplane.store.client import Store
from controlplane.store.watch import Mirror
from gateway.net.access_log import AccessLog
from gateway.net.admin import Admin
from gateway.net.dispatcher import Dispatcher
from gateway.net.downstream import DownstreamProtocol
from gateway.net.listeners import Listeners
from gateway.net.reports import Reporter
from gateway.net.routes import KINDS, Routes
from gateway.net.spans import Spans
from gateway.net.worker import Worker

_DRAIN_LOOK_S = 0.02
_TURNS = 10
_NOTICE_S = 0.1
_LONG_NOTICE_S = 5.0
"""How long clients that have a connection open may take for their next request when a successor
is there: nothing waits for the end of this worker then."""


log = logging.getLogger(__name__)


class GatewayServer:
    """Runs one worker until it is told to stop, or to make way for its successor.

    serving    accepts, answers
    lame duck  /readyz is 503, still accepts: load balancers in front notice
    draining   accepts no more; idle connections end, live exchanges finish
    gone       after the drain deadline what is left is cut

    SIGTERM, SIGINT: drain and end; a second one hurries. SIGUSR1: another worker accepts from the
    same sockets: no lame duck, the admin port is the other's, and clients with idle connections
    get time for one more request. SIGHUP: read the certificate again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.gateway
        self._all = settings
        self._leave = asyncio.Event()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def request_stop(self) -> None:
        """Begin to drain; asked again, hurry."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()
        self._leave.set()

    def request_handover(self) -> None:
        """Drain: a successor is there."""
        self._leave.set()

    async def run(self) -> None:
        """Serve until `request_stop` or `request_handover`.

        Raises:
            StoreError: The store cannot be reached at the start.
            OSError: A port is taken, or the certificate cannot be used.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        loop.add_signal_handler(signal.SIGUSR1, self.request_handover)
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
            spans = self._spans(worker, store)
            admin = Admin(worker, routes, store)
            listeners = Listeners(
                worker,
                factory=lambda: cast(asyncio.Protocol, DownstreamProtocol(dispatcher)),
                loop=loop,
            )
            if listeners.tls is not None:
                loop.add_signal_handler(signal.SIGHUP, listeners.tls.reload)
            await admin.start(listeners.admin)
            await listeners.open()
            reporter.start()
            admin.serving = True
            log.info("listening", extra=listeners.addresses)
            try:
                await self._leave.wait()
                await self._drain(dispatcher, listeners, admin)
            finally:
                await listeners.close()
                await reporter.stop()
                dispatcher.close()
                if spans is not None:
                    await spans.stop()
                await admin.stop()
                await mirror.stop()
                worker.access_log.close()
            log.info("stopped")

    def _spans(self, worker: Worker, store: Store) -> Spans | None:
        """What records sampled requests; None where no telemetry is kept."""
        if not self._all.telemetry.max_bytes:
            return None
        worker.spans = Spans(
            store,
            worker_id=worker.id,
            ratio=self._settings.trace_sample_ratio,
            wall=worker.wall,
            random=worker.random,
        )
        worker.spans.start()
        return worker.spans

    async def _drain(self, dispatcher: Dispatcher, listeners: Listeners, admin: Admin) -> None:
        settings, worker = self._settings, dispatcher.worker
        worker.replaced = not self._stop.is_set()
        worker.draining = True
        log.info("draining", extra={"exchanges": worker.exchanges, "replaced": worker.replaced})
        if worker.replaced:
            await admin.stop()
        elif settings.lame_duck_s:
            await _wait(self._hurry, settings.lame_duck_s)
        await listeners.close()
        deadline_s = worker.monotonic() + settings.drain_timeout_s
        # Answers say that the connection ends: clients in full swing are told by the next one,
        # instead of by an end that crosses with their next request.
        await _wait(self._hurry, _NOTICE_S)
        if worker.replaced:
            await self._give_notice(dispatcher, listeners)
        await _turns()
        await self._finish(dispatcher, listeners, deadline_s)

    async def _give_notice(self, dispatcher: Dispatcher, listeners: Listeners) -> None:
        """Wait for the next request of clients that pause between two of them."""
        worker = dispatcher.worker
        until_s = worker.monotonic() + min(_LONG_NOTICE_S, self._settings.drain_timeout_s / 2)
        while (worker.clients or listeners.handshakes) and worker.monotonic() < until_s:
            if await _wait(self._stop, _DRAIN_LOOK_S):  # everything ends, not only this worker
                return

    async def _finish(
        self, dispatcher: Dispatcher, listeners: Listeners, deadline_s: float
    ) -> None:
        """End idle connections, wait for the others until the deadline, cut what is left."""
        worker = dispatcher.worker
        for client in list(worker.clients):
            client.drain()
        while (worker.clients or listeners.handshakes) and worker.monotonic() < deadline_s:
            if await _wait(self._hurry, _DRAIN_LOOK_S):
                break
        if worker.clients:
            log.warning("drain deadline passed", extra={"connections": len(worker.clients)})
        for client in list(worker.clients):
            client.abort()
        listeners.abort()
        await asyncio.sleep(0.01)


async def _wait(event: asyncio.Event, limit_s: float) -> bool:
    """Whether the event was set within the time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()


async def _turns() -> None:
    """Let the loop poll often enough to set a connection up and read from it."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
