"""The books of capacity: settled once for all that asked, and only as often as needed."""

import msgspec
import pytest

from autoscaler.core.capacity_books import Books
from autoscaler.core.capacity_claims import Outcome, Past, Stay, Terms
from autoscaler.core.capacity_room import Nodes, Shape, Spot
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.grants import Refusal
from controlplane.model.states import Importance
from tests.unit.autoscaler.core.capacity_world import QUICK, Machines, claim, gpu_node, holding

A10G = Spot("n1", "NVIDIA A10G")
HIGH = Importance.HIGH


@pytest.fixture
def books() -> Books:
    return Books(Nodes([gpu_node()]), QUICK)


def test_nobody_has_anything_before_the_settlement(books: Books):
    books.put(claim("a", 1))
    assert books.outcome("a") == Outcome(granted=0)
    assert books.settle(now_s=1.0) == {"a"}
    assert books.outcome("a") == Outcome(granted=1, spots=(A10G,))


def test_nothing_happens_while_nothing_changes(books: Books):
    books.put(claim("a", 2, holding("r1"), holding("r2")))
    books.put(claim("b", 1, importance=HIGH, needs=ReplicaNeeds(gpus=2)))
    assert books.settle(now_s=1.0) == {"a", "b"}
    for _ in range(3):
        books.put(claim("a", 2, holding("r1"), holding("r2")))
        assert books.settle(now_s=2.0) == set()
    assert books.arbitrations == 1


def test_with_enough_for_all_nobody_is_arbitrated(books: Books):
    books.put(claim("a", 1))
    books.settle(now_s=1.0)
    books.put(claim("a", 1, holding("r1")))
    books.put(claim("b", 1))
    assert books.settle(now_s=2.0) == {"a", "b"}
    assert books.outcome("a") == Outcome(granted=1), "the replica is where it was to be"
    books.put(claim("b", 0))
    books.put(claim("a", 2, holding("r1"), holding("r2", stay=Stay.DRAINING)))
    books.settle(now_s=3.0)
    assert books.outcome("a") == Outcome(granted=2)
    assert books.arbitrations == 0


def test_the_more_important_goes_first_whoever_asks_first(books: Books):
    books.put(claim("a", 2))
    books.put(claim("z", 2, importance=HIGH))
    books.settle(now_s=1.0)
    assert (books.outcome("a").granted, books.outcome("z").granted) == (0, 2)


def test_replicas_that_end_have_their_place_until_they_have_gone(books: Books):
    books.put(claim("a", 0, holding("r1", stay=Stay.ENDING), holding("r2", stay=Stay.ENDING)))
    books.put(claim("b", 1))
    books.settle(now_s=1.0)
    assert books.outcome("b").refusal is Refusal.DRAINING
    books.put(claim("a", 0, holding("r1", stay=Stay.ENDING)))
    assert "b" in books.settle(now_s=2.0)
    assert books.outcome("b").granted == 1


def test_who_leaves_makes_room_for_those_who_wait(books: Books):
    books.put(claim("a", 2, holding("r1"), holding("r2"), importance=HIGH))
    books.put(claim("b", 1))
    books.settle(now_s=1.0)
    assert books.outcome("b").granted == 0
    books.drop("a")
    books.drop("unheard of")
    assert books.settle(now_s=2.0) == {"b"}
    assert books.outcome("b").granted == 1
    assert books.outcome("a") == Outcome(granted=0)


def test_who_leaves_while_nobody_waits_changes_nothing(books: Books):
    books.put(claim("a", 1))
    books.settle(now_s=1.0)
    books.drop("a")
    assert books.settle(now_s=2.0) == set()
    books.put(claim("b", 2))
    books.settle(now_s=3.0)
    assert (books.outcome("b").granted, books.arbitrations) == (2, 0)


