"""How far a count may move: in one decision as a rate, over a while in replicas.

    limit     up                                      down                             source
    --------  --------------------------------------  -------------------------------  -------
    rate      ceil(ready * `max_scale_up_rate`)       floor(ready / `max_scale_       Knative
                                                      down_rate`)
    replicas  lowest count of the last `scale_limit_  highest count of that time      HPA,
              period_s` + `max_scale_up_replicas`     - `max_scale_down_replicas`     Pods

Both hold where both are set (the HPA takes the wider one unless told otherwise). Rates are measured
against ready replicas, at least one: those that are still starting have proven nothing, so a wrong
guess cannot multiply itself. What is already asked for stays allowed, and no limit turns a wish
around.
"""

import math
from typing import Final

from autoscaler.core.notes import Note
from autoscaler.core.steps import Counts
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings

_ON_TARGET: Final = Reason.ON_TARGET
# Python 3.11 looks an enum's members up through a descriptor: 120 ns each time.


def remembered(
    counts: Counts, *, current: int, settings: AutoscalerSettings, now_s: float
) -> Counts:
    """Add the present count, and forget what ended before the period began; () without limits."""
    if not settings.max_scale_up_replicas and not settings.max_scale_down_replicas:
        return ()
    if not counts or counts[-1][1] != current:
        counts = (*counts, (now_s, current))
    began_s = now_s - settings.scale_limit_period_s
    gone = 0
    while gone + 1 < len(counts) and counts[gone + 1][0] <= began_s:
        gone += 1
    return counts[gone:]


def limited(
    wish: int, *, ready: int, current: int, counts: Counts, settings: AutoscalerSettings
) -> tuple[int, Reason, Note]:
    """Hold a wish within the limits.

    Args:
        wish: Replicas.
        ready: Replicas that passed their readiness check.
        current: The count asked for until now.
        counts: From `remembered`.
        settings: The limits.
    """
    base = max(1, ready)
    if wish > current:
        most = math.ceil(settings.max_scale_up_rate * base)
        note: Note = ("%d wanted, at most %g x %d ready at once",)
        note = (*note, wish, settings.max_scale_up_rate, base)
        if settings.max_scale_up_replicas:
            lowest = min(count for _, count in counts)
            if lowest + settings.max_scale_up_replicas < most:
                most = lowest + settings.max_scale_up_replicas
                note = ("%d wanted, at most %d + %d", wish, lowest, settings.max_scale_up_replicas)
                note = _over_the_period(note, settings)
        if wish > max(current, most):
            return max(current, most), Reason.SCALE_UP_LIMITED, note
    elif wish < current:
        least = math.floor(base / settings.max_scale_down_rate)
        note = ("%d wanted, at most %d ready / %g at once",)
        note = (*note, wish, base, settings.max_scale_down_rate)
        if settings.max_scale_down_replicas:
            highest = max(count for _, count in counts)
            if highest - settings.max_scale_down_replicas > least:
                least = highest - settings.max_scale_down_replicas
                note = ("%d wanted, no less than %d - %d", wish, highest)
                note = _over_the_period((*note, settings.max_scale_down_replicas), settings)
        if wish < min(current, least):
            return min(current, least), Reason.SCALE_DOWN_LIMITED, note
    return wish, _ON_TARGET, ("%d wanted", wish)


def _over_the_period(note: tuple[object, ...], settings: AutoscalerSettings) -> Note:
    template, *values = note
    return (f"{template} in %g s", *values, settings.scale_limit_period_s)
