"""Who is compared, and with which settings."""

from dataclasses import dataclass
from typing import Final

from autoscaler.replay.kpa import TARGET_RATIO
from autoscaler.replay.peers import Terms
from autoscaler.replay.trials import OURS, Trial
from loadtests.scaling.scenarios import Scenario

TARGET_RATIOS: Final = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.3, 1.8, 2.5)
"""Targets that every contender is tried with, per request that a replica works on at a time."""
USUAL_RATIO: Final = TARGET_RATIO
"""The target that people begin with: Knative's default utilisation."""

MAX_REPLICAS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One autoscaler with one way of being set up."""

    name: str
    title: str
    scaler: str
    down_delay_s: float | None = None
    """Peers only."""
    swept: bool = True
    """False: its target means something else, and stays as it is."""

    @property
    def ours(self) -> bool:
        """Whether it is our own code."""
        return self.scaler == OURS

    def trial(self, scenario: Scenario, ratio: float) -> Trial:
        """One run.

        Args:
            scenario: Whose replicas and bounds.
            ratio: The target, per request that a replica works on at a time.
        """
        target = ratio * scenario.concurrency
        if not self.ours:
            terms = Terms(
                target=target,
                concurrency=scenario.concurrency,
                min_replicas=scenario.min_replicas,
                max_replicas=MAX_REPLICAS,
                down_delay_s=self.down_delay_s,
            )
            return Trial(scaler=self.scaler, terms=terms)
        autoscaling = {
            "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": target}],
            "minReplicaCount": scenario.min_replicas,
            "maxReplicaCount": MAX_REPLICAS,
        }
        policy = {
            "autoscaling": autoscaling,
            "concurrencyLimitPerReplica": scenario.concurrency,
        }
        return Trial(scaler=OURS, policy=policy)

    def ratios(self) -> tuple[float, ...]:
        """The targets to try."""
        return TARGET_RATIOS if self.swept else (USUAL_RATIO,)


CONTENDERS: Final = (
    Contender(name="tidegate", title="Tidegate, defaults", scaler=OURS),
    Contender(name="knative", title="Knative KPA, defaults", scaler="knative"),
    Contender(
        name="knative-patient",
        title="Knative KPA, scale-down delay 300 s",
        scaler="knative",
        down_delay_s=300,
    ),
    Contender(name="hpa", title="HPA on load, defaults", scaler="hpa"),
    Contender(name="hpa-cpu", title="HPA on CPU 80 %, defaults", scaler="hpa-cpu", swept=False),
    Contender(name="keda", title="KEDA HTTP add-on, defaults", scaler="keda"),
)
BY_NAME: Final = {contender.name: contender for contender in CONTENDERS}
