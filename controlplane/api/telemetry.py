"""Metrics of one API process, in a registry of its own."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


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

    def watch_store(self, healthy: Callable[[], bool]) -> None:
        """Ask `healthy` whenever `/metrics` is read."""
        self._store_up.set_function(lambda: float(healthy()))

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
