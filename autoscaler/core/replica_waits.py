"""What replicas wait for that were asked for and do not serve: told apart, because it matters.

    a replica that                                          counts as   may be counted on
    ------------------------------------------------------  ----------  -----------------
    is pending: no place for it, or not its turn            unplaced    yes
    is provisioning: volumes and secrets of its place       preparing   yes
    is launching, and its process has not begun: its image  pulling     yes
    is launching: its process runs, nothing is proven       starting    yes
    was ready, and its readiness check fails                unready     no: it may be overloaded
    ended, and is to be started again                       crashing    no
    had to make room for something more important           displaced   no
    is on a node that is silent                             lost        no

*Counted on*: when measured use asks for more, replicas that are about to serve are part of the
answer already, and what is asked for in addition is less. A replica that crashes is part of no
answer: counting on it would leave the others with its share for ever.
"""

from collections.abc import Iterable

import msgspec

from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica


class Waits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How many replicas wait for what; the module's table."""

    unplaced: int = 0
    preparing: int = 0
    pulling: int = 0
    starting: int = 0
    unready: int = 0
    crashing: int = 0
    displaced: int = 0
    lost: int = 0

    @property
    def doubtful(self) -> int:
        """Those that nobody should count on."""
        return self.unready + self.crashing + self.displaced + self.lost

    @property
    def total(self) -> int:
        """All of them."""
        coming = self.unplaced + self.preparing + self.pulling + self.starting
        return coming + self.doubtful


NOTHING_WAITS = Waits()

_WORDS = {
    "unplaced": "without a place",
    "preparing": "being prepared",
    "pulling": "pulling its image",
    "starting": "starting",
    "unready": "failing its readiness check",
    "crashing": "crashing",
    "displaced": "displaced",
    "lost": "on a silent node",
}

_COUNTED = {
    ReplicaPhase.PENDING: "unplaced",
    ReplicaPhase.PROVISIONING: "preparing",
    ReplicaPhase.LAUNCHING: "starting",
    ReplicaPhase.UNREADY: "unready",
    ReplicaPhase.RESTARTING: "crashing",
    ReplicaPhase.INTERRUPTED: "displaced",
    ReplicaPhase.LOST: "lost",
}
"""Other phases serve, leave, or have failed for good."""


def waits_of(replicas: Iterable[Replica]) -> Waits:
    """Count replicas by what they wait for."""
    counts: dict[str, int] = {}
    for replica in replicas:
        if replica.phase is ReplicaPhase.READY:
            continue
        phase = replica.shown_phase()
        name = _COUNTED.get(phase)
        if name is None:
            continue
        if phase is ReplicaPhase.LAUNCHING and replica.started_at is None:
            name = "pulling"
        counts[name] = counts.get(name, 0) + 1
    return Waits(**counts) if counts else NOTHING_WAITS


def in_words(waits: Waits) -> str:
    """`1 crashing, 2 starting`, the worst first; empty: nothing waits."""
    return ", ".join(
        f"{count} {_WORDS[name]}"
        for name in reversed(Waits.__struct_fields__)
        if (count := getattr(waits, name))
    )


def in_numbers(waits: Waits) -> dict[str, float | None]:
    """The counts that are not zero, by name, for a decision's inputs."""
    return {name: n for name in Waits.__struct_fields__ if (n := getattr(waits, name))}
