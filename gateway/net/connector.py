"""Connections to replicas: opened when an exchange has a slot and no idle one is left."""

import asyncio
import errno
import logging
import ssl
from typing import TYPE_CHECKING, Protocol, cast

from gateway.core import answers
from gateway.core.exchange import ASSIGNED
from gateway.net.tls import reason, upstream_context
from gateway.net.upstream import UpstreamProtocol

if TYPE_CHECKING:
    from gateway.net.endpoints import Endpoint
    from gateway.net.flow import Exchange
    from gateway.net.worker import Worker

_OUR_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What we lack ourselves says nothing of a replica."""

log = logging.getLogger(__name__)


class GiveBack(Protocol):
    """Takes a connection that nobody uses."""

    def __call__(self, upstream: UpstreamProtocol, now_s: float, *, reusable: bool) -> None:
        """Keep the connection for the next exchange, or end it."""


class Connector:
    """Opens connections to replicas, with TLS where the replica's port speaks it."""

    def __init__(
        self, worker: "Worker", loop: asyncio.AbstractEventLoop, *, give_back: GiveBack
    ) -> None:
        """Begin with no connections.

        Raises:
            OSError: `upstream_ca_file` cannot be used.
        """
        self._worker = worker
        self._loop = loop
        self._give_back = give_back
        self._connecting: set[asyncio.Task[None]] = set()
        self._tls = upstream_context(worker.settings.upstream_ca_file)

    def connect(self, exchange: "Exchange", endpoint: "Endpoint") -> None:
        """Open a connection for an exchange that holds a slot."""
        task = self._loop.create_task(self._connect(exchange, endpoint))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def close(self) -> None:
        """Give up what is being opened."""
        for task in self._connecting:
            task.cancel()

    async def reach(self, endpoint: "Endpoint") -> bool:
        """Whether an endpoint takes a connection; it is kept for the next exchange."""
        try:
            upstream = await self._open(endpoint)
        except (OSError, TimeoutError):
            return False
        self._give_back(upstream, self._worker.monotonic(), reusable=True)
        return True

    async def _open(self, endpoint: "Endpoint") -> UpstreamProtocol:
        async with asyncio.timeout(self._worker.settings.connect_timeout_s):
            _, found = await self._loop.create_connection(
                lambda: cast(asyncio.Protocol, UpstreamProtocol(self._worker, endpoint)),
                endpoint.host,
                endpoint.port,
                ssl=self._tls if endpoint.proton.tls else None,
            )
        return cast(UpstreamProtocol, found)

    async def _connect(self, exchange: "Exchange", endpoint: "Endpoint") -> None:
        try:
            upstream = await self._open(endpoint)
        except (OSError, TimeoutError) as exc:
            if isinstance(exc, OSError) and exc.errno in _OUR_SHORTAGE:
                if exchange.endpoint is endpoint and exchange.phase is ASSIGNED:
                    exchange.refuse(answers.OVERLOADED)
                return
            if isinstance(exc, ssl.SSLError) and not endpoint.failures:
                # Once per ejection: a wrong certificate would be a riddle without it.
                log.warning(
                    "TLS to a replica failed",
                    extra={"replica": endpoint.replica_id, "error": reason(exc)},
                )
            if exchange.endpoint is endpoint and exchange.phase is ASSIGNED:
                exchange.connect_failed()
            return
        if exchange.phase is ASSIGNED and exchange.endpoint is endpoint:
            exchange.send(upstream, self._worker.monotonic())
        else:  # the client left meanwhile: somebody else can use the connection
            self._give_back(upstream, self._worker.monotonic(), reusable=True)
