"""The admin port: /livez, /readyz, /metrics. A few requests a second, off the hot path.

Metrics are rendered by hand from the plain counters (0.4 us a sample; the client library's
registry would cost 30 times that on the same loop), in slices of at most 2 ms.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from controlplane import __version__
from controlplane.store.client import Store
from gateway.core.health import EJECTED
from gateway.core.load import CLASSES, LoadMeter, bucket
from gateway.net.endpoints import ProtonRoute
from gateway.net.routes import Routes
from gateway.net.worker import Worker

DURATIONS_S = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 120, 300,
)  # fmt: skip
"""OpenTelemetry's buckets for http.server.request.duration, and longer ones for streams."""

_BOUNDS = tuple((edge, bucket(edge)) for edge in DURATIONS_S)
_SLICE_S = 0.002
_REQUEST_S = 5.0

_COUNTERS = (
    ("gateway_requests_started_total", "Requests routed to the proton.", "started"),
    ("gateway_load_seconds_total", "Integral of queued and in-flight requests.", "load_seconds"),
    ("gateway_queued_seconds_total", "Integral of queued requests over time.", "queued_seconds"),
    ("gateway_cold_starts_total", "Requests that found no replica ready.", "cold_starts"),
    ("gateway_request_bytes_total", "Body bytes from clients.", "bytes_in"),
    ("gateway_response_bytes_total", "Bytes to clients.", "bytes_out"),
)
_GAUGES = (
    ("gateway_requests_in_flight", "Requests sent to a replica and not finished.", "in_flight"),
    ("gateway_requests_queued", "Requests that wait for a replica.", "queued"),
)

_FINISHED = "gateway_requests_finished_total"
_DURATION = "gateway_request_duration_seconds"


