"""When requests are due: at a constant rate, or as a recorded trace has them. No clock inside.

Two public trace formats are read, by the look of their first line:

    Azure LLM inference traces   `TIMESTAMP,ContextTokens,GeneratedTokens`, one request a row
    ServeGen client windows      `start s,rate per s,CV,Gamma|Weibull,shape,scale`, one window a row

A ServeGen window says only how arrivals are spread; they are drawn from its family and shape, so
scaled that the mean is the window's rate, with a seed: the same seed gives the same arrivals.
"""

import csv
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

AZURE = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
_WINDOW_COLUMNS = 6
_LEAST_SHAPE = 0.01
"""Burstier than anything recorded; the mean of a Weibull of shape 0.005 is no number any more."""


class TraceError(Exception):
    """A trace cannot be used: names the file, the line, and what to do."""

    def __init__(self, path: Path, line: int | None, problem: str, remedy: str) -> None:
        where = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}. {remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request that is due."""

    at_s: float
    """Seconds since the beginning of the run."""
    context_tokens: int | None = None
    """Length of the prompt; None: the trace does not say."""
    generated_tokens: int | None = None
    """Length of the answer; None: the trace does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time with one rate and one burstiness."""

    start_s: float
    end_s: float
    rate_per_s: float
    """0: nobody comes."""
    family: str
    """`Gamma` or `Weibull`: how the gaps between two arrivals are distributed."""
    shape: float
    """Of the family, above 0; 1 is a Poisson process in both, below 1 is burstier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which part of a trace is replayed, and how much faster or thinner."""

    from_s: float = 0.0
    """Begin here, seconds since the trace's beginning."""
    speed: float = 1.0
    """Trace seconds per second of the run, above 0: 60 makes a minute of an hour."""
    keep_ratio: float = 1.0
    """Share of the arrivals that is kept, 0-1: rows are chosen at random, windows get a lower rate
    and stay as bursty as they are."""
    seed: int = 1


def constant(rate_per_s: float) -> Iterator[Arrival]:
    """Arrivals at even distances, without end."""
    for number in count():
        yield Arrival(at_s=number / rate_per_s)


def replay(path: Path, cut: Cut) -> Iterator[Arrival]:
    """The arrivals of a trace, in order, as the cut wants them.

    The file is read and checked at once, arrivals are made as they are asked for.

    Raises:
        TraceError: The file is no trace, or nothing is left of it.
    """
    rows = _rows(path)
    rng = random.Random(cut.seed)  # noqa: S311 - a load test, no secret
    if rows[0][1] == AZURE:
        arrivals: Iterable[Arrival] = (
            arrival for arrival in requests(path, rows[1:]) if rng.random() < cut.keep_ratio
        )
    else:
        read = windows(path, rows)
        arrivals = drawn(
            [
                replace(window, rate_per_s=window.rate_per_s * cut.keep_ratio)
                for window in read
                if window.end_s > cut.from_s
            ],
            rng,
            from_s=cut.from_s,
        )
    found = _cut(arrivals, cut)
    first = next(found, None)
    if first is None:
        raise TraceError(path, None, "no arrival is left", "Lower --trace-from or raise the share.")
    return _chain(first, found)


def requests(path: Path, rows: Iterable[tuple[int, list[str]]]) -> list[Arrival]:
    """One arrival per row of an Azure trace, counted from the first row's time.

    Raises:
        TraceError: A row has another shape, or its time is before the row above.
    """
    arrivals: list[Arrival] = []
    began: datetime | None = None
    for line, row in rows:
        if len(row) != len(AZURE):
            raise TraceError(path, line, f"{len(row)} columns", f"{len(AZURE)} are expected.")
        at = _time(path, line, row[0])
        began = began or at
        arrival = Arrival(
            at_s=(at - began).total_seconds(),
            context_tokens=int(_number(path, line, "ContextTokens", row[1])),
            generated_tokens=int(_number(path, line, "GeneratedTokens", row[2])),
        )
        if arrivals and arrival.at_s < arrivals[-1].at_s:
            raise TraceError(path, line, "is earlier than the line above", "Sort it by time.")
        arrivals.append(arrival)
    return arrivals


def windows(path: Path, rows: Iterable[tuple[int, list[str]]]) -> list[Window]:
    """The windows of a ServeGen client; each ends where the next begins.

    Raises:
        TraceError: A row has another shape, or its start is not after the row above.
    """
    found: list[Window] = []
    began_s: float | None = None
    for line, row in rows:
        if len(row) != _WINDOW_COLUMNS:
            raise TraceError(
                path,
                line,
                f"{len(row)} columns",
                f"Expected are the header {','.join(AZURE)}, or the six columns start, rate, CV, "
                "family, shape, scale.",
            )
        start_s = _number(path, line, "the start", row[0])
        began_s = start_s if began_s is None else began_s
        start_s -= began_s
        rate = _number(path, line, "the rate", row[1])
        family = row[3].strip()
        if rate and family not in _FAMILIES:
            raise TraceError(
                path, line, f"family {family!r} is not known", f"Known: {', '.join(_FAMILIES)}."
            )
        shape = _number(path, line, "the shape", row[4]) if rate else 1.0
        if shape < _LEAST_SHAPE:
            raise TraceError(path, line, f"the shape is {shape:g}", f"Least: {_LEAST_SHAPE:g}.")
        if found:
            if start_s <= found[-1].start_s:
                raise TraceError(path, line, "starts before the line above", "Sort it by start.")
            found[-1] = replace(found[-1], end_s=start_s)
        # The last one lasts as long as the one before it.
        length_s = start_s - found[-1].start_s if found else 600.0
        found.append(
            Window(
                start_s=start_s,
                end_s=start_s + length_s,
                rate_per_s=rate,
                family=family,
                shape=shape,
            )
        )
    return found


def drawn(read: Iterable[Window], rng: random.Random, *, from_s: float) -> Iterator[Arrival]:
    """Arrivals drawn from windows."""
    for window in read:
        if not window.rate_per_s:
            continue
        gap = _FAMILIES[window.family](rng, window.shape)
        mean_s = 1.0 / window.rate_per_s
        at_s = max(window.start_s, from_s) + gap() * mean_s
        while at_s < window.end_s:
            yield Arrival(at_s=at_s)
            at_s += gap() * mean_s


def _gamma(rng: random.Random, shape: float) -> Callable[[], float]:
    """Gaps with mean 1."""
    return lambda: rng.gammavariate(shape, 1.0 / shape)


def _weibull(rng: random.Random, shape: float) -> Callable[[], float]:
    """Gaps with mean 1."""
    scale = 1.0 / math.gamma(1.0 + 1.0 / shape)
    return lambda: rng.weibullvariate(scale, shape)


_FAMILIES: dict[str, Callable[[random.Random, float], Callable[[], float]]] = {
    "Gamma": _gamma,
    "Weibull": _weibull,
}


def _cut(arrivals: Iterable[Arrival], cut: Cut) -> Iterator[Arrival]:
    for arrival in arrivals:
        if arrival.at_s < cut.from_s:
            continue
        yield replace(arrival, at_s=(arrival.at_s - cut.from_s) / cut.speed)


def _chain(first: Arrival, rest: Iterator[Arrival]) -> Iterator[Arrival]:
    yield first
    yield from rest


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, with their line numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise TraceError(
            path, None, f"cannot be read: {exc.strerror}", "--trace names a CSV file."
        ) from exc
    except UnicodeDecodeError as exc:
        raise TraceError(path, None, "is not text", "--trace names a CSV file.") from exc
    reader = csv.reader(text.splitlines())
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    if not rows:
        raise TraceError(path, None, "is empty", "--trace names a CSV file with arrivals.")
    return rows


def _time(path: Path, line: int, text: str) -> datetime:
    # Seven digits of a second's fraction: one more than Python reads.
    head, _, fraction = text.partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}")
    except ValueError:
        remedy = "It looks like 2023-11-16 18:17:03.9799600."
        raise TraceError(path, line, f"{text!r} is not a time", remedy) from None


def _number(path: Path, line: int, name: str, text: str) -> float:
    """A finite number, 0 or above."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise TraceError(path, line, f"{name} is {text!r}", "It must be a number, 0 or above.")
    return value
