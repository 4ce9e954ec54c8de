"""Who may send where: routing, access, admission, connections, repeats."""

import asyncio
from typing import TYPE_CHECKING

from gateway.core import answers
from gateway.core.answers import Answer
from gateway.core.balancing import by_weight, least_of_two
from gateway.core.health import EJECTED
from gateway.core.messages import RequestHead
from gateway.core.open_paths import DISABLED, OPTIONAL, REQUIRED
from gateway.core.quotas import Refused
from gateway.core.routing import Target
from gateway.net.callers import stranger
from gateway.net.connector import Connector
from gateway.net.flow import Exchange
from gateway.net.moving import another, move
from gateway.net.outliers import Outliers
from gateway.net.revival import Revival

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.fairness import WaitingRoom
    from gateway.net.callers import Identity
    from gateway.net.downstream import DownstreamProtocol
    from gateway.net.endpoints import Endpoint, ProtonRoute, WorkloadRoute
    from gateway.net.policies import Policy
    from gateway.net.routes import Routes
    from gateway.net.upstream import UpstreamProtocol
    from gateway.net.worker import Worker

_SWEEP_S = 0.2
"""How late a deadline may be noticed; looking at 10,000 connections takes under a millisecond."""
_OVERLOAD_PAUSE_S = 4
"""Whom an overloaded worker sends away is told to come again after 1 to this many seconds."""


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
        self._connector = Connector(worker, loop, give_back=self.give_back)
        self.outliers = Outliers(loop, eject_s=worker.settings.eject_s, on_return=self.progress)
        self._revival = Revival(self._connector, self.outliers, at_most_s=worker.settings.eject_s)
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
            if head.method == b"OPTIONS" and (head.target == b"*" or head.max_forwards == 0):
                client.answer_options(head, request_id)
            else:
                client.refuse(
                    head,
                    answers.NO_HOPS if head.max_forwards == 0 else answers.NO_INVOKE_URL,
                    request_id,
                )
            return None
        credential = head.authorization or head.api_key
        known = self.routes.callers.authenticate(credential)
        identity = known or self._stranger(client, target, credential)
        if identity is None:
            client.refuse(head, answers.UNAUTHENTICATED, request_id)
            return None
        proton = self._proton(target, identity)
        if isinstance(proton, Answer):
            client.refuse(head, proton, request_id)
            return None
        session = None
        policy = proton.policy
        if policy is not None and policy.sessions is not None:
            protons = policy.protons if target.pin is None else (proton,)
            session = policy.sessions.find(head, target, protons, now_s)
            if session.endpoint is not None:
                proton = session.endpoint.proton
        if head.traceparent is None:
            # One number for both: a log line leads to the trace. Flags 00: nobody sampled it yet.
            outgoing = b"%bX-Request-Id: %b\r\ntraceparent: 00-%b-%b-00\r\n%b%b\r\n" % (
                head.prefix, request_id, trace, trace[16:], client.peer_lines(head), identity.line,
            )  # fmt: skip
        else:
            outgoing = b"%bX-Request-Id: %b\r\n%b%b\r\n" % (
                head.prefix, request_id, client.peer_lines(head), identity.line,
            )  # fmt: skip
        worker.exchanges += 1
        proton.meter.start(now_s, int(worker.wall()) // 60)
        exchange = Exchange(
            client, head, proton, self, caller=identity.user_id, request_id=request_id,
            outgoing=outgoing, now_s=now_s,
        )  # fmt: skip
        if session is not None:
            exchange.session = session
            exchange.outgoing = session.stripped(outgoing)
        spans = worker.spans
        if spans is not None and (head.traceparent is not None or worker.trace_ratio):
            spans.begin(exchange, trace)
        return exchange

    def _stranger(
        self, client: "DownstreamProtocol", target: Target, credential: bytes | None
    ) -> "Identity | None":
        """Who calls without a valid token, if the path needs none; None: nobody may."""
        routes = self.routes
        workload_id = routes.deployments.get(target.id, b"") if target.deployment else target.id
        route = routes.workloads.get(workload_id)
        auth = REQUIRED if route is None else route.auth(target.path)
        if auth == DISABLED or (auth == OPTIONAL and credential is None):
            return stranger(client.peer)
        return None

    def _proton(self, target: Target, identity: "Identity") -> "ProtonRoute | Answer":
        routes = self.routes
        workload_id = routes.deployments.get(target.id, b"") if target.deployment else target.id
        route = routes.workloads.get(workload_id)
        if route is None:
            return answers.NO_ROUTE
        if not identity.admin and identity.key not in route.invokers:
            refusal = route.refusal(identity)
            if refusal is not None and route.auth(target.path) == REQUIRED:
                return refusal
        if target.pin is not None:
            return route.by_id.get(target.pin) or answers.NO_PROTON
        return by_weight(route.protons, self.worker.random) or _without_weights(route)

    def admit(self, exchange: Exchange, now_s: float) -> None:
        """Send, queue or refuse. The exchange's request is composed, with what body has come."""
        proton = exchange.proton
        if proton.refusal is not None:
            exchange.refuse(proton.refusal)
            return
        if self.worker.draining and not proton.ready and not self.worker.replaced:
            exchange.refuse(answers.DRAINING)
            return
        if self.worker.exchanges > proton.exchanges_allowed:
            self._turn_away(exchange, answers.OVERLOADED, self._pause())
            return
        endpoint = None
        if proton.policy is not None:
            if not self._within_quota(exchange, proton.policy, now_s):
                return
            if exchange.session is not None:
                endpoint = exchange.session.endpoint
        if endpoint is not None:
            self._admit_to(endpoint, exchange, now_s)
            return
        room = proton.room
        if not room.size or not room.anyone.size:
            endpoint = least_of_two(proton.ready, self.worker.random)
            if endpoint is not None:
                exchange.assign(endpoint, now_s)
                return
        self._enqueue(exchange, proton, None)

    def _admit_to(self, endpoint: "Endpoint", exchange: Exchange, now_s: float) -> None:
        """Send or queue a request whose session lives on one endpoint."""
        proton = exchange.proton
        if endpoint.in_flight < endpoint.limit and not proton.room.waits_for(endpoint):
            exchange.assign(endpoint, now_s)
        else:
            self._enqueue(exchange, proton, endpoint)

    def _within_quota(self, exchange: Exchange, policy: "Policy", now_s: float) -> bool:
        """Count a request against its caller's quota, or refuse it."""
        if policy.book is None:
            return True
        taken = policy.book.take(exchange.caller, now_s)
        if isinstance(taken, Refused):
            self._turn_away(exchange, taken.answer, taken.retry_after)
            return False
        exchange.usage = taken
        return True

    def _turn_away(self, exchange: Exchange, answer: Answer, retry_after: int) -> None:
        """Refuse what more replicas would not help."""
        exchange.proton.meter.discount(int(self.worker.wall()) // 60)
        exchange.refuse(answer, retry_after=retry_after)

    def _pause(self) -> int:
        """Seconds for those whom an overloaded worker sends away: spread, or all come at once."""
        return 1 + int(self.worker.random() * _OVERLOAD_PAUSE_S)

    def _enqueue(
        self, exchange: Exchange, proton: "ProtonRoute", endpoint: "Endpoint | None"
    ) -> None:
        worker, room = self.worker, proton.room
        held_bytes = self._held_bytes(exchange)
        if worker.queued_bytes + held_bytes > proton.queued_bytes_allowed:
            self._turn_away(exchange, answers.OVERLOADED, self._pause())
            return
        rival = None
        if room.size >= worker.settings.queue_limit:
            rival = room.rival(exchange.caller)
            if rival is None:
                exchange.refuse(answers.QUEUE_FULL)
                return
        if not proton.ready:
            proton.meter.cold_starts += 1
            exchange.cold = True
        worker.queued_bytes += held_bytes
        room.enter(exchange.caller, exchange, endpoint=endpoint, held_bytes=held_bytes)
        exchange.client.await_slot()
        if rival is not None:
            rival.refuse(answers.QUEUE_FULL)
        self._waits(proton)

    def _held_bytes(self, exchange: Exchange) -> int:
        """What a request keeps while it waits; of a body that is still to come, the most it may."""
        held_bytes = len(exchange.outgoing)
        return held_bytes if exchange.body_done else held_bytes + self.worker.settings.replay_bytes

    def pump(self, proton: "ProtonRoute") -> None:
        """Give free slots to those who wait; callers take turns."""
        room = proton.room
        wanted = room.wanted()
        for endpoint in wanted:
            if not endpoint.routable or endpoint.health is EJECTED:
                room.unbind(endpoint)
        if wanted and room.bound_first():
            self._pump_bound(room, wanted)
        while room.anyone.size:
            free = least_of_two(proton.ready, self.worker.random)
            if free is None:
                break
            exchange, held_bytes = room.take()
            self.worker.queued_bytes -= held_bytes
            exchange.assign(free, self.worker.monotonic())
        if wanted:
            self._pump_bound(room, wanted)

    def _pump_bound(
        self, room: "WaitingRoom[Exchange, Endpoint]", wanted: "list[Endpoint]"
    ) -> None:
        """Free slots to sessions that live where the slots are."""
        for endpoint in wanted:
            while endpoint.in_flight < endpoint.limit and room.waits_for(endpoint):
                exchange, held_bytes = room.take_for(endpoint)
                self.worker.queued_bytes -= held_bytes
                exchange.assign(endpoint, self.worker.monotonic())

    def progress(self, proton: "ProtonRoute") -> None:
        """The proton's endpoints, weight or state changed."""
        if proton.room.size and not proton.weight:
            self._move_waiting(proton)
        if proton.refusal is not None:
            for exchange in list(proton.room):
                exchange.refuse(proton.refusal)
        else:
            self.pump(proton)
            if proton.room.size and not proton.ready:
                self._waits(proton)

    def _move_waiting(self, proton: "ProtonRoute") -> None:
        """Those who wait for a proton that gets no traffic go on to one that does."""
        worker = self.worker
        route = self.routes.workloads.get(proton.workload_id.encode())
        minute = int(worker.wall()) // 60
        for exchange in list(proton.room):
            other = another(exchange, route, worker.random)
            if other is None:
                continue
            now_s = worker.monotonic()
            held_bytes = proton.room.leave(exchange.caller, exchange)
            move(exchange, other, now_s=now_s, minute=minute)
            other.room.enter(exchange.caller, exchange, held_bytes=held_bytes)
            self._waits(other)
            self.pump(other)

    def _waits(self, proton: "ProtonRoute") -> None:
        """Somebody waits: others are told who can do something about it."""
        self._on_wait(proton)
        if not proton.ready:
            self._revival.needed(proton)

    def again(self, exchange: Exchange, lost: "Endpoint | None") -> None:
        """Repeat a request that may be repeated, ahead of those who came later.

        Args:
            exchange: Back in the queue's phase.
            lost: The endpoint that failed it: another one is tried first, where there is one.
        """
        exchange.client.await_connection()
        worker = self.worker
        route = self.routes.workloads.get(exchange.proton.workload_id.encode())
        other = another(exchange, route, worker.random)
        if other is not None:
            move(exchange, other, now_s=worker.monotonic(), minute=int(worker.wall()) // 60)
        proton = exchange.proton
        if proton.refusal is not None:
            exchange.refuse(proton.refusal)
            return
        session = exchange.session
        bound = session.endpoint if session is not None else None
        if bound is not None and (bound.health is EJECTED or not bound.routable):
            bound = None  # the session must live on somewhere else
        others = [endpoint for endpoint in proton.ready if endpoint is not lost]
        if bound is not None:
            others = [bound]
        endpoint = least_of_two(others or proton.ready, self.worker.random)
        if endpoint is not None:
            exchange.assign(endpoint, self.worker.monotonic())
            return
        held_bytes = self._held_bytes(exchange)
        self.worker.queued_bytes += held_bytes
        proton.room.enter_front(exchange.caller, exchange, endpoint=bound, held_bytes=held_bytes)
        exchange.client.await_slot()
        self._waits(proton)

    # ---- connections

    def connect(self, exchange: Exchange, endpoint: "Endpoint") -> None:
        """Open a connection for an exchange that holds a slot."""
        self._connector.connect(exchange, endpoint)

    def give_back(self, upstream: "UpstreamProtocol", now_s: float, *, reusable: bool) -> None:
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
        """Close connections that have been idle too long: to replicas, before they do."""
        now_s = self.worker.monotonic()
        self.worker.clients.sweep(now_s)
        oldest_s = now_s - self.worker.settings.upstream_idle_timeout_s
        for endpoint in list(self._with_idle):
            idle = endpoint.idle
            while idle and idle[0].idle_since_s < oldest_s:
                idle.pop(0).abort()
            if not idle:
                self._with_idle.discard(endpoint)
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)

    def close(self) -> None:
        """End everything that is left: idle connections, connects, the sweeper."""
        self._sweeper.cancel()
        self._connector.close()
        self._revival.close()
        for proton in self.routes.protons.values():
            for endpoint in proton.endpoints.values():
                for upstream in endpoint.idle:
                    upstream.abort()
                endpoint.idle.clear()


def _without_weights(route: "WorkloadRoute") -> "ProtonRoute | Answer":
    """A workload whose protons all refuse or have weight 0: the one that should have most says why.

    Or it has none at all.
    """
    return max(route.protons, key=_share, default=None) or answers.STOPPED


def _share(proton: "ProtonRoute") -> int:
    return proton.share
