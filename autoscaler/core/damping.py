"""How fast a wish may become a count: rates, panic, and the delays before moving.

step        rule                                                           source
----------  -------------------------------------------------------------  ----------------
activation  any wish above 0 is at least `activation_scale`: `activated`   Knative
up delay    the lowest wish of the last `scale_up_delay_s` counts          HPA
rates       see `rates`                                                    Knative, HPA
panic       begins when the short window wants `panic_threshold` times     Knative; the
            the ready replicas, or when requests wait and more is wanted   second cause is
            than asked for; ends a stable window after its last cause;     ours
            meanwhile the count only rises
down delay  the highest wish of the last `scale_down_delay_s` counts, as   Knative, HPA
            far as the down rate let it fall: so the rate is one per delay
noise       one replica less is noise while the present count was wanted   ours
            within `stabilization_window_s`: a mean that trembles about a
            multiple of the target would add and take away the same
            replica for ever; the last replica is a matter of `idle`
"""

from typing import Final

from autoscaler.core.rates import limited, remembered
from autoscaler.core.steps import Burst, Damped, DampingState, Wishes
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings

_ON_TARGET: Final = Reason.ON_TARGET
# Python 3.11 looks an enum's members up through a descriptor: 120 ns each time.


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
    short = panic if panic is not None else 0
    lows, early = state.lows, None
    if settings.scale_up_delay_s > 0 or lows:
        highest = max(stable, short)
        lows = _lowest(lows, highest, settings.scale_up_delay_s, now_s)
        proven = max(current, lows[0][1]) if lows else highest
        if highest > proven:
            early = (highest, lows[0])
        stable, short = min(stable, proven), min(short, proven)
    panic_at_s, burst, peak = state.panic_at_s, state.burst, state.peak
    if waiting and short > current:
        panic_at_s, burst = now_s, Burst.WAITING
    elif short / max(1, ready) >= settings.panic_threshold:
        panic_at_s, burst = now_s, Burst.SHORT
    elif panic_at_s is not None and panic_at_s + settings.stable_window_s < now_s:
        panic_at_s, burst, peak = None, None, 0

    wish = stable if panic_at_s is None else max(stable, short)
    counts = remembered(state.counts, current=current, settings=settings, now_s=now_s)
    replicas, reason, note = limited(
        wish, ready=ready, current=current, counts=counts, settings=settings
    )
    damped = Damped(replicas=replicas, reason=reason, note=note)
    if panic_at_s is not None:
        peak = max(peak, damped.replicas, current)
        why = _why(burst, now_s - panic_at_s, short, ready)
        damped = _panicked(damped, peak, panic_at_s + settings.stable_window_s - now_s, why)
    wishes = _highest(state.wishes, damped.replicas, settings.scale_down_delay_s, now_s)
    damped = _delayed(damped, wishes, settings.scale_down_delay_s, now_s)
    if early is not None and damped.reason is _ON_TARGET:
        damped = _early(damped, early, now_s)
    needed_at_s = now_s if stable >= current else state.needed_at_s
    damped, needed_at_s = _without_noise(damped, current, needed_at_s, settings, now_s)
    return damped, DampingState(
        panic_at_s=panic_at_s,
        burst=burst,
        peak=peak,
        wishes=wishes,
        needed_at_s=needed_at_s,
        lows=lows,
        counts=counts,
    )


def activated(wish: int, settings: AutoscalerSettings) -> int:
    """A wish above 0 is at least the activation scale.

    Only the long window's: the short one's decides what is a burst, and one request is none. And
    only what is wished, not what is held for want of better numbers.
    """
    return max(wish, settings.activation_scale) if wish > 0 else wish


def woken(count: int, *, settings: AutoscalerSettings, now_s: float) -> DampingState:
    """The state after waking from zero for `count` replicas' worth of waiting requests.

    Waking for several at once is a burst: they would be taken away as soon as they are ready,
    because the mean of the long window knows nothing of it yet.
    """
    burst = Burst.WOKEN if count >= settings.panic_threshold else None
    return DampingState(
        panic_at_s=now_s if burst is not None else None,
        burst=burst,
        peak=count,
        needed_at_s=now_s,
        lows=((now_s, count),) if settings.scale_up_delay_s > 0 else (),
    )


def _why(burst: Burst | None, ago_s: float, short: int, ready: int) -> tuple[object, ...]:
    if burst is Burst.WAITING:
        return ("requests waited %.0f s ago", ago_s) if ago_s else ("requests wait",)
    if burst is Burst.WOKEN:
        return ("woken for several at once %.0f s ago", ago_s)
    if ago_s:
        return ("the short window told so %.0f s ago", ago_s)
    return ("the short window wants %d, %d ready", short, ready)


def _panicked(damped: Damped, peak: int, hold_s: float, why: tuple[object, ...]) -> Damped:
    reason, note = damped.reason, damped.note
    if reason is not Reason.SCALE_UP_LIMITED or peak > damped.replicas:
        reason = Reason.PANIC
        template = f"%d wanted, a burst ({why[0]}): never down before it is over: %d"
        note = (template, damped.replicas, *why[1:], peak)
    return Damped(replicas=peak, reason=reason, note=note, hold_s=hold_s)


def _delayed(damped: Damped, wishes: Wishes, delay_s: float, now_s: float) -> Damped:
    if not wishes or wishes[0][1] <= damped.replicas:
        return damped
    since_s, held = wishes[0]
    note = ("%d wanted, %d was wanted %.0f s ago", damped.replicas, held, now_s - since_s)
    hold_s = since_s + delay_s - now_s
    return Damped(replicas=held, reason=Reason.STABILISING, note=note, hold_s=hold_s)


def _early(damped: Damped, early: tuple[int, tuple[float, int]], now_s: float) -> Damped:
    wish, (since_s, low) = early
    note = ("%d wanted, but %d was enough %.0f s ago", wish, low, now_s - since_s)
    return Damped(
        replicas=damped.replicas, reason=Reason.STABILISING, note=note, hold_s=damped.hold_s
    )


def _without_noise(
    damped: Damped,
    current: int,
    needed_at_s: float | None,
    settings: AutoscalerSettings,
    now_s: float,
) -> tuple[Damped, float | None]:
    window_s = settings.stabilization_window_s
    if window_s is None:
        window_s = settings.stable_window_s
    if damped.replicas > current:
        return damped, now_s
    if needed_at_s is not None and now_s - needed_at_s >= window_s:
        needed_at_s = None
    if damped.replicas == current - 1 > 0 and needed_at_s is not None:
        ago_s = now_s - needed_at_s
        note = ("%d wanted, but %d were wanted %.0f s ago", current - 1, current, ago_s)
        hold_s = window_s - ago_s
        damped = Damped(replicas=current, reason=Reason.STABILISING, note=note, hold_s=hold_s)
    if damped.replicas < current:
        wanted = damped.reason is _ON_TARGET
        needed_at_s = now_s if wanted else None
    return damped, needed_at_s


def _highest(wishes: Wishes, value: int, delay_s: float, now_s: float) -> Wishes:
    if delay_s <= 0:
        return ()
    kept = [(t, wish) for t, wish in wishes if t > now_s - delay_s and wish > value]
    return (*kept, (now_s, value))


def _lowest(wishes: Wishes, value: int, delay_s: float, now_s: float) -> Wishes:
    if delay_s <= 0:
        return ()
    kept = [(t, wish) for t, wish in wishes if t > now_s - delay_s and wish < value]
    return (*kept, (now_s, value))
