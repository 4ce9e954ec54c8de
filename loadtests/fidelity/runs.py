"""One short trace, twice: the demo on a real one-machine system, and the same in the simulator.

The simulator is told what an operator knows: the trace, the service's times, the policy and the
settings; and how long a replica takes to start, which is read off the first request of the real
run, as `tidegate explain` would tell it of earlier starts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoscaler.replay.chance import constant
from autoscaler.replay.ours import Tidegate
from autoscaler.replay.simulate import run
from autoscaler.replay.world import World
from controlplane.cli.demo_run import (
    CONCURRENCY,
    MAX_REPLICAS,
    SAMPLE_EVERY_S,
    SERVICE_S,
    DemoRun,
)
from controlplane.demo.report import Story, quantile
from controlplane.demo.traffic import plan, tuning
from controlplane.model.sections import Settings
from controlplane.model.settings import resolve
from controlplane.model.workloads import Autoscaling, ScalingPolicy

WORKERS: Final = 2
STREAM_S: Final = 0.16
"""Eight tokens, 20 ms each."""
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
LIMIT_PER_TARGET: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What happened, really or in the simulator."""

    at_s: Sequence[float]
    wanted: Sequence[int]
    ready: Sequence[int]
    """At each moment."""
    queued: Sequence[int]
    waits_s: dict[str, float]
    """Quantile (`p50`) to seconds of waiting."""
    longest_wait_s: float
    requests: int
    failed: int
    replica_seconds: float
    """Ready replicas, over time."""


async def really(seconds: float, data_dir: Path) -> tuple[Observed, float]:
    """Run the demo.

    Returns:
        What happened, and how long the first request had to wait for a replica.
    """
    demo = DemoRun(
        seconds=seconds,
        data_dir=data_dir,
        workers=WORKERS,
        watch=lambda _: None,
        note=lambda _: None,
    )
    return from_story(await demo.run())


def from_story(story: Story) -> tuple[Observed, float]:
    """What the demo saw, in the words of the comparison."""
    rows = story.rows
    waits = sorted(max(0.0, o.seconds - SERVICE_S) for o in story.outcomes if not o.failed)
    cold = next(o for o in story.outcomes if o.phase == "first")
    found = Observed(
        at_s=[row.at_s for row in rows],
        wanted=[row.wanted for row in rows],
        ready=[row.ready for row in rows],
        queued=[row.queued for row in rows],
        waits_s={f"p{q * 100:g}": quantile(waits, q) or 0.0 for q in QUANTILES},
        longest_wait_s=waits[-1] if waits else 0.0,
        requests=story.sent,
        failed=sum(outcome.failed for outcome in story.outcomes),
        replica_seconds=_integral([row.at_s for row in rows], [row.ready for row in rows]),
    )
    return found, cold.seconds - SERVICE_S


def simulated(seconds: float, *, start_up_s: float, until_s: float) -> Observed:
    """The same trace, policy and settings in the simulator.

    Args:
        seconds: The demo's length.
        start_up_s: From a waiting request to a replica that takes it.
        until_s: Where the real run ended.
    """
    sections: dict[str, str] = {}
    for text in tuning(seconds).assignments():
        name, _, value = text.partition("=")
        sections[name] = value
    settings, _ = resolve(flags=sections)
    outcome = run(
        _arrivals(seconds),
        _world(settings, start_up_s),
        Tidegate(
            Autoscaling(
                policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=CONCURRENCY),),
                min_replicas=0,
                max_replicas=MAX_REPLICAS,
            ),
            settings,
        ),
        duration_s=until_s,
        step_s=SAMPLE_EVERY_S,
    )
    rows = outcome.timeline.rows
    return Observed(
        at_s=[row.at_s for row in rows],
        wanted=[row.wanted for row in rows],
        ready=[row.ready for row in rows],
        queued=[row.max_queued for row in rows],
        waits_s={f"p{q * 100:g}": outcome.waited_s(q) or 0.0 for q in QUANTILES},
        longest_wait_s=outcome.waited_s(1.0) or 0.0,
        requests=outcome.requests,
        failed=outcome.failed,
        replica_seconds=outcome.ready_seconds,
    )


def _world(settings: Settings, start_up_s: float) -> World:
    return World(
        workers=WORKERS,
        replica_limit=round(CONCURRENCY * LIMIT_PER_TARGET),
        queue_limit=settings.gateway.queue_limit,
        hold_timeout_s=settings.gateway.cold_start_timeout_s,
        start_up=constant(start_up_s),
        drain_timeout_s=settings.autoscaler.drain_timeout_s,
    )


def _arrivals(seconds: float) -> Iterator[tuple[float, float]]:
    for planned in plan(seconds):
        yield planned.at_s, STREAM_S if planned.path.startswith("/stream") else SERVICE_S


def _integral(at_s: Sequence[float], values: Sequence[int]) -> float:
    pairs = zip(at_s, at_s[1:], values, strict=False)
    return sum((after - before) * value for before, after, value in pairs)
