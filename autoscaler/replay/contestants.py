"""Scalers by name: ours with a policy file, and models of others for the same workload."""

from collections.abc import Sequence
from typing import Final

from autoscaler.core.policy import CONCURRENCY, CPU, IN_FLIGHT, PER_HOUR
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.ours import Tidegate
from autoscaler.replay.peers import PEERS, Terms
from autoscaler.replay.policy_file import PolicyFile
from autoscaler.replay.scaler import Scaler

SIMULATED: Final = frozenset({CONCURRENCY, IN_FLIGHT, PER_HOUR, CPU})
"""Metrics that follow from requests and replicas alone."""


def ours(wish: PolicyFile, *, began_at: float | None, concurrency: int | None) -> Tidegate:
    """Our own autoscaler with a policy.

    Args:
        wish: The policy and the platform's settings.
        began_at: Wall clock of the trace's second 0, for hours and schedules; None: the epoch.
        concurrency: Requests that a replica works on at a time.

    Raises:
        ReplayError: A policy looks at something that a trace does not tell.
    """
    for policy in wish.autoscaling.policies:
        if policy.metric not in SIMULATED:
            raise ReplayError(
                f"the policy looks at {policy.metric}, which does not follow from a trace",
                hint=f"Simulated are {', '.join(sorted(SIMULATED))}.",
                code=2,
            )
        if policy.metric == CPU and concurrency is None:
            raise ReplayError(
                f"the policy looks at {CPU}, which needs to know when a replica is busy",
                hint="Give --concurrency: with so many requests its CPU use is 100 %.",
                code=2,
            )
    return Tidegate(
        wish.autoscaling,
        wish.settings,
        began_at=began_at or 0.0,
        concurrency=concurrency,
    )


def peers(names: Sequence[str], wish: PolicyFile, *, concurrency: int | None) -> list[Scaler]:
    """Models of other autoscalers, told the same target and bounds.

    Args:
        names: From `PEERS`.
        wish: Where target and bounds come from.
        concurrency: Requests that a replica works on at a time; None: the gateway's limit.

    Raises:
        ReplayError: A name is not known, or the policy has no target of requests in flight.
    """
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise ReplayError(
            f"--against: no model is called {unknown[0]!r}",
            hint=f"Known: {', '.join(PEERS)}.",
            code=2,
        )
    target = wish.target
    if names and target is None:
        raise ReplayError(
            "--against needs a policy with a target of requests in flight, which all understand",
            hint=f"Add one with {CONCURRENCY}.",
            code=2,
        )
    terms = Terms(
        target=target or 1.0,
        concurrency=concurrency or wish.replica_limit,
        min_replicas=wish.autoscaling.min_replicas,
        max_replicas=wish.autoscaling.max_replicas,
    )
    return [PEERS[name](terms) for name in names]
