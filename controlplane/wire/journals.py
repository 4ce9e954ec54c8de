"""Events of a workload and scaling decisions (an extension)."""

from typing import Any, Final, Self

import msgspec
from pydantic import Field

from controlplane.model.decisions import Decision
from controlplane.model.events import EventType
from controlplane.model.explain import NameOf, nameless, with_names
from controlplane.model.grants import Grant, Refusal
from controlplane.model.shadows import Account, ShadowEntry, ShadowKind
from controlplane.model.states import Importance
from controlplane.model.workloads import Event
from controlplane.wire.base import Shape, timestamp

_OF_CAPACITY: Final = frozenset({EventType.CAPACITY_REFUSED, EventType.REPLICAS_PREEMPTED})
"""Events whose message is a grant's note."""


class EventFormatted(Shape):
    """Something that happened to a workload."""

    id: str
    workload_id: str
    timestamp: str
    event_type: str
    actor_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, event: Event, name_of: NameOf = nameless) -> Self:
        """The answer's form of an event; `name_of` says which workloads its reader may know."""
        details = event.details
        message = details.get("message")
        if event.type in _OF_CAPACITY and isinstance(message, str):
            details = {**details, "message": with_names(message, name_of)}
        return cls(
            id=event.id,
            workload_id=event.workload_id,
            timestamp=timestamp(event.at),
            event_type=event.type,
            actor_id=event.actor_id,
            details=details,
        )


class StepFormatted(Shape):
    """One step of a decision."""

    name: str
    value: float
    note: str


class HolderFormatted(Shape):
    """Who has the capacity that was refused."""

    workload_id: str
    workload_name: str | None = Field(description="null: the caller has no role on it.")
    proton_id: str
    importance: Importance
    replicas: int
    since: str = Field(description="When the oldest of these replicas got its place.")


class GrantFormatted(Shape):
    """What capacity arbitration left of a decision, and why not more."""

    granted: int = Field(description="How many of `replicas` may run.")
    refusal: Refusal
    position: int = Field(
        description="Place in the line of all that are refused, from 1; 0: it has none yet."
    )
    line: int = Field(description="How many are in it.")
    since: str = Field(description="Since when it has been getting fewer than it asks for.")
    last_asked: str
    until: str | None = Field(description="When a refusal that time ends is over.")
    holders: list[HolderFormatted] = Field(description="The largest first, at most three.")
    gave_way_to: str | None = Field(
        description="Workload for which it had to give up replicas in this time."
    )
    gave_way_to_name: str | None = Field(description="null: the caller has no role on it.")
    decided_reason: str = Field(description="The reason of the decision before it was cut.")
    note: str

    @classmethod
    def of(cls, grant: Grant, *, at: float, name_of: NameOf) -> Self:
        """The answer's form of a grant; `name_of` says which workloads its reader may know."""
        return cls(
            granted=grant.granted,
            refusal=grant.refusal,
            position=grant.position,
            line=grant.line,
            since=timestamp(grant.since),
            last_asked=timestamp(at),
            until=None if grant.until is None else timestamp(grant.until),
            holders=[
                HolderFormatted(
                    workload_id=holder.workload_id,
                    workload_name=name_of(holder.workload_id),
                    proton_id=holder.proton_id,
                    importance=holder.importance,
                    replicas=holder.replicas,
                    since=timestamp(holder.since),
                )
                for holder in grant.holders
            ],
            gave_way_to=grant.gave_way_to,
            gave_way_to_name=None if grant.gave_way_to is None else name_of(grant.gave_way_to),
            decided_reason=grant.decided_reason,
            note=with_names(grant.note, name_of),
        )


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
    grant: GrantFormatted | None = Field(
        description="What capacity arbitration left of it; null: all of it."
    )

    @classmethod
    def of(cls, decision: Decision, name_of: NameOf = nameless) -> Self:
        """The answer's form of a decision; `name_of` says which workloads its reader may know."""
        steps = [StepFormatted(name=s.name, value=s.value, note=s.note) for s in decision.steps]
        if decision.grant is not None and steps:
            # The last step is the grant's: it has the same note.
            steps[-1].note = with_names(steps[-1].note, name_of)
        return cls(
            id=decision.id,
            timestamp=timestamp(decision.at),
            workload_id=decision.workload_id,
            proton_id=decision.proton_id,
            replicas=decision.replicas,
            previous_replicas=decision.previous_replicas,
            reason=decision.reason,
            steps=steps,
            inputs=decision.inputs,
            next=decision.next,
            grant=None
            if decision.grant is None
            else GrantFormatted.of(decision.grant, at=decision.at, name_of=name_of),
        )


class DecisionRecord(DecisionFormatted):
    """One decision with all that it was made from: `tidegate replay` makes it again from this."""

    code_version: str = Field(
        description="The version of the code that made it; empty in records of older versions.",
        examples=["0.5.0+core.1f0c3a9be2d4"],
    )
    basis: dict[str, Any] | None = Field(
        description="The arguments of the decision: `observation`, `scaling`, `state` and the"
        " autoscaler's own clock. Numbers are exact. null in records of older versions.",
    )

    @classmethod
    def of(cls, decision: Decision, name_of: NameOf = nameless) -> Self:
        """The answer's form of one decision; `name_of` as in `DecisionFormatted`."""
        basis = decision.basis
        return cls(
            **dict(DecisionFormatted.of(decision, name_of)),
            code_version=decision.code,
            basis=msgspec.json.decode(basis) if isinstance(basis, msgspec.Raw) else None,
        )


class AccountFormatted(Shape):
    """What one way of deciding cost and served."""

    replica_minutes: float = Field(description="Ready and starting replicas over time.")
    surplus_replica_minutes: float = Field(
        description="Of these, replicas that were ready beyond what the load needed."
    )
    short_seconds: float = Field(description="Time in which fewer were ready than the load needed.")
    cold_starts: int = Field(description="How often somebody came while nothing was ready.")
    changes: int
    peak_replicas: int

    @classmethod
    def of(cls, account: Account) -> Self:
        """The answer's form of an account."""
        return cls(
            replica_minutes=round(account.replica_seconds / 60, 3),
            surplus_replica_minutes=round(account.surplus_seconds / 60, 3),
            short_seconds=round(account.short_seconds, 3),
            cold_starts=account.cold_starts,
            changes=account.changes,
            peak_replicas=account.peak,
        )


class ShadowFormatted(Shape):
    """What a shadow would have decided, beside what was decided, and both accounts so far."""

    kind: ShadowKind
    forecast_acts: bool = Field(
        description="Of a forecast: it acts, and the shadow is what would be without it."
    )
    compared_seconds: float
    acting_replicas: int = Field(description="The count that was acted on at the same time.")
    decision: DecisionFormatted
    acting: AccountFormatted
    shadow: AccountFormatted

    @classmethod
    def of(cls, entry: ShadowEntry) -> Self:
        """The answer's form of an entry."""
        return cls(
            kind=entry.kind,
            forecast_acts=entry.forecast_acts,
            compared_seconds=round(entry.seconds, 3),
            acting_replicas=entry.acting,
            decision=DecisionFormatted.of(entry.decision),
            acting=AccountFormatted.of(entry.acted),
            shadow=AccountFormatted.of(entry.shadowed),
        )
