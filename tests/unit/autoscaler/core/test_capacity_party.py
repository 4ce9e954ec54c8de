"""Claims with several candidates: which one each replica gets, keeps and counts as."""

from typing import Any

import msgspec

from autoscaler.core.capacity_claims import Choice, Claim, Holding, Stay
from autoscaler.core.capacity_room import Bin, GpuModel, Node, Spot
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.grants import Refusal
from controlplane.model.states import IMPORTANCE_ORDER
from tests.unit.autoscaler.core.capacity_world import (
    GIB,
    STEADY,
    claim,
    gpu_node,
    granted,
    holding,
    shared,
)

_, MODERATE, HIGH, CRITICAL = IMPORTANCE_ORDER
A10G = "NVIDIA A10G"
FOUR = ReplicaNeeds(gpus=4)


L4 = "NVIDIA L4"
TYPED_A10G, TYPED_L4 = (ReplicaNeeds(gpus=1, gpu_type=name) for name in ("a10g", "l4"))
BOTH = Node(
    name="n1",
    cpu=16.0,
    memory_bytes=64 * GIB,
    gpus=(GpuModel(type=A10G, count=1), GpuModel(type=L4, count=2)),
)


def either(name: str, wanted: int, *holdings: Holding, **changes: Any) -> Claim:
    """A claim that would rather have an A10G than an L4."""
    return claim(name, wanted, *holdings, needs=TYPED_A10G, others=(TYPED_L4,), **changes)


def test_each_new_replica_takes_the_first_candidate_that_has_room():
    outcome = shared(either("a", 4), nodes=(BOTH,)).outcomes["a"]
    assert outcome.spots == (Spot("n1", A10G), Spot("n1", L4), Spot("n1", L4))
    assert outcome.choices == (
        Choice(candidate=0),
        Choice(candidate=1, passed=(Refusal.HELD,)),
        Choice(candidate=1, passed=(Refusal.HELD,)),
    )
    assert (outcome.granted, outcome.refusal) == (3, Refusal.HELD)


def test_a_candidate_that_no_node_could_carry_is_passed_over():
    nowhere = ReplicaNeeds(gpus=8, gpu_type="h100")
    found = shared(claim("a", 1, needs=nowhere, others=(TYPED_L4,)), nodes=(BOTH,))
    assert found.outcomes["a"].choices == (Choice(candidate=1, passed=(Refusal.NO_NODE,)),)
    found = shared(claim("a", 1, needs=nowhere, others=(nowhere,)), nodes=(BOTH,))
    assert found.outcomes["a"].refusal is Refusal.NO_NODE


def test_room_that_is_free_now_goes_before_an_earlier_candidate_that_drains():
    drains = claim("d", 0, holding("r1", stay=Stay.ENDING), needs=TYPED_A10G)
    outcome = shared(drains, either("a", 1), nodes=(BOTH,)).outcomes["a"]
    assert outcome.choices == (Choice(candidate=1, passed=(Refusal.DRAINING,)),)
    full = claim("f", 2, *(holding(f"l{n}", model=L4) for n in (1, 2)), importance=HIGH)
    outcome = shared(drains, full, either("a", 1), nodes=(BOTH,)).outcomes["a"]
    assert (outcome.granted, outcome.refusal) == (0, Refusal.DRAINING)


def test_nobody_gives_way_while_another_candidate_has_room():
    low = claim("low", 1, holding("r1"), needs=TYPED_A10G)
    top = either("top", 3, importance=CRITICAL)
    assert granted(low, top, nodes=(BOTH,)) == {"low": 0, "top": 2}, "only the third needs it"
    top = either("top", 2, importance=CRITICAL)
    assert granted(low, top, nodes=(BOTH,)) == {"low": 1, "top": 2}


def test_of_several_candidates_the_one_where_the_last_in_line_go():
    holders = (
        claim("moderate", 1, holding("r1"), needs=TYPED_A10G, importance=MODERATE),
        claim("low", 2, holding("r2", model=L4), holding("r3", model=L4), needs=TYPED_L4),
    )
    found = shared(*holders, either("top", 1, importance=CRITICAL), nodes=(BOTH,))
    assert {name: o.granted for name, o in found.outcomes.items()} == {
        "moderate": 1,
        "low": 1,
        "top": 0,
    }
    [seat] = found.promised["top"]
    assert seat.place == Bin(0, 1)


def test_a_running_replica_stays_when_an_earlier_candidate_becomes_free():
    mine = either("a", 2, holding("r1", model=L4, candidate=1))
    outcome = shared(mine, nodes=(BOTH,)).outcomes["a"]
    assert (outcome.granted, outcome.victims, outcome.spots) == (2, (), (Spot("n1", A10G),))


def test_a_replica_counts_what_its_own_candidate_takes():
    large = ReplicaNeeds(gpus=2, gpu_type="l4")
    mine = claim(
        "a", 1, holding("r1", model=L4, candidate=1), needs=TYPED_A10G, others=(large,), floor=1
    )
    outcome = shared(mine, claim("b", 1, needs=TYPED_L4), nodes=(BOTH,)).outcomes["b"]
    assert (outcome.granted, outcome.refusal) == (0, Refusal.HELD)
    other = claim("c", 1, needs=large, importance=CRITICAL)
    mine = msgspec.structs.replace(mine, floor=0)
    assert granted(mine, other, nodes=(BOTH,)) == {"a": 1, "c": 0}, "it moves on to the A10G"


