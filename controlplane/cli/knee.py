"""`tidegate knee`: a concurrency target from what was measured.

The search itself is the autoscaler's (`python -m autoscaler.replay knee`), which the command line
does not import: here samples are fetched and handed over.
"""

import subprocess
import sys
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from controlplane.cli.client import Api, Json, connect
from controlplane.cli.errors import CliError, ExitCode

MAX_DECISIONS: Final = 1000
"""Decisions that are read to know how many replicas were ready; as many as are kept."""


def knee(
    workload: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKLOAD]", help="Name or id; takes its last 3 hours, minute by minute."
        ),
    ] = None,
    *,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of a workload: CSV with columns `concurrency` (requests in flight per"
            " replica) and `latency_s`; - is standard input.",
        ),
    ] = None,
    quantile: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Which latency; 0.5 is the median.")
    ] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Propose a concurrency target from measured latency against load.

    Up to some number of requests in flight a replica answers about as fast as when it has one;
    beyond it latency turns up. That turn is the target to set; latency there is at most 1.5 times
    that of the lowest load, however far beyond was measured. It can only be found where the
    measured load went beyond it.
    """
    if (workload is None) == (samples is None):
        raise CliError("give a workload, or --samples FILE, and not both", code=ExitCode.USAGE)
    text = None
    if workload is not None:
        with connect() as api:
            text = _measured(api, workload, quantile)
    command = [sys.executable, "-m", "autoscaler.replay", "knee"]
    command += ["--samples", "-" if samples is None else str(samples)]
    done = subprocess.run(  # noqa: S603 - our own module
        [*command, *(["--json"] if as_json else [])],
        input=text,
        text=True,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(done.returncode)


def _measured(api: Api, workload: str, quantile: float) -> str:
    """Samples of a workload as CSV.

    Raises:
        CliError: It cannot be found, or has no replicas in its decisions.
    """
    found = api.find("workloads", workload)
    path = f"workloads/{found['id']}"
    asked: dict[str, str | int] = {
        "resolution": "PT1M",
        "responseTimeQuantile": str(quantile),
    }
    load = api.call("GET", f"{path}/stats/concurrentRequests", query=asked)["buckets"]
    latency = api.call("GET", f"{path}/stats/responseTime", query=asked)["buckets"]
    decisions = list(api.pages(f"{path}/decisions", limit=MAX_DECISIONS))
    rows = per_replica(load, latency, decisions)
    return "\n".join(["concurrency,latency_s", *(f"{x!r},{y!r}" for x, y in rows), ""])


def per_replica(
    load: Sequence[Json], latency: Sequence[Json], decisions: Sequence[Json]
) -> list[tuple[float, float]]:
    """Requests in flight per ready replica, and latency in seconds, minute by minute.

    Minutes without requests, or of which no decision tells the ready replicas, are left out.

    Args:
        load: Buckets of `concurrentRequests`: of all replicas together.
        latency: Buckets of `responseTime`, milliseconds.
        decisions: As the API lists them, newest first.
    """
    known = sorted(
        (_epoch(one["timestamp"]), float(one["inputs"].get("ready") or 0)) for one in decisions
    )
    times = [at for at, _ in known]
    took_ms = {bucket["period"]["start"]: bucket["value"] for bucket in latency}
    found = []
    for bucket in load:
        start, value = bucket["period"]["start"], bucket["value"]
        index = bisect_right(times, _epoch(bucket["period"]["end"])) - 1
        ready = known[index][1] if index >= 0 else 0.0
        if value and ready and took_ms.get(start):
            found.append((value / ready, took_ms[start] / 1000))
    return found


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