def test_a_refusal_by_time_is_looked_at_when_the_time_has_come():
    books = Books(Nodes([gpu_node(count=1)]), Terms(min_run_s=60.0, return_s=30.0))
    books.put(claim("low", 1, holding("r1", since_s=0.0)))
    books.put(claim("top", 1, importance=HIGH))
    books.settle(now_s=10.0)
    assert books.outcome("top").until_s == 60.0
    assert books.settle(now_s=59.0) == set()
    assert books.settle(now_s=60.0) == {"low", "top"}
    assert books.outcome("low").granted == 0
    # It gave way: when there is room again, it pauses first.
    books.put(claim("low", 1))
    books.put(claim("top", 0))
    books.settle(now_s=70.0)
    assert books.outcome("low").refusal is Refusal.GAVE_WAY
    assert books.outcome("low").past.gave_way_to == "top"
    books.settle(now_s=90.0)
    assert books.outcome("low").granted == 1
    assert books.outcome("low").past == Past(gave_way_s=60.0), "that is over"


def test_who_pauses_after_giving_way_is_not_served_by_the_way_either():
    books = Books(Nodes([gpu_node(count=2)]), Terms(min_run_s=0.0, return_s=30.0))
    books.put(claim("low", 2, holding("r1"), holding("r2")))
    books.put(claim("top", 1, importance=HIGH))
    books.settle(now_s=10.0)
    books.put(claim("low", 1, holding("r1")))
    books.put(claim("top", 0))
    books.settle(now_s=11.0)
    assert not books.outcome("low").refusal
    books.put(claim("low", 2, holding("r1")))
    books.settle(now_s=12.0)
    assert (books.outcome("low").granted, books.outcome("low").until_s) == (1, 40.0)


def test_a_replica_on_a_node_that_is_gone_has_no_place(books: Books):
    books.put(claim("a", 1, holding("r1", node="gone")))
    books.settle(now_s=1.0)
    assert books.outcome("a").spots == (A10G,)


class Faulty(Nodes):
    """Nodes that nothing is known about for a while."""

    works = False

    def shape(self, needs: ReplicaNeeds) -> Shape:
        if not self.works:
            raise RuntimeError("no idea")
        return super().shape(needs)


@pytest.mark.parametrize("wanted", [2, 3])  # enough for all, and not
def test_what_a_fault_keeps_from_being_settled_is_settled_the_next_time(wanted: int):
    nodes = Faulty([gpu_node()])
    books = Books(nodes, QUICK)
    books.put(claim("a", wanted, holding("r1"), holding("r2", stay=Stay.ENDING)))
    with pytest.raises(RuntimeError):
        books.settle(now_s=1.0)
    assert books.outcome("a") == Outcome(granted=1), "it keeps what it has"
    nodes.works = True
    books.put(claim("a", wanted, holding("r1")))
    assert books.settle(now_s=2.0) == {"a"}
    assert books.outcome("a").granted == 2
    nodes.works = False
    books.put(claim("b", 0, holding("r9", stay=Stay.ENDING)))
    with pytest.raises(RuntimeError):
        books.settle(now_s=3.0)
    assert books.outcome("a").granted == 2
    nodes.works = True
    assert "b" in books.settle(now_s=4.0)


def test_what_was_settled_step_by_step_is_what_one_arbitration_says():
    machines = Machines((gpu_node("n1", 4), gpu_node("n2", 4)))
    for number in range(6):
        machines.ask(f"c{number}", 1 + number % 3, importance=list(Importance)[number % 4])
        machines.step()
    machines.settle_down()
    fresh = Books(machines.books.nodes, QUICK)
    for one in machines.books.claims.values():
        fresh.put(msgspec.structs.replace(one))
    fresh.settle(now_s=machines.now_s)
    assert {n: fresh.outcome(n).granted for n in fresh.claims} == machines.granted()


def test_other_nodes_are_shared_out_anew_and_who_runs_keeps_its_place(books: Books):
    books.put(claim("a", 2, holding("r1"), holding("r2")))
    books.put(claim("b", 1, importance=HIGH))
    assert books.settle(now_s=1.0) == {"a", "b"}
    assert books.outcome("b").refusal is Refusal.DRAINING
    books.renew(Nodes([gpu_node(), gpu_node("n2", count=1)]))
    assert books.settle(now_s=2.0) == {"a", "b"}
    assert books.outcome("b").spots == (Spot("n2", "NVIDIA A10G"),)
    assert (books.outcome("a").granted, books.outcome("a").victims) == (2, ())
    assert books.settle(now_s=3.0) == set()
    books.renew(Nodes([gpu_node(count=1)]))
    books.settle(now_s=4.0)
    assert books.outcome("b").spots == ()
    books.put(claim("a", 2))
    books.settle(now_s=5.0)
    assert (books.outcome("a").granted, books.outcome("b").granted) == (0, 1), "one GPU is left"