def test_who_was_moved_on_does_not_fall_back_in_line_by_it():
    pair = ReplicaNeeds(gpus=2, gpu_type="l4")
    nodes = (gpu_node("n1", 4), gpu_node("n2", 3, L4))
    full = claim("full", 3, *(holding(f"f{n}") for n in range(3)), importance=HIGH)
    on_l4 = {"node": "n2", "model": L4}
    moved = claim(
        "moved",
        2,
        holding("r1"),
        holding("r2", since_s=1.0, candidate=1, **on_l4),
        needs=TYPED_A10G,
        others=(pair,),
    )
    equal = claim("equal", 2, holding("r3", **on_l4), needs=TYPED_L4)
    assert granted(full, moved, equal, nodes=nodes) == {"full": 3, "moved": 2, "equal": 1}


def test_who_gives_way_does_so_with_the_replica_that_makes_the_room():
    large = ReplicaNeeds(gpus=2, gpu_type="l4")
    nodes = (gpu_node(count=3, model=L4),)
    mine = claim(
        "a",
        2,
        holding("r1", model=L4, candidate=1, since_s=1.0),
        holding("r2", model=L4, since_s=2.0),
        needs=TYPED_L4,
        others=(large,),
    )
    found = shared(mine, claim("top", 1, needs=large, importance=CRITICAL), nodes=nodes)
    assert found.outcomes["a"].granted == 1
    [kept] = found.promised["a"]
    assert kept.shape.gpus == 1, "the large one goes, though the other one is last in line"


def test_a_refusal_is_about_all_candidates():
    high = claim("h", 1, holding("r1"), needs=TYPED_A10G, importance=HIGH)
    young = (holding(f"l{n}", model=L4, since_s=990.0) for n in (1, 2))
    low = claim("low", 2, *young, needs=TYPED_L4)
    outcome = shared(
        high, low, either("a", 1, importance=MODERATE), nodes=(BOTH,), terms=STEADY
    ).outcomes["a"]
    assert (outcome.refusal, outcome.until_s) == (Refusal.MIN_RUN, 1050.0)
    assert [h.claim_id for h in outcome.held_by] == ["low", "h"]
    four = (gpu_node("n1", 4), gpu_node("n2", 4), gpu_node("n3", 1, L4))
    held = (holding("r0", model=L4, node="n3"), *(holding(f"r{n}", node=f"n{n}") for n in (1, 2)))
    others = claim("h", 3, *held, importance=CRITICAL)
    outcome = shared(others, claim("a", 1, needs=TYPED_L4, others=(FOUR,)), nodes=four)
    assert outcome.outcomes["a"].refusal is Refusal.SCATTERED


def test_candidates_that_take_nothing_have_no_end():
    assert granted(claim("a", 9, needs=FOUR, others=(ReplicaNeeds(),))) == {"a": 9}


def test_in_line_the_first_candidate_counts_that_some_node_could_carry():
    nowhere = ReplicaNeeds(gpus=1, gpu_type="h100")
    nodes = (gpu_node(count=4, model=L4),)
    moved = claim("a", 4, needs=nowhere, others=(TYPED_L4,))
    assert granted(moved, claim("b", 4, needs=TYPED_L4), nodes=nodes) == {"a": 2, "b": 2}


def test_of_candidates_whose_room_is_still_draining_the_first():
    ending = [
        claim("d", 0, holding("r1", stay=Stay.ENDING), needs=TYPED_A10G),
        claim("e", 0, *(holding(f"l{n}", model=L4, stay=Stay.ENDING) for n in (1, 2))),
    ]
    [seat] = shared(*ending, either("a", 1), nodes=(BOTH,)).promised["a"]
    assert seat.place == Bin(0, 0)


def test_of_candidates_for_which_the_same_ones_go_the_first():
    low = claim("low", 1, holding("r1", model=None), needs=ReplicaNeeds(cpu=12.0))
    first, second = (msgspec.structs.replace(n, cpu=12.0) for n in (TYPED_A10G, TYPED_L4))
    top = claim("top", 1, needs=first, others=(second,), importance=CRITICAL)
    found = shared(low, top, nodes=(BOTH,))
    assert found.outcomes["low"].granted == 0
    [seat] = found.promised["top"]
    assert seat.place == Bin(0, 0)


def test_who_gets_room_for_which_others_go_is_told_why_it_is_no_earlier_candidate():
    ending = claim("e", 0, holding("r1", stay=Stay.ENDING))
    pair = claim("top", 1, needs=ReplicaNeeds(gpus=2), importance=CRITICAL)
    low = claim("low", 1, holding("r2"))
    nowhere = ReplicaNeeds(gpus=8)
    next_one = claim("a", 1, needs=nowhere, others=(TYPED_A10G,), importance=HIGH)
    found = shared(ending, pair, low, next_one, nodes=(gpu_node(count=3),)).outcomes
    assert found["low"].granted == 0
    assert found["a"].choices == (Choice(candidate=1, passed=(Refusal.NO_NODE,)),)
