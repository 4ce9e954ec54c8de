"""Traces that tell how many requests came when, and leave the moments to chance."""

import math
import random
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.tables import Row, rows
from autoscaler.replay.traces import Arrival

SERVEGEN_COLUMNS: Final = ("start_s", "per_s", "burstiness", "distribution", "shape", "scale")

SERVEGEN_STEP_S: Final = 600.0
"""Length of the last step of a ServeGen file; the others end where the next begins."""

_EPOCH_S: Final = 100_000_000.0


class Allowance:
    """How many requests a trace may come to: asked before they are made, as a line may say any."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0.0

    def take(self, expected: float, place: str) -> None:
        """Ask for so many more.

        Args:
            expected: How many, as a mean.
            place: File and line, for the message.

        Raises:
            ReplayError: They would be too many.
        """
        self._taken += expected
        if self._taken > self._most:
            raise ReplayError(
                f"{place}: with it the trace comes to {self._taken:,.0f} requests; at most"
                f" {self._most:,} are simulated",
                hint="--until ends it earlier, --rate makes fewer of them, --max-requests allows"
                " more.",
                code=2,
            )


def spread(count: int, *, start_s: float, length_s: float, rng: random.Random) -> Iterator[float]:
    """Moments of `count` requests in an interval, evenly by chance, in order.

    What a Poisson process does when it is known how many came. The smallest of n uniform numbers is
    drawn first, then the smallest of the others above it, so nothing is kept.
    """
    left = 1.0
    for remaining in range(count, 0, -1):
        left *= rng.random() ** (1.0 / remaining)
        yield start_s + length_s * (1.0 - left)


def whole_count(expected: float, rng: random.Random) -> int:
    """A whole number whose mean is `expected`."""
    whole = math.floor(expected)
    return whole + (rng.random() < expected - whole)


def read_counts(
    path: Path, rng: random.Random, rate: float, most: int
) -> tuple[float | None, Iterator[Arrival]]:
    """Counts per interval; see `formats` for the columns.

    Raises:
        ReplayError: It cannot be read, or a line is wrong.
    """
    lines = rows(path)
    first = next(lines, None)
    if first is None:
        return None, iter(())
    first_s, is_date = first.moment("timestamp")
    from_epoch = is_date or first_s > _EPOCH_S
    zero_s = first_s if from_epoch else 0.0
    return zero_s if from_epoch else None, _counted(
        chain([first], lines), zero_s=zero_s, rng=rng, rate=rate, allowance=Allowance(most)
    )


def _counted(
    lines: Iterator[Row], *, zero_s: float, rng: random.Random, rate: float, allowance: Allowance
) -> Iterator[Arrival]:
    """All lines of one moment together, since several workloads may share it."""
    group: list[Row] = []
    start_s, length_s = 0.0, 60.0
    for row in lines:
        at_s = row.moment("timestamp")[0] - zero_s
        if group and at_s < start_s:
            raise row.wrong("timestamp", "earlier than the line before")
        if group and at_s > start_s:
            length_s = at_s - start_s
            yield from _group(group, start_s, length_s, rng=rng, rate=rate, allowance=allowance)
            group = []
        start_s = at_s
        group.append(row)
    yield from _group(group, start_s, length_s, rng=rng, rate=rate, allowance=allowance, last=True)


def _group(
    group: list[Row],
    start_s: float,
    length_s: float,
    *,
    rng: random.Random,
    rate: float,
    allowance: Allowance,
    last: bool = False,
) -> Iterator[Arrival]:
    streams = []
    for row in group:
        count = row.required("count", row.number("count"))
        told_s = row.number("length_s")
        if told_s is not None and (told_s <= 0 or (told_s > length_s and not last)):
            raise row.wrong(
                "length_s", f"{told_s:g} is not above 0 and within the next line's start"
            )
        allowance.take(count * rate, row.place)
        streams.append(
            (
                row.text("workload"),
                spread(
                    whole_count(count * rate, rng),
                    start_s=start_s,
                    length_s=told_s or length_s,
                    rng=rng,
                ),
            )
        )
    if len(streams) == 1:
        workload, moments = streams[0]
        yield from (Arrival(at_s, workload=workload) for at_s in moments)
        return
    found = sorted((at_s, i) for i, (_, moments) in enumerate(streams) for at_s in moments)
    yield from (Arrival(at_s, workload=streams[i][0]) for at_s, i in found)


def read_servegen(
    path: Path, rng: random.Random, rate: float, most: int
) -> tuple[float | None, Iterator[Arrival]]:
    """A client of https://github.com/alibaba/ServeGen: a renewal process per step.

    A step's parameters are those of its gaps: Gamma or Weibull, shape and scale, seconds. A step
    without requests has a rate of 0.

    Raises:
        ReplayError: It cannot be read, or a line is wrong.
    """
    return None, _renewed(
        rows(path, columns=SERVEGEN_COLUMNS), rng=rng, rate=rate, allowance=Allowance(most)
    )


def _renewed(
    lines: Iterator[Row], *, rng: random.Random, rate: float, allowance: Allowance
) -> Iterator[Arrival]:
    row = next(lines, None)
    length_s = SERVEGEN_STEP_S
    while row is not None:
        start_s = row.required("start_s", row.number("start_s"))
        following = next(lines, None)
        if following is not None:
            next_s = following.required("start_s", following.number("start_s"))
            if next_s <= start_s:
                raise following.wrong("start_s", "not later than the line before")
            length_s = next_s - start_s
        yield from _step(row, start_s, length_s, rng=rng, rate=rate, allowance=allowance)
        row = following


def _step(
    row: Row,
    start_s: float,
    length_s: float,
    *,
    rng: random.Random,
    rate: float,
    allowance: Allowance,
) -> Iterator[Arrival]:
    if not row.required("per_s", row.number("per_s")) * rate:
        return
    kind = (row.text("distribution") or "").lower()
    shape, scale = (row.required(name, row.number(name)) for name in ("shape", "scale"))
    if shape <= 0 or scale <= 0:
        raise row.wrong("shape", "shape and scale must be above 0")
    if kind not in {"gamma", "weibull"}:
        raise ReplayError(
            f"{row.path}, line {row.line}, column distribution: {kind!r} is neither Gamma nor"
            " Weibull",
            code=2,
        )
    scale /= rate
    # The mean gap of either distribution, as a logarithm, since the gamma function is soon huge.
    log_gap = math.log(scale) + (math.log(shape) if kind == "gamma" else math.lgamma(1 + 1 / shape))
    allowance.take(length_s * math.exp(min(-log_gap, 700.0)), row.place)
    # random.weibullvariate takes the scale first.
    draw = rng.gammavariate if kind == "gamma" else lambda a, b: rng.weibullvariate(b, a)
    at_s, end_s = start_s + draw(shape, scale), start_s + length_s
    while at_s < end_s:
        yield Arrival(at_s)
        at_s += draw(shape, scale)
