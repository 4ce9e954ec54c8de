"""Refusals in words, and what they do to a decision."""

import msgspec
import pytest

from autoscaler.core.again import differences
from autoscaler.core.basis import Basis
from autoscaler.core.capacity_claims import Choice, Held, Outcome, Past
from autoscaler.core.capacity_words import chosen_because, cut, grant_of, needed, uncut
from autoscaler.core.observation import Observation, Scaling
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.grants import Grant, Holder, Refusal
from controlplane.model.states import Importance
from tests.unit.autoscaler.core.capacity_world import claim

DECISION = Decision(
    id="",
    at=5000.0,
    workload_id="w-a",
    proton_id="a",
    replicas=3,
    previous_replicas=1,
    reason=Reason.ON_TARGET,
    steps=(Step(name="bounds", value=3, note="between 0 and 8"),),
)
MINE = claim("a", 3, needs=ReplicaNeeds(gpus=1, gpu_type="a10g"))
CLAIMS = {"a": MINE, "h": claim("h", 2, importance=Importance.HIGH)}
OUTCOME = Outcome(
    granted=1,
    refusal=Refusal.HELD,
    position=2,
    line=5,
    held_by=(
        Held(claim_id="h", replicas=2, since_s=40.0),
        Held(claim_id="gone", replicas=1, since_s=1.0),
    ),
    until_s=130.0,
    past=Past(refused_s=90.0, gave_way_s=50.0, gave_way_to="h"),
)


def record(outcome: Outcome = OUTCOME) -> Grant | None:
    return grant_of(DECISION, outcome, MINE, CLAIMS, epoch=lambda at_s: at_s + 1000.0)


def test_a_refusal_becomes_a_record_with_names_and_moments():
    assert record() == Grant(
        granted=1,
        refusal=Refusal.HELD,
        position=2,
        line=5,
        since=1090.0,
        until=1130.0,
        holders=(
            Holder(
                workload_id="w-h",
                proton_id="h",
                importance=Importance.HIGH,
                replicas=2,
                since=1040.0,
            ),
        ),
        gave_way_to="w-h",
        decided_reason="on_target",
        note="1 of 3 have room for 1 a10g GPU each: the others have it and need not give way; "
        "2. of 5 in line as low; held by workload w-h (high, 2)",
    )


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_its_words(refusal: Refusal):
    found = record(Outcome(granted=0, refusal=refusal, position=1, line=1, held_by=OUTCOME.held_by))
    assert found is not None
    assert found.note.startswith("0 of 3 have room for 1 a10g GPU each: ")
    assert ("held by" in found.note) == (refusal is not Refusal.NO_NODE)
    assert (found.since, found.until, found.gave_way_to) == (DECISION.at, None, None)


def test_fewer_than_decided_has_a_record_whatever_the_settlement_was_about():
    found = record(Outcome(granted=2))
    assert found is not None
    assert (found.granted, found.refusal, found.position) == (2, Refusal.UNSETTLED, 0)
    assert found.note == (
        "2 of 3 have room for 1 a10g GPU each: what there is has not been shared out since it asked"
    )


def test_who_gets_everything_has_no_record():
    assert record(Outcome(granted=3)) is None
    assert record(Outcome(granted=3, refusal=Refusal.DRAINING)) is None


def test_a_cut_decision_keeps_its_wish_and_can_be_restored():
    grant = record()
    assert grant is not None
    after = cut(DECISION, grant)
    assert (after.replicas, after.reason, after.grant) == (3, Reason.CAPACITY, grant)
    assert after.steps[-1] == Step(name="capacity", value=1, note=grant.note)
    assert uncut(after) == DECISION
    assert uncut(DECISION) is DECISION
    assert cut(DECISION, None) is DECISION


def test_a_cut_decision_is_made_again_as_it_was_before_the_cut():
    basis = Basis(
        observation=Observation(at=5000.0, ready=1),
        scaling=Scaling(workload_id="w-a", proton_id="a", fixed=3, max_replicas=3),
        now_s=7.0,
    )
    decided, _ = basis.decide(told=True)
    grant = grant_of(decided, OUTCOME, MINE, CLAIMS, epoch=lambda at_s: at_s)
    again, found = differences(cut(decided, grant), basis)
    assert (again, found) == (decided, [])


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (ReplicaNeeds(gpus=1), "1 GPU"),
        (ReplicaNeeds(gpus=4, gpu_type="h100"), "4 h100 GPUs"),
        (ReplicaNeeds(gpus=2, gpu_memory_bytes=24 * 2**30), "2 GPUs of 24 GiB"),
        (ReplicaNeeds(cpu=0.5, memory_bytes=512 * 2**20), "0.5 cores, 512 MiB"),
        (ReplicaNeeds(), "nothing"),
    ],
)
def test_what_a_replica_needs_in_words(needs: ReplicaNeeds, words: str):
    assert needed(needs) == words


def test_a_refusal_names_all_sizes_that_would_do():
    others = (ReplicaNeeds(gpus=1, gpu_type="l4"), ReplicaNeeds(gpus=1, gpu_type="a10g"))
    mine = msgspec.structs.replace(MINE, others=others)
    found = grant_of(DECISION, OUTCOME, mine, CLAIMS, epoch=lambda at_s: at_s)
    assert found is not None
    assert found.note.startswith("1 of 3 have room for 1 a10g GPU or 1 l4 GPU each: ")


def test_why_a_replica_has_a_later_candidate_is_said_of_each_earlier_one():
    passed = (Refusal.HELD, Refusal.NO_NODE, Refusal.DRAINING)
    why = chosen_because(Choice(candidate=3, passed=passed), ("a", "b", "c", "d"))
    assert why == (
        "a: others have all of it; b: no node has as much; c: what has it is still leaving"
    )
    assert chosen_because(Choice(candidate=0), ("a", "b")) == ""
