"""Traces that list every request: arrival CSV, and the Azure LLM inference traces.

Lines may be out of order by up to `WINDOW` of them, as logs of several machines are.
"""

import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush, heappushpop
from itertools import chain
from pathlib import Path
from typing import Final

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.tables import Row, rows
from autoscaler.replay.traces import Arrival

WINDOW: Final = 4096

_EPOCH_S: Final = 100_000_000.0
"""A first timestamp above this (1973) is a moment of the calendar, not seconds of the trace."""


def read_arrivals(
    path: Path, rng: random.Random, rate: float, most: int
) -> tuple[float | None, Iterator[Arrival]]:
    """An arrival CSV; see `formats` for its columns.

    Raises:
        ReplayError: It cannot be read, or a line is wrong.
    """
    del rng, rate, most  # every request is listed
    return _read(path, _arrival)


def read_azure(
    path: Path, rng: random.Random, rate: float, most: int
) -> tuple[float | None, Iterator[Arrival]]:
    """A trace of https://github.com/Azure/AzurePublicDataset (LLM inference).

    Raises:
        ReplayError: It cannot be read, or a line is wrong.
    """
    del rng, rate, most
    return _read(path, _azure)


def _read(
    path: Path, convert: Callable[[Row, float], Arrival]
) -> tuple[float | None, Iterator[Arrival]]:
    lines = rows(path)
    first = next(lines, None)
    if first is None:
        return None, iter(())
    first_s, is_date = first.moment("timestamp")
    counts_from_epoch = is_date or first_s > _EPOCH_S
    # Lines before the first one's moment may follow: second 0 is that of the first line, and what
    # is earlier moves there.
    zero_s = first_s if counts_from_epoch else 0.0
    arrivals = (
        (max(0.0, row.moment("timestamp")[0] - zero_s), row) for row in chain([first], lines)
    )
    return zero_s if counts_from_epoch else None, _in_order(arrivals, convert)


def _in_order(
    pairs: Iterator[tuple[float, Row]], convert: Callable[[Row, float], Arrival]
) -> Iterator[Arrival]:
    heap: list[tuple[float, int, Arrival]] = []
    last_s = 0.0
    for at_s, row in pairs:
        arrival = convert(row, at_s)
        if at_s < last_s:
            raise ReplayError(
                f"{row.path}, line {row.line}, column timestamp: out of order by more than"
                f" {WINDOW} lines",
                hint="Sort the file by its timestamps.",
                code=2,
            )
        if len(heap) < WINDOW:
            heappush(heap, (at_s, row.line, arrival))
        else:
            last_s, _, first = heappushpop(heap, (at_s, row.line, arrival))
            yield first
    while heap:
        yield heappop(heap)[2]


def _arrival(row: Row, at_s: float) -> Arrival:
    return Arrival(
        at_s,
        row.number("service_s"),
        row.whole("prompt_tokens"),
        row.whole("generated_tokens"),
        row.text("workload"),
        row.line,
    )


def _azure(row: Row, at_s: float) -> Arrival:
    prompt, generated = row.whole("contexttokens"), row.whole("generatedtokens")
    row.required("contexttokens", prompt)
    row.required("generatedtokens", generated)
    return Arrival(at_s, None, prompt, generated, None, row.line)
