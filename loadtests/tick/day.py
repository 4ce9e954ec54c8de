"""24 hours of one workload, replayed through the simulator: what it costs in CPU time."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from autoscaler.replay.chance import parse_service
from autoscaler.replay.generate import Traffic, generate
from autoscaler.replay.ours import Tidegate
from autoscaler.replay.simulate import run
from autoscaler.replay.traces import with_service
from autoscaler.replay.world import World
from controlplane.model.workloads import Autoscaling, ScalingPolicy

DAY_S: Final = 86_400.0
SEED: Final = 1
RUNS: Final = 5

DAYS: Final[Mapping[str, tuple[Traffic, str]]] = {
    "diurnal with spikes": (
        Traffic(duration_s=DAY_S, per_s=1.0, patterns=("diurnal", "spikes")),
        "lognormal:0.2,1.5",
    ),
    "busy in every second": (Traffic(duration_s=DAY_S, per_s=1.25), "lognormal:2,4"),
}
"""What a day is like: its traffic, and the service times as `--service` takes them."""


def measure(name: str, *, duration_s: float = DAY_S, runs: int = RUNS) -> dict[str, Any]:
    """Replay a day of `DAYS` with one policy on concurrency; the requests are there before.

    Args:
        name: Of the day.
        duration_s: Its length.
        runs: How many times.

    Returns:
        `day`, `requests`, `seconds` (median CPU time of a replay), `quickest_s`, `slowest_s`,
        `replica_hours`.
    """
    traffic, text = DAYS[name]
    service = parse_service(text)
    arrivals = list(
        with_service(
            generate(replace(traffic, duration_s=duration_s), service, seed=SEED),
            service,
            seed=SEED,
        )
    )
    autoscaling = Autoscaling(
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=4),),
        min_replicas=0,
        max_replicas=20,
    )
    costs_s = []
    for _ in range(runs):
        began_s = time.process_time()
        outcome = run(arrivals, World(), Tidegate(autoscaling), duration_s=duration_s)
        costs_s.append(time.process_time() - began_s)
    return {
        "day": name,
        "requests": outcome.requests,
        "seconds": round(statistics.median(costs_s), 3),
        "quickest_s": round(min(costs_s), 3),
        "slowest_s": round(max(costs_s), 3),
        "replica_hours": round(outcome.ready_seconds / 3600, 1),
    }
