"""Traces into files, in any of the formats that `formats` reads; as streams."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import fmean, pstdev
from typing import Final, TextIO

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.outcome import bucket
from autoscaler.replay.rates import SERVEGEN_STEP_S
from autoscaler.replay.recording import Step, write_header, write_step
from autoscaler.replay.traces import Arrival

COUNT_STEP_S: Final = 60.0
RECORDING_STEP_S: Final = 1.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def no_tokens() -> ReplayError:
    """Why the format azure cannot be written."""
    return ReplayError(
        "the format azure tells tokens, and this traffic has none",
        hint="Give --tokens PROMPT,GENERATED, or write another format.",
        code=2,
    )


Writer = Callable[[Iterable[Arrival], TextIO, float], None]
"""Arrivals in order, the file, and the wall clock of second 0 (epoch seconds)."""


def write_arrivals(arrivals: Iterable[Arrival], file: TextIO, began_at: float) -> None:
    """One line per request; columns that no request uses stay empty."""
    del began_at
    file.write("timestamp,service_s,prompt_tokens,generated_tokens,workload\n")
    for at_s, service_s, prompt, generated, workload, _ in arrivals:
        service = "" if service_s is None else f"{service_s:.6g}"
        tokens = ",".join("" if n is None else str(n) for n in (prompt, generated))
        file.write(f"{at_s:.6f},{service},{tokens},{workload or ''}\n")


def write_counts(arrivals: Iterable[Arrival], file: TextIO, began_at: float) -> None:
    """One line per minute and workload; minutes without requests have a line with 0."""
    del began_at
    file.write("timestamp,length_s,count,workload\n")
    at = 0
    for number, group in groupby(arrivals, key=lambda arrival: int(arrival.at_s // COUNT_STEP_S)):
        file.writelines(f"{i * COUNT_STEP_S:g},{COUNT_STEP_S:g},0,\n" for i in range(at, number))
        at = number + 1
        counts: dict[str | None, int] = {}
        for arrival in group:
            counts[arrival.workload] = counts.get(arrival.workload, 0) + 1
        for workload, count in counts.items():
            start_s = number * COUNT_STEP_S
            file.write(f"{start_s:g},{COUNT_STEP_S:g},{count},{workload or ''}\n")


def write_azure(arrivals: Iterable[Arrival], file: TextIO, began_at: float) -> None:
    """As the Azure LLM inference traces are.

    Raises:
        ReplayError: A request has no tokens.
    """
    file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
    for arrival in arrivals:
        if arrival.prompt_tokens is None or arrival.generated_tokens is None:
            raise no_tokens()
        moment = _EPOCH + timedelta(seconds=began_at + arrival.at_s)
        stamp = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
        file.write(f"{stamp}0,{arrival.prompt_tokens},{arrival.generated_tokens}\n")


def write_servegen(arrivals: Iterable[Arrival], file: TextIO, began_at: float) -> None:
    """Rate and burstiness per 600 s, as ServeGen has them; the gaps' Gamma has their variation."""
    del began_at
    at = 0
    last_s = None
    for number, group in groupby(
        arrivals, key=lambda arrival: int(arrival.at_s // SERVEGEN_STEP_S)
    ):
        file.writelines(f"{i * SERVEGEN_STEP_S:g},0,0,,0,0\n" for i in range(at, number))
        at = number + 1
        gaps = []
        count = 0
        for arrival in group:
            if last_s is not None:
                gaps.append(arrival.at_s - last_s)
            last_s = arrival.at_s
            count += 1
        per_s = count / SERVEGEN_STEP_S
        mean = fmean(gaps) if gaps else 0.0
        variation = pstdev(gaps) / mean if mean and len(gaps) > 1 else 1.0
        shape = 1 / max(variation, 0.05) ** 2
        scale = 1 / (per_s * shape)
        start_s = number * SERVEGEN_STEP_S
        file.write(f"{start_s:g},{per_s!r},{variation!r},Gamma,{shape!r},{scale!r}\n")


def write_recording(arrivals: Iterable[Arrival], file: TextIO, began_at: float) -> None:
    """As `tidegate record` would have seen it, had no request waited.

    An answer counts in the step of its request; live it counts when it comes.
    """
    write_header(file, began_at=began_at)
    for step in _steps(arrivals):
        write_step(file, step)


def _steps(arrivals: Iterable[Arrival]) -> Iterator[Step]:
    for number, group in groupby(
        arrivals, key=lambda arrival: math.floor(arrival.at_s / RECORDING_STEP_S)
    ):
        found: dict[str, list[Arrival]] = {}
        for arrival in group:
            found.setdefault(arrival.workload or "", []).append(arrival)
        for workload, requests in found.items():
            times = [r.service_s for r in requests if r.service_s is not None]
            histogram: dict[int, int] = {}
            for seconds in times:
                index = bucket(seconds)
                histogram[index] = histogram.get(index, 0) + 1
            yield Step(
                at_s=number * RECORDING_STEP_S,
                length_s=RECORDING_STEP_S,
                workload=workload,
                started=len(requests),
                answered=len(times),
                working_s=math.fsum(times),
                response_s=math.fsum(times),
                histogram=histogram,
            )


WRITERS: Final[dict[str, Writer]] = {
    "recording": write_recording,
    "arrivals": write_arrivals,
    "counts": write_counts,
    "azure": write_azure,
    "servegen": write_servegen,
}
