"""Metrics of one API process, in a registry of its own."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from controlplane.telemetry.archive import Archive


class Telemetry:
    """What `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "api_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "api_request_duration_seconds",
            "From a request's head to the end of its answer.",
            ["method", "route"],
            registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._conflicts = Counter(
            "api_write_conflicts_total",
            "Commits refused because a record had moved on.",
            registry=self.registry,
        )
        self._store_up = Gauge(
            "api_store_up",
            "1 while the store answers and the watched copy follows it.",
            registry=self.registry,
        )

    def watch_store(self, healthy: Callable[[], bool], unreadable: Callable[[], int]) -> None:
        """Ask both whenever `/metrics` is read."""
        self._store_up.set_function(lambda: float(healthy()))
        self.registry.register(_Unreadable(unreadable))

    def watch_archive(self, archive: Archive) -> None:
        """Show what becomes of telemetry that this process has received."""
        self.registry.register(_Kept(archive))

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is the path's template, never the path itself."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def conflicted(self) -> None:
        """Count one refused commit."""
        self._conflicts.inc()

    def page(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Unreadable(Collector):
    """What could not be read in the store, as it is counted when `/metrics` is read."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "api_store_unreadable_values",
            "Values in the store that could not be read and were left out: the log names each.",
            self._count(),
        )


class _Kept(Collector):
    """What the telemetry store counts, as it is when `/metrics` is read."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "api_telemetry_batches_written",
            "Batches of logs, spans and points of applications that were kept.",
            self._archive.written,
        )
        yield CounterMetricFamily(
            "api_telemetry_records_dropped",
            "Records that were received and lost: the disk is full, or the file was broken.",
            self._archive.dropped,
        )
        yield CounterMetricFamily(
            "api_telemetry_records_evicted",
            "Records deleted before their time: the file holds telemetry.max_bytes.",
            self._archive.evicted,
        )
