"""How far the simulator and reality are apart, and how far they may be. Pure.

    measure           what is compared                                              bound
    ----------------  ------------------------------------------------------------  ------------
    wanted            mean distance of the wanted replicas, over time               `REPLICAS`
    ready             the same of the ready ones                                    `REPLICAS`
    most ready        the most that were ready at once                              `MOST_READY`
    replica-seconds   the integral of the ready replicas, as a ratio                `SECONDS_RATIO`
    wait p50, ...     a quantile of all requests' waiting                           `WAIT_S` and
                                                                                    `WAIT_RATIO`
    longest wait      the cold start, or what is longer                             `LONGEST_S`
    requests, failed  counts                                                        equal

The bounds are wide enough for a machine that has other work, on which processes start late and
timers fire late. They are narrow enough that a simulator with another window, with replicas that
start much later, or (in a run of 25 s) without the gateway's limit per replica is outside them;
what they do not tell apart are wake-ups, since the demo's ticks come every quarter of a second. A
burst that meets one replica less at its first instant waits some half a second longer: that alone
is what `WAIT_S` and `WAIT_RATIO` allow. Nine in ten requests of the demo wait for less than that,
so the longest wait is held against reality, too: a simulator in which nobody waits is outside.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.fidelity.runs import QUANTILES, Observed

REPLICAS: Final = 0.75
"""Replicas."""
MOST_READY: Final = 1
"""Replicas."""
SECONDS_RATIO: Final = 0.25
WAIT_S: Final = 0.4
"""Seconds that two quantiles may differ at least, and"""
WAIT_RATIO: Final = 0.25
"""as a share of the larger one, in addition."""

LONGEST_S: Final = 1.0
"""Seconds; the demo's cold start takes longer."""

_STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that was compared."""

    name: str
    real: float
    simulated: float
    distance: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether both are close enough."""
        return self.distance <= self.bound


def compare(real: Observed, simulated: Observed) -> list[Measure]:
    """All measures of the table above."""
    found = [
        _over_time("wanted", real, simulated, real.wanted, simulated.wanted),
        _over_time("ready", real, simulated, real.ready, simulated.ready),
        _count("most ready", max(real.ready), max(simulated.ready), bound=MOST_READY),
    ]
    larger = max(real.replica_seconds, simulated.replica_seconds)
    found.append(
        Measure(
            name="replica-seconds",
            real=real.replica_seconds,
            simulated=simulated.replica_seconds,
            distance=abs(real.replica_seconds - simulated.replica_seconds) / larger,
            bound=SECONDS_RATIO,
        )
    )
    for name in (f"p{q * 100:g}" for q in QUANTILES):
        one, other = real.waits_s[name], simulated.waits_s[name]
        bound = WAIT_S + WAIT_RATIO * max(one, other)
        found.append(
            Measure(
                name=f"wait {name}, s",
                real=one,
                simulated=other,
                distance=abs(one - other),
                bound=bound,
            )
        )
    longest, other = real.longest_wait_s, simulated.longest_wait_s
    found.append(
        Measure(
            name="longest wait, s",
            real=longest,
            simulated=other,
            distance=abs(longest - other),
            bound=LONGEST_S,
        )
    )
    found.append(_count("requests", real.requests, simulated.requests, bound=0))
    found.append(_count("failed", real.failed, simulated.failed, bound=0))
    return found


def _count(name: str, real: int, simulated: int, *, bound: float) -> Measure:
    return Measure(
        name=name, real=real, simulated=simulated, distance=abs(real - simulated), bound=bound
    )


def _over_time(
    name: str, real: Observed, simulated: Observed, ours: Sequence[int], theirs: Sequence[int]
) -> Measure:
    end_s = min(real.at_s[-1], simulated.at_s[-1])
    count = max(1, int(end_s / _STEP_S))
    apart = one = other = 0.0
    for index in range(count):
        at_s = index * _STEP_S
        a, b = _at(real.at_s, ours, at_s), _at(simulated.at_s, theirs, at_s)
        apart += abs(a - b)
        one += a
        other += b
    return Measure(
        name=f"{name}, mean",
        real=one / count,
        simulated=other / count,
        distance=apart / count,
        bound=REPLICAS,
    )


def _at(moments: Sequence[float], values: Sequence[int], at_s: float) -> int:
    index = bisect_right(moments, at_s) - 1
    return values[index] if index >= 0 else 0
