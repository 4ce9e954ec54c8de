"""What the decision loop keeps of one proton, and of one decision on its way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.basis import Basis
from autoscaler.core.observation import DecisionState, Scaling
from autoscaler.reconcilers.base import Failure
from controlplane.model.decisions import Decision
from controlplane.model.workloads import Proton, Replica

Replicas = Mapping[str, Sequence[Replica]]
"""By proton id."""


@dataclass(slots=True)
class Control:
    """One proton under control."""

    proton: Proton
    scaling: Scaling
    state: DecisionState | None = None
    replicas: Sequence[Replica] = ()
    """What its replicas were at the last decision."""
    settled: tuple[float, bool] | None = None
    """It is at zero and only load, a wake-up or an edit can change that: since when, and whether
    any gateway spoke then. Most protons of a large installation are settled."""


@dataclass(slots=True)
class Decided:
    """A decision that is not carried out yet."""

    proton: Proton
    decision: Decision
    basis: Basis
    state: DecisionState
    """What it leaves to the next."""
    replicas: Sequence[Replica]
    failure: Failure | None
    heard_at_s: float | None
    """When the wake-up was heard that led to it."""


def by_proton(replicas: Iterable[Replica]) -> Replicas:
    """Replicas by whose they are."""
    found: dict[str, list[Replica]] = {}
    for replica in replicas:
        found.setdefault(replica.proton_id, []).append(replica)
    return found


def look_different(before: Sequence[Replica], now: Sequence[Replica]) -> bool:
    """Whether anything about a proton's replicas has changed that matters to a decision."""
    if len(before) != len(now):
        return True
    for old, new in zip(before, now, strict=True):
        if old is not new and (
            old.id != new.id or old.phase is not new.phase or old.message != new.message
        ):
            return True
    return False


def in_a_log(decision: Decision) -> dict[str, object]:
    """A decision as fields of a log line."""
    return {
        "workload_id": decision.workload_id,
        "proton_id": decision.proton_id,
        "replicas": decision.replicas,
        "previous_replicas": decision.previous_replicas,
        "reason": decision.reason.value,
        "steps": {step.name: step.note for step in decision.steps},
        "next": decision.next,
    }
