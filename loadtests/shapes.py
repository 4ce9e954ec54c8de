"""How many users there are at a moment: pure functions of the time since the beginning.

    steady    all users, the whole time; with a spawn rate they come one after the other
    ramp      from one user to all of them in a straight line over the run
    spike     the base, all users from 40 % to 60 % of the run, the base again
    diurnal   from the base up to all users and back, as a cosine, once a period
    rate      open loop: requests are due at a constant rate; users only carry them
    replay    open loop: requests are due when a trace says

A closed loop (the first four) sends the next request of a user when the answer to its last one is
here: a slow service gets less load, and the waiting of those who would have come is never measured
(coordinated omission). Use an open loop to learn how long people wait.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

SPIKE_FROM, SPIKE_TO = 0.4, 0.6
"""Shares of the run between which a spike lasts."""


class Shape(StrEnum):
    """The rows of the table above."""

    STEADY = "steady"
    RAMP = "ramp"
    SPIKE = "spike"
    DIURNAL = "diurnal"
    RATE = "rate"
    REPLAY = "replay"

    @property
    def is_open(self) -> bool:
        """Whether requests leave when they are due, however slow the answers are."""
        return self in {Shape.RATE, Shape.REPLAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A shape with its numbers."""

    shape: Shape
    users: int
    """Most users at a time, at least 1; with an open loop, most requests at a time."""
    base_users: int = 1
    """Users of a spike's and a diurnal course's quiet times, 0 to `users`."""
    spawn_per_s: float | None = None
    """How fast a steady course's users come; None: all at once."""
    run_s: float | None = 60.0
    """Length of the run; None: until the trace ends."""
    period_s: float | None = None
    """A diurnal course's day; None: the whole run."""


def users_at(course: Course, at_s: float) -> int | None:
    """How many users there are.

    Args:
        course: The shape with its numbers.
        at_s: Seconds since the beginning.

    Returns:
        Their number, None when the run is over.
    """
    run_s = math.inf if course.run_s is None else course.run_s
    if at_s >= run_s:
        return None
    part = at_s / run_s
    above = course.users - course.base_users
    match course.shape:
        case Shape.STEADY if course.spawn_per_s is not None:
            return min(course.users, 1 + int(course.spawn_per_s * at_s))
        case Shape.RAMP:
            return 1 + round((course.users - 1) * part)
        case Shape.SPIKE:
            return course.users if SPIKE_FROM <= part < SPIKE_TO else course.base_users
        case Shape.DIURNAL:
            turn = at_s / (course.period_s or run_s)
            return course.base_users + round(above * (1 - math.cos(2 * math.pi * turn)) / 2)
        case _:
            return course.users
