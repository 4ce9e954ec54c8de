"""What would change a decision, in words. The whole record: `controlplane.model.explain`."""

import math

from autoscaler.core import streams
from autoscaler.core.idle import Idleness, Zero
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.replica_waits import in_words


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
    if seen.load is None:
        return ""
    more = [math.floor(replicas * t - seen.load.load) + 1 for t in scaling.load_targets()]
    return f"{min(more)} more in flight -> {replicas + 1}" if more and min(more) > 0 else ""


def _down(scaling: Scaling, seen: Observation, replicas: int, hold_s: float) -> str:
    if seen.load is None or seen.load.coverage_ratio < 1:
        return "no lower before all gateway workers have reported for a whole window"
    if hold_s > 0:
        return f"no lower for {math.ceil(hold_s)} s"
    fewer = [math.ceil(seen.load.load - (replicas - 1) * t) for t in scaling.load_targets()]
    if replicas > 1 and fewer and max(fewer) > 0:
        return f"{max(fewer)} fewer in flight -> {replicas - 1}"
    return ""


def _to_zero(seen: Observation, idleness: Idleness) -> str:
    if idleness.zero is not Zero.KEEP or idleness.remaining_s is None:
        return ""
    seconds = math.ceil(idleness.remaining_s)
    quiet = seen.load is not None and seen.load.load == 0 and not seen.woken
    return f"to 0 in {seconds} s if quiet" if quiet else f"to 0 after {seconds} s idle"
