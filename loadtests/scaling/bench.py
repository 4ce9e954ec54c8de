"""Runs every contender over every scenario, target by target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autoscaler.replay.trials import Trial, carry_out_all
from loadtests.scaling.contenders import Contender
from loadtests.scaling.scenarios import Scenario

KEPT: Final = (
    "replica_hours",
    "delayed",
    "requests",
    "failed",
    "cold",
    "starts",
    "flaps",
    "wait_mean_s",
    "wait_p95_s",
    "wait_p99_s",
)
"""What of a run's summary is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    scenarios: Sequence[Scenario]
    contenders: Sequence[Contender]
    seeds: Sequence[int]
    part: float = 1.0
    """Only this share of each scenario's time."""
    every: int = 1
    """Only every so-manieth target."""
    jobs: int | None = None


def run(plan: Plan, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Run everything.

    Returns:
        `scenarios`: by name, per seed and contender the runs, one per target.
    """
    found: dict[str, Any] = {}
    for scenario in plan.scenarios:
        if not scenario.available():
            say(f"{scenario.name}: left out, its trace is not at hand")
            continue
        found[scenario.name] = {str(seed): _one(plan, scenario, seed, say) for seed in plan.seeds}
    return {
        "seeds": list(plan.seeds),
        "part": plan.part,
        "missing": [s.name for s in plan.scenarios if not s.available()],
        "scenarios": found,
    }


def _one(
    plan: Plan, scenario: Scenario, seed: int, say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    bench = scenario.bench(seed, part=plan.part)
    asked: list[tuple[Contender, float, Trial]] = [
        (contender, ratio, contender.trial(scenario, ratio))
        for contender in plan.contenders
        for ratio in contender.ratios()[:: plan.every]
    ]
    say(f"{scenario.name}, seed {seed}: {len(bench.at_s):,} requests, {len(asked)} runs")
    results = carry_out_all(bench, [trial for _, _, trial in asked], jobs=plan.jobs)
    runs: dict[str, list[dict[str, Any]]] = {}
    for (contender, ratio, _), result in zip(asked, results, strict=True):
        kept = {"target_ratio": ratio, **{key: result[key] for key in KEPT}}
        runs.setdefault(contender.name, []).append(kept)
    return runs
