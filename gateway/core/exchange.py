"""One proxied request, from admission to the last response byte, without any I/O.

The table answers one question: the replica is lost now, what does that mean?

    phase      means                                     if the replica is lost
    ---------  ----------------------------------------  ------------------------------------
    QUEUED     waiting for a free slot                   cannot happen
    ASSIGNED   slot held, no request byte written        QUEUED again, any method
    SENT       request bytes written, no answer yet      QUEUED if `retries` says so, else FAILED
    COMMITTED  response head forwarded to the client     FAILED: both sides are closed
    TUNNEL     101 forwarded, bytes both ways            DONE: that is how tunnels end
    DONE       ended and counted                         nothing
    FAILED     answered by the gateway, or cut, counted  nothing
"""

from enum import IntEnum
from typing import Final


class Phase(IntEnum):
    """Where an exchange is; the module docstring is the table."""

    QUEUED = 0
    ASSIGNED = 1
    SENT = 2
    COMMITTED = 3
    TUNNEL = 4
    DONE = 5
    FAILED = 6


QUEUED, ASSIGNED, SENT, COMMITTED, TUNNEL, DONE, FAILED = Phase
"""The members by name: looking one up on the class costs 0.12 us, and a request asks ten times."""


class Event(IntEnum):
    """What happens to an exchange."""

    SLOT = 0
    WRITTEN = 1
    HEAD = 2
    UPGRADED = 3
    COMPLETE = 4
    LOST_SAFE = 5
    """The replica is lost and `retries` allows another try."""
    LOST = 6
    """The replica is lost and the exchange with it."""
    CLIENT_GONE = 7
    REFUSED = 8
    """The gateway answers itself: queue full, deadline, stopped."""


TRANSITIONS: Final[dict[Phase, dict[Event, Phase]]] = {
    Phase.QUEUED: {
        Event.SLOT: Phase.ASSIGNED,
        Event.CLIENT_GONE: Phase.FAILED,
        Event.REFUSED: Phase.FAILED,
    },
    Phase.ASSIGNED: {
        Event.WRITTEN: Phase.SENT,
        Event.LOST_SAFE: Phase.QUEUED,
        Event.LOST: Phase.FAILED,
        Event.CLIENT_GONE: Phase.FAILED,
        Event.REFUSED: Phase.FAILED,
    },
    Phase.SENT: {
        Event.HEAD: Phase.COMMITTED,
        Event.UPGRADED: Phase.TUNNEL,
        Event.LOST_SAFE: Phase.QUEUED,
        Event.LOST: Phase.FAILED,
        Event.CLIENT_GONE: Phase.FAILED,
        Event.REFUSED: Phase.FAILED,
    },
    Phase.COMMITTED: {
        Event.COMPLETE: Phase.DONE,
        Event.LOST: Phase.FAILED,
        Event.CLIENT_GONE: Phase.FAILED,
    },
    Phase.TUNNEL: {
        Event.COMPLETE: Phase.DONE,
        Event.LOST: Phase.DONE,
        Event.CLIENT_GONE: Phase.DONE,
    },
    Phase.DONE: {},
    Phase.FAILED: {},
}


def next_phase(phase: Phase, event: Event) -> Phase:
    """The phase after an event.

    Raises:
        ValueError: The event cannot happen in this phase: a bug in the shell.
    """
    found = TRANSITIONS[phase].get(event)
    if found is None:
        raise ValueError(f"{event.name} cannot happen to an exchange in {phase.name}")
    return found
