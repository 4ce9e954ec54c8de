"""Plans of writes, and the errors of requests that the rules forbid."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from controlplane.model.events import EventType
from controlplane.model.kinds import Record
from controlplane.model.workloads import Event, Replacement

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)


PLATFORM: Final = ""
"""Who acts where nobody asked: the clock did."""


class Held(NamedTuple, Generic[R_co]):
    """A record and the version it was read at."""

    record: R_co
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Write `record` if it is at version `expected`; 0: if it does not exist."""

    record: Record
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete a record if it is at version `expected`."""

    kind: type[Record]
    id: str
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[R]):
    """Writes that happen all or not at all, and what the journal says about them."""

    subject: R
    """The record that the request is about, as it will be."""
    writes: tuple[Save | Remove, ...] = ()
    """Empty: the request is fulfilled already."""
    events: tuple[Event, ...] = ()
    history: tuple[Replacement, ...] = ()
    """Replacements and promotes that ended with this: entries of `history:<workload>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Who acts, when, and where new ids come from."""

    actor_id: str
    """A user's id, or `PLATFORM`."""
    now_s: float
    """Epoch seconds."""
    new_id: Callable[[], str] = field(repr=False)

    def event(self, workload_id: str, kind: EventType, **details: object) -> Event:
        """A journal entry of this moment."""
        return Event(
            id=self.new_id(),
            workload_id=workload_id,
            at=self.now_s,
            type=kind,
            actor_id=self.actor_id or None,
            details=details,
        )


class RuleError(Exception):
    """A request that the rules forbid. `status` is HTTP's; the text goes to the client."""

    status: int = 400


class NotFoundError(RuleError):
    """Nothing with that id, or it was deleted."""

    status = 404


class ForbiddenError(RuleError):
    """No role that allows it, a limit of the installation, or a locked artifact."""

    status = 403


class StateError(RuleError):
    """Not in this state: something else has to happen first, or somebody was faster."""

    status = 409


class UnfitError(RuleError):
    """Well-formed, but it cannot work as asked."""

    status = 422
