"""Replicas with a GPU that is gone: no turn, and the rest of their place until they end."""

import pytest

from autoscaler.core.capacity_books import Books
from autoscaler.core.capacity_claims import Claim, Holding, Stay
from autoscaler.core.capacity_room import Node, Nodes, Spot
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.grants import Refusal
from controlplane.model.states import Importance
from tests.unit.autoscaler.core.capacity_world import (
    QUICK,
    STEADY,
    Machines,
    claim,
    gpu_node,
    holding,
    shared,
)

A10G = Spot("n1", "NVIDIA A10G")
PAIR = ReplicaNeeds(gpus=2)


def broken(name: str, left: int, stay: Stay = Stay.BROKEN) -> Holding:
    """A replica that has so many of its GPUs left."""
    model = A10G.gpu_type if left else None
    return Holding(replica_id=name, spot=Spot("n1", model), since_s=0.0, stay=stay, gpus=left)


def one(count: int) -> tuple[Node, ...]:
    return (gpu_node(count=count),)


def test_there_is_room_for_another_one_where_a_gpu_is_free():
    outcome = shared(claim("a", 2, broken("r1", 0), holding("r2"))).outcomes["a"]
    assert (outcome.granted, outcome.spots, outcome.victims) == (2, (A10G,), ())


def test_without_room_for_another_one_only_the_others_are_granted():
    outcome = shared(claim("a", 2, broken("r1", 0), holding("r2")), nodes=one(1)).outcomes["a"]
    assert (outcome.granted, outcome.spots, outcome.victims) == (1, (), ())
    assert outcome.refusal is Refusal.HELD


def test_it_must_end_where_its_successor_needs_what_it_has_left():
    found = shared(claim("a", 1, broken("r1", 1), needs=PAIR), nodes=one(2), terms=STEADY)
    outcome = found.outcomes["a"]
    assert (outcome.granted, outcome.victims) == (0, ("r1",))
    assert outcome.refusal is Refusal.DRAINING
    assert outcome.past.gave_way_s is None, "it gave way to nobody: there is nothing to pause for"
    ending = claim("a", 1, broken("r1", 1, Stay.ENDING), needs=PAIR)
    assert shared(ending, nodes=one(2)).outcomes["a"].spots == (), "it is the last one's until then"
    assert shared(claim("a", 1, needs=PAIR), nodes=one(2)).outcomes["a"].spots == (A10G,)


def test_it_stays_where_its_end_would_not_help():
    outcome = shared(claim("a", 1, broken("r1", 1), needs=PAIR), nodes=one(1)).outcomes["a"]
    assert (outcome.granted, outcome.victims, outcome.refusal) == (0, (), Refusal.NO_NODE)


def test_it_goes_before_anybody_gives_way_whoever_it_is():
    mine = claim("a", 1, broken("r1", 1), needs=PAIR, importance=Importance.CRITICAL)
    low = claim("low", 1, holding("r2"))
    found = shared(mine, low, nodes=one(2)).outcomes
    assert (found["a"].victims, found["low"].granted) == (("r1",), 0), "both are needed"
    hopeless = claim(
        "a", 1, broken("r1", 1), needs=ReplicaNeeds(gpus=3), importance=mine.importance
    )
    found = shared(hopeless, low, claim("b", 1, importance=Importance.HIGH), nodes=one(2)).outcomes
    assert (found["a"].victims, found["low"].granted) == (("r1",), 1)
    assert (found["b"].granted, found["b"].refusal) == (0, Refusal.DRAINING)


def test_where_only_such_a_replica_goes_is_the_best_place():
    apart = (gpu_node("n1", 1), gpu_node("n2", 1))
    mine = claim("a", 1, broken("r1", 1), needs=PAIR)
    low = claim("low", 1, holding("r2", node="n2"))
    top = claim("top", 1, importance=Importance.CRITICAL)
    found = shared(mine, low, top, nodes=apart).outcomes
    assert (found["a"].victims, found["low"].granted) == (("r1",), 1)


def test_what_it_has_left_is_found_when_all_others_of_its_claim_have_given_way():
    large = ReplicaNeeds(gpus=1, cpu=8.0)
    mine = claim("a", 2, broken("r1", 0), holding("r2"), needs=large)
    top = claim("top", 1, importance=Importance.CRITICAL)
    high = claim("high", 1, needs=ReplicaNeeds(cpu=12.0), importance=Importance.HIGH)
    found = shared(mine, top, high, nodes=one(1)).outcomes
    assert (found["a"].granted, found["a"].victims) == (0, ("r1",))
    assert found["high"].refusal is Refusal.DRAINING


def test_others_named_as_victims_do_not_hide_it():
    apart = (gpu_node("n1", 2), gpu_node("n2", 1))
    mine = claim("a", 2, broken("r0", 1), holding("r1"), holding("r2", node="n2"))
    top = claim("top", 1, needs=PAIR, importance=Importance.CRITICAL)
    assert shared(mine, top, nodes=apart).outcomes["a"].victims == ("r0", "r1")


def test_on_a_node_without_any_such_gpu_it_keeps_its_cores():
    cores = ReplicaNeeds(gpus=1, cpu=12.0)
    nodes = (gpu_node(count=1, model="NVIDIA L4"),)
    found = shared(claim("a", 1, broken("r1", 0), needs=cores), nodes=nodes).outcomes["a"]
    assert (found.granted, found.victims) == (0, ("r1",)), "12 of 16 cores are its own"


def test_a_node_that_is_gone_has_nothing_of_it():
    away = Holding(replica_id="r1", spot=Spot("n9", None), since_s=0.0, stay=Stay.BROKEN, gpus=0)
    assert shared(claim("a", 1, away)).outcomes["a"].spots == (A10G,)


@pytest.mark.parametrize("wanted", [0, 1])
def test_the_books_know_what_it_has_until_it_has_gone(wanted: int):
    books = Books(Nodes(one(2)), QUICK)
    books.put(claim("a", wanted, broken("r1", 1), needs=PAIR))
    books.put(claim("b", 1))
    books.settle(now_s=1.0)
    assert books.outcome("b").granted == 1 - wanted
    if not wanted:
        books.put(claim("b", 1, holding("r2")))
        books.put(claim("c", 1))
        books.settle(now_s=2.0)
        assert (books.outcome("c").granted, books.outcome("a").victims) == (0, ("r1",))


def asked(machines: Machines, name: str) -> Claim:
    return machines.books.claims[name]


def test_with_room_every_lost_gpu_costs_one_replica_and_brings_another_one():
    machines = Machines(one(4))
    machines.ask("a", 2)
    machines.settle_down()
    machines.lose(0)
    machines.settle_down()
    assert (machines.running("a"), len(asked(machines, "a").holdings)) == (2, 2)
    machines.lose(0)
    machines.lose(0)
    machines.settle_down()
    assert machines.running("a") == 1, "one GPU is left of four"
    assert [h.stay for h in asked(machines, "a").holdings].count(Stay.BROKEN) == 1, "it may serve"
    machines.ask("a", 1)
    machines.settle_down()
    assert [h.stay for h in asked(machines, "a").holdings] == [Stay.STAYING], "it goes first"
