"""Which settings to try, and which of them to take. Pure: whoever calls it runs them.

    stage    share of the budget   settings
    -------  --------------------  --------------------------------------------------------------
    given    1                     the policy as it is, to compare with
    grid     about a third         every target with every delay of shrinking, the two that move
                                   costs and waiting most
    random   about a third         all knobs at once, drawn evenly
    near     the rest              the front so far, one or two knobs moved to a neighbour

Equal arguments give equal settings, however many processes run them. Costs are what people pay
and feel: mean waiting (a request that failed counts as having waited as long as one is held),
requests that met no ready replica, and replica-hours.
"""

import copy
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from autoscaler.replay.pareto import front, nearest_to_ideal

Content = dict[str, Any]
"""Content of a policy file."""

_LOAD: Final = frozenset({"httpRequestsConcurrency", "httpRequestsInFlight"})
TARGET_FACTORS: Final = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
"""Targets to try, as multiples of the given one."""

FAILED_WAIT_S: Final = 300.0
"""What a request that got no answer counts as having waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One setting and what it may be."""

    name: str
    """As clients of the API write it."""
    values: tuple[float, ...]
    """From small to large."""
    behavior: bool = True
    """Part of `behavior`, not of `autoscaling` itself."""


DELAY: Final = Knob(name="scaleDownDelaySeconds", values=(0, 30, 60, 120, 180, 300, 450, 600))
COOLDOWN: Final = Knob(
    name="cooldownPeriodMinutes", values=(0.5, 1, 2, 5, 10, 20, 30), behavior=False
)
KNOBS: Final = (
    DELAY,
    Knob(name="maxScaleDownRate", values=(1.1, 1.2, 1.5, 2, 4)),
    Knob(name="panicWindowRatio", values=(0.05, 0.1, 0.25, 0.5)),
    Knob(name="panicThreshold", values=(1.5, 2, 3, 10)),
    Knob(name="scaleUpDelaySeconds", values=(0, 2, 5, 10)),
    Knob(name="toleranceRatio", values=(0, 0.1)),
)


class TuneError(ValueError):
    """The policy cannot be tuned; the message says why."""


def knobs_for(content: Content, *, only: Sequence[str] = ()) -> list[Knob]:
    """The knobs of a policy: the target first, the cooldown only where zero is allowed.

    Args:
        content: Of the policy file.
        only: Names of those to move; empty: all.

    Raises:
        TuneError: It has no policy whose target can be moved, or a name is not known.
    """
    autoscaling = content["autoscaling"]
    index = _target_index(content)
    target = float(autoscaling["policies"][index]["target"])
    values = tuple(sorted({_rounded(target * factor) for factor in TARGET_FACTORS}))
    knobs = [Knob(name="target", values=values, behavior=False), *KNOBS]
    if not autoscaling.get("minReplicaCount", 0):
        knobs.append(COOLDOWN)
    known = [knob.name for knob in knobs]
    for name in only:
        if name not in known:
            listed = ", ".join(known)
            raise TuneError(f"--vary: {name!r} is not a setting to vary here; known: {listed}")
    return [knob for knob in knobs if not only or knob.name in only]


def with_values(content: Content, values: Mapping[str, float]) -> Content:
    """The policy with other values of knobs."""
    changed = copy.deepcopy(content)
    autoscaling = changed["autoscaling"]
    for name, value in values.items():
        number = int(value) if value == int(value) else value
        if name == "target":
            autoscaling["policies"][_target_index(changed)]["target"] = number
        elif name == COOLDOWN.name:
            autoscaling[name] = number
        else:
            autoscaling["behavior"] = {**(autoscaling.get("behavior") or {}), name: number}
    return changed


def stages(budget: int) -> tuple[int, int, int]:
    """How many settings of the grid, by chance, and near the front; the given one is extra."""
    rest = max(0, budget - 1)
    grid = rest // 3
    drawn = rest // 3
    return grid, drawn, rest - grid - drawn


