"""A concurrency target from measured latency against load. Pure.

A replica serves a few requests at once about as fast as one alone. Beyond some number they wait
for each other, and latency turns up: that turn, the knee, is as much as a replica should be given.

Two limits make the answer independent of how far beyond it one happened to measure: the turn is
looked for only where latency is below `FAR` times that of the lowest load, and a target never lets
it be above `MAX_GROWTH` times. Steps, in order:

    step      rule                                                            why
    --------  --------------------------------------------------------------  ------------------
    bins      samples of about the same load (within 10 %) become one, the     dense spots would
              median                                                           weigh more
    monotone  latency never falls with load: pool adjacent violators, by the   one slow minute
              number of samples                                                is no knee
    near      what is beyond `FAR` is left out                                 a long overload
                                                                               flattens the rest
    turn      V. Satopaa et al., "Finding a 'Kneedle' in a Haystack:           sharp turns
              Detecting Knee Points in System Behavior" (ICDCS Workshops
              2011): scale to the unit square, take the first local maximum
              of the distance from the diagonal that stays ahead by
              `SENSITIVITY` mean steps
    cap       where it turns nowhere (distance below `CLEAR`), or latency at   slow climbs
              the turn is above `MAX_GROWTH`: the load that has `MAX_GROWTH`

A curve whose latency does not at least grow by half has no knee: it was not loaded enough.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

SENSITIVITY: Final = 1.0
"""The paper's S: how many mean steps the curve must fall behind its best distance."""

MAX_GROWTH: Final = 1.5
"""Latency at the target, at most, in latencies at the lowest load; below it at the highest load
there is no knee."""

FAR: Final = 2.0
"""Where the search for a turn ends, in latencies at the lowest load. Above `MAX_GROWTH`, so that
a turn shortly before it is seen as one."""

CLEAR: Final = 0.15
"""Distance from the diagonal, as a part of the unit square, from which a turn is one: 0 is a
straight climb, 0.25 a parabola; noise of a twentieth of the latency makes up to 0.1."""

NEAR: Final = 0.95
"""Of a flat top the first point that is this near to it counts: noise moves the top itself, and
less load per replica is the safe side."""

MIN_POINTS: Final = 5
"""Loads that differ by more than a bin; with fewer nothing can be said."""

_BIN: Final = 1.1

Sample = tuple[float, float]
"""Requests in flight per replica, latency in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """What the samples say."""

    target: float | None
    """Requests in flight per replica to aim for; None: no knee was found, and `why` says why."""
    why: str
    curve: tuple[Sample, ...] = ()
    """What was left of the samples after both steps."""


def find_knee(samples: Iterable[Sample]) -> Knee:
    """Propose a concurrency target.

    Args:
        samples: In any order; those without load or latency are ignored.

    Returns:
        A whole target of at least 1, or why there is none.
    """
    curve = monotone(binned(samples))
    if len(curve) < MIN_POINTS:
        return Knee(
            target=None,
            curve=curve,
            why=f"only {len(curve)} different {'load was' if len(curve) == 1 else 'loads were'}"
            f" measured; {MIN_POINTS} are needed",
        )
    (low, base), (high, worst) = curve[0], curve[-1]
    if worst < base * MAX_GROWTH:
        return Knee(
            target=None,
            curve=curve,
            why=f"latency grew only from {_shown(base)} at {low:.3g} in flight to {_shown(worst)}"
            f" at {high:.3g}: the replica was never full, measure at a higher load",
        )
    near = up_to(curve, base * FAR)
    index, distance = kneedle(near)
    load, latency = near[index]
    if distance < CLEAR or latency > base * MAX_GROWTH:
        load, latency = up_to(curve, base * MAX_GROWTH)[-1]
    return Knee(
        target=max(1.0, float(math.floor(load))),
        curve=curve,
        why=f"up to {load:.3g} in flight latency grew from {_shown(base)} at {low:.3g} to"
        f" {_shown(latency)} ({latency / base:.2g} times), beyond it to {_shown(worst)} at"
        f" {high:.3g}",
    )


def up_to(curve: Sequence[Sample], most_s: float) -> list[Sample]:
    """The beginning of a curve that rises from below a latency to where it reaches it.

    The last point lies on the straight line between two loads; a curve that never gets there is
    returned whole.
    """
    for i, (load, latency) in enumerate(curve):
        if latency > most_s:
            before, low_s = curve[i - 1]
            share = (most_s - low_s) / (latency - low_s)
            return [*curve[:i], (before + (load - before) * share, most_s)]
    return list(curve)


def binned(samples: Iterable[Sample]) -> list[tuple[float, float, int]]:
    """Samples of about the same load as one: mean load, median latency, how many; by load."""
    bins: dict[int, list[Sample]] = {}
    for load, latency in samples:
        if load > 0 and latency > 0 and math.isfinite(load) and math.isfinite(latency):
            bins.setdefault(round(math.log(load) / math.log(_BIN)), []).append((load, latency))
    return [
        (
            sum(load for load, _ in found) / len(found),
            median(latency for _, latency in found),
            len(found),
        )
        for _, found in sorted(bins.items())
    ]


def monotone(points: Sequence[tuple[float, float, int]]) -> tuple[Sample, ...]:
    """The closest curve that never falls (pool adjacent violators, weighted)."""
    pools: list[list[float]] = []  # latency, weight, points
    for _, latency, weight in points:
        pools.append([latency, float(weight), 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            value, mass, count = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + value * mass) / (last[1] + mass)
            last[1] += mass
            last[2] += count
    levels = [pool[0] for pool in pools for _ in range(int(pool[2]))]
    return tuple((load, level) for (load, _, _), level in zip(points, levels, strict=True))


def kneedle(curve: Sequence[Sample]) -> tuple[int, float]:
    """Where a rising convex curve turns up: an index into it, and how far below the diagonal.

    The first local maximum of the distance below the diagonal that is not surpassed before the
    distance has fallen by the threshold; the highest of all when none falls so far.
    """
    (x0, y0), (x1, y1) = curve[0], curve[-1]
    distances = [(x - x0) / (x1 - x0) - (y - y0) / (y1 - y0) for x, y in curve]
    step = 1 / (len(curve) - 1)
    best = 0
    for i, distance in enumerate(distances):
        if distance > distances[best]:
            best = i
        elif distances[best] - distance > SENSITIVITY * step and distances[best] > step:
            break
    near = distances[best] * NEAR
    index = next((i for i, distance in enumerate(distances) if distance >= near > 0), best)
    return index, distances[best]


def _shown(seconds: float) -> str:
    if seconds >= 999.5:  # noqa: PLR2004 - `g` would write 1e+03
        return f"{seconds:,.0f} s"
    return f"{seconds:.3g} s" if seconds >= 0.9995 else f"{seconds * 1e3:.3g} ms"  # noqa: PLR2004
