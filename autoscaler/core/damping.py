"""How fast a wish may become a count: rates, panic, and the delay before shrinking.

    step     rule                                                              source
    -------  ----------------------------------------------------------------  -----------------
    rates    grow to at most ceil(ready * up), shrink to no less than          Knative
             floor(ready / down); neither ever turns a wish around
    panic    begins when the short window wants `panic_threshold` times the    Knative; the
             ready replicas, or when requests wait and more is wanted than     second cause is
             asked for; ends a stable window after its last cause; meanwhile   ours
             the count only rises
    delay    the highest wish of the last `scale_down_delay_s` counts          Knative, HPA

Rates are measured against ready replicas (at least one): replicas that are still starting have
proven nothing, so a wrong guess cannot multiply itself. What is already asked for stays allowed.
"""

import math
from dataclasses import dataclass

from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DampingState:
    """What damping remembers between decisions. Times are the caller's monotonic clock."""

    panic_at_s: float | None = None
    """When panic was last caused; None outside panic."""
    peak: int = 0
    """The highest count of this panic."""
    wishes: tuple[tuple[float, int], ...] = ()
    """Recent wishes, falling: a wish is dropped when a later one is at least as high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damped:
    """A wish after damping."""

    replicas: int
    reason: Reason
    note: str
    hold_s: float = 0.0
    """For how long the count cannot fall now (panic or delay); 0: it can."""


def damp(
    *,
    stable: int,
    panic: int | None,
    ready: int,
    current: int,
    waiting: bool,
    settings: AutoscalerSettings,
    state: DampingState,
    now_s: float,
) -> tuple[Damped, DampingState]:
    """Turn the wishes of both windows into a count.

    Args:
        stable: Wish of the long window.
        panic: Wish of the short window; None when no policy has one.
        ready: Replicas that passed their readiness check.
        current: The count asked for until now.
        waiting: Requests wait in the gateway.
        settings: Rates, thresholds, windows.
        state: What the last call returned.
        now_s: Monotonic clock.
    """
    base = max(1, ready)
    most = max(current, math.ceil(settings.max_scale_up_rate * base))
    least = min(current, math.floor(base / settings.max_scale_down_rate))
    short = panic if panic is not None else 0
    caused = short / base >= settings.panic_threshold or (waiting and short > current)
    panic_at_s, peak = state.panic_at_s, state.peak
    if caused:
        panic_at_s = now_s
    elif panic_at_s is not None and panic_at_s + settings.stable_window_s < now_s:
        panic_at_s, peak = None, 0

    wish = stable if panic_at_s is None else max(stable, short)
    value = min(max(wish, least), most)
    reason, note, hold_s = Reason.ON_TARGET, f"{wish} wanted", 0.0
    if value < wish:
        reason = Reason.SCALE_UP_LIMITED
        note = f"{wish} wanted, at most {settings.max_scale_up_rate:g} x {base} ready at once"
    elif value > wish:
        reason = Reason.SCALE_DOWN_LIMITED
        note = f"{wish} wanted, at most {base} ready / {settings.max_scale_down_rate:g} at once"
    if panic_at_s is not None:
        peak = max(peak, value, current)
        hold_s = panic_at_s + settings.stable_window_s - now_s
        if reason is not Reason.SCALE_UP_LIMITED or peak > value:
            reason = Reason.PANIC
            note = f"{value} wanted in a burst, never down before it is over: {peak}"
        value = peak
    wishes = _remember(state.wishes, value, settings.scale_down_delay_s, now_s)
    if wishes and wishes[0][1] > value:
        since_s, held = wishes[0]
        hold_s = since_s + settings.scale_down_delay_s - now_s
        reason = Reason.STABILISING
        note = f"{value} wanted, {held} was wanted {now_s - since_s:.0f} s ago"
        value = held
    return (
        Damped(replicas=value, reason=reason, note=note, hold_s=hold_s),
        DampingState(panic_at_s=panic_at_s, peak=peak, wishes=wishes),
    )


def _remember(
    wishes: tuple[tuple[float, int], ...], value: int, delay_s: float, now_s: float
) -> tuple[tuple[float, int], ...]:
    if delay_s <= 0:
        return ()
    kept = [(t, wish) for t, wish in wishes if t > now_s - delay_s and wish > value]
    return (*kept, (now_s, value))
