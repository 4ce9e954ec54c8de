"""What decisions that nobody acts on would have done: a second policy set, a forecast.

A *shadow* decides on the same live traffic as what acts, with a memory of its own, over replicas
that are only imagined: they become ready after the proton's own cold-start time and leave at once.
Its journal (`shadow-policy:<proton>`, `shadow-forecast:<proton>`) holds an entry whenever its count
changes and once a minute, each with both accounts since the shadow began.
"""

from enum import StrEnum

import msgspec

from controlplane.model.decisions import Decision


class ShadowKind(StrEnum):
    """What a shadow tries out."""

    POLICY = "policy"
    """A second policy set (`autoscaling.shadow`)."""
    FORECAST = "forecast"
    """The forecast: with it where it does not act, and without it where it does."""


class Account(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one way of deciding cost and served since the comparison began."""

    replica_seconds: float = 0.0
    """Ready and starting replicas, integrated over time."""
    surplus_seconds: float = 0.0
    """Of those, replicas that were ready beyond what the load needed."""
    short_seconds: float = 0.0
    """Time in which fewer were ready than the load needed."""
    cold_starts: int = 0
    """How often somebody came while nothing was ready."""
    changes: int = 0
    """How often the count changed."""
    peak: int = 0
    """The highest count."""


class ShadowEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a shadow's journal."""

    kind: ShadowKind
    decision: Decision
    """The shadow's own; `previous_replicas` is its own last count."""
    acting: int
    """The count that was acted on at the same moment."""
    forecast_acts: bool = False
    """Of a forecast: it acts, so this is what would be without it."""
    seconds: float
    """How long the two have been compared."""
    acted: Account
    shadowed: Account


def journal_name(kind: ShadowKind, proton_id: str) -> str:
    """The journal of a proton's shadow."""
    return f"shadow-{kind.value}:{proton_id}"
