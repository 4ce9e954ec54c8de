"""A concurrency target from measured latency against load. Pure.

A replica serves a few requests at once about as fast as one alone. Beyond some number they wait
for each other, and latency turns up: that turn, the knee, is as much as a replica should be given.

The turn is found as in V. Satopaa et al., "Finding a 'Kneedle' in a Haystack: Detecting Knee
Points in System Behavior" (ICDCS Workshops 2011): scale the curve to the unit square, and take
the first local maximum of its distance from the diagonal that stays ahead by `SENSITIVITY` mean
steps. Two things come before it, since measured latencies are noisy and uneven:

    step      rule                                                            why
    --------  --------------------------------------------------------------  ------------------
    bins      samples of about the same load (within 10 %) become one, the     dense spots would
              median                                                           weigh more
    monotone  latency never falls with load: pool adjacent violators, by the   one slow minute
              number of samples                                                is no knee

A curve whose latency does not at least grow by half has no knee: it was not loaded enough.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

SENSITIVITY: Final = 1.0
"""The paper's S: how many mean steps the curve must fall behind its best distance."""

MIN_RISE: Final = 1.5
"""Latency at the highest load, in latencies at the lowest, below which there is no knee."""

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
        A target of at least 1, whole unless below 2 (a load of 1.4 is no reason to say 1); or why
        there is none.
    """
    curve = monotone(binned(samples))
    if len(curve) < MIN_POINTS:
        return Knee(
            target=None,
            curve=curve,
            why=f"only {len(curve)} different loads were measured; {MIN_POINTS} are needed",
        )
    (low, base), (high, worst) = curve[0], curve[-1]
    if worst < base * MIN_RISE:
        return Knee(
            target=None,
            curve=curve,
            why=f"latency grew only from {_ms(base)} at {low:.3g} in flight to {_ms(worst)} at"
            f" {high:.3g}: the replica was never full, measure at a higher load",
        )
    index = kneedle(curve)
    load, latency = curve[index]
    target = max(1.0, float(math.floor(load)))
    return Knee(
        target=target,
        curve=curve,
        why=f"up to {load:.3g} in flight latency grew from {_ms(base)} to {_ms(latency)}"
        f" ({latency / base:.2g} times), beyond it to {_ms(worst)} at {high:.3g}",
    )


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


def kneedle(curve: Sequence[Sample]) -> int:
    """Where a rising convex curve turns up: an index into it.

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
    return next((i for i, distance in enumerate(distances) if distance >= near > 0), best)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
