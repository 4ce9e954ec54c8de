"""Restarts of a proton's replicas: how long to wait, and when to give up.

What the end of a process means depends on how far it had come:

    ending         means                                failed starts       wait before the next
    -------------  -----------------------------------  ------------------  -----------------------
    NEVER_READY    it ended before it was ready         one more per round  base, doubled each time
    BRIEFLY_READY  it had been ready for less than 10 s as before           none, then base, ...
    STABLE         it had been ready for 10 s or more   back to zero        none

A *round* is everything that started before the last counted failure: twenty replicas that are
started together and fail together are one failed start, not twenty. A replica that becomes ready
sets the failed starts back to zero, and one that stays ready for 10 s the waiting, too. While
starts are failing, only one replica of the proton tries at a time.

A proton is given up when nobody serves and either `crash_limit` starts in a row failed, or twice as
many processes in a row ended early: ready for a moment each time, it would else restart for ever.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

STABLE_S: Final = 10.0
"""A replica that was ready for this long proved that the proton can run."""

MAX_BACKOFF_S: Final = 30.0


class Ending(StrEnum):
    """How far a process had come when it ended; the module docstring is the table."""

    NEVER_READY = "never_ready"
    BRIEFLY_READY = "briefly_ready"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashes:
    """What a proton's recent endings amount to."""

    failed_starts: int = 0
    """Rounds in a row in which no replica became ready."""
    early_ends: int = 0
    """Ends in a row that count for the waiting."""
    counted_s: float | None = None
    """When the last ending was counted; earlier starts belong to its round."""
    not_before_s: float | None = None
    """No start before this; None: at once."""


def ending(*, ready_s: float | None, ended_s: float) -> Ending:
    """How far a process had come that was ready since `ready_s` (None: never)."""
    if ready_s is None:
        return Ending.NEVER_READY
    return Ending.STABLE if ended_s - ready_s >= STABLE_S else Ending.BRIEFLY_READY


def ended(
    crashes: Crashes, how: Ending, *, started_s: float, now_s: float, backoff_s: float
) -> Crashes:
    """Take in that one process ended by itself.

    Args:
        crashes: What was known before.
        how: How far it had come.
        started_s: When that process had been started.
        now_s: The present moment on the same clock.
        backoff_s: Wait before the second start; doubles, up to 30 s.
    """
    if how is Ending.STABLE:
        return Crashes()
    if crashes.counted_s is not None and started_s < crashes.counted_s:
        return crashes
    early_ends = crashes.early_ends + 1
    doublings = early_ends - 1 if how is Ending.NEVER_READY else early_ends - 2
    # 2 ** 32 s is beyond any limit; without the cap a float overflows after 1,024 restarts.
    wait_s = min(backoff_s * 2.0 ** min(doublings, 32), MAX_BACKOFF_S) if doublings >= 0 else 0.0
    return Crashes(
        failed_starts=crashes.failed_starts + (how is Ending.NEVER_READY),
        early_ends=early_ends,
        counted_s=now_s,
        not_before_s=now_s + wait_s,
    )


def became_ready(crashes: Crashes) -> Crashes:
    """Take in that a replica of the proton became ready: others may start at once."""
    return Crashes(early_ends=crashes.early_ends, counted_s=crashes.counted_s)


def start_wait_s(crashes: Crashes, *, launching: int, now_s: float) -> float | None:
    """How long one more replica has to wait before it may start.

    Args:
        crashes: What the recent endings amount to.
        launching: Other replicas of the proton that are being started.
        now_s: The present moment.

    Returns:
        Seconds, 0 for at once; None: not before one of the others is ready or has failed.
    """
    if crashes.failed_starts > 0 and launching > 0:
        return None
    if crashes.not_before_s is None:
        return 0.0
    return max(0.0, crashes.not_before_s - now_s)


def gave_up(crashes: Crashes, *, crash_limit: int, serving: int) -> bool:
    """Whether the proton is errored: too many failures in a row (see above) and nobody serves.

    Replicas that serve outweigh new ones that fail: those are tried again every 30 s.
    """
    failed = crashes.failed_starts >= crash_limit or crashes.early_ends >= 2 * crash_limit
    return failed and serving == 0
