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
    noise    one replica less, within a stable window of growing, is noise:    ours
             a mean that trembles about a multiple of the target would add
             and take away the same replica for ever

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
    grew_at_s: float | None = None
    """When the count last rose; None: long ago."""
    wishes: tuple[tuple[float, int], ...] = ()
    """Recent wishes, falling: a wish is dropped when a later one is at least as high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damped:
    """A wish after damping."""

    replicas: int
    reason: Reason
    note: str
    hold_s: float = 0.0
    """For how long the count cannot fall now (panic, delay, noise); 0: it can."""


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
    short = panic if panic is not None else 0
    caused = short / base >= settings.panic_threshold or (waiting and short > current)
    panic_at_s, peak = state.panic_at_s, state.peak
    if caused:
        panic_at_s = now_s
    elif panic_at_s is not None and panic_at_s + settings.stable_window_s < now_s:
        panic_at_s, peak = None, 0

    wish = stable if panic_at_s is None else max(stable, short)
    damped = _limited(wish, base=base, current=current, settings=settings)
    if panic_at_s is not None:
        peak = max(peak, damped.replicas, current)
        damped = _panicked(damped, peak, panic_at_s + settings.stable_window_s - now_s)
    wishes = _remember(state.wishes, damped.replicas, settings.scale_down_delay_s, now_s)
    damped = _delayed(damped, wishes, settings.scale_down_delay_s, now_s)
    grew_at_s = state.grew_at_s
    if damped.replicas > current:
        grew_at_s = now_s
    elif grew_at_s is not None and now_s - grew_at_s >= settings.stable_window_s:
        grew_at_s = None
    if grew_at_s is not None and damped.replicas == current - 1:
        note = f"{current - 1} wanted, but {current} were asked for {now_s - grew_at_s:.0f} s ago"
        hold_s = grew_at_s + settings.stable_window_s - now_s
        damped = Damped(replicas=current, reason=Reason.STABILISING, note=note, hold_s=hold_s)
    return damped, DampingState(
        panic_at_s=panic_at_s, peak=peak, wishes=wishes, grew_at_s=grew_at_s
    )


def woken(count: int, *, settings: AutoscalerSettings, now_s: float) -> DampingState:
    """The state after waking from zero for `count` replicas' worth of waiting requests.

    Waking for several at once is a burst: they would be taken away as soon as they are ready,
    because the mean of the long window knows nothing of it yet.
    """
    burst = count >= settings.panic_threshold
    return DampingState(panic_at_s=now_s if burst else None, peak=count, grew_at_s=now_s)


def _limited(wish: int, *, base: int, current: int, settings: AutoscalerSettings) -> Damped:
    up, down = settings.max_scale_up_rate, settings.max_scale_down_rate
    most = max(current, math.ceil(up * base))
    least = min(current, math.floor(base / down))
    if wish > most:
        note = f"{wish} wanted, at most {up:g} x {base} ready at once"
        return Damped(replicas=most, reason=Reason.SCALE_UP_LIMITED, note=note)
    if wish < least:
        note = f"{wish} wanted, at most {base} ready / {down:g} at once"
        return Damped(replicas=least, reason=Reason.SCALE_DOWN_LIMITED, note=note)
    return Damped(replicas=wish, reason=Reason.ON_TARGET, note=f"{wish} wanted")


def _panicked(damped: Damped, peak: int, hold_s: float) -> Damped:
    reason, note = damped.reason, damped.note
    if reason is not Reason.SCALE_UP_LIMITED or peak > damped.replicas:
        reason = Reason.PANIC
        note = f"{damped.replicas} wanted in a burst, never down before it is over: {peak}"
    return Damped(replicas=peak, reason=reason, note=note, hold_s=hold_s)


def _delayed(
    damped: Damped, wishes: tuple[tuple[float, int], ...], delay_s: float, now_s: float
) -> Damped:
    if not wishes or wishes[0][1] <= damped.replicas:
        return damped
    since_s, held = wishes[0]
    note = f"{damped.replicas} wanted, {held} was wanted {now_s - since_s:.0f} s ago"
    hold_s = since_s + delay_s - now_s
    return Damped(replicas=held, reason=Reason.STABILISING, note=note, hold_s=hold_s)


def _remember(
    wishes: tuple[tuple[float, int], ...], value: int, delay_s: float, now_s: float
) -> tuple[tuple[float, int], ...]:
    if delay_s <= 0:
        return ()
    kept = [(t, wish) for t, wish in wishes if t > now_s - delay_s and wish > value]
    return (*kept, (now_s, value))
