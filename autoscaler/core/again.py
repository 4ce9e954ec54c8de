"""Makes a recorded decision again from its basis, and says where the two differ.

Same code, same basis, same decision, bit for bit: anything else is a fault, or another version of
the code. What others add to a decision after `decide` (steps of their own, a grant) is not part of
it and not compared.
"""

from typing import Any, Final

import msgspec

from autoscaler.core.basis import Basis
from autoscaler.core.capacity_words import uncut
from controlplane.model.decisions import Decision

COMPARED: Final = (
    *("workload_id", "proton_id", "replicas", "previous_replicas", "reason", "inputs", "next"),
)
"""Parts of a decision that must be the same; steps are compared one by one."""


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One part of a decision that came out otherwise."""

    part: str
    """For example `replicas`, or `step damping`."""
    recorded: Any
    again: Any


def differences(recorded: Decision, basis: Basis) -> tuple[Decision, list[Difference]]:
    """Decide again.

    Args:
        recorded: The record.
        basis: What it was made from.

    Returns:
        The decision as it comes out now, and what is not the same; empty: identical.
    """
    again, _ = basis.decide(told=True)
    recorded = uncut(recorded)
    found = [
        Difference(part, old, new)
        for part in COMPARED
        if (old := getattr(recorded, part)) != (new := getattr(again, part))
    ]
    for index, step in enumerate(again.steps):
        held = recorded.steps[index] if index < len(recorded.steps) else None
        if held != step:
            found.append(Difference(f"step {step.name}", held, step))
    return again, found
