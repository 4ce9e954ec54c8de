"""From runs to verdicts: fronts of replica-hours and delayed requests, compared at equal cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autoscaler.replay.pareto import at, front, swapped

Point = tuple[float, float]
"""Replica-hours, delayed requests."""

_SAMPLES: Final = 25
_CLOSE: Final = 0.02
"""Within 2 % is even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One of ours against one peer on one scenario and seed."""

    ratio: float | None
    """Our delayed requests per one of the peer's at equal replica-hours, the geometric mean over
    all replica-hours that both fronts reach; None: they have none in common."""
    least: float | None
    """The best of those ratios."""
    most: float | None
    """The worst of them."""
    hours_ratio: float | None
    """Our replica-hours per one of the peer's at equally many delayed requests, likewise."""
    reach: tuple[float, float] | None
    """The replica-hours that both fronts reach."""

    @property
    def word(self) -> str:
        """Better, even, worse, or apart.

        Fronts without replica-hours in common are judged by the other way round: equal delay.
        """
        value = self.ratio if self.ratio is not None else self.hours_ratio
        if value is None:
            return "apart"
        if abs(value - 1) <= _CLOSE:
            return "even"
        return "better" if value < 1 else "worse"


def points(runs: Sequence[Mapping[str, Any]]) -> list[Point]:
    """The front of a contender's runs."""
    every = [(float(run["replica_hours"]), float(run["delayed"])) for run in runs]
    return sorted(front(every, lambda point: point))


def compare(ours: Sequence[Point], peer: Sequence[Point]) -> Verdict:
    """Two fronts against each other."""
    ratios, reach = _ratios(ours, peer)
    hours, _ = _ratios(swapped(ours), swapped(peer))
    return Verdict(
        ratio=_mean(ratios),
        least=min(ratios, default=None),
        most=max(ratios, default=None),
        hours_ratio=_mean(hours),
        reach=reach,
    )


def _ratios(
    ours: Sequence[Point], peer: Sequence[Point]
) -> tuple[list[float], tuple[float, float] | None]:
    low = max(min(x for x, _ in ours), min(x for x, _ in peer))
    high = min(max(x for x, _ in ours), max(x for x, _ in peer))
    if high < low:
        return [], None
    found = []
    for i in range(_SAMPLES):
        x = low + (high - low) * i / (_SAMPLES - 1)
        mine, theirs = at(ours, x), at(peer, x)
        if mine is not None and theirs is not None:
            # One request more on both sides: nothing delayed at all is no division by zero.
            found.append((mine + 1) / (theirs + 1))
    return found, (low, high)


def _mean(ratios: Sequence[float]) -> float | None:
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
