"""Numbers about the autoscaler; `admin` serves them.

    metric                                          type       labels
    ----------------------------------------------  ---------  -------------------------------
    autoscaler_desired_replicas                     gauge      workload_id, proton_id, reason
    autoscaler_granted_replicas                     gauge      workload_id, proton_id
    autoscaler_ready_replicas                       gauge      workload_id, proton_id
    autoscaler_pending_replicas                     gauge      workload_id, proton_id
    autoscaler_load_stable, autoscaler_load_panic   gauge      workload_id, proton_id
    autoscaler_flaps_total                          counter    workload_id, proton_id
    autoscaler_underprovisioned_seconds_total       counter    workload_id, proton_id
    autoscaler_overprovisioned_seconds_total        counter    workload_id, proton_id
    autoscaler_missing_replica_seconds_total        counter    workload_id, proton_id
    autoscaler_wasted_replica_seconds_total         counter    workload_id, proton_id
    autoscaler_protons_not_shown                    gauge
    autoscaler_decisions_total                      counter    reason (changed counts only)
    autoscaler_tick_seconds                         histogram
    autoscaler_tick_lateness_seconds                histogram
    autoscaler_wake_seconds                         histogram
    autoscaler_collect_errors_total                 counter
    autoscaler_trial_faults_total                   counter    trial: policy, forecast
    autoscaler_inventory_faults_total               counter
    autoscaler_leading                              gauge

Those of single protons are shown by `proton_metrics`; what they count, `core.accounts` says.
"""

from collections.abc import Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from autoscaler.core.accounts import needed_now
from autoscaler.core.observation import Observation, Scaling
from autoscaler.proton_metrics import ProtonMetrics
from autoscaler.proton_numbers import Tally
from controlplane.model.decisions import Decision
from controlplane.model.shadows import ShadowKind

_SECONDS: Final[Sequence[float]] = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)


class Telemetry:
    """All metrics of this process."""

    def __init__(self, *, flap_window_s: float) -> None:
        """Make the metrics.

        Args:
            flap_window_s: A change of direction within this is a flap.
        """
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._tally = Tally(flap_window_s=flap_window_s)
        self.registry.register(ProtonMetrics(self._tally.protons))
        self._decisions = Counter(
            "autoscaler_decisions",
            "Decisions that changed a count.",
            ["reason"],
            registry=self.registry,
        )
        self.tick_seconds = Histogram(
            "autoscaler_tick_seconds",
            "Time of one regular round over all protons.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.lateness_seconds = Histogram(
            "autoscaler_tick_lateness_seconds",
            "How much later than planned a regular round began.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.wake_seconds = Histogram(
            "autoscaler_wake_seconds",
            "From a wake-up heard to the plan given to the reconciler.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.collect_errors = Counter(
            "autoscaler_collect_errors",
            "Rounds that decided nothing because the store was away.",
            registry=self.registry,
        )
        self._trial_faults = Counter(
            "autoscaler_trial_faults",
            "Decisions of shadows and forecasts that failed; what acts went on.",
            ["trial"],
            registry=self.registry,
        )
        for kind in ShadowKind:
            self._trial_faults.labels(kind.value)
        self.inventory_faults = Counter(
            "autoscaler_inventory_faults",
            "Looks at nodes and GPUs, or uses of what was found, that failed; tried again.",
            registry=self.registry,
        )
        self.leading = Gauge(
            "autoscaler_leading", "1: this process decides.", registry=self.registry
        )

    def decided(
        self, decision: Decision, observation: Observation, scaling: Scaling, *, now_s: float
    ) -> None:
        """Count one decision.

        Args:
            decision: As it is carried out.
            observation: What it was made from.
            scaling: Targets and bounds.
            now_s: Monotonic clock.
        """
        numbers = self._tally.of(decision.workload_id, decision.proton_id)
        wanted, before = decision.replicas, decision.previous_replicas
        numbers.reason = decision.reason
        numbers.wanted = wanted
        numbers.granted = wanted if decision.grant is None else decision.grant.granted
        numbers.ready, numbers.pending = observation.ready, observation.pending
        load = observation.load
        if load is None:
            numbers.mean_stable = numbers.mean_panic = None
        else:
            numbers.mean_stable, numbers.mean_panic = load.mean_stable, load.mean_panic
        if numbers.scaling is not scaling:
            numbers.scaling, numbers.targets = scaling, scaling.load_targets()
        needed = needed_now(observation, scaling, wanted=wanted, targets=numbers.targets)
        numbers.provisioning.see(needed=needed, ready=observation.ready, now_s=now_s)
        if wanted != before:
            self._decisions.labels(decision.reason).inc()
            numbers.flaps.change(before, wanted, now_s=now_s)

    def trial_failed(self, kind: ShadowKind) -> None:
        """Count a fault in what is only tried out."""
        self._trial_faults.labels(kind.value).inc()

    def forget(self, proton_id: str) -> None:
        """Drop the series of a proton that is gone."""
        self._tally.forget(proton_id)
