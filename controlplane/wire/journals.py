"""Events of a workload and scaling decisions (an extension)."""

from typing import Any, Self

from controlplane.model.decisions import Decision
from controlplane.model.workloads import Event
from controlplane.wire.base import Shape, timestamp


class EventFormatted(Shape):
    """Something that happened to a workload."""

    id: str
    workload_id: str
    timestamp: str
    event_type: str
    actor_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> Self:
        """The answer's form of an event."""
        return cls(
            id=event.id,
            workload_id=event.workload_id,
            timestamp=timestamp(event.at),
            event_type=event.type,
            actor_id=event.actor_id,
            details=event.details,
        )


class StepFormatted(Shape):
    """One step of a decision."""

    name: str
    value: float
    note: str


class DecisionFormatted(Shape):
    """How many replicas a proton should have, why, and what would change it."""

    id: str
    timestamp: str
    workload_id: str
    proton_id: str
    replicas: int
    previous_replicas: int
    reason: str
    steps: list[StepFormatted]
    inputs: dict[str, float | None]
    next: str

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """The answer's form of a decision."""
        return cls(
            id=decision.id,
            timestamp=timestamp(decision.at),
            workload_id=decision.workload_id,
            proton_id=decision.proton_id,
            replicas=decision.replicas,
            previous_replicas=decision.previous_replicas,
            reason=decision.reason,
            steps=[StepFormatted(name=s.name, value=s.value, note=s.note) for s in decision.steps],
            inputs=decision.inputs,
            next=decision.next,
        )
