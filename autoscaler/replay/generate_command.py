"""`tidegate generate`: a synthetic trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.generate import GAPS, PATTERNS, Traffic
from autoscaler.replay.generate import generate as generated
from autoscaler.replay.writers import WRITERS

BEGAN_AT: Final = 1_767_225_600.0
"""Second 0 of generated traces in formats that have a calendar: 2026-01-01 00:00 UTC."""


def generate(
    out: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where to write. Default: standard output."),
    ] = None,
    *,
    pattern: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help=f"How the rate moves: {', '.join(PATTERNS)}; several multiply, as diurnal,spikes.",
        ),
    ] = "diurnal",
    hours: Annotated[float, typer.Option(min=0.001, max=10_000, help="Length, hours.")] = 24.0,
    per_second: Annotated[
        float, typer.Option(min=0.0, max=100_000, help="Mean rate of requests, per second.")
    ] = 1.0,
    gaps: Annotated[
        str, typer.Option(metavar="NAME", help=f"Between requests: {', '.join(GAPS)}.")
    ] = "poisson",
    variation: Annotated[
        float,
        typer.Option(
            min=0.05, max=20, help="Coefficient of variation of the gaps; above 1 is bursty."
        ),
    ] = 2.0,
    swing: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="diurnal: how far the rate moves, a ratio.")
    ] = 0.8,
    spike_factor: Annotated[
        float, typer.Option(min=1.0, max=1000, help="spikes: how high, times the rate.")
    ] = 8.0,
    spike_seconds: Annotated[
        float, typer.Option(min=1.0, help="spikes: how long, seconds.")
    ] = 60.0,
    spike_every: Annotated[
        float, typer.Option(min=1.0, help="spikes: mean time between two, seconds.")
    ] = 3600.0,
    pause_seconds: Annotated[
        float, typer.Option(min=1.0, help="pauses: mean length, seconds.")
    ] = 900.0,
    workloads: Annotated[
        int, typer.Option(min=1, max=1000, help="Tenants; shares fall as 1, 1/2, 1/3, ...")
    ] = 1,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="DISTRIBUTION",
            help="Service time of requests, seconds: 0.5, exponential:MEAN, lognormal:MEDIAN,P99 or"
            " empirical:FILE. Default: the trace tells none.",
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            metavar="PROMPT,GENERATED",
            help="Mean tokens of requests (both exponential). Default: none.",
        ),
    ] = None,
    file_format: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help=f"Written as: {', '.join(WRITERS)}."),
    ] = "arrivals",
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same trace.")] = 1,
) -> None:
    """Make a synthetic traffic trace: seeded, the same for the same seed."""
    from autoscaler.replay.chance import Service, parse_draw  # noqa: PLC0415 - start-up time

    writer = WRITERS.get(file_format)
    if writer is None:
        raise ReplayError(
            f"--format: no format is called {file_format!r}",
            hint=f"Known: {', '.join(WRITERS)}.",
            code=2,
        )
    traffic = Traffic(
        duration_s=hours * 3600,
        per_s=per_second,
        patterns=tuple(name.strip() for name in pattern.split(",")),
        gaps=gaps,
        variation=variation,
        swing_ratio=swing,
        spike_factor=spike_factor,
        spike_s=spike_seconds,
        spike_every_s=spike_every,
        pause_s=pause_seconds,
        workloads=workloads,
        mean_tokens=_tokens(tokens),
    )
    times = None if service is None else Service(draw=parse_draw(service, name="--service"))
    arrivals = generated(traffic, times, seed=seed)
    with _opened(out) as file:
        writer(arrivals, file, BEGAN_AT)


def _tokens(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        prompt, generated_tokens = (float(part) for part in text.split(","))
    except ValueError:
        prompt = generated_tokens = 0.0
    if not (1 <= prompt <= 1e7 and 1 <= generated_tokens <= 1e7):  # noqa: PLR2004
        raise ReplayError(
            f"--tokens: {text!r} is not two numbers of at least 1",
            hint="For example 2000,200: mean tokens of prompts and of answers.",
            code=2,
        )
    return prompt, generated_tokens


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as exc:
        raise ReplayError(f"cannot write {out}: {exc.strerror or exc}") from exc