def grid(knobs: Sequence[Knob], count: int) -> list[dict[str, float]]:
    """Targets times delays (or the first two knobs), thinned evenly to at most `count`."""
    axes = [knob for knob in knobs if knob.name in {"target", DELAY.name}] or list(knobs[:2])
    rows = [
        dict(zip([knob.name for knob in axes], row, strict=True))
        for row in product(*(knob.values for knob in axes))
    ]
    if len(rows) <= count:
        return rows
    return [rows[int((i + 0.5) * len(rows) / count)] for i in range(count)]


def drawn(knobs: Sequence[Knob], count: int, rng: random.Random) -> list[dict[str, float]]:
    """Every knob anywhere."""
    return [{knob.name: rng.choice(knob.values) for knob in knobs} for _ in range(count)]


def near(
    knobs: Sequence[Knob],
    best: Sequence[Mapping[str, float]],
    count: int,
    rng: random.Random,
) -> list[dict[str, float]]:
    """One or two knobs of good settings moved to a neighbouring value."""
    found = []
    for i in range(count if best else 0):
        values = dict(best[i % len(best)])
        for knob in rng.sample(list(knobs), min(len(knobs), rng.choice((1, 2)))):
            values[knob.name] = _neighbour(knob, values.get(knob.name), rng)
        found.append(values)
    return found


