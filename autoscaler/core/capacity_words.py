"""Outcomes of capacity arbitration as records, and what they do to a decision."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from autoscaler.core.capacity_claims import Choice, Claim, Outcome
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.grants import Grant, Holder, Refusal

_WHY: Final[Mapping[Refusal, str]] = {
    Refusal.HELD: "the others have it and need not give way",
    Refusal.SCATTERED: "enough is free, but not on one node",
    Refusal.NO_NODE: "no node has as much",
    Refusal.DRAINING: "others give way to it and finish their requests first",
    Refusal.MIN_RUN: "replicas behind it in line have it, but not for long enough to give way",
    Refusal.GAVE_WAY: "it gave way a moment ago and pauses before it grows again",
    Refusal.UNSETTLED: "what there is has not been shared out since it asked",
}

_PASSED: Final[Mapping[Refusal, str]] = {
    Refusal.HELD: "others have all of it",
    Refusal.NO_NODE: "no node has as much",
    Refusal.DRAINING: "what has it is still leaving",
}


def cut(decision: Decision, grant: Grant | None) -> Decision:
    """A decision after arbitration: its wish stays, the grant says what is left of it.

    Args:
        decision: From `plan.decide`.
        grant: What arbitration left; None: everything.
    """
    if grant is None:
        return decision
    step = Step(name="capacity", value=grant.granted, note=grant.note)
    return msgspec.structs.replace(
        decision, reason=Reason.CAPACITY, steps=(*decision.steps, step), grant=grant
    )


def uncut(decision: Decision) -> Decision:
    """A decision as it was before `cut`: as `plan.decide` makes it again."""
    if decision.grant is None:
        return decision
    reason = Reason(decision.grant.decided_reason)
    return msgspec.structs.replace(decision, reason=reason, steps=decision.steps[:-1], grant=None)


def grant_of(
    decision: Decision,
    outcome: Outcome,
    claim: Claim,
    claims: Mapping[str, Claim],
    *,
    epoch: Callable[[float], float],
) -> Grant | None:
    """The record of a refusal; None: everything was granted.

    Whoever may run fewer than decided gets one, even if the settlement was about another wish.

    Args:
        decision: What it is about.
        outcome: What arbitration said.
        claim: What was asked for.
        claims: Everybody's, by id, for names.
        epoch: From the clock of arbitration to epoch seconds.
    """
    if outcome.granted >= decision.replicas:
        return None
    refusal = outcome.refusal or Refusal.UNSETTLED
    past = outcome.past
    since = epoch(past.refused_s) if past.refused_s is not None else decision.at
    to = claims.get(past.gave_way_to) if past.gave_way_to is not None else None
    holders = tuple(
        Holder(
            workload_id=claims[held.claim_id].workload_id,
            proton_id=held.claim_id,
            importance=claims[held.claim_id].importance,
            replicas=held.replicas,
            since=epoch(held.since_s),
        )
        for held in outcome.held_by
        if held.claim_id in claims
    )
    sizes = " or ".join(dict.fromkeys(map(needed, claim.candidates)))
    note = f"{outcome.granted} of {decision.replicas} have room for {sizes} each: {_WHY[refusal]}"
    if outcome.position:
        note += f"; {outcome.position}. of {outcome.line} in line as {claim.importance}"
    if holders and refusal is not Refusal.NO_NODE:
        note += "; held by " + ", ".join(map(_holder, holders))
    return Grant(
        granted=outcome.granted,
        refusal=refusal,
        position=outcome.position,
        line=outcome.line,
        since=since,
        until=None if outcome.until_s is None else epoch(outcome.until_s),
        holders=holders,
        gave_way_to=to.workload_id if to is not None else None,
        decided_reason=decision.reason.value,
        note=note,
    )


def needed(needs: ReplicaNeeds) -> str:
    """What one replica needs, in words."""
    parts = []
    if needs.gpus:
        kind = f" {needs.gpu_type}" if needs.gpu_type else ""
        size = f" of {needs.gpu_memory_bytes / 2**30:g} GiB" if needs.gpu_memory_bytes else ""
        parts.append(f"{needs.gpus}{kind} GPU{'' if needs.gpus == 1 else 's'}{size}")
    if needs.cpu:
        parts.append(f"{needs.cpu:g} cores")
    if needs.memory_bytes:
        parts.append(f"{needs.memory_bytes / 2**20:g} MiB")
    return ", ".join(parts) or "nothing"


def chosen_because(choice: Choice, bundles: Sequence[str]) -> str:
    """Why a replica has none of the earlier candidates; empty: it has the first.

    Args:
        choice: Which one it has.
        bundles: What the candidates are called.
    """
    passed = zip(bundles, choice.passed, strict=False)
    return "; ".join(f"{bundle}: {_PASSED[refusal]}" for bundle, refusal in passed)


def _holder(holder: Holder) -> str:
    return f"workload {holder.workload_id} ({holder.importance}, {holder.replicas})"