def _header(name: str, text: str, kind: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


_HEADERS = (
    *(_header(name, text, "counter") for name, text, _ in _COUNTERS),
    *(_header(name, text, "gauge") for name, text, _ in _GAUGES),
    _header(_FINISHED, "Requests that ended, by how.", "counter"),
    _header(_DURATION, "From a request's head to its last byte.", "histogram"),
)


class Admin:
    """Serves the admin port of one worker."""

    def __init__(self, worker: Worker, routes: Routes, store: Store) -> None:
        self._worker = worker
        self._routes = routes
        self._store = store
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._server: asyncio.Server | None = None
        self._lag_task: asyncio.Task[None] | None = None
        self.loop_lag_s = 0.0
        self.tasks = 0
        """Live asyncio tasks, half a second ago at most."""
        self.serving = False

    async def start(self, sock: socket.socket) -> None:
        """Answer on a socket that listens."""
        self._server = await asyncio.start_server(self._serve, sock=sock)
        self._lag_task = asyncio.create_task(self._watch_lag())

    async def stop(self) -> None:
        """Stop listening."""
        if self._lag_task is not None:
            self._lag_task.cancel()
        if self._server is not None:
            self._server.close()

    async def _watch_lag(self) -> None:
        while True:
            before_s = self._worker.monotonic()
            await asyncio.sleep(0.5)
            self.tasks = len(asyncio.all_tasks())
            self.loop_lag_s = max(0.0, self._worker.monotonic() - before_s - 0.5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await self._answer(_path(request))
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n" % (status, kind, len(body))
                )
                writer.write(body)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _answer(self, path: str) -> tuple[bytes, bytes, bytes]:
        if path == "/livez":
            return b"200 OK", b"text/plain", b"ok\n"
        if path == "/readyz":
            checks = {
                "serving": self.serving,
                "not_draining": not self._worker.draining,
                "routes_loaded": self._routes.revision >= 0,
            }
            # Not a check: requests are served from the last routes while the store is away.
            body = json.dumps({**checks, "store_connected": self._store.available}).encode()
            ready = all(checks.values())
            return (b"200 OK" if ready else b"503 Service Unavailable"), b"application/json", body
        if path == "/metrics":
            text = await self._metrics()
            return b"200 OK", b"text/plain; version=0.0.4; charset=utf-8", text
        return b"404 Not Found", b"text/plain", b"/livez /readyz /metrics\n"

    async def _metrics(self) -> bytes:
        parts: list[str] = []
        since_s = self._worker.monotonic()
        for part in self.render():
            parts.append(part)
            if self._worker.monotonic() - since_s > _SLICE_S:
                await asyncio.sleep(0)
                since_s = self._worker.monotonic()
        return "".join(parts).encode() + generate_latest(self._registry)

    def render(self) -> Iterator[str]:
        """All of the gateway's own metrics, a small piece at a time."""
        label = f'worker="{self._worker.settings.worker_index}"'
        families: list[list[str]] = [[header] for header in _HEADERS]
        for proton in [*self._routes.protons.values(), *self._routes.retired.values()]:
            if proton.meter.started:
                # All of a proton's numbers at one moment: requests that come and go between the
                # pieces of a page must not make them disagree.
                proton.meter.advance(self._worker.monotonic())
                for lines, text in zip(families, _samples(proton, label), strict=True):
                    lines.append(text)
                yield ""
        for lines in families:
            yield from lines
        yield from self._endpoints(label)
        yield from self._own(label)

    def _endpoints(self, label: str) -> Iterator[str]:
        name = "gateway_endpoints"
        yield f"# HELP {name} Replicas known, by state.\n# TYPE {name} gauge\n"
        ready = ejected = other = 0
        for proton in self._routes.protons.values():
            for endpoint in proton.endpoints.values():
                if not endpoint.routable:
                    other += 1
                elif endpoint.health is EJECTED:
                    ejected += 1
                else:
                    ready += 1
        for state, count in (("ready", ready), ("ejected", ejected), ("not_ready", other)):
            yield f'{name}{{{label},state="{state}"}} {count}\n'

    def _own(self, label: str) -> Iterator[str]:
        worker = self._worker
        name = "gateway_answers_total"
        yield f"# HELP {name} Answers made by the gateway itself.\n# TYPE {name} counter\n"
        for code, times in sorted(worker.answers.items()):
            yield f'{name}{{{label},code="{code}"}} {times}\n'
        for name, text, value in (
            ("gateway_client_connections", "Open client connections.", len(worker.clients)),
            ("gateway_tasks", "Live asyncio tasks.", self.tasks),
            ("gateway_exchanges", "Live requests, waiting ones included.", worker.exchanges),
            ("gateway_exchanges_limit", "Most of them; 0: no limit.", worker.max_exchanges),
            ("gateway_queued_request_bytes", "Kept for waiting requests.", worker.queued_bytes),
            ("gateway_workloads", "Workloads with a route.", len(self._routes.workloads)),
            ("gateway_routes_revision", "Store revision of the routes.", self._routes.revision),
            ("gateway_loop_lag_seconds", "Lateness of the event loop.", self.loop_lag_s),
            ("gateway_store_connected", "1: the store answers.", int(self._store.available)),
            ("gateway_draining", "1: shutting down.", int(worker.draining)),
        ):
            yield f"# HELP {name} {text}\n# TYPE {name} gauge\n{name}{{{label}}} {value}\n"
        name = "gateway_tls_handshakes_failed_total"
        yield f"# HELP {name} TLS handshakes of clients that failed.\n# TYPE {name} counter\n"
        yield f"{name}{{{label}}} {worker.tls_failures}\n"
        name = "gateway_access_log_dropped_total"
        yield f"# HELP {name} Log lines dropped: the disk did not keep up.\n# TYPE {name} counter\n"
        yield f"{name}{{{label}}} {worker.access_log.dropped}\n"
        name = "gateway_spans_dropped_total"
        yield f"# HELP {name} Spans lost: too many at once, or the store was away.\n"
        dropped = 0 if worker.spans is None else worker.spans.dropped
        yield f"# TYPE {name} counter\n{name}{{{label}}} {dropped}\n"
        name = "gateway_build_info"
        yield f"# HELP {name} Version.\n# TYPE {name} gauge\n"
        yield f'{name}{{{label},version="{__version__}"}} 1\n'


def _path(request: bytes) -> str:
    """The path of a request; empty for what is none."""
    words = request.partition(b"\r\n")[0].split(b" ")
    return words[1].partition(b"?")[0].decode("latin-1") if len(words) > 1 else ""


def _samples(proton: ProtonRoute, label: str) -> Iterator[str]:
    """One proton's lines of every family, in the order of `_HEADERS`."""
    meter = proton.meter
    labels = f'{{{label},workload="{proton.workload_id}",proton="{proton.id}"'
    for name, _, slot in (*_COUNTERS, *_GAUGES):
        yield f"{name}{labels}}} {getattr(meter, slot)}\n"
    yield "".join(
        f'{_FINISHED}{labels},class="{kind}"}} {value}\n'
        for kind, value in zip(CLASSES, meter.finished, strict=True)
    )
    yield "".join(_durations(meter, labels))


def _durations(meter: LoadMeter, labels: str) -> Iterator[str]:
    histogram = sorted(meter.response_time.items())
    total = at = 0
    for edge, index in _BOUNDS:
        while at < len(histogram) and histogram[at][0] < index:
            total += histogram[at][1]
            at += 1
        yield f'{_DURATION}_bucket{labels},le="{edge}"}} {total}\n'
    total += sum(count for _, count in histogram[at:])
    yield f'{_DURATION}_bucket{labels},le="+Inf"}} {total}\n'
    yield f"{_DURATION}_count{labels}}} {total}\n"
    yield f"{_DURATION}_sum{labels}}} {meter.response_seconds}\n"
