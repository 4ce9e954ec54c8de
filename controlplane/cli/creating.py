"""Options of `workload create` and `artifact create`: what to run."""

from pathlib import Path
from typing import Annotated

import typer

SpecFile = Annotated[
    Path | None,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="JSON or YAML body of the API's create request; - reads standard input. "
        "Excludes the options that describe the container and its scaling.",
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="Name; needed without -f.")]
Entrypoint = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="Command line, quoted as a shell would. It must listen on $PORT. Name files in full: "
        "every replica runs in a directory of its own.",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        min=1024,
        max=65535,
        help="Port of the container as the artifact names it; a local process gets its own "
        "in $PORT.",
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        metavar="URI", help="Image, recorded for clusters. Default: local/process:latest."
    ),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="NAME=VALUE", help="Environment variable; repeatable."),
]
Readiness = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Path that answers 2xx once the service can work; asked every second. Without it, "
        "an accepted connection counts.",
    ),
]
Cpu = Annotated[float | None, typer.Option(min=0.0, help="Cores per replica, fractions allowed.")]
Memory = Annotated[
    str | None, typer.Option(help="Memory per replica, for example 512MB. Default: no limit.")
]
Bundle = Annotated[
    list[str] | None,
    typer.Option(
        "--bundle",
        metavar="NAME",
        help="Size of a replica, instead of --cpu and --memory; repeatable, the preferred one "
        "first. GET /api/v2/mlops/compute/bundles lists them.",
    ),
]
