"""Bounds that hold by schedule, as a decision gets them.

When schedules begin and what they mean is in `controlplane.model.schedules`, what is kept of it in
`autoscaler.schedules`; `decide` gets the bounds ready-made, so that a decision made again elsewhere
is the same.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

_SHARE: Final = 0.9


class Scheduled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The bounds that hold by schedule at one moment."""

    low: int
    high: int
    by: str = ""
    """Which schedules hold and until when; empty: none."""
    following: str = ""
    """When the bounds change next, and to what; empty: never."""


def lead_of(cold_starts_s: Sequence[float], *, guess_s: float) -> float:
    """How long before a begin to start its replicas: nine of ten were ready within that.

    Args:
        cold_starts_s: How long the proton's last replicas took to be ready.
        guess_s: What to take without any.
    """
    if not cold_starts_s:
        return guess_s
    ascending = sorted(cold_starts_s)
    return math.ceil(ascending[min(len(ascending) - 1, int(_SHARE * len(ascending)))])