def test_who_leaves_before_other_nodes_are_settled_leaves_nothing_behind(books: Books):
    books.put(claim("a", 2))
    books.settle(now_s=1.0)
    books.renew(Nodes([gpu_node("n0", count=4), gpu_node()]))
    books.drop("a")
    books.put(claim("b", 6))
    books.settle(now_s=2.0)
    assert books.outcome("b").granted == 6


def test_with_enough_of_a_later_candidate_nobody_is_arbitrated():
    books = Books(Nodes([gpu_node(count=1), gpu_node("n2", count=2, model="NVIDIA L4")]), QUICK)
    first, second = (ReplicaNeeds(gpus=1, gpu_type=name) for name in ("a10g", "l4"))
    books.put(claim("a", 2, needs=first, others=(second,)))
    books.settle(now_s=1.0)
    outcome = books.outcome("a")
    assert outcome.spots == (A10G, Spot("n2", "NVIDIA L4"))
    assert [choice.candidate for choice in outcome.choices] == [0, 1]
    mine = holding("r2", node="n2", model="NVIDIA L4", candidate=1)
    books.put(claim("a", 1, mine, needs=first, others=(second,)))
    books.put(claim("b", 1, needs=first))
    books.settle(now_s=2.0)
    assert (books.outcome("a").spots, books.outcome("b").spots) == ((), (A10G,))
    assert books.arbitrations == 0


@pytest.mark.parametrize("third", [False, True])  # whether somebody has to be refused
def test_of_those_who_ask_together_the_more_important_gets_the_first_candidate(third: bool):
    books = Books(Nodes([gpu_node(count=1), gpu_node("n2", count=1, model="NVIDIA L4")]), QUICK)
    first, second = (ReplicaNeeds(gpus=1, gpu_type=name) for name in ("a10g", "l4"))
    books.put(claim("a", 1, needs=first, others=(second,)))
    books.put(claim("b", 1, needs=first, others=(second,), importance=HIGH))
    if third:
        books.put(claim("c", 1, needs=first, others=(second,)))
    books.settle(now_s=1.0)
    assert (books.outcome("b").spots, books.outcome("a").granted) == ((A10G,), 1)


def test_who_is_moved_on_beside_others_is_moved_on_as_one_arbitration_says():
    nodes = [gpu_node(count=2), gpu_node("n2", count=2, model="NVIDIA L4")]
    first, second = (ReplicaNeeds(gpus=1, gpu_type=name) for name in ("a10g", "l4"))
    books = Books(Nodes(nodes), QUICK)
    for name in "ab":
        books.put(claim(name, 2, needs=first, others=(second,)))
    books.settle(now_s=1.0)
    assert books.arbitrations == 1
    for name in "ab":
        assert [spot.node for spot in books.outcome(name).spots] == ["n1", "n2"], "one each"


def test_a_candidate_that_no_node_could_carry_is_no_reason_to_arbitrate():
    books = Books(Nodes([gpu_node()]), QUICK)
    nowhere = ReplicaNeeds(gpus=8)
    for name in "ab":
        books.put(claim(name, 1, needs=nowhere, others=(ReplicaNeeds(gpus=1),)))
    books.settle(now_s=1.0)
    assert [books.outcome(name).granted for name in "ab"] == [1, 1]
    assert books.arbitrations == 0


def test_of_those_who_ask_together_the_more_important_gets_the_fuller_node():
    books = Books(Nodes([gpu_node(count=1), gpu_node("n2", count=2)]), QUICK)
    books.put(claim("a", 1))
    books.put(claim("b", 1, importance=HIGH))
    books.settle(now_s=1.0)
    assert (books.outcome("b").spots, books.arbitrations) == ((A10G,), 0)
