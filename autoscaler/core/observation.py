"""What a decision is made from: what was seen, what was asked for, what is remembered."""

from dataclasses import dataclass, field

from autoscaler.core.damping import DampingState
from autoscaler.core.policy import CONCURRENCY, IN_FLIGHT
from autoscaler.core.windows import LoadView
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import Proton, ScalingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen of one proton at one moment."""

    at: float
    """Epoch seconds, for the record; arithmetic uses the monotonic `now_s`."""
    ready: int = 0
    """Replicas that passed their readiness check and stay."""
    pending: int = 0
    """Replicas asked for that do not serve yet (or not now), and stay."""
    load: LoadView | None = None
    """None: no gateway worker spoke lately."""
    per_hour: float | None = None
    """Requests in the last hour; None: not known, or no policy asks."""
    cpu_percent: tuple[float | None, ...] = ()
    """Per ready replica, of its CPU request; None: not measured yet."""
    woken: bool = False
    """A gateway asked for a replica since the last decision."""
    given_up: str | None = None
    """Why the reconciler gave up on the proton; None: it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What the owner and the platform ask of one proton's count."""

    workload_id: str
    proton_id: str
    stopped: bool = False
    fixed: int | None = None
    """`replicaCount`; None: autoscaled."""
    policies: tuple[ScalingPolicy, ...] = ()
    min_replicas: int = 0
    max_replicas: int = 1
    least: int = 0
    """Fewest replicas in a replacement, whatever the policies and the minimum say."""
    least_until: float | None = None
    """Epoch seconds at which that ends; None: it does not."""
    cooldown_s: float = 300.0
    settings: AutoscalerSettings = field(default_factory=AutoscalerSettings)

    def least_at(self, at: float) -> int:
        """`least` at a moment, epoch seconds."""
        over = self.least_until is not None and at >= self.least_until
        return 0 if over else self.least

    def load_targets(self) -> tuple[float, ...]:
        """Targets of the policies that look at requests in flight."""
        return tuple(p.target for p in self.policies if p.metric in {CONCURRENCY, IN_FLIGHT})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionState:
    """What one decision leaves to the next."""

    wanted: int
    """The count decided on."""
    damping: DampingState = field(default_factory=DampingState)


def panic_window_s(settings: AutoscalerSettings) -> float:
    """The short window's length."""
    return settings.stable_window_s * min(1.0, settings.panic_window_ratio)


def scaling_of(proton: Proton, settings: AutoscalerSettings) -> Scaling:
    """Read a proton's wishes, with the platform's defaults where it says nothing.

    Autoscaling without policies has nothing to go by: it is a fixed count of `min_replicas`, at
    least 1. A cooldown is never shorter than the panic window, so that a pause between two
    requests is not an idle proton.
    """
    group = proton.runtime.group()
    auto = group.autoscaling
    stopped = proton.desired is Desired.STOPPED
    if auto is None or not auto.enabled or not auto.policies:
        count = group.replica_count
        if count is None:
            count = max(1, auto.min_replicas) if auto is not None and auto.enabled else 1
        return Scaling(
            workload_id=proton.workload_id,
            proton_id=proton.id,
            stopped=stopped,
            fixed=count,
            min_replicas=count,
            max_replicas=count,
            settings=settings,
        )
    cooldown_s = settings.cooldown_s if auto.cooldown_s is None else auto.cooldown_s
    return Scaling(
        workload_id=proton.workload_id,
        proton_id=proton.id,
        stopped=stopped,
        policies=auto.policies,
        min_replicas=auto.min_replicas,
        max_replicas=auto.max_replicas,
        least=proton.least_replicas,
        least_until=proton.least_until,
        cooldown_s=max(cooldown_s, panic_window_s(settings)),
        settings=settings,
    )
