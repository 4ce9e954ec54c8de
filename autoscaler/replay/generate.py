"""Synthetic traffic: how the rate moves over the day, and how requests follow each other.

Two things are independent. The *rate* is a function of time: a product of patterns whose mean over
their period is about 1. The *arrivals* are a renewal process with gaps of mean 1 in a time that
runs as fast as the rate is high: a coefficient of variation of 1 is Poisson, above it requests
come in bursts. Language-model traffic of many clients has been found to follow Gamma and Weibull
gaps rather than a Poisson process (ServeGen, https://arxiv.org/abs/2505.09999).

    pattern   rate
    --------  -----------------------------------------------------------------------------------
    steady    always the mean
    diurnal   lowest at 3, highest at 15 o'clock; two days in seven at 60 %
    spikes    now and then, at random, `spike_factor` times as high for `spike_s`
    pauses    nothing for about half of the time, in stretches of `pause_s` on average

Equal arguments give equal traffic, on any machine.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Final

from autoscaler.replay.chance import Service
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.traces import Arrival

PATTERNS: Final = ("steady", "diurnal", "spikes", "pauses")
GAPS: Final = ("poisson", "gamma", "weibull")

_DAY_S: Final = 86_400.0
_WEEK_DAYS: Final = 7
_FREE_DAYS: Final = 2
_FREE_FACTOR: Final = 0.6
_LOWEST_AT_S: Final = 3 * 3600.0
_STEP_S: Final = 1.0
"""The rate counts as constant for this long."""

Rate = Callable[[float], float]
"""A factor of the mean rate at a moment; called with moments that grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What to generate."""

    duration_s: float
    per_s: float
    """Mean rate of all workloads together."""
    patterns: Sequence[str] = ("steady",)
    gaps: str = "poisson"
    variation: float = 1.0
    """Coefficient of variation of the gaps; of Poisson always 1."""
    swing_ratio: float = 0.8
    """Diurnal: how far the rate moves about its mean, 0 to 1."""
    spike_factor: float = 8.0
    spike_s: float = 60.0
    spike_every_s: float = 3600.0
    """Mean time between two spikes."""
    pause_s: float = 900.0
    mean_tokens: tuple[float, float] | None = None
    """Of prompts and of answers, both exponential; None: the trace tells none."""
    workloads: int = 1
    """More than one: shares fall as 1, 1/2, 1/3, ..., each has its own spikes, pauses and hours."""


def generate(traffic: Traffic, service: Service | None, *, seed: int) -> Iterator[Arrival]:
    """All requests in the order of their moments.

    Args:
        traffic: What to generate.
        service: Draws service times; None: the trace will tell none.
        seed: Of everything.

    Raises:
        ReplayError: A pattern or the gaps are not known, or a number is out of range; before the
            first request is made.
    """
    _check(traffic)
    names: list[str | None] = [None]
    if traffic.workloads > 1:
        width = len(str(traffic.workloads))
        names = [f"workload-{i + 1:0{width}d}" for i in range(traffic.workloads)]
    whole = sum(1 / (i + 1) for i in range(len(names)))
    streams = [
        _one(
            traffic,
            name,
            per_s=traffic.per_s / (i + 1) / whole,
            shift_s=i * _DAY_S / len(names),
            service=service,
            seed=f"{seed}/{i}",
        )
        for i, name in enumerate(names)
    ]
    return streams[0] if len(streams) == 1 else merge(*streams, key=lambda arrival: arrival.at_s)


def _check(traffic: Traffic) -> None:
    """Refuse what makes no traffic, by the names of the fields."""
    for name in traffic.patterns:
        if name not in PATTERNS:
            raise ReplayError(
                f"--pattern: no pattern is called {name!r}",
                hint=f"Known: {', '.join(PATTERNS)}.",
                code=2,
            )
    gap_of(traffic.gaps, traffic.variation)
    for field in ("duration_s", "spike_factor", "spike_s", "spike_every_s", "pause_s"):
        value = getattr(traffic, field)
        if not 0 < value < math.inf:
            raise ReplayError(f"{field} must be a finite number above 0, not {value:g}", code=2)
    if not 0 <= traffic.per_s < math.inf:
        raise ReplayError(
            f"per_s must be a finite number of at least 0, not {traffic.per_s:g}", code=2
        )


def _one(
    traffic: Traffic,
    name: str | None,
    *,
    per_s: float,
    shift_s: float,
    service: Service | None,
    seed: str,
) -> Iterator[Arrival]:
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    served = random.Random(f"{seed}/service")  # noqa: S311
    draw = service.draw if service is not None else None
    gap = gap_of(traffic.gaps, traffic.variation)
    rates = [_rate(pattern, traffic, f"{seed}/{pattern}", shift_s) for pattern in traffic.patterns]
    step_at_s, left = 0.0, gap(rng)
    while step_at_s < traffic.duration_s:
        length_s = min(_STEP_S, traffic.duration_s - step_at_s)
        rate = per_s * math.prod(rate(step_at_s) for rate in rates)
        # `left` is how much of the gap's own time is still to run; in this step runs so much:
        runs, done = rate * length_s, 0.0
        while left < runs - done:
            done += left
            left = gap(rng)
            service_s = draw(served) if draw is not None else None
            prompt, generated = _tokens(served, traffic.mean_tokens)
            yield Arrival(step_at_s + done / rate, service_s, prompt, generated, name)
        left -= runs - done
        step_at_s += _STEP_S


def _tokens(rng: random.Random, means: tuple[float, float] | None) -> tuple[int | None, int | None]:
    if means is None:
        return None, None
    prompt, generated = (1 + int(rng.expovariate(1 / mean)) for mean in means)
    return prompt, generated


def gap_of(kind: str, variation: float) -> Callable[[random.Random], float]:
    """Gaps of mean 1.

    Args:
        kind: One of `GAPS`.
        variation: Coefficient of variation; not read for `poisson`.

    Raises:
        ReplayError: The kind is not known, or the variation is out of range.
    """
    if kind == "poisson":
        return lambda rng: rng.expovariate(1.0)
    if kind not in GAPS:
        raise ReplayError(
            f"--gaps: no gaps are called {kind!r}", hint=f"Known: {', '.join(GAPS)}.", code=2
        )
    if not 0.05 <= variation <= 20:  # noqa: PLR2004
        raise ReplayError("the variation of gaps must be between 0.05 and 20", code=2)
    if kind == "gamma":
        shape = 1 / variation**2
        return lambda rng: rng.gammavariate(shape, 1 / shape)
    shape = weibull_shape(variation)
    scale = 1 / math.gamma(1 + 1 / shape)
    return lambda rng: rng.weibullvariate(scale, shape)


def weibull_shape(variation: float) -> float:
    """The shape of a Weibull distribution with this coefficient of variation, by bisection."""
    low, high = math.log(0.08), math.log(40.0)
    for _ in range(80):
        middle = (low + high) / 2
        shape = math.exp(middle)
        # In logarithms, since the gamma function of small shapes is huge.
        ratio = math.lgamma(1 + 2 / shape) - 2 * math.lgamma(1 + 1 / shape)
        if math.expm1(ratio) > variation**2:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _rate(pattern: str, traffic: Traffic, seed: str, shift_s: float) -> Rate:
    if pattern == "steady":
        return lambda _: 1.0
    if pattern == "diurnal":
        return lambda at_s: _diurnal(at_s + shift_s, traffic.swing_ratio)
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    if pattern == "spikes":
        return _Switch(
            rng,
            off_s=traffic.spike_every_s,
            on_s=lambda: traffic.spike_s,
            on=traffic.spike_factor,
            off=1.0,
        )
    return _Switch(  # pauses; `_check` lets no other name through
        rng,
        off_s=traffic.pause_s,
        on_s=lambda: rng.expovariate(1 / traffic.pause_s),
        on=2.0,
        off=0.0,
    )


def _diurnal(at_s: float, swing_ratio: float) -> float:
    phase = 2 * math.pi * (at_s - _LOWEST_AT_S) / _DAY_S
    day = 1 - swing_ratio * math.cos(phase)
    free = int(at_s // _DAY_S) % _WEEK_DAYS >= _WEEK_DAYS - _FREE_DAYS
    return day * (_FREE_FACTOR if free else 1.0)


class _Switch:
    """A rate that is one of two, for times left to chance."""

    def __init__(
        self,
        rng: random.Random,
        *,
        off_s: float,
        on_s: Callable[[], float],
        on: float,
        off: float,
    ) -> None:
        self._rng = rng
        self._off_s = off_s
        self._on_s = on_s
        self._rates = (off, on)
        self._is_on = False
        self._until_s = rng.expovariate(1 / off_s)

    def __call__(self, at_s: float) -> float:
        while at_s >= self._until_s:
            self._is_on = not self._is_on
            length_s = self._on_s() if self._is_on else self._rng.expovariate(1 / self._off_s)
            self._until_s += max(length_s, _STEP_S)
        return self._rates[self._is_on]
