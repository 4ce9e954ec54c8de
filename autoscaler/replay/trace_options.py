"""Options about traces and the world that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from autoscaler.replay.formats import READERS

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
    float, typer.Option("--from", metavar="SECONDS", min=0.0, help="Begin here in the trace.")
]
End = Annotated[
    float | None,
    typer.Option("--until", metavar="SECONDS", min=0.0, help="End here. Default: its end."),
]
Rate = Annotated[
    float,
    typer.Option(
        metavar="FACTOR",
        min=0.0,
        help="Multiply the traffic. Above 1 only for formats that tell rates.",
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
    typer.Option("--tail", metavar="SECONDS", min=0.0, help="Simulate this much longer."),
]
Gpus = Annotated[float, typer.Option(min=0.0, help="GPUs per replica, for GPU-hours.")]
Price = Annotated[
    float | None, typer.Option(min=0.0, help="Of one replica for an hour, for the price.")
]
