"""Passive health: a failing endpoint gets no requests for a while, then another chance."""

from typing import Final

MAX_EJECT_S: Final = 30.0


def eject_for_s(failures: int, *, base_s: float) -> float:
    """How long an endpoint stays out after its `failures`-th failure in a row (1 and up).

    Doubles from `base_s` to 30 s. One failure is enough: connecting to a local or in-cluster
    replica does not fail by chance, and every request sent there meanwhile would need a retry.
    """
    factor: float = 2.0 ** min(failures - 1, 16)
    return min(base_s * factor, MAX_EJECT_S)
