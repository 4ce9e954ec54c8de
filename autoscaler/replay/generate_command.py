"""`tidegate generate`: a synthetic trace."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.generate import GAPS, PATTERNS, Traffic
from autoscaler.replay.generate import generate as generated
from autoscaler.replay.trace_options import MAX_HOURS, MAX_S, finite
from autoscaler.replay.writers import WRITERS, no_tokens

BEGAN_AT: Final = 1_767_225_600.0
"""Second 0 of generated traces in formats that have a calendar: 2026-01-01 00:00 UTC."""


def generate(
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Where to write; a file that is there is replaced when all is written. Default:"
            " standard output.",
        ),
    ] = None,
    *,
    pattern: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help=f"How the rate moves: {', '.join(PATTERNS)}; several multiply, as diurnal,spikes.",
        ),
    ] = "diurnal",
    hours: Annotated[
        float, typer.Option(min=0.001, max=MAX_HOURS, callback=finite, help="Length, hours.")
    ] = 24.0,
    per_second: Annotated[
        float,
        typer.Option(
            min=0.0, max=100_000, callback=finite, help="Mean rate of requests, per second."
        ),
    ] = 1.0,
    gaps: Annotated[
        str, typer.Option(metavar="NAME", help=f"Between requests: {', '.join(GAPS)}.")
    ] = "poisson",
    variation: Annotated[
        float,
        typer.Option(
            min=0.05,
            max=20,
            callback=finite,
            help="Coefficient of variation of the gaps; above 1 is bursty.",
        ),
    ] = 2.0,
    swing: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            callback=finite,
            help="diurnal: how far the rate moves, a ratio.",
        ),
    ] = 0.8,
    spike_factor: Annotated[
        float,
        typer.Option(min=1.0, max=1000, callback=finite, help="spikes: how high, times the rate."),
    ] = 8.0,
    spike_seconds: Annotated[
        float,
        typer.Option(min=1.0, max=MAX_S, callback=finite, help="spikes: how long, seconds."),
    ] = 60.0,
    spike_every: Annotated[
        float,
        typer.Option(
            min=1.0, max=MAX_S, callback=finite, help="spikes: mean time between two, seconds."
        ),
    ] = 3600.0,
    pause_seconds: Annotated[
        float,
        typer.Option(min=1.0, max=MAX_S, callback=finite, help="pauses: mean length, seconds."),
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
    if file_format == "azure" and tokens is None:
        raise no_tokens()
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
    """Where to write; a regular file is as it was until all is written."""
    if out is None:
        yield sys.stdout
        return
    target = out.resolve()  # what a link points to is replaced, not the link
    try:
        if target.exists() and not target.is_file():  # /dev/null, a pipe
            with target.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with partial.open("x", encoding="utf-8", newline="") as file:
                yield file
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as exc:
        raise ReplayError(f"cannot write {out}: {exc.strerror or exc}") from exc
