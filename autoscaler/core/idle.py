"""Whether a proton may go to zero, and whether it must come back.

    current  load     idle for the cooldown  then
    -------  -------  ---------------------  -----------------------------------------------
    0        none     (any)                  stay at 0: no mean of the past starts a replica
    0        some     -                      wake up, at once, for what waits now
    n        some     -                      not our business: the policies' count, at least 1
    n        none     no                     at least 1: the cooldown runs
    n        none     yes                    0 from any count: nothing left is worth draining slowly

"Some" includes a wake-up that no report confirms yet. Idle is proven by counters that did not
move, over all known workers; a proton without that proof keeps at least one replica.
"""

from typing import Final

from autoscaler.core.steps import Idleness, LoadView, Zero

_FORBIDDEN: Final = Idleness(zero=Zero.FORBIDDEN)
_KEEP: Final = Idleness(zero=Zero.KEEP)
_KEPT: Final = Zero.KEEP
# Python 3.11 looks an enum's members up through a descriptor: 120 ns each time.


def idleness(
    *,
    allowed: bool,
    current: int,
    load: LoadView | None,
    woken: bool,
    cooldown_s: float,
    doubtful: bool = False,
) -> Idleness:
    """Look the proton up in the table above.

    Args:
        allowed: Bounds and policies allow zero.
        current: The count asked for until now.
        load: None when nothing is known.
        woken: A gateway asked for a replica since the last decision.
        cooldown_s: Zero load for this long leads to zero.
        doubtful: The numbers are not good enough: see `quality`.
    """
    busy = woken or (load is not None and load.in_flight + load.queued > 0)
    if current == 0:
        return Idleness(zero=Zero.WAKE if busy else Zero.STAY)
    if not allowed:
        return _FORBIDDEN
    if busy:
        return Idleness(zero=_KEPT, remaining_s=cooldown_s)
    if load is None or load.coverage_ratio < 1 or doubtful:
        return _KEEP
    if load.idle_s >= cooldown_s:
        return Idleness(zero=Zero.GO)
    return Idleness(zero=_KEPT, remaining_s=cooldown_s - load.idle_s)
