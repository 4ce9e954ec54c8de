"""Options that several commands share, so that they read and behave the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with settings. Default: $TIDEGATE_CONFIG, else none.",
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Set one setting; may be repeated. `tidegate config` lists all.",
    ),
]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Directory of the installation. Default: ~/.local/share/tidegate.",
    ),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="redis://, rediss:// or unix:// URL of the store. Default: the embedded Valkey.",
    ),
]
ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Base URL of the API. Default: $TIDEGATE_API_URL, then `tidegate login`, then the "
        "running `tidegate up`.",
    ),
]
ApiToken = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Bearer token. Default: $TIDEGATE_TOKEN, then `tidegate login`.",
    ),
]
Workload = Annotated[str, typer.Argument(metavar="WORKLOAD", help="Name or id of a workload.")]
Search = Annotated[str | None, typer.Option(help="Only names that contain this. Default: all.")]
Most = Annotated[int, typer.Option(min=1, help="Most entries.")]
MostNewest = Annotated[int, typer.Option(min=1, max=1000, help="Most entries, newest first.")]
TimeoutS = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0.0, help="Give up after this (exit code 4)."),
]
