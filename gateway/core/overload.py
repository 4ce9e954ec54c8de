"""Who is refused when the gateway itself runs full: the least important first.

    importance   refused when this share of the worker's limit is used
    -----------  ------------------------------------------------------
    low          80 %
    moderate     90 %
    high         95 %
    critical     100 %

Two things run out in a worker: live exchanges (each has connections, timers, buffers) and the
memory of requests that wait. The lateness of the event loop is not a signal: a worker whose core is
busy is late by one round over the ready connections at every load, and refusing costs it as much as
serving (27 us against 18 us of Python for a refusal that is logged, and 8 us less in the kernel).
"""

from typing import Final

from controlplane.model.states import Importance

SHARES: Final[dict[Importance, float]] = {
    Importance.LOW: 0.80,
    Importance.MODERATE: 0.90,
    Importance.HIGH: 0.95,
    Importance.CRITICAL: 1.00,
}

UNLIMITED: Final = 1 << 62

DESCRIPTORS_PER_EXCHANGE: Final = 2
"""One to the client, one to the replica."""

SPARE_DESCRIPTORS: Final = 64
"""Store, listeners, logs, the admin port."""


def allowed(limit: int, importance: Importance) -> int:
    """How much of a worker's limit requests of an importance may use up.

    Args:
        limit: Of exchanges or bytes; 0: none.
        importance: Of the workload.

    Returns:
        At least 1, so that an idle worker refuses nobody.
    """
    return max(1, int(limit * SHARES[importance])) if limit else UNLIMITED


def exchange_limit(wanted: int, *, descriptors: int | None) -> int:
    """How many exchanges one worker can really have at a time.

    Args:
        wanted: The setting; 0: no limit but the operating system's.
        descriptors: How many files the process may have open; None: any number.
    """
    if descriptors is None:
        return wanted
    possible = max(1, (descriptors - SPARE_DESCRIPTORS) // DESCRIPTORS_PER_EXCHANGE)
    return min(wanted, possible) if wanted else possible


def connection_limit(wanted: int, *, descriptors: int | None) -> int:
    """How many client connections one worker can really have open.

    Args:
        wanted: The setting; 0: no limit but the operating system's.
        descriptors: How many files the process may have open; None: any number.

    Returns:
        At most half of the descriptors: the other half is for replicas, so that a flood of
        connections cannot keep those that are served from being answered. 0: no limit.
    """
    if descriptors is None:
        return wanted
    possible = max(1, (descriptors - SPARE_DESCRIPTORS) // 2)
    return min(wanted, possible) if wanted else possible
