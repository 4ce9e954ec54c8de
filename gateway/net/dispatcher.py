"""Who may send where: routing, access, admission, connections, repeats."""

import asyncio
from typing import TYPE_CHECKING

from gateway.core import answers
from gateway.core.answers import Answer
from gateway.core.balancing import by_weight, least_of_two
from gateway.core.exchange import ASSIGNED
from gateway.core.health import eject_for_s
from gateway.core.messages import RequestHead
from gateway.core.routing import Target
from gateway.net.flow import Exchange
from gateway.net.upstream import UpstreamProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.net.downstream import DownstreamProtocol
    from gateway.net.routes import Endpoint, Identity, ProtonRoute, Routes, WorkloadRoute
    from gateway.net.worker import Worker

_SWEEP_S = 1.0


class Dispatcher:
    """Decides for every request of one worker.

    Everything between reading shared state and changing it is synchronous.
    """

    def __init__(
        self,
        worker: "Worker",
        routes: "Routes",
        loop: asyncio.AbstractEventLoop,
        *,
        on_wait: "Callable[[ProtonRoute], None]",
    ) -> None:
        self.worker = worker
        self.routes = routes
        self.loop = loop
        self._on_wait = on_wait
        self._connecting: set[asyncio.Task[None]] = set()
        self._with_idle: set[Endpoint] = set()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)
        routes.on_progress = self.progress

    # ---- from a head to an exchange

    def begin(
        self, client: "DownstreamProtocol", head: RequestHead, now_s: float
    ) -> Exchange | None:
        """Route and authorise a request; None when it was refused (and answered)."""
        worker = self.worker
        trace = worker.new_trace()
        request_id = head.request_id or trace
        target = head.invoke
        if target is None:
            client.refuse(head, answers.NO_INVOKE_URL, request_id)
            return None
        identity = self.routes.authenticate(head.authorization or head.api_key)
        if identity is None:
            client.refuse(head, answers.UNAUTHENTICATED, request_id)
            return None
        proton = self._proton(target, identity)
        if isinstance(proton, Answer):
            client.refuse(head, proton, request_id)
            return None
        if head.traceparent is None:
            # One number for both: a log line leads to the trace. Flags 00: nobody sampled it yet.
            outgoing = b"%bX-Request-Id: %b\r\ntraceparent: 00-%b-%b-00\r\n%b%b\r\n\r\n" % (
                head.prefix, request_id, trace, trace[16:], client.peer_lines(head), identity.line,
            )  # fmt: skip
        else:
            outgoing = b"%bX-Request-Id: %b\r\n%b%b\r\n\r\n" % (
                head.prefix, request_id, client.peer_lines(head), identity.line,
            )  # fmt: skip
        worker.exchanges += 1
        proton.meter.start(now_s, int(worker.wall()) // 60)
        return Exchange(
            client, head, proton, self, request_id=request_id, outgoing=outgoing, now_s=now_s
        )

    def _proton(self, target: Target, identity: "Identity") -> "ProtonRoute | Answer":
        routes = self.routes
        workload_id = routes.deployments.get(target.id, b"") if target.deployment else target.id
        route = routes.workloads.get(workload_id)
        if route is None:
            return answers.NO_ROUTE
        if not identity.admin and identity.user_id not in route.invokers:
            return answers.FORBIDDEN
        if target.pin is not None:
            return route.by_id.get(target.pin, answers.NO_PROTON)
        return by_weight(route.protons, self.worker.random) or _without_weights(route)

    def admit(self, exchange: Exchange, now_s: float) -> None:
        """Send, queue or refuse. The exchange's request is composed, with what body has come."""
        proton = exchange.proton
        if proton.refusal is not None:
            exchange.refuse(proton.refusal)
            return
        if self.worker.draining and not proton.ready:
            exchange.refuse(answers.DRAINING)
            return
        if not proton.queue:
            endpoint = least_of_two(proton.ready, self.worker.random)
            if endpoint is not None:
                exchange.assign(endpoint, now_s)
                return
        self._enqueue(exchange, proton)

    def _enqueue(self, exchange: Exchange, proton: "ProtonRoute") -> None:
        if len(proton.queue) >= self.worker.settings.queue_limit:
            exchange.refuse(answers.QUEUE_FULL)
            return
        if not proton.ready:
            proton.meter.cold_starts += 1
        proton.queue[exchange] = None
        exchange.client.await_slot()
        self._on_wait(proton)

    def pump(self, proton: "ProtonRoute") -> None:
        """Give free slots to those who wait, first come first served."""
        queue = proton.queue
        while queue:
            endpoint = least_of_two(proton.ready, self.worker.random)
            if endpoint is None:
                return
            exchange, _ = queue.popitem(last=False)
            exchange.assign(endpoint, self.worker.monotonic())

    def progress(self, proton: "ProtonRoute") -> None:
        """The proton's endpoints or state changed."""
        if proton.refusal is not None:
            for exchange in list(proton.queue):
                exchange.refuse(proton.refusal)
        else:
            self.pump(proton)
            if proton.queue and not proton.ready:
                self._on_wait(proton)

    def again(self, exchange: Exchange, lost: "Endpoint | None") -> None:
        """Repeat a request that may be repeated, ahead of those who came later.

        Args:
            exchange: Back in the queue's phase.
            lost: The endpoint that failed it: another one is tried first, where there is one.
        """
        proton = exchange.proton
        if proton.refusal is not None:
            exchange.refuse(proton.refusal)
            return
        others = [endpoint for endpoint in proton.ready if endpoint is not lost]
        endpoint = least_of_two(others or proton.ready, self.worker.random)
        if endpoint is not None:
            exchange.assign(endpoint, self.worker.monotonic())
            return
        proton.queue[exchange] = None
        proton.queue.move_to_end(exchange, last=False)
        exchange.client.await_slot()
        self._on_wait(proton)

    # ---- connections

    def connect(self, exchange: Exchange, endpoint: "Endpoint") -> None:
        """Open a connection for an exchange that holds a slot."""
        task = self.loop.create_task(self._connect(exchange, endpoint))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, exchange: Exchange, endpoint: "Endpoint") -> None:
        try:
            async with asyncio.timeout(self.worker.settings.connect_timeout_s):
                _, upstream = await self.loop.create_connection(
                    lambda: UpstreamProtocol(self.worker, endpoint), endpoint.host, endpoint.port
                )
        except (OSError, TimeoutError):
            if exchange.endpoint is endpoint and exchange.phase is ASSIGNED:
                exchange.connect_failed()
            return
        if exchange.phase is ASSIGNED and exchange.endpoint is endpoint:
            exchange.send(upstream, self.worker.monotonic())
        else:  # the client left meanwhile: somebody else can use the connection
            self.give_back(upstream, self.worker.monotonic(), reusable=True)

    def give_back(self, upstream: UpstreamProtocol, now_s: float, *, reusable: bool) -> None:
        """Keep a connection for the next exchange, or end it."""
        endpoint = upstream.endpoint
        if (
            reusable
            and not upstream.closed
            and endpoint.routable
            and len(endpoint.idle) < self.worker.settings.max_idle_per_endpoint
        ):
            upstream.idle_since_s = now_s
            endpoint.idle.append(upstream)
            self._with_idle.add(endpoint)
        else:
            upstream.abort()

    def _sweep(self) -> None:
        """Close connections that have been idle too long: before the replica does."""
        oldest_s = self.worker.monotonic() - self.worker.settings.upstream_idle_timeout_s
        for endpoint in list(self._with_idle):
            idle = endpoint.idle
            while idle and idle[0].idle_since_s < oldest_s:
                idle.pop(0).abort()
            if not idle:
                self._with_idle.discard(endpoint)
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)

    def failed(self, endpoint: "Endpoint | None") -> None:
        """A fresh connection to the endpoint failed: no requests for it for a while."""
        if endpoint is None or endpoint.ejected or not endpoint.routable:
            return
        endpoint.failures += 1
        endpoint.ejected = True
        endpoint.proton.refresh()
        delay_s = eject_for_s(endpoint.failures, base_s=self.worker.settings.eject_s)
        self.loop.call_later(delay_s, self._readmit, endpoint)

    def _readmit(self, endpoint: "Endpoint") -> None:
        if endpoint.ejected:
            endpoint.ejected = False
            endpoint.proton.refresh()
            self.progress(endpoint.proton)

    def close(self) -> None:
        """End everything that is left: idle connections, connects, the sweeper."""
        self._sweeper.cancel()
        for task in self._connecting:
            task.cancel()
        for proton in self.routes.protons.values():
            for endpoint in proton.endpoints.values():
                for upstream in endpoint.idle:
                    upstream.abort()
                endpoint.idle.clear()


def _without_weights(route: "WorkloadRoute") -> "ProtonRoute | Answer":
    """A workload whose protons all have weight 0, or none at all."""
    return route.protons[0] if route.protons else answers.STOPPED
