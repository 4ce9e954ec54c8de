"""What a decision is made from: what was seen, what was asked for, what is remembered."""

import dataclasses

import msgspec

from autoscaler.core.forecast import Expected
from autoscaler.core.policy import CONCURRENCY, IN_FLIGHT
from autoscaler.core.replica_waits import NOTHING_WAITS, Waits
from autoscaler.core.schedules import Scheduled
from autoscaler.core.steps import DampingState, LoadView
from autoscaler.core.streams import NO_STREAMS
from controlplane.model.behavior import Behavior, Schedule
from controlplane.model.reports import OpenStreams
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import Autoscaling, Proton, ScalingPolicy


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was seen of one proton at one moment."""

    at: float
    """Epoch seconds, for the record; arithmetic uses the monotonic `now_s`."""
    ready: int = 0
    """Replicas that passed their readiness check and stay."""
    pending: int = 0
    """Replicas asked for that do not serve yet (or not now), and stay."""
    waits: Waits = NOTHING_WAITS
    """What the pending ones wait for."""
    load: LoadView | None = None
    """None: no gateway worker spoke lately."""
    per_hour: float | None = None
    """Requests in the last hour; None: not known, or no policy asks."""
    cpu_percent: tuple[float | None, ...] = ()
    """Per ready replica, of its CPU request; None: not measured yet."""
    scraped: dict[str, tuple[float | None, ...]] = {}
    """What the ready replicas say of themselves, by metric; None: not known, or too old."""
    scrape_trouble: str = ""
    """Why they say nothing, of one for all; empty: nothing is wrong."""
    running: float | None = None
    """Requests in flight by the replicas' own count, all together; None: they do not say."""
    young: int = 0
    """Replicas, ready or not, that have not run for `min_run_time_s`."""
    scheduled: Scheduled | None = None
    """The bounds that hold now by schedule; None: the proton has none."""
    streams: OpenStreams = NO_STREAMS
    """Open tunnels to the replicas that stay."""
    leaving_streams: OpenStreams = NO_STREAMS
    """Open tunnels to the replicas that leave, which wait for their end."""
    expected: Expected | None = None
    """What a forecast that acts expects; None: nothing, or it does not act."""
    woken: bool = False
    """A gateway asked for a replica since the last decision."""
    given_up: str | None = None
    """Why the reconciler gave up on the proton; None: it did not."""

    @property
    def coming(self) -> int:
        """The pending replicas that may be counted on."""
        return self.pending - self.waits.doubtful


class Scaling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
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
    watched: tuple[str, ...] = ()
    """Metrics of the shadow policies that are in none of `policies`."""
    forecast: str = ""
    """`shadow` or `act`; empty: off."""
    schedules: tuple[Schedule, ...] = ()
    """For whoever observes: decisions look at `Observation.scheduled`."""
    settings: AutoscalerSettings = msgspec.field(default_factory=AutoscalerSettings)
    """The platform's, with what the owner said instead."""

    def least_at(self, at: float) -> int:
        """`least` at a moment, epoch seconds."""
        over = self.least_until is not None and at >= self.least_until
        return 0 if over else self.least

    def within(self, scheduled: Scheduled | None) -> "Scaling":
        """The same with the bounds that hold by schedule now."""
        if scheduled is None:
            return self
        return msgspec.structs.replace(
            self, min_replicas=scheduled.low, max_replicas=scheduled.high
        )

    def load_targets(self) -> tuple[float, ...]:
        """Targets of the policies that look at requests in flight."""
        return tuple(p.target for p in self.policies if p.metric in {CONCURRENCY, IN_FLIGHT})


class DecisionState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one decision leaves to the next."""

    wanted: int
    """The count decided on."""
    damping: DampingState = DampingState()


def panic_window_s(settings: AutoscalerSettings) -> float:
    """The short window's length."""
    return settings.stable_window_s * min(1.0, settings.panic_window_ratio)


def min_run_time_s(proton: Proton, settings: AutoscalerSettings) -> float:
    """How long a replica of a proton runs at least, once it is there."""
    auto = proton.runtime.group().autoscaling
    said = auto.behavior.min_run_time_s if auto is not None and auto.behavior is not None else None
    return settings.min_run_time_s if said is None else said


def scaling_of(proton: Proton, settings: AutoscalerSettings) -> Scaling:
    """Read a proton's wishes, with the platform's settings where it says nothing.

    To be called when its record changes, not for every decision.

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
    settings = _effective(settings, auto.behavior)
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
        schedules=auto.schedules,
        watched=_watched(auto),
        forecast=auto.forecast or "",
        settings=settings,
    )


def shadow_scaling_of(proton: Proton, settings: AutoscalerSettings) -> Scaling | None:
    """The same of a proton's shadow policies; None: it has none."""
    group = proton.runtime.group()
    auto = group.autoscaling
    if auto is None or not auto.enabled or auto.shadow is None:
        return None
    group = msgspec.structs.replace(group, autoscaling=auto.shadow, replica_count=None)
    runtime = msgspec.structs.replace(proton.runtime, container_groups=(group,))
    return scaling_of(msgspec.structs.replace(proton, runtime=runtime), settings)


def _watched(auto: Autoscaling) -> tuple[str, ...]:
    if auto.shadow is None:
        return ()
    seen = {policy.metric for policy in auto.policies}
    return tuple(sorted({policy.metric for policy in auto.shadow.policies} - seen))


def _effective(settings: AutoscalerSettings, behavior: Behavior | None) -> AutoscalerSettings:
    if behavior is None:
        return settings
    said = behavior.said()
    if behavior.tolerance_ratio is not None:
        said["cpu_tolerance_ratio"] = behavior.tolerance_ratio
    return dataclasses.replace(settings, **said)  # type: ignore[arg-type]  # by name, see its test
