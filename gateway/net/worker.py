"""What all connections of one worker share."""

import os
import random
import resource
import time
from collections import Counter
from email.utils import formatdate
from itertools import count
from typing import TYPE_CHECKING

from controlplane.model.sections import GatewaySettings
from gateway.core.answers import Answer, render
from gateway.core.forwarded import TrustedProxies
from gateway.core.messages import RequestHead
from gateway.core.overload import connection_limit, exchange_limit
from gateway.net.access_log import AccessLog, Line, path_of
from gateway.net.bulk import Scratch
from gateway.net.clients import Clients
from gateway.net.heads import Heads
from gateway.net.spans import Spans
from gateway.net.timings import Timings

if TYPE_CHECKING:
    from gateway.net.flow import Exchange


class Worker:
    """One gateway process: settings, counters of its own, and its identity in reports."""

    __slots__ = (
        "_date_line",
        "_date_s",
        "_ids",
        "_seed",
        "access_log",
        "answers",
        "clients",
        "draining",
        "exchanges",
        "heads",
        "id",
        "max_exchanges",
        "monotonic",
        "queued_bytes",
        "random",
        "replaced",
        "scratch",
        "settings",
        "spans",
        "timings",
        "tls_failures",
        "trace_ratio",
        "trusted",
        "tunnels",
        "wall",
    )

    def __init__(self, settings: GatewaySettings, *, worker_id: str, access_log: AccessLog) -> None:
        self.id = worker_id
        self.settings = settings
        self.heads = Heads(max_headers=settings.max_headers)
        self.access_log = access_log
        self.trusted = TrustedProxies(settings.trusted_proxies)
        self.timings = (
            Timings(settings) if settings.server_timing or settings.cold_start_header else None
        )
        """What answers say about their own making; None: nothing."""
        self.spans: Spans | None = None
        """Records sampled requests; None: nobody keeps telemetry."""
        self.trace_ratio = settings.trace_sample_ratio
        self.monotonic = time.monotonic
        self.wall = time.time
        self.random = random.random
        self.draining = False
        self.replaced = False
        """Draining, while another worker accepts from the same sockets."""
        self.exchanges = 0
        """Live exchanges."""
        descriptors = _descriptors()
        self.clients = Clients(
            limit=connection_limit(settings.max_connections, descriptors=descriptors),
            per_client=settings.max_connections_per_client,
        )
        """Open client connections."""
        self.max_exchanges = exchange_limit(settings.max_exchanges, descriptors=descriptors)
        """As many as the setting and the operating system allow."""
        self.tunnels: set[Exchange] = set()
        """Exchanges that switched protocols and have not ended."""
        self.scratch = Scratch()
        """What long bodies are read into."""
        self.queued_bytes = 0
        """Memory of requests that wait."""
        self.tls_failures = 0
        """Handshakes with clients that came to nothing."""
        self.answers: Counter[str] = Counter()
        """Answers made by the gateway itself, by code."""
        self._date_s = 0
        self._date_line = b""
        # 64 random bits per process and a counter: unique, and 20 times cheaper than uuid4
        self._seed = os.urandom(8).hex().encode()
        self._ids = count(1)

    def date_line(self) -> bytes:
        """The Date header of this second, with its CRLF."""
        now_s = int(self.wall())
        if now_s != self._date_s:
            self._date_s = now_s
            self._date_line = f"Date: {formatdate(now_s, usegmt=True)}\r\n".encode()
        return self._date_line

    def new_trace(self) -> bytes:
        """32 hexadecimal digits: a request id and a W3C trace id in one."""
        return b"%b%016x" % (self._seed, next(self._ids))

    def render(
        self,
        answer: Answer,
        request_id: bytes,
        *,
        close: bool,
        retry_after: int | None = None,
        head_only: bool = False,
    ) -> bytes:
        """An answer of the gateway's own, dated; see `core.answers.render`."""
        return render(
            answer,
            request_id=request_id,
            date_line=self.date_line(),
            close=close,
            retry_after=retry_after,
            head_only=head_only,
        )

    def log_refusal(
        self, answer: Answer, request_id: bytes, head: RequestHead | None, peer: str
    ) -> None:
        """Log what never became an exchange; without a head, it could not be read."""
        if self.access_log.wants(self.random, failed=True):
            line = Line(
                time=self.wall(),
                method="" if head is None else head.method.decode("latin-1"),
                path="" if head is None else path_of(head.target),
                status=answer.status,
                ending="refused",
                request_id=request_id.decode("latin-1"),
                code=answer.code,
                client=peer,
            )
            self.access_log.write_stranger(line)


def _descriptors() -> int | None:
    """How many files the process may have open; None: any number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
