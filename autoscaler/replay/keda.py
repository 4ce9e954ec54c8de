"""KEDA with its HTTP add-on as a model: from polled gauges to a count. Pure.

what                                                source
--------------------------------------------------  ------------------------------------------
poll of all interceptors' gauges, every 500 ms      kedacore/http-add-on scaler/queue_pinger.go
rate: counter differences in 1 s buckets over 1 m   the same, pkg/queue/bucketing.go
activity pushed every 200 ms                        the same, scaler/handlers.go
0 -> 1 when active; to 0 after 300 s of inactivity  kedacore/keda pkg/scaling/executor
1..N by the HPA, `AverageValue`, the higher wins    keda.sh, ScaledObject specification
"""

import math
from dataclasses import dataclass, field
from typing import Final

from autoscaler.replay.buckets import Buckets
from autoscaler.replay.hpa import (
    DOWN_STABILISATION_S,
    HpaSettings,
    HpaState,
    external_replicas,
    settle,
)

POLL_S: Final = 0.5
STREAM_S: Final = 0.2
COOLDOWN_S: Final = 300.0
RATE_WINDOW_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KedaSettings:
    """One scaled object."""

    target_concurrency: float | None = 100.0
    """Requests at once per replica; None: not scaled by it."""
    target_rate: float | None = None
    """Requests per second and replica, over a minute; None: not scaled by it."""
    min_replicas: int = 0
    max_replicas: int = 100
    cooldown_s: float = COOLDOWN_S
    down_stabilisation_s: float = DOWN_STABILISATION_S
    """Of the HPA."""

    @property
    def hpa(self) -> HpaSettings:
        """The HPA that KEDA makes for 1..N; it never goes below 1."""
        low = max(1, self.min_replicas)
        return HpaSettings(
            target=1.0,
            min_replicas=low,
            max_replicas=self.max_replicas,
            down_stabilisation_s=self.down_stabilisation_s,
        )


@dataclass(slots=True, kw_only=True)
class Polled:
    """What the add-on's scaler knows: the last gauge, and a minute of counter differences."""

    concurrency: int = 0
    rate: Buckets = field(default_factory=lambda: Buckets(RATE_WINDOW_S, keda=True))
    counted: int | None = None
    """The counter at the last poll; the first poll's difference is skipped."""

    def poll(self, *, concurrency: int, count: int, now_s: float) -> None:
        """Take one poll of the gauge and the counter, over all interceptors."""
        self.concurrency = concurrency
        if self.counted is not None:
            self.rate.record(now_s, count - self.counted)
        self.counted = count

    def active(self, settings: KedaSettings, *, now_s: float) -> bool:
        """Whether any metric is above its activation value of 0."""
        rated = settings.target_rate is not None and self.rate.average(now_s) > 0
        return rated or (settings.target_concurrency is not None and self.concurrency > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KedaState:
    """What one step leaves to the next."""

    active_at_s: float | None = None
    """When a metric was last above 0; None: never."""
    hpa: HpaState = field(default_factory=HpaState)


def activate(
    settings: KedaSettings, state: KedaState, *, active: bool, current: int, now_s: float
) -> tuple[int, KedaState]:
    """The operator's part, on every push of the activity: between 0 and 1, and the minimum."""
    if active:
        lowest = max(1, settings.min_replicas) if current == 0 else current
        return lowest, KedaState(active_at_s=now_s, hpa=state.hpa)
    if current > 0 and settings.min_replicas == 0:
        since_s = state.active_at_s
        if since_s is None or since_s + settings.cooldown_s < now_s:
            return 0, state
    return max(current, settings.min_replicas), state


def sync(
    settings: KedaSettings, state: KedaState, polled: Polled, *, current: int, now_s: float
) -> tuple[int, KedaState]:
    """The HPA's part, every 15 s: between 1 and the maximum; nothing at 0."""
    if current == 0:
        return 0, state
    wishes = []
    if settings.target_concurrency is not None:
        value = float(polled.concurrency)
        wishes.append(external_replicas(current, value, settings.target_concurrency))
    if settings.target_rate is not None:
        rate = float(math.ceil(polled.rate.average(now_s)))
        wishes.append(external_replicas(current, rate, settings.target_rate))
    wanted = max(wishes, default=current)
    count, hpa = settle(settings.hpa, state.hpa, current=current, wanted=wanted, now_s=now_s)
    return count, KedaState(active_at_s=state.active_at_s, hpa=hpa)
