"""Options about traces and the world that several commands share."""

import math
from pathlib import Path
from typing import Annotated, Final

import typer

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import READERS

MAX_HOURS: Final = 10_000
"""Longest traffic, hours: somewhat more than a year."""
MAX_S: Final = MAX_HOURS * 3600.0


def finite(value: float | None) -> float | None:
    """Refuse what is no finite number; the checks of bounds let `nan` through.

    Raises:
        typer.BadParameter: It is none; the message names the option.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def writable(path: Path | None) -> Path | None:
    """Refuse a file that could not be written once all is done; long work would be lost.

    Raises:
        ReplayError: It is a directory, or in none.
    """
    if path is not None and path.is_dir():
        raise ReplayError(f"cannot write {path}: it is a directory", code=2)
    if path is not None and not path.absolute().parent.is_dir():
        raise ReplayError(f"cannot write {path}: there is no directory {path.parent}", code=2)
    return path


def names_in(text: str | None, *, option: str) -> list[str]:
    """Names separated by commas, each once; none without the option.

    Raises:
        ReplayError: It was given, and has no name in it.
    """
    names = [name.strip() for name in (text or "").split(",")]
    found = list(dict.fromkeys(name for name in names if name))
    if text is not None and not found:
        raise ReplayError(f"{option}: {text!r} names nothing", hint="Leave it out.", code=2)
    return found


TraceFile = Annotated[
    Path,
    typer.Option("--trace", metavar="FILE", help="The traffic: a recording or a CSV file."),
]
PolicyFile = Annotated[
    Path,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="The workload's autoscaling as JSON or YAML, as clients send it; or an object with"
        " `autoscaling`, `concurrencyLimitPerReplica` and platform `settings`.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help=f"Format of the trace: {', '.join(READERS)}. Default: told by its first line.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is left to chance.")]
Beginning = Annotated[
    float,
    typer.Option(
        "--from",
        metavar="SECONDS",
        min=0.0,
        max=MAX_S,
        callback=finite,
        help="Begin here in the trace.",
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--until",
        metavar="SECONDS",
        min=0.0,
        max=MAX_S,
        callback=finite,
        help="End here. Default: its end.",
    ),
]
Rate = Annotated[
    float,
    typer.Option(
        metavar="FACTOR",
        min=0.0,
        callback=finite,
        help="Multiply the traffic. Above 1 only for formats that tell rates.",
    ),
]
MaxRequests = Annotated[
    int,
    typer.Option(
        min=1,
        help="Most requests that a trace which only counts them may come to; more are refused.",
    ),
]
Workload = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only this workload's requests. Default: all together."),
]
StartUp = Annotated[
    str,
    typer.Option(
        "--start-up",
        metavar="DISTRIBUTION",
        help="Seconds from asking for a replica until it serves: 5, exponential:MEAN,"
        " lognormal:MEDIAN,P99 or empirical:FILE.",
    ),
]
ServiceTime = Annotated[
    str,
    typer.Option(
        "--service",
        metavar="DISTRIBUTION",
        help="Seconds that a replica works on a request: as --start-up, tokens:PREFILL,DECODE"
        " (tokens per second), or trace: what the trace says.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Requests that a replica works on at a time; more wait inside it. Default: all that"
        " the gateway sends it.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Gateway workers.")]
TailS = Annotated[
    float,
    typer.Option(
        "--tail",
        metavar="SECONDS",
        min=0.0,
        max=MAX_S,
        callback=finite,
        help="Simulate this much longer.",
    ),
]
Picture = Annotated[
    Path | None,
    typer.Option(metavar="FILE", callback=writable, help="Write a picture; needs matplotlib."),
]
Page = Annotated[
    Path | None,
    typer.Option(metavar="FILE", callback=writable, help="Write a page that needs nothing else."),
]
Gpus = Annotated[
    float, typer.Option(min=0.0, callback=finite, help="GPUs per replica, for GPU-hours.")
]
Price = Annotated[
    float | None,
    typer.Option(min=0.0, callback=finite, help="Of one replica for an hour, for the price."),
]
