"""What would change a decision, in words. The whole record: `controlplane.model.explain`.

29 in flight for 3 replicas of 10    2 more in flight -> 4; 9 fewer in flight -> 2
CPU at 61 %, target 70 %             CPU above 77% (now 61%) -> 4; CPU below 46.7% (now 61%) -> 2
both                                 2 more in flight or CPU above 77% (now 61%) -> 4; ...
"""

import math

from autoscaler.core import streams
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.replica_waits import in_words
from autoscaler.core.steps import Idleness, Zero
from autoscaler.core.what_if import unknown, ways_down, ways_up


def next_change(
    scaling: Scaling,
    observation: Observation,
    *,
    replicas: int,
    floor: int,
    idleness: Idleness,
    hold_s: float,
) -> str:
    """What would change the count, for example `2 more in flight -> 4; to 0 in 12 s if quiet`.

    Args:
        scaling: Targets and bounds.
        observation: What the decision saw.
        replicas: The count decided on.
        floor: The least that bounds and policies allow.
        idleness: Where the proton stands about zero.
        hold_s: For how long the count cannot fall.
    """
    parts = [_up(scaling, observation, replicas)]
    if replicas > floor:
        parts.append(_down(scaling, observation, replicas, hold_s))
        parts.append(_to_zero(observation, idleness))
    elif replicas:
        parts.append(f"no lower than {floor}")
    if observation.scheduled is not None:
        parts.append(observation.scheduled.following)
    if replicas > floor and (held := streams.in_words(observation.streams)):
        parts.append(f"held up by {held}")
    if leaving := streams.in_words(observation.leaving_streams):
        parts.append(f"what leaves waits for {leaving}")
    if waits := in_words(observation.waits):
        parts.append(f"not serving: {waits}")
    return "; ".join(part for part in parts if part)


def _up(scaling: Scaling, seen: Observation, replicas: int) -> str:
    if replicas >= scaling.max_replicas:
        return f"at the maximum of {scaling.max_replicas}"
    if replicas == 0:
        return "1 request -> 1"
    counts: dict[int, list[str]] = {}
    for way, count in ways_up(scaling, seen, replicas):
        counts.setdefault(min(count, scaling.max_replicas), []).append(way)
    return "; ".join(f"{' or '.join(ways)} -> {count}" for count, ways in sorted(counts.items()))


def _down(scaling: Scaling, seen: Observation, replicas: int, hold_s: float) -> str:
    if scaling.load_targets() and (seen.load is None or seen.load.coverage_ratio < 1):
        return "no lower before all gateway workers have reported for a whole window"
    if blind := unknown(scaling, seen):
        return (
            f"no lower while {' and '.join(blind)} {'is' if len(blind) == 1 else 'are'} not known"
        )
    if hold_s > 0:
        return f"no lower for {math.ceil(hold_s)} s"
    ways = ways_down(scaling, seen, replicas) if replicas > 1 else []
    return f"{' and '.join(ways)} -> {replicas - 1}" if ways else ""


def _to_zero(seen: Observation, idleness: Idleness) -> str:
    if idleness.zero is not Zero.KEEP or idleness.remaining_s is None:
        return ""
    seconds = math.ceil(idleness.remaining_s)
    quiet = seen.load is not None and seen.load.load == 0 and not seen.woken
    return f"to 0 in {seconds} s if quiet" if quiet else f"to 0 after {seconds} s idle"
