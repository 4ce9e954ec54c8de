"""Durations by chance: how long replicas take to start, and requests to be served.

    text                      means
    ------------------------  -------------------------------------------------------------------
    2  or  constant:2         always 2 s
    exponential:MEAN          exponential
    lognormal:MEDIAN,P99      lognormal with this median and 99th percentile
    empirical:FILE            one of the numbers in the file (one per line), each as likely
    tokens:PREFILL,DECODE     service only: prompt tokens / PREFILL + generated tokens / DECODE,
                              rates in tokens per second; the trace tells the tokens
    trace                     service only: what the trace says of each request

All are seconds, at least 0.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from autoscaler.replay.errors import ReplayError

Draw = Callable[[random.Random], float]
"""One duration in seconds."""

MAX_SAMPLES: Final = 1_000_000
"""Numbers read from an empirical file; further ones are ignored."""

_Z99: Final = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRates:
    """How fast a replica reads prompts and writes answers, tokens per second and request."""

    prefill_per_s: float
    decode_per_s: float

    def seconds(self, prompt: int, generated: int) -> float:
        """How long one request takes."""
        return prompt / self.prefill_per_s + generated / self.decode_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How long requests take once a replica works on them; the first that is known counts."""

    tokens: TokenRates | None = None
    """For requests whose trace tells their tokens."""
    draw: Draw | None = None
    """For those whose trace tells nothing; None: the trace must tell."""
    from_trace: bool = True
    """Times in the trace win over `draw`."""


def constant(seconds: float) -> Draw:
    """Always the same."""
    return lambda _: seconds


def parse_draw(text: str, *, name: str) -> Draw:
    """A distribution from its text, see the module's table.

    Args:
        text: Such as `lognormal:0.2,1.5`.
        name: The option, for the message.

    Raises:
        ReplayError: It cannot be understood; the message names the option and the forms.
    """
    kind, _, rest = text.strip().partition(":")
    if not rest:
        kind, rest = "constant", kind
    if kind == "empirical":
        return _empirical(Path(rest), name)
    values = _numbers(rest)
    if kind == "constant" and values is not None and len(values) == 1:
        return constant(values[0])
    if kind == "exponential" and values is not None and len(values) == 1 and values[0] > 0:
        mean = values[0]
        return lambda rng: rng.expovariate(1 / mean)
    if kind == "lognormal" and values is not None and len(values) == 2:  # noqa: PLR2004
        median, p99 = values
        if 0 < median <= p99:
            mu, sigma = math.log(median), math.log(p99 / median) / _Z99
            return lambda rng: rng.lognormvariate(mu, sigma)
    raise ReplayError(
        f"{name}: {text!r} is not a duration or a distribution of durations",
        hint="It looks like 2, exponential:0.3, lognormal:MEDIAN,P99 or empirical:FILE; seconds.",
        code=2,
    )


def parse_service(text: str, *, name: str = "--service") -> Service:
    """Service times from their text, see the module's table.

    Raises:
        ReplayError: It cannot be understood.
    """
    if text == "trace":
        return Service()
    kind, _, rest = text.partition(":")
    if kind != "tokens":
        return Service(draw=parse_draw(text, name=name), from_trace=False)
    values = _numbers(rest)
    if values is None or len(values) != 2 or min(values) <= 0:  # noqa: PLR2004
        raise ReplayError(
            f"{name}: {text!r} does not tell two rates above 0",
            hint="It looks like tokens:4000,50: prompt and generated tokens per second.",
            code=2,
        )
    return Service(
        tokens=TokenRates(prefill_per_s=values[0], decode_per_s=values[1]), from_trace=False
    )


def _numbers(text: str) -> list[float] | None:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    return values if all(0 <= v < math.inf for v in values) else None


def _empirical(path: Path, name: str) -> Draw:
    samples = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(islice(lines, MAX_SAMPLES), start=1):
                if not line.strip():
                    continue
                value = _numbers(line.strip())
                if value is None or len(value) != 1:
                    raise ReplayError(
                        f"{name}: {path}, line {number}: {line.strip()!r} is not a number of"
                        " seconds",
                        code=2,
                    )
                samples.append(value[0])
    except OSError as exc:
        raise ReplayError(f"{name}: cannot read {path}: {exc.strerror or exc}", code=2) from exc
    except UnicodeDecodeError as exc:
        raise ReplayError(f"{name}: {path} is not a text file in UTF-8", code=2) from exc
    if not samples:
        raise ReplayError(f"{name}: {path} has no numbers", code=2)
    return lambda rng: rng.choice(samples)
