"""Capacity arbitration: who gets what, and why not more."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.capacity import arbitrate
from autoscaler.core.capacity_claims import Claim, Held, Outcome, Past, Stay, Terms
from autoscaler.core.capacity_room import GpuModel, Node, Spot
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.grants import Refusal
from controlplane.model.states import IMPORTANCE_ORDER, Importance
from tests.unit.autoscaler.core.capacity_world import (
    ASKED,
    GIB,
    IMPORTANCES,
    NODES,
    ORDERED,
    QUICK,
    STEADY,
    Machines,
    Row,
    claim,
    fill,
    gpu_node,
    granted,
    holding,
    shared,
)

LOW, MODERATE, HIGH, CRITICAL = IMPORTANCE_ORDER
A10G = "NVIDIA A10G"
FOUR = ReplicaNeeds(gpus=4)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param([claim("a", 1), claim("b", 1)], {"a": 1, "b": 1}, id="enough-for-all"),
        pytest.param(
            [claim("a", 2), claim("b", 2, importance=CRITICAL)],
            {"a": 0, "b": 2},
            id="the-more-important-first",
        ),
        pytest.param(
            [claim("a", 2, floor=1), claim("b", 2, importance=CRITICAL)],
            {"a": 1, "b": 1},
            id="floors-before-everything",
        ),
        pytest.param(
            [claim("a", 2, floor=1), claim("b", 2, importance=HIGH, floor=2)],
            {"a": 0, "b": 2},
            id="floors-of-the-more-important-first",
        ),
        pytest.param(
            [claim("a", 4), claim("b", 4)], {"a": 1, "b": 1}, id="fair-shares-inside-a-class"
        ),
        pytest.param(
            [claim("a", 2), claim("b", 1, needs=ReplicaNeeds())],
            {"a": 2, "b": 1},
            id="who-needs-nothing-gets-all",
        ),
    ],
)
def test_who_gets_what_of_two_gpus(claims: list[Claim], expected: dict[str, int]):
    assert granted(*claims) == expected
    assert granted(*reversed(claims)) == expected, "the order of asking does not matter"


def test_a_large_replica_counts_as_much_as_the_small_ones_that_it_could_be():
    nodes = (gpu_node("n1", 8),)
    claims = (claim("a", 2, needs=FOUR), claim("b", 8))
    assert granted(*claims, nodes=nodes) == {"a": 1, "b": 4}


def test_all_gpus_of_a_replica_are_on_one_node():
    two_nodes = (gpu_node("n1", 2), gpu_node("n2", 2))
    outcome = shared(claim("a", 1, needs=FOUR), nodes=two_nodes).outcomes["a"]
    assert (outcome.granted, outcome.refusal) == (0, Refusal.NO_NODE)
    outcome = shared(claim("a", 1, needs=FOUR), nodes=(*two_nodes, gpu_node("n3", 4))).outcomes["a"]
    assert (outcome.granted, outcome.spots) == (1, (Spot("n3", A10G),))


def test_small_replicas_fill_nodes_that_are_in_use_so_that_large_ones_find_whole_nodes():
    nodes = (gpu_node("n1", 4), gpu_node("n2", 4))
    small = claim("a", 2, holding("r1", node="n2"))
    assert shared(small, claim("b", 1, needs=FOUR), nodes=nodes).outcomes["a"].spots == (
        Spot("n2", A10G),
    )
    assert granted(small, claim("b", 1, needs=FOUR), nodes=nodes) == {"a": 2, "b": 1}


def test_free_gpus_on_several_nodes_are_scattered():
    nodes = (gpu_node("n1", 4), gpu_node("n2", 4))
    holders = claim(
        "a",
        4,
        *(holding(f"r{n}", node="n1") for n in range(2)),
        *(holding(f"s{n}", node="n2") for n in range(2)),
        importance=HIGH,
    )
    outcome = shared(holders, claim("b", 1, needs=FOUR), nodes=nodes).outcomes["b"]
    assert (outcome.granted, outcome.refusal) == (0, Refusal.SCATTERED)


@pytest.mark.parametrize(
    ("needs", "nodes"),
    [
        (ReplicaNeeds(gpus=1, gpu_type="nvidia-a10g-1x"), ("a10g",)),
        (ReplicaNeeds(gpus=1, gpu_type="nvidia-h100"), ("h100",)),
        (ReplicaNeeds(gpus=1, gpu_memory_bytes=40 * GIB), ("h100",)),
        (ReplicaNeeds(cpu=20.0), ("h100",)),
        (ReplicaNeeds(gpus=1, memory_bytes=100 * GIB), ("h100",)),
    ],
)
def test_a_replica_goes_where_its_needs_are_met(needs: ReplicaNeeds, nodes: tuple[str, ...]):
    there = (
        gpu_node("a10g"),
        Node(
            name="h100",
            cpu=32.0,
            memory_bytes=128 * GIB,
            gpus=(GpuModel(type="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB, count=2),),
        ),
    )
    outcome = shared(claim("a", 1, needs=needs), nodes=there).outcomes["a"]
    assert (outcome.granted, tuple(spot.node for spot in outcome.spots)) == (1, nodes)


def test_cpu_and_memory_are_counted_where_they_are_asked_for():
    node = (Node(name="n1", cpu=4.0, memory_bytes=8 * GIB),)
    needs = ReplicaNeeds(cpu=1.5, memory_bytes=GIB)
    assert granted(claim("a", 4, needs=needs), nodes=node) == {"a": 2}
    needs = ReplicaNeeds(cpu=0.1, memory_bytes=3 * GIB)
    assert granted(claim("a", 4, needs=needs), nodes=node) == {"a": 2}


def test_the_less_important_give_way_first_and_the_room_comes_when_they_are_gone():
    low = claim("low", 2, holding("r1"), holding("r2"))
    top = claim("top", 1, importance=CRITICAL)
    outcomes = shared(low, top).outcomes
    assert outcomes["low"].granted == 1
    assert (outcomes["top"].granted, outcomes["top"].refusal) == (0, Refusal.DRAINING)
    low = claim("low", 2, holding("r1"), holding("r2", stay=Stay.DRAINING))
    assert shared(low, top).outcomes["top"].granted == 0, "it is alive until it has gone"
    low = claim("low", 2, holding("r1"))
    outcomes = shared(low, top).outcomes
    assert (outcomes["top"].granted, outcomes["low"].granted) == (1, 1)


def test_the_last_in_line_gives_way():
    holders = [
        claim("high", 1, holding("r1"), importance=HIGH),
        claim("low", 1, holding("r2")),
        claim("moderate", 1, holding("r3"), importance=MODERATE),
    ]
    outcomes = shared(
        *holders, claim("top", 1, importance=CRITICAL), nodes=(gpu_node(count=3),)
    ).outcomes
    assert {name: o.granted for name, o in outcomes.items()} == {
        "high": 1,
        "low": 0,
        "moderate": 1,
        "top": 0,
    }
    assert outcomes["low"].past.gave_way_to == "top"


def test_what_a_large_one_leaves_is_room_for_several_small_ones():
    large = claim("l", 1, holding("r1"), needs=FOUR)
    top = claim("t", 3, importance=CRITICAL)
    found = shared(large, top, nodes=(gpu_node(count=4),))
    assert (found.outcomes["l"].granted, len(found.promised["t"])) == (0, 3)


def test_no_more_than_needed_gives_way():
    # Last in line is the small one, but alone it is not enough, and the large one is without it.
    small = claim("s", 1, holding("r1"))
    large = claim("l", 1, holding("r2"), needs=ReplicaNeeds(gpus=3), importance=MODERATE)
    top = claim("t", 1, needs=ReplicaNeeds(gpus=3), importance=CRITICAL)
    assert granted(small, large, top, nodes=(gpu_node(count=4),)) == {"s": 1, "l": 0, "t": 0}


def test_replicas_that_hold_nothing_of_what_is_missing_stay():
    node = Node(
        name="n1",
        cpu=8.0,
        memory_bytes=8 * GIB,
        gpus=(
            GpuModel(type="NVIDIA A10G", count=1),
            GpuModel(type="NVIDIA L4", count=1),
        ),
    )
    bystander = claim("b", 1, holding("r1", model=None), needs=ReplicaNeeds(cpu=1.0))
    other = claim("o", 1, holding("r2", model="NVIDIA L4"))
    a10g = ReplicaNeeds(gpus=1, gpu_type="a10g")
    low = claim("l", 1, holding("r3"), needs=a10g, importance=MODERATE)
    top = claim("t", 1, needs=a10g, importance=CRITICAL)
    assert granted(bystander, other, low, top, nodes=(node,)) == {"b": 1, "o": 1, "l": 0, "t": 0}


def test_the_node_where_the_least_important_suffice_is_cleared():
    nodes = (gpu_node("n1", 1), gpu_node("n2", 1))
    low = claim("low", 1, holding("r2", node="n2"))
    moderate = claim("moderate", 1, holding("r1", node="n1"), importance=MODERATE)
    top = claim("top", 1, importance=CRITICAL)
    assert granted(moderate, low, top, nodes=nodes) == {"moderate": 1, "low": 0, "top": 0}


def test_who_has_given_way_once_has_its_other_replicas_further_ahead_in_line():
    nodes = (gpu_node("n1", 1), gpu_node("n2", 1), gpu_node("n3", 1))
    rich = claim("rich", 2, holding("r1", node="n1"), holding("r2", node="n2"))
    single = claim("single", 1, holding("r3", node="n3"))
    top = claim("top", 2, importance=CRITICAL)
    assert granted(rich, single, top, nodes=nodes) == {"rich": 1, "single": 0, "top": 0}


def test_room_that_somebody_has_taken_meanwhile_is_not_promised_again():
    nodes = (gpu_node("n1", 2), gpu_node("n2", 2))
    moderate = claim("m", 1, holding("r1", node="n1"), importance=MODERATE)
    low = claim("low", 1, holding("r2", node="n2"), needs=ReplicaNeeds(gpus=2))
    pair = claim("pair", 2, importance=CRITICAL, needs=ReplicaNeeds(gpus=2))
    small = claim("small", 1, importance=CRITICAL)
    found = shared(moderate, low, pair, small, nodes=nodes)
    assert {name: len(places) for name, places in found.promised.items()} == {
        "m": 1,
        "low": 0,
        "pair": 1,
        "small": 1,
    }


def test_which_replicas_go_is_said_only_where_it_matters():
    nodes = (gpu_node("n1", 1), gpu_node("n2", 2))
    low = claim("low", 3, *(holding(f"r{n}", node="n2") for n in (1, 2)), holding("r3"))
    needs = ReplicaNeeds(gpus=2)
    outcome = shared(low, claim("top", 1, needs=needs, importance=HIGH), nodes=nodes).outcomes
    assert (outcome["low"].granted, outcome["low"].victims) == (1, ("r2", "r1"))
    low = claim("low", 2, holding("r1"), holding("r2"))
    assert shared(low, claim("top", 1, importance=HIGH)).outcomes["low"].victims == ()


def test_a_replica_moves_for_a_large_one_where_it_finds_room_elsewhere():
    nodes = (gpu_node("n1", 4), gpu_node("n2", 1))
    low = claim("low", 1, holding("r1", node="n1"))
    outcomes = shared(low, claim("top", 1, needs=FOUR, importance=HIGH), nodes=nodes).outcomes
    assert outcomes["low"].victims == ("r1",)
    assert (outcomes["low"].granted, outcomes["low"].spots) == (1, (Spot("n2", A10G),))
    assert outcomes["low"].past.gave_way_s is None, "it has as many as before"


def test_equals_give_way_only_when_it_makes_shares_more_equal():
    rich = claim("rich", 2, holding("r1"), holding("r2"))
    assert granted(rich, claim("poor", 2)) == {"rich": 1, "poor": 0}
    rich = claim("rich", 2, holding("r1"))
    assert granted(rich, claim("poor", 2, holding("r2"))) == {"rich": 1, "poor": 1}
    three = (gpu_node(count=3),)
    rich = claim("b", 3, holding("r1"), holding("r2"))
    assert granted(rich, claim("a", 3, holding("r3")), nodes=three) == {"b": 2, "a": 1}


def test_nobody_gives_way_before_the_least_run_time_is_over():
    terms = Terms(min_run_s=60.0, return_s=0.0)
    low = claim("low", 2, holding("r1", since_s=980.0), holding("r2", since_s=970.0))
    top = claim("top", 1, importance=CRITICAL)
    found = shared(low, top, terms=terms)
    outcome = found.outcomes["top"]
    assert (outcome.granted, outcome.refusal, outcome.until_s) == (0, Refusal.MIN_RUN, 1030.0)
    assert found.again_s == 1030.0
    assert found.outcomes["low"].granted == 2
    outcomes = shared(low, top, terms=terms, now_s=1030.0).outcomes
    assert (outcomes["low"].granted, outcomes["top"].refusal) == (1, Refusal.DRAINING)


def test_a_floor_waits_only_for_the_least_run_time_of_the_more_important():
    machines = Machines((gpu_node(count=4),), terms=STEADY)
    machines.ask("top", 4, importance=CRITICAL)
    machines.wait(2)
    machines.ask("low", 1, floor=1)
    machines.step()
    outcome = machines.books.outcome("low")
    assert (outcome.refusal, outcome.until_s) == (Refusal.MIN_RUN, 1060.0)
    machines.wait(57)
    assert machines.granted() == {"top": 4, "low": 0}
    machines.wait(3)
    assert machines.granted() == {"top": 3, "low": 1}


def test_a_fair_share_waits_only_for_the_least_run_time_of_equals():
    machines = Machines((gpu_node(count=4),), terms=STEADY)
    machines.ask("rich", 4, importance=MODERATE)
    machines.wait(2)
    machines.ask("poor", 2, importance=MODERATE)
    machines.wait(58)
    assert machines.granted() == {"rich": 4, "poor": 0}
    machines.wait(3)
    assert machines.granted() == {"rich": 2, "poor": 2}


def test_young_replicas_ahead_in_line_are_no_reason_to_wait():
    young = (holding("r1", since_s=999.0), holding("r2", since_s=999.0))
    for held in (
        claim("h", 2, *young, importance=HIGH),
        claim("h", 2, *young, floor=2),
        claim("h", 2, young[0], holding("r3", since_s=990.0), floor=2),
    ):
        found = shared(held, claim("a", 1, importance=MODERATE), terms=STEADY)
        outcome = found.outcomes["a"]
        assert (outcome.refusal, outcome.until_s) == (Refusal.HELD, None)
        assert found.again_s is None


def test_a_young_replica_that_an_earlier_turn_keeps_may_still_be_the_one_that_goes():
    # The floor keeps what is young; once nothing is, it keeps the other one, which is older.
    nodes = (gpu_node("n1", 1), gpu_node("n2", 1, "NVIDIA L4"))
    young = holding("r1", since_s=990.0)
    older = holding("r2", since_s=900.0, node="n2", model="NVIDIA L4")
    low = claim("low", 2, young, older, floor=1)
    top = claim("top", 1, importance=CRITICAL, needs=ReplicaNeeds(gpus=1, gpu_type="a10g"))
    found = shared(low, top, nodes=nodes, terms=STEADY)
    assert (found.outcomes["top"].refusal, found.again_s) == (Refusal.MIN_RUN, 1050.0)
    found = shared(low, top, nodes=nodes, terms=STEADY, now_s=1050.0)
    assert found.outcomes["low"].victims == ("r1",)


def test_what_is_young_and_holds_cpu_only_is_waited_for_by_who_needs_a_gpu_too():
    low = claim("low", 1, holding("r1", since_s=990.0, model=None), needs=ReplicaNeeds(cpu=16.0))
    top = claim("top", 1, importance=CRITICAL, needs=ReplicaNeeds(cpu=4.0, gpus=1))
    found = shared(low, top, terms=STEADY)
    assert (found.outcomes["top"].refusal, found.again_s) == (Refusal.MIN_RUN, 1050.0)
    memory = claim("top", 1, importance=CRITICAL, needs=ReplicaNeeds(memory_bytes=2**40))
    assert shared(low, memory, terms=STEADY).again_s is None


def test_a_later_turn_waits_for_what_is_young_though_an_earlier_one_is_promised_room():
    low = claim("low", 2, holding("r1", since_s=900.0), holding("r2", since_s=990.0))
    found = shared(low, claim("top", 2, importance=CRITICAL), terms=STEADY)
    outcome = found.outcomes["top"]
    assert (outcome.refusal, outcome.until_s) == (Refusal.DRAINING, None)
    assert found.again_s == 1050.0


def test_nobody_stands_in_line_more_often_than_there_could_be_room():
    many = [
        claim("a", 10**6),
        claim("b", 10**6, holding("r1"), needs=FOUR, importance=HIGH),
        claim("c", 10**6, needs=ReplicaNeeds(gpus=1, cpu=8.0)),
        claim("d", 3),
        claim("e", 3, needs=ReplicaNeeds()),
    ]
    found = shared(*many, nodes=(gpu_node(count=8),))
    assert found.turns == (8 + 1) + (1 + 2 + 1) + (2 + 1) + 3 + 3
    assert {name: (o.granted, o.refusal) for name, o in found.outcomes.items()} == {
        "a": (0, Refusal.HELD),
        "b": (2, Refusal.HELD),
        "c": (0, Refusal.HELD),
        "d": (0, Refusal.HELD),
        "e": (3, None),
    }


def test_who_gave_way_grows_again_after_a_pause_but_has_its_floor_at_once():
    terms = Terms(min_run_s=0.0, return_s=30.0)
    pasts = {"a": Past(gave_way_s=990.0, gave_way_to="b")}
    outcome = shared(claim("a", 2, floor=1), pasts=pasts, terms=terms).outcomes["a"]
    assert (outcome.granted, outcome.refusal, outcome.until_s) == (1, Refusal.GAVE_WAY, 1020.0)
    outcome = shared(claim("a", 2, floor=1), pasts=pasts, terms=terms, now_s=1020.0).outcomes["a"]
    assert (outcome.granted, outcome.refusal) == (2, None)


def test_a_refusal_names_holders_position_and_since_when():
    held = claim("h", 2, holding("r1", since_s=5.0), holding("r2", since_s=7.0), importance=HIGH)
    first = claim("f", 1, importance=MODERATE)
    second = claim("s", 1)
    pasts = {"f": Past(refused_s=900.0)}
    outcomes = shared(held, first, second, pasts=pasts).outcomes
    assert outcomes["f"] == Outcome(
        granted=0,
        refusal=Refusal.HELD,
        position=1,
        line=2,
        held_by=(Held(claim_id="h", replicas=2, since_s=5.0),),
        past=Past(refused_s=900.0),
    )
    assert (outcomes["s"].position, outcomes["s"].past.refused_s) == (2, 1000.0)
    assert outcomes["h"] == Outcome(granted=2)


def test_who_has_only_just_been_granted_it_is_named_too():
    low = claim("low", 1, holding("r1"))
    outcomes = shared(low, claim("top", 1, importance=HIGH), nodes=(gpu_node(count=1),)).outcomes
    [held] = [h for h in outcomes["low"].held_by if h.claim_id == "top"]
    assert held == Held(claim_id="top", replicas=1, since_s=1000.0)


def test_a_refusal_does_not_name_the_claim_itself_and_at_most_three_others():
    held = [claim(name, 1, holding(name), importance=HIGH) for name in "bcde"]
    mine = claim("a", 2, holding("a1"), importance=HIGH)
    nodes = (gpu_node(count=5),)
    outcome = shared(mine, *held, nodes=nodes).outcomes["a"]
    assert [h.claim_id for h in outcome.held_by] == ["b", "c", "d"]


def test_who_has_waited_longest_is_first_among_equals():
    pasts = {"z": Past(refused_s=1.0), "a": Past(refused_s=2.0)}
    outcomes = shared(claim("a", 1), claim("z", 1), nodes=(gpu_node(count=1),), pasts=pasts)
    assert outcomes.outcomes["z"].granted == 1


def test_a_replica_that_drains_is_kept_rather_than_replaced():
    mine = claim("a", 2, holding("r1"), holding("r2", stay=Stay.DRAINING))
    assert granted(mine) == {"a": 2}
    ending = claim("a", 2, holding("r1"), holding("r2", stay=Stay.ENDING))
    assert shared(ending).outcomes["a"].refusal is Refusal.DRAINING


def test_replicas_on_nodes_that_are_gone_have_no_place():
    lost = claim("a", 1, holding("r1", node="gone"), holding("r2", model="NVIDIA L4"))
    assert shared(lost).outcomes["a"].spots == (Spot("n1", A10G),)


def test_more_may_run_than_there_is_but_nothing_is_added():
    many = claim("a", 4, *(holding(f"r{n}", since_s=999.0) for n in range(4)))
    terms = Terms(min_run_s=60.0)
    outcomes = shared(many, claim("b", 1, importance=CRITICAL), terms=terms).outcomes
    assert outcomes["b"].granted == 0


def test_large_refusals_do_not_stop_small_ones():
    claims = (claim("a", 1, needs=FOUR, importance=CRITICAL), claim("b", 1))
    assert granted(*claims) == {"a": 0, "b": 1}


# -- properties -----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(nodes=NODES, rounds=st.lists(ASKED, min_size=1, max_size=3), drawn=st.data())
def test_no_node_ever_has_more_than_it_can_carry_whatever_gpus_are_lost(
    nodes: tuple[Node, ...], rounds: list[list[Row]], drawn: st.DataObject
):
    machines = Machines(nodes)
    for number, asked in enumerate(rounds):
        for name in machines.books.claims:
            machines.ask(name, drawn.draw(st.integers(0, 4)))
        fill(machines, asked, f"c{number}")
        machines.step()  # this looks at the nodes
        for lost in drawn.draw(st.lists(st.integers(0, 9), max_size=2)):
            machines.lose(lost)
        machines.step()
    machines.settle_down()


@settings(max_examples=40)
@given(nodes=NODES, asked=ASKED, then=ASKED, lost=st.lists(st.integers(0, 9), max_size=3))
def test_the_order_of_asking_changes_nothing(
    nodes: tuple[Node, ...], asked: list[Row], then: list[Row], lost: list[int]
):
    machines = Machines(nodes)
    fill(machines, asked)
    machines.settle_down()
    for number in lost:
        machines.lose(number)
    nodes = machines.nodes
    fill(machines, then, "d")
    claims = list(machines.books.claims.values())
    one, other = (shared(*order, nodes=nodes).outcomes for order in (claims, claims[::-1]))
    assert one == other


@settings(max_examples=40)
@given(nodes=NODES, asked=ASKED)
def test_what_has_settled_down_stays_as_it_is(nodes: tuple[Node, ...], asked: list[Row]):
    machines = Machines(nodes, terms=Terms(min_run_s=5.0, return_s=3.0))
    fill(machines, asked)
    machines.settle_down()
    for _ in range(20):
        machines.step()
    before = (machines.granted(), list(machines.moves))
    for _ in range(20):
        machines.step(seconds=7.0)
    assert (machines.granted(), machines.moves) == before


@settings(max_examples=40)
@given(nodes=NODES, first=ASKED, then=ASKED)
def test_time_alone_brings_about_all_that_asking_again_would(
    nodes: tuple[Node, ...], first: list[Row], then: list[Row]
):
    machines = Machines(nodes, terms=Terms(min_run_s=5.0, return_s=3.0))
    fill(machines, first)
    machines.wait(3)
    fill(machines, then, "d")
    machines.wait(40)
    before = (machines.granted(), list(machines.moves))
    for _ in range(3):
        machines.touch()
        machines.wait(6)
    assert (machines.granted(), machines.moves) == before


@settings(max_examples=40)
@given(nodes=NODES, asked=ASKED, terms=st.sampled_from([QUICK, Terms(min_run_s=5.0, return_s=3.0)]))
def test_a_floor_that_fits_is_never_refused(
    nodes: tuple[Node, ...], asked: list[Row], terms: Terms
):
    machines = Machines(nodes, terms=terms)
    fill(machines, [(w, 0, i, n) for w, _, i, n in asked])
    machines.settle_down()
    # One replica of each is the floor now, from the most important down, as far as they fit.
    claims = list(machines.books.claims.values())
    floors = [msgspec.structs.replace(c, floor=min(1, c.wanted)) for c in claims]
    for one in floors:
        machines.books.put(one)
    machines.settle_down()
    machines.wait(30)
    alone = arbitrate(
        [msgspec.structs.replace(c, wanted=c.floor) for c in machines.books.claims.values()],
        machines.books.nodes,
        {},
        terms=QUICK,
        now_s=0.0,
    )
    for name, outcome in alone.outcomes.items():
        assert machines.books.outcome(name).granted >= outcome.granted


@settings(max_examples=80)
@given(nodes=NODES, asked=ORDERED, raised=st.integers(0, 5), importance=IMPORTANCES)
def test_more_importance_never_means_fewer_replicas_on_one_node(
    nodes: tuple[Node, ...], asked: list[Row], raised: int, importance: Importance
):
    machines = Machines(nodes[:1])
    fill(machines, asked)
    before, after = _raise(machines, f"c{raised % len(asked)}", importance)
    assert after >= before


@settings(max_examples=80)
@given(nodes=NODES, asked=ASKED, raised=st.integers(0, 5), importance=IMPORTANCES)
def test_more_importance_never_takes_a_running_replica_on_any_nodes(
    nodes: tuple[Node, ...], asked: list[Row], raised: int, importance: Importance
):
    machines = Machines(nodes)
    fill(machines, asked)
    machines.settle_down()
    before, after = _raise(machines, f"c{raised % len(asked)}", importance)
    assert after >= before


def _raise(machines: Machines, name: str, importance: Importance) -> tuple[int, int]:
    """What a claim gets before and after it becomes (at least) so important."""
    claims = machines.books.claims
    higher = max(importance, claims[name].importance, key=IMPORTANCE_ORDER.index)
    changed = [
        msgspec.structs.replace(c, importance=higher) if c.id == name else c
        for c in claims.values()
    ]
    before, after = (
        arbitrate(which, machines.books.nodes, {}, terms=QUICK, now_s=machines.now_s)
        for which in (list(claims.values()), changed)
    )
    return before.outcomes[name].granted, after.outcomes[name].granted
