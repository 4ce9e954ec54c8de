"""Formats of traces, how a file's format is told, and the way from a file to a trace.

    format     the file                                        told by
    ---------  ----------------------------------------------  ------------------------------------
    recording  `tidegate record`: JSON lines                   its first line says so
    arrivals   CSV: one line per request                       a column `timestamp` and no `count`
    counts     CSV: one line per interval, how many came       columns `timestamp` and `count`
    azure      CSV of the Azure LLM inference traces:          `TIMESTAMP,ContextTokens,...`
               moment, prompt and generated tokens
    servegen   CSV of Alibaba's ServeGen, without a header:    6 columns, the fourth is `Gamma`,
               start, requests per second, burstiness, its     `Weibull` or empty
               distribution and two parameters

`arrivals` may have columns `service_s`, `prompt_tokens`, `generated_tokens` and `workload`;
`counts` may have `length_s` (else an interval ends where the next begins) and `workload`. A
timestamp is a number of seconds, or a date and time. Files are read as streams: memory does not
grow with them.

Formats that only tell how many came when (`recording`, `counts`, `servegen`) leave the moments to
chance, with the seed given.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.logs import read_arrivals, read_azure
from autoscaler.replay.rates import read_counts, read_servegen
from autoscaler.replay.recording import HEADER, read_recording
from autoscaler.replay.tables import first_line
from autoscaler.replay.traces import Arrival, Trace

RECORDING: Final = "recording"
ARRIVALS: Final = "arrivals"
COUNTS: Final = "counts"
AZURE: Final = "azure"
SERVEGEN: Final = "servegen"

MAX_REQUESTS: Final = 10_000_000
"""Some minutes of simulating."""

_SERVEGEN_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is read."""

    seed: int = 1
    """For what the file leaves to chance."""
    rate: float = 1.0
    """Multiplies the traffic: below 1 requests are left out by chance; above 1 only where the
    format tells rates."""
    from_s: float = 0.0
    """Begin here, seconds; this moment becomes 0."""
    until_s: float | None = None
    """End here."""
    workload: str | None = None
    """Only this one's requests."""
    max_requests: int = MAX_REQUESTS
    """Most that a trace of rates or counts may come to; more are refused."""


Reader = Callable[[Path, random.Random, float, int], tuple[float | None, Iterator[Arrival]]]
"""From a file, chance, a factor of the rates and the most requests that rates or counts may come to
to when second 0 was, and the arrivals."""

READERS: Final[dict[str, Reader]] = {
    RECORDING: read_recording,
    ARRIVALS: read_arrivals,
    COUNTS: read_counts,
    AZURE: read_azure,
    SERVEGEN: read_servegen,
}

SCALES_ITSELF: Final = frozenset({COUNTS, SERVEGEN, RECORDING})
"""Formats that multiply rates instead of leaving requests out."""


def detect(path: Path) -> str:
    """The format of a file, from its first line.

    Raises:
        ReplayError: It cannot be read, or none fits; the message says what was seen.
    """
    line = first_line(path)
    if line.startswith(HEADER):
        return RECORDING
    cells = [cell.strip() for cell in line.split(",")]
    names = [cell.lower() for cell in cells]
    if names[:2] == ["timestamp", "contexttokens"]:
        return AZURE
    if len(cells) == _SERVEGEN_COLUMNS and names[3] in {"gamma", "weibull", ""}:
        return SERVEGEN
    if "timestamp" in names:
        return COUNTS if "count" in names else ARRIVALS
    raise ReplayError(
        f"{path}, line 1: {line[:80]!r} is not the beginning of a known trace",
        hint="A CSV file needs a header with a column `timestamp` (and `count`, if it counts per"
        f" interval); or name its format: --format {'|'.join(READERS)}.",
        code=2,
    )


def open_trace(path: Path, *, file_format: str | None = None, how: Reading | None = None) -> Trace:
    """A trace from a file.

    Args:
        path: The file.
        file_format: One of `READERS`; None: told by its first line.
        how: Part, rate and seed.

    Raises:
        ReplayError: It cannot be read, its format is not known, the rate cannot be raised, or the
            part ends before it begins.
    """
    how = how or Reading()
    if how.until_s is not None and how.until_s <= how.from_s:
        raise ReplayError(
            f"the part that begins at second {how.from_s:g} cannot end at {how.until_s:g}",
            hint="--until is a moment of the trace, after --from.",
            code=2,
        )
    name = file_format or detect(path)
    if name not in READERS:
        raise ReplayError(
            f"--format: {name!r} is not a format of traces",
            hint=f"Known: {', '.join(READERS)}.",
            code=2,
        )
    if how.rate > 1 and name not in SCALES_ITSELF:
        raise ReplayError(
            f"the rate of {path} cannot be raised: it lists single requests",
            hint="A --rate of at most 1 leaves requests out.",
            code=2,
        )
    began_at, _ = _open(path, name, how)
    return Trace(
        name=path.name,
        format=name,
        read=lambda: _cut(_open(path, name, how)[1], name, how),
        began_at=None if began_at is None else began_at + how.from_s,
        duration_s=None if how.until_s is None else how.until_s - how.from_s,
    )


def _open(path: Path, name: str, how: Reading) -> tuple[float | None, Iterator[Arrival]]:
    rng = random.Random(how.seed)  # noqa: S311 - traffic, not secrets
    return READERS[name](path, rng, how.rate if name in SCALES_ITSELF else 1.0, how.max_requests)


def _cut(arrivals: Iterator[Arrival], name: str, how: Reading) -> Iterator[Arrival]:
    thin = random.Random(how.seed + 1) if name not in SCALES_ITSELF and how.rate < 1 else None  # noqa: S311
    from_s, until_s, workload = how.from_s, how.until_s, how.workload
    for arrival in arrivals:
        if until_s is not None and arrival.at_s >= until_s:
            return
        if arrival.at_s < from_s or (workload is not None and arrival.workload != workload):
            continue
        if thin is not None and thin.random() >= how.rate:
            continue
        yield arrival._replace(at_s=arrival.at_s - from_s) if from_s else arrival
