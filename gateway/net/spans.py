"""Spans of sampled requests: who is sampled, what is recorded, and how it leaves the worker.

    the client's traceparent   sampled
    -------------------------  ------------------------------------------------------------
    says sampled               yes: the client's decision counts
    says not sampled           no
    there is none              a share of them, `gateway.trace_sample_ratio`

A sampled request's `traceparent` goes on with this span as the parent of the application's. Nothing
of this touches other requests. Spans leave in batches, as news to whoever keeps telemetry; what is
too much, or comes while the store is away, is dropped and counted.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from controlplane.model.spans import GatewaySpan, SpanNews
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from gateway.core.load import ABORTED
from gateway.net.access_log import path_of

if TYPE_CHECKING:
    from gateway.net.flow import Exchange

MAX_HELD: Final = 4096
"""Spans that wait for their way out; the newest are dropped."""
MAX_TOLD: Final = 256
"""Spans in one piece of news, some 200 KiB."""
TELL_S: Final = 0.5
_LAST_S: Final = 1.0

_NAME: Final = b"traceparent:"
_SAMPLED: Final = 1
_SERVER_ERROR: Final = 500
_ROUTES: Final = {
    False: "/api/v2/endpoints/workloads/{id}/*",
    True: "/api/v2/endpoints/deployments/{id}/*",
}


class Span:
    """One request that is being recorded."""

    __slots__ = ("_spans", "_start_s", "parent_id", "span_id", "trace_id")

    def __init__(self, spans: "Spans", trace_id: str, parent_id: str, *, now_s: float) -> None:
        self._spans = spans
        self._start_s = now_s
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.span_id = os.urandom(8).hex()

    def end(self, exchange: "Exchange", ending: int, duration_s: float) -> None:
        """The request has ended.

        Args:
            exchange: The request.
            ending: How, as `core.load` counts it.
            duration_s: From its head to its end.
        """
        head, proton = exchange.head, exchange.proton
        failed = ending == ABORTED or exchange.status >= _SERVER_ERROR
        method = head.method.decode("ascii", "replace")
        route = _ROUTES[head.invoke is not None and head.invoke.deployment]
        attributes: dict[str, str | int | float | bool] = {
            "http.request.method": method,
            "http.route": route,
            "url.path": path_of(head.target),
            "network.protocol.version": f"1.{head.minor}",
            "client.address": exchange.client.peer,
            "workload_id": proton.workload_id,
            "proton_id": proton.id,
            "tidegate.request_id": exchange.request_id.decode("latin-1"),
            "tidegate.queued_s": round(exchange.waited_s, 6),
            "tidegate.cold_start": exchange.cold,
            "tidegate.attempts": exchange.attempts,
        }
        if exchange.status:
            attributes["http.response.status_code"] = exchange.status
        if exchange.endpoint is not None:
            attributes["replica_id"] = exchange.endpoint.replica_id
        if exchange.code:
            attributes["error.type"] = exchange.code
        self._spans.keep(
            GatewaySpan(
                workload_id=proton.workload_id,
                trace_id=self.trace_id,
                span_id=self.span_id,
                parent_span_id=self.parent_id,
                name=f"{method} {route}",
                start_ns=int(self._start_s * 1e9),
                duration_ns=max(0, int(duration_s * 1e9)),
                error=failed,
                message=exchange.code or ("cut short" if ending == ABORTED else ""),
                attributes=attributes,
            )
        )


class Spans:
    """One worker's. Called on the event loop only."""

    def __init__(
        self,
        store: Store,
        *,
        worker_id: str,
        ratio: float,
        wall: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Record nothing yet.

        Args:
            store: Where spans are told.
            worker_id: Who tells them.
            ratio: Share of the requests without a traceparent that are sampled.
            wall: Epoch seconds.
            random: From 0 to 1.
        """
        self.dropped = 0
        self._store = store
        self._worker_id = worker_id
        self._ratio = ratio
        self._wall = wall
        self._random = random
        self._held: deque[GatewaySpan] = deque()
        self._task: asyncio.Task[None] | None = None

    def begin(self, exchange: "Exchange", trace: bytes) -> None:
        """Record a request that was composed and not sent, if its trace is sampled.

        Args:
            exchange: Its traceparent's parent becomes this span.
            trace: The trace id that was made for it, where its client gave none.
        """
        traceparent = exchange.head.traceparent
        if traceparent is None:
            if self._random() >= self._ratio:
                return
            line = b"traceparent: 00-%b-%b-00" % (trace, trace[16:])
            trace_id, parent_id, flags = trace.decode(), "", "01"
        else:
            text = traceparent.decode("ascii")
            trace_id, parent_id, flags = text[3:35], text[36:52], text[53:55]
            if not int(flags, 16) & _SAMPLED:
                return
            line = next(line for line in exchange.head.lines if line[:12].lower() == _NAME)
        span = Span(self, trace_id, parent_id, now_s=self._wall())
        new = f"traceparent: 00-{trace_id}-{span.span_id}-{flags}".encode()
        # Whole lines are compared, so this is the one, whatever else the client wrote.
        exchange.outgoing = exchange.outgoing.replace(b"\r\n%b\r\n" % line, b"\r\n%b\r\n" % new, 1)
        exchange.span = span

    def keep(self, span: GatewaySpan) -> None:
        """Hold a span until it is told."""
        if len(self._held) >= MAX_HELD:
            self.dropped += 1
        else:
            self._held.append(span)

    # ---- on the way out

    def start(self) -> None:
        """Begin to tell."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Tell what is left, if that is quick."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._store.available:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self._tell()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            try:
                await self._tell()
            except StoreError:  # away: so is whoever keeps them
                self.dropped += len(self._held)
                self._held.clear()

    async def _tell(self) -> None:
        while self._held:
            count = min(MAX_TOLD, len(self._held))
            spans = [self._held.popleft() for _ in range(count)]
            try:
                await self._store.tell_spans(SpanNews(worker_id=self._worker_id, spans=spans))
            except StoreError:
                self.dropped += count
                raise
