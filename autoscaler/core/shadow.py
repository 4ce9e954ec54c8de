"""A second way of deciding on the same traffic, compared with what acts. It never acts.

The shadow sees what the real decision sees, but for the replicas: its own are imagined. They are
ready `start_s` after it wanted them (the proton's learned cold-start time), and leave at once.
What it cannot see is a queue of its own: requests wait as long as the real replicas let them.

Both accounts are kept by the same rule. What the load *needs* is ceil(demand now / target) by the
acting policies' target of load; without one, only replicas and changes can be compared.
"""

import msgspec

from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.plan import decide
from autoscaler.core.policy import ceil_ratio
from autoscaler.core.replica_waits import NOTHING_WAITS, Waits
from controlplane.model.decisions import Decision
from controlplane.model.shadows import Account


class Fleet(msgspec.Struct, frozen=True, gc=False):
    """Imagined replicas."""

    ready: int = 0
    starting: tuple[tuple[float, int], ...] = ()
    """When how many were asked for, monotonic, earliest first."""

    @property
    def pending(self) -> int:
        """How many start."""
        return sum(count for _, count in self.starting)

    @property
    def total(self) -> int:
        """All that are there."""
        return self.ready + self.pending

    def at(self, now_s: float, *, start_s: float) -> "Fleet":
        """Whoever was asked for `start_s` ago is ready: what is learned of it counts at once."""
        latest_s = now_s - start_s
        due = sum(count for asked_s, count in self.starting if asked_s <= latest_s)
        if not due:
            return self
        left = tuple(start for start in self.starting if start[0] > latest_s)
        return Fleet(self.ready + due, left)

    def aim(self, wanted: int, *, now_s: float) -> "Fleet":
        """Start what is missing; of what is too much, those that were asked for last go first."""
        missing = wanted - self.total
        if missing > 0:
            return Fleet(self.ready, (*self.starting, (now_s, missing)))
        surplus, left = -missing, list(self.starting)
        while surplus and left:
            asked_s, count = left.pop()
            if count > surplus:
                left.append((asked_s, count - surplus))
            surplus -= min(count, surplus)
        return Fleet(self.ready - surplus, tuple(left))


class ShadowState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a shadow remembers."""

    began_s: float
    last_s: float
    decision: DecisionState
    fleet: Fleet
    acting: int
    """The count that was acted on last."""
    acting_seen: tuple[int, int]
    """Its replicas as they were seen last: ready, and all."""
    shadow_seen: tuple[int, int]
    """The same of the imagined ones, before the shadow decided."""
    need: int | None
    """What the load needed then."""
    acted: Account = Account()
    shadowed: Account = Account()


class Now(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What goes for what acts and for its shadow alike."""

    need: int | None
    """What the load needs, see `need_of`."""
    acting: int
    """The count that is acted on."""
    start_s: float
    """How long a replica takes to become ready."""
    now_s: float
    """Monotonic clock."""


def begin(observation: Observation, scaling: Scaling, *, acting: int, now_s: float) -> ShadowState:
    """A shadow that takes over what runs.

    Args:
        observation: What is seen now.
        scaling: What acts.
        acting: The count that is acted on.
        now_s: Monotonic clock.
    """
    there = (observation.ready, observation.ready + observation.pending)
    return ShadowState(
        began_s=now_s,
        last_s=now_s,
        decision=DecisionState(wanted=acting),
        fleet=Fleet(observation.ready).aim(there[1], now_s=now_s),
        acting=acting,
        acting_seen=there,
        shadow_seen=there,
        need=need_of(observation, scaling),
    )


def need_of(observation: Observation, scaling: Scaling) -> int | None:
    """How many replicas the load of this moment needs; None: nobody knows."""
    targets = scaling.load_targets()
    if observation.load is None or not targets:
        return None
    return max(ceil_ratio(observation.load.demand_now, target) for target in targets)


def step(
    state: ShadowState,
    seen: Observation,
    shadow: Scaling,
    now: Now,
    *,
    told: bool = False,
) -> tuple[Decision, ShadowState]:
    """One decision of the shadow, and both accounts up to now.

    Args:
        state: What the last step left.
        seen: What the real decision saw; what differs for the shadow but its replicas is replaced.
        shadow: What the shadow was asked for.
        now: What goes for both sides.
        told: Whether the decision explains itself.
    """
    now_s, need, acting = now.now_s, now.need, now.acting
    elapsed_s = max(0.0, now_s - state.last_s)
    fleet = state.fleet.at(now_s, start_s=now.start_s)
    pending = fleet.pending
    own = msgspec.structs.replace(
        seen,
        ready=fleet.ready,
        pending=pending,
        waits=Waits(starting=pending) if pending else NOTHING_WAITS,
        running=None,
        young=0,
        given_up=None,
    )
    decision, memory = decide(own, shadow, state.decision, now_s=now_s, told=told)
    here, there = (fleet.ready, fleet.total), (seen.ready, seen.ready + seen.pending)
    acted = _ran(state.acted, elapsed_s, state.acting_seen, state.need)
    shadowed = _ran(state.shadowed, elapsed_s, state.shadow_seen, state.need)
    following = ShadowState(
        began_s=state.began_s,
        last_s=now_s,
        decision=memory,
        fleet=fleet.aim(decision.replicas, now_s=now_s),
        acting=acting,
        acting_seen=there,
        shadow_seen=here,
        need=need,
        acted=_grown(
            acted,
            count=acting,
            changed=acting != state.acting,
            cold=_cold(state.need, need, was=state.acting_seen[0], ready=there[0]),
        ),
        shadowed=_grown(
            shadowed,
            count=decision.replicas,
            changed=decision.replicas != decision.previous_replicas,
            cold=_cold(state.need, need, was=state.shadow_seen[0], ready=here[0]),
        ),
    )
    return decision, following


def _ran(account: Account, elapsed_s: float, there: tuple[int, int], need: int | None) -> Account:
    ready, total = there
    known = need if need is not None else ready
    return msgspec.structs.replace(
        account,
        replica_seconds=account.replica_seconds + elapsed_s * total,
        surplus_seconds=account.surplus_seconds + elapsed_s * max(0, ready - known),
        short_seconds=account.short_seconds + (elapsed_s if ready < known else 0.0),
    )


def _grown(account: Account, *, count: int, changed: bool, cold: bool) -> Account:
    return msgspec.structs.replace(
        account,
        cold_starts=account.cold_starts + cold,
        changes=account.changes + changed,
        peak=max(account.peak, count),
    )


def _cold(before: int | None, need: int | None, *, was: int, ready: int) -> bool:
    """Whether somebody has just come while nothing is ready."""
    begins = bool(need) and ready == 0
    return begins and not (before and was == 0)
