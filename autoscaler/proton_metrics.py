"""Metrics of single protons, made when somebody asks for them.

A decision writes down a handful of numbers (`proton_numbers`); names, labels and text are made by a
scrape. Of a large installation only `PROTONS_SHOWN` are shown, those with the
most replicas; the rest is in the sums of the other metrics, and their number in
`autoscaler_protons_not_shown`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autoscaler.proton_numbers import ProtonNumbers

PROTONS_SHOWN: Final = 1000
"""With a dozen series each: a page of 2 MB."""


_GAUGES: Final[tuple[tuple[str, str, Callable[[ProtonNumbers], float | None]], ...]] = (
    ("granted_replicas", "Replicas that there is room for.", lambda n: n.granted),
    ("ready_replicas", "Replicas that passed their readiness check.", lambda n: n.ready),
    ("pending_replicas", "Replicas asked for that do not serve yet.", lambda n: n.pending),
    ("load_stable", "Mean load over the stable window.", lambda n: n.mean_stable),
    ("load_panic", "Mean load over the panic window.", lambda n: n.mean_panic),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[ProtonNumbers], float]], ...]] = (
    ("flaps", "Changes of direction within the stable window.", lambda n: n.flaps.count),
    (
        "underprovisioned_seconds",
        "Time with fewer replicas ready than the load needed.",
        lambda n: n.provisioning.under_s,
    ),
    (
        "overprovisioned_seconds",
        "Time with more replicas ready than the load needed.",
        lambda n: n.provisioning.over_s,
    ),
    (
        "missing_replica_seconds",
        "Replicas that the load needed and that were not ready, over time.",
        lambda n: n.provisioning.missing_replica_s,
    ),
    (
        "wasted_replica_seconds",
        "Replicas that were ready and that the load did not need, over time.",
        lambda n: n.provisioning.wasted_replica_s,
    ),
)


class ProtonMetrics(Collector):
    """The text of all protons' numbers."""

    def __init__(self, protons: Mapping[str, ProtonNumbers]) -> None:
        """Show what others write down.

        Args:
            protons: By id.
        """
        self._protons = protons

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client wants it."""
        # A thread writes the page while decisions fall: the items are taken in one go.
        shown = sorted(
            self._protons.items(),
            key=lambda item: (-item[1].ready - item[1].wanted, item[0]),
        )[:PROTONS_SHOWN]
        ids = ["workload_id", "proton_id"]
        desired = GaugeMetricFamily(
            "autoscaler_desired_replicas",
            "Replicas decided on, with the reason.",
            labels=[*ids, "reason"],
        )
        for proton_id, numbers in shown:
            desired.add_metric([numbers.workload_id, proton_id, numbers.reason], numbers.wanted)
        yield desired
        for name, text, read in _GAUGES:
            gauge = GaugeMetricFamily(f"autoscaler_{name}", text, labels=ids)
            for proton_id, numbers in shown:
                if (value := read(numbers)) is not None:
                    gauge.add_metric([numbers.workload_id, proton_id], value)
            yield gauge
        for name, text, count in _COUNTERS:
            counter = CounterMetricFamily(f"autoscaler_{name}", text, labels=ids)
            for proton_id, numbers in shown:
                counter.add_metric([numbers.workload_id, proton_id], count(numbers))
            yield counter
        yield GaugeMetricFamily(
            "autoscaler_protons_not_shown",
            "Protons without series of their own here: there are too many.",
            value=len(self._protons) - len(shown),
        )
