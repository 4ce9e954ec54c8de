"""Knative's pod autoscaler (KPA) as a model: one decision, and the way to zero. Pure.

Made from knative/serving, release 1.x:

    what                                          file
    --------------------------------------------  -------------------------------------------
    one decision, panic, burst capacity           pkg/autoscaler/scaling/autoscaler.go
    tick of 2 s, poke at zero                     pkg/autoscaler/scaling/multiscaler.go
    windows of one-second buckets                 pkg/autoscaler/aggregation/bucketing.go
    scale to zero, bounds                         pkg/reconciler/autoscaling/kpa/scaler.go
    delay of shrinking                            pkg/autoscaler/aggregation/max/window.go
    defaults                                      config/core/configmaps/autoscaler.yaml
    target of one pod                             pkg/reconciler/autoscaling/resources/target.go
"""

import math
from dataclasses import dataclass, replace
from typing import Final

TICK_S: Final = 2.0
SCRAPE_S: Final = 1.0
MIN_TARGET: Final = 0.01
TARGET_RATIO: Final = 0.7
"""`container-concurrency-target-percentage`: the target, of what a pod can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KpaSettings:
    """Knative's settings with its defaults; `target` and `total` come from the workload."""

    target: float
    """Requests at once that a pod should have: by default `TARGET_RATIO` times `total`."""
    total: float
    """Requests at once that a pod can take (container concurrency, else 100)."""
    stable_window_s: float = 60.0
    panic_window_ratio: float = 0.1
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    target_burst_capacity: float = 211.0
    scale_down_delay_s: float = 0.0
    activation_scale: int = 1
    scale_to_zero: bool = True
    scale_to_zero_grace_s: float = 30.0
    scale_to_zero_retention_s: float = 0.0
    min_scale: int = 0
    max_scale: int = 0
    """0: no bound."""

    @property
    def panic_window_s(self) -> float:
        """The short window."""
        return self.stable_window_s * self.panic_window_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class KpaState:
    """What one decision leaves to the next."""

    panic_at_s: float | None = None
    max_panic_pods: int = 0
    wishes: tuple[tuple[int, int], ...] = ()
    """Scale-down delay: (tick, wish), falling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KpaScale:
    """One decision: the wish before bounds and zero, and what is left for a burst."""

    desired: int
    excess_burst_capacity: int


def started(ready: int, *, now_s: float) -> KpaState:
    """A new autoscaler: over several pods it begins in panic, to keep what is there."""
    return KpaState(panic_at_s=now_s if ready > 1 else None, max_panic_pods=ready)


def scale(
    settings: KpaSettings,
    state: KpaState,
    *,
    ready: int,
    stable: float,
    panic: float,
    now_s: float,
) -> tuple[KpaScale, KpaState]:
    """One decision.

    Args:
        settings: Rates, target, thresholds.
        state: What the last decision left.
        ready: Pods that are ready.
        stable: Requests at once over all pods, mean over the stable window.
        panic: The same over the panic window.
        now_s: Monotonic clock.
    """
    base = max(1, ready)
    most = math.ceil(settings.max_scale_up_rate * base)
    least = math.floor(base / settings.max_scale_down_rate)
    raw_stable = math.ceil(stable / settings.target)
    raw_panic = math.ceil(panic / settings.target)
    wish = min(max(raw_stable, least), most)
    burst = min(max(raw_panic, least), most)
    if settings.activation_scale > 1:
        wish = max(wish, settings.activation_scale) if raw_stable > 0 else wish
        burst = max(burst, settings.activation_scale) if raw_panic > 0 else burst

    panic_at_s, peak = state.panic_at_s, state.max_panic_pods
    if raw_panic / base >= settings.panic_threshold:
        panic_at_s = now_s
    elif panic_at_s is not None and panic_at_s + settings.stable_window_s < now_s:
        panic_at_s, peak = None, 0
    if panic_at_s is not None:
        wish = peak = max(wish, burst, peak)

    wishes = state.wishes
    if settings.scale_down_delay_s > 0:
        length = math.ceil(settings.scale_down_delay_s / TICK_S)
        wishes = slid(wishes, math.floor(now_s / TICK_S), wish, length=length)
        wish = wishes[0][1]
    result = KpaScale(
        desired=wish,
        excess_burst_capacity=_excess_burst_capacity(settings, ready=ready, panic=panic),
    )
    return result, replace(state, panic_at_s=panic_at_s, max_panic_pods=peak, wishes=wishes)


def slid(
    wishes: tuple[tuple[int, int], ...], index: int, value: int, *, length: int
) -> tuple[tuple[int, int], ...]:
    """A sliding maximum: the first of the result is the highest of the last `length` indices."""
    kept = tuple((at, wish) for at, wish in wishes if at > index - length and wish > value)
    return (*kept, (index, value))


def _excess_burst_capacity(settings: KpaSettings, *, ready: int, panic: float) -> int:
    if settings.target_burst_capacity == 0:
        return 0
    if settings.target_burst_capacity < 0:
        return -1
    return math.floor(ready * settings.total - settings.target_burst_capacity - panic)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroState:
    """How far a revision is on its way to zero. Times are the caller's clock; None: it is not."""

    active_at_s: float | None = None
    inactive_at_s: float | None = None
    proxied_at_s: float | None = None
    """Since when all requests pass the activator, which holds them when nothing runs."""


def toward_zero(
    settings: KpaSettings,
    state: ZeroState,
    *,
    scale: KpaScale,
    ready: int,
    current: int,
    now_s: float,
) -> tuple[int, ZeroState]:
    """Bound one decision, and let it to zero only when Knative would.

    A revision that is wanted at zero must have been active for a stable window; then it is marked
    inactive, its traffic goes through the activator, and it ends when it has been inactive, or
    its traffic proxied, for the grace period (and inactive for the retention).

    Returns:
        The count to ask for, and the state.
    """
    wanted = max(scale.desired, settings.min_scale)
    wanted = min(wanted, settings.max_scale) if settings.max_scale else wanted
    proxied_at_s = None
    if scale.excess_burst_capacity < 0 or wanted == 0 or ready == 0:
        proxied_at_s = now_s if state.proxied_at_s is None else state.proxied_at_s
    active_at_s = state.active_at_s
    if ready == 0:
        active_at_s = None
    elif active_at_s is None and state.inactive_at_s is None:
        active_at_s = now_s
    state = replace(state, active_at_s=active_at_s, proxied_at_s=proxied_at_s)
    if wanted > 0:
        active_at_s = now_s if ready > 0 and active_at_s is None else active_at_s
        return wanted, replace(state, active_at_s=active_at_s, inactive_at_s=None)
    if current == 0:
        return 0, state
    if not settings.scale_to_zero:
        return 1, state
    return _leaving(settings, state, current=current, now_s=now_s)


def _leaving(
    settings: KpaSettings, state: ZeroState, *, current: int, now_s: float
) -> tuple[int, ZeroState]:
    if state.inactive_at_s is None:
        if state.active_at_s is None:
            return current, state  # activating: nothing is ready yet
        if now_s - state.active_at_s < settings.stable_window_s:
            return 1, state
        return current, replace(state, active_at_s=None, inactive_at_s=now_s)
    over_s = now_s - state.inactive_at_s
    proxied_s = 0.0 if state.proxied_at_s is None else now_s - state.proxied_at_s
    rested = over_s >= settings.scale_to_zero_retention_s
    drained = max(over_s, proxied_s) >= settings.scale_to_zero_grace_s
    return (0 if rested and drained else current), state