def _neighbour(knob: Knob, value: float | None, rng: random.Random) -> float:
    if value not in knob.values:
        return rng.choice(knob.values)
    index = knob.values.index(value) + rng.choice((-1, 1))
    return knob.values[max(0, min(index, len(knob.values) - 1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One setting and what came of it."""

    values: Mapping[str, float]
    """Of the knobs that differ from the given policy; empty: the policy as it is."""
    result: Mapping[str, Any]
    """See `trials.Result`."""

    @property
    def wait_s(self) -> float:
        """Mean waiting, failures included."""
        requests = self.result["requests"]
        failed_s = self.result["failed"] * FAILED_WAIT_S
        total_s: float = self.result["wait_seconds"] + failed_s
        return total_s / requests if requests else 0.0

    @property
    def cold(self) -> int:
        """Requests that had to wait because no replica was ready."""
        count: int = self.result["cold"]
        return count

    @property
    def hours(self) -> float:
        """Replica-hours."""
        value: float = self.result["replica_hours"]
        return value

    @property
    def costs(self) -> tuple[float, float, float]:
        """All to be small."""
        return self.wait_s, float(self.cold), self.hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the owner demands of the recommended setting; None: does not care."""

    wait_p95_s: float | None = None
    replica_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The front, the recommended setting, and why."""

    front: Sequence[Tried]
    """By replica-hours."""
    best: Tried
    why: Sequence[str]


def explore(
    content: Content,
    run: Callable[[Sequence[Content]], Sequence[Mapping[str, Any]]],
    *,
    budget: int,
    seed: int,
    only: Sequence[str] = (),
) -> list[Tried]:
    """Try settings, stage by stage.

    Args:
        content: The policy to begin with.
        run: Carries out policies; returns their results in order.
        budget: Most runs.
        seed: Of what is drawn.
        only: Knobs to move; empty: all.

    Raises:
        TuneError: See `knobs_for`.
    """
    rng = random.Random(seed)  # noqa: S311 - settings, not secrets
    knobs = knobs_for(content, only=only)
    grid_count, drawn_count, near_count = stages(budget)
    seen: set[str] = set()
    tried: list[Tried] = []

    def carry_out(settings: Sequence[Mapping[str, float]]) -> None:
        fresh = []
        for values in settings:
            key = repr(sorted(values.items()))
            if key not in seen:
                seen.add(key)
                fresh.append(values)
        results = run([with_values(content, values) for values in fresh])
        tried.extend(
            Tried(values=values, result=result)
            for values, result in zip(fresh, results, strict=True)
        )

    carry_out([{}, *grid(knobs, grid_count), *drawn(knobs, drawn_count, rng)])
    for half in (near_count // 2, near_count - near_count // 2):
        best = [one.values for one in front(tried, lambda one: one.costs)]
        carry_out(near(knobs, best, half, rng))
    return tried


def advise(tried: Sequence[Tried], wanted: Wanted) -> Advice:
    """Recommend one of the front.

    Within what the owner demands: the cheapest that waits short enough, or the one that waits
    least within the replica-hours. Without demands the one nearest to the best of each cost, on
    logarithmic scales: half the waiting is worth as much as half the replica-hours.

    Args:
        tried: The policy as it is first.
        wanted: Demands.
    """
    best_of = sorted(front(tried, lambda one: one.costs), key=lambda one: one.hours)
    why = []
    able = [one for one in best_of if _meets(one, wanted)]
    if not able:
        chosen = min(best_of, key=lambda one: _misses(one, wanted))
        why.append(_nearest(chosen, wanted))
    elif wanted.wait_p95_s is not None:
        chosen = min(able, key=lambda one: (one.hours, one.wait_s))
        within = "" if wanted.replica_hours is None else f", {wanted.replica_hours:g} replica-hours"
        why.append(
            f"The cheapest with a p95 of waiting of at most {wanted.wait_p95_s:g} s{within}."
        )
    elif wanted.replica_hours is not None:
        chosen = min(able, key=lambda one: (one.wait_s, one.cold))
        why.append(f"The least waiting within {wanted.replica_hours:g} replica-hours.")
    else:
        chosen = nearest_to_ideal(able, _scaled)
        why.append("Nearest to the best of each: waiting, cold starts and replica-hours.")
    why.append(_against(chosen, tried[0], "the policy as it is"))
    why.append(f"{len(tried)} settings were tried, {len(best_of)} are on the front.")
    return Advice(front=best_of, best=chosen, why=why)


def _meets(one: Tried, wanted: Wanted) -> bool:
    return _misses(one, wanted) == 0


def _misses(one: Tried, wanted: Wanted) -> float:
    missed = 0.0
    if wanted.wait_p95_s is not None:
        missed += max(0.0, _p95_s(one) - wanted.wait_p95_s) / max(wanted.wait_p95_s, 0.001)
    if wanted.replica_hours is not None:
        missed += max(0.0, one.hours - wanted.replica_hours) / max(wanted.replica_hours, 0.001)
    return missed


def _nearest(one: Tried, wanted: Wanted) -> str:
    demands, has = [], []
    if wanted.wait_p95_s is not None:
        demands.append(f"a p95 of waiting of at most {wanted.wait_p95_s:g} s")
        has.append(f"a p95 of {_p95_s(one):.3g} s")
    if wanted.replica_hours is not None:
        demands.append(f"at most {wanted.replica_hours:g} replica-hours")
        has.append(f"{one.hours:.4g} replica-hours")
    return (
        f"No setting that was tried meets the demands ({', '.join(demands)}); this one comes"
        f" nearest, with {', '.join(has)}."
    )


def _p95_s(one: Tried) -> float:
    """Its mean where nothing was served."""
    p95: float | None = one.result["wait_p95_s"]
    return one.wait_s if p95 is None else p95


def _scaled(one: Tried) -> tuple[float, float, float]:
    return math.log(one.wait_s + 0.01), math.log(one.cold + 1), math.log(one.hours + 0.001)


def _against(one: Tried, other: Tried, name: str) -> str:
    if one is other:
        return f"It is {name}: nothing better was found."
    return (
        f"Against {name}: replica-hours {other.hours:.4g} -> {one.hours:.4g}, mean wait"
        f" {other.wait_s:.3g} -> {one.wait_s:.3g} s, delayed {other.result['delayed']} ->"
        f" {one.result['delayed']}, cold {other.cold} -> {one.cold}."
    )


def _target_index(content: Content) -> int:
    policies = content["autoscaling"].get("policies") or []
    for index, policy in enumerate(policies):
        if policy.get("scalingMetric") in _LOAD:
            return index
    if not policies:
        raise TuneError("the policy file has no policies, so there is no target to vary")
    return 0


def _rounded(target: float) -> float:
    return float(f"{target:.2g}")
