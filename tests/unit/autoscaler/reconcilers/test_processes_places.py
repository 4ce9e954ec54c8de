"""GPUs: given to one replica each, and taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import NO_MACHINES, Gpu, Inventory, Machine
from autoscaler.reconcilers.processes_places import Place, Places

A10G, L4 = Spot("n1", "A10G"), Spot("n1", "L4")
BOX = Inventory(
    machines=(
        Machine(
            name="n1",
            cpu=8.0,
            memory_bytes=2**34,
            gpus=(
                Gpu(id="a", type="A10G"),
                Gpu(id="b", type="A10G"),
                Gpu(id="c", type="L4"),
            ),
        ),
    )
)


@pytest.fixture
def places() -> Places:
    return Places(BOX)


def test_a_replica_gets_gpus_of_the_model_that_was_granted(places: Places):
    assert places.take("r1", [L4], 1) == (Place(node="n1", gpu_type="L4", gpus=("c",)), L4)
    assert places.take("r2", [L4, A10G], 2) == (
        Place(node="n1", gpu_type="A10G", gpus=("a", "b")),
        A10G,
    )
    assert places.take("r3", [L4, A10G], 1) is None


def test_without_gpus_it_only_gets_a_node(places: Places):
    assert places.take("r1", [Spot("n1", None)], 0) == (Place(node="n1"), Spot("n1", None))
    assert places.take("r1", [], 0) is None
    assert places.taken == {}


def test_what_was_given_back_is_given_again(places: Places):
    places.take("r1", [L4], 1)
    assert places.release("r1")
    assert not places.release("r1")
    assert places.take("r2", [L4], 1) is not None


def test_what_an_earlier_run_gave_stays_given(places: Places):
    places.reserve("r1", A10G, ["b"])
    found = places.take("r2", [A10G], 1)
    assert found is not None
    assert found[0].gpus == ("a",)


def test_gpus_that_are_not_there_any_more_are_not_given_back(
    places: Places, caplog: pytest.LogCaptureFixture
):
    places.reserve("r1", A10G, ["b", "gone"])
    places.reserve("r2", Spot("n2", "A10G"), ["elsewhere"])
    assert len(caplog.records) == 2
    places.release("r1")
    assert places.take("r3", [A10G], 3) is None
    assert places.take("r3", [Spot("n2", "A10G")], 1) is None
    places.release("r2")
    assert places.take("r3", [Spot("n2", "A10G")], 1) is None


def test_gpus_are_shared_out_where_there_are_any(places: Places):
    assert places.shared
    assert not Places(NO_MACHINES).shared


GPUS = st.permutations("abcde").flatmap(lambda ids: st.integers(0, 5).map(lambda n: ids[:n]))


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from("rstu"), st.integers(0, 3), st.sampled_from([A10G, L4])),
            GPUS,
        )
    )
)
def test_no_gpu_is_ever_anybody_s_twice(steps: list[tuple[str, int, Spot] | list[str]]):
    places = Places(BOX)
    for step in steps:
        if isinstance(step, list):
            places.renew(box(*step))
            continue
        replica_id, gpus, spot = step
        if replica_id in places.taken:
            places.release(replica_id)
        else:
            places.take(replica_id, [spot], gpus)
        given_away = [gpu for _, mine in places.taken.values() for gpu in mine]
        assert len(set(given_away)) == len(given_away)
    places.renew(BOX)
    for replica_id in [*places.taken]:
        places.release(replica_id)
    assert places.take("x", [A10G], 2) is not None
    assert places.take("y", [L4], 1) is not None


def box(*gpus: str) -> Inventory:
    """The node with these A10G."""
    found = tuple(Gpu(id=name, type="A10G") for name in gpus)
    return Inventory(machines=(Machine(name="n1", cpu=8.0, memory_bytes=2**34, gpus=found),))


def test_of_other_gpus_those_are_free_that_nobody_has(places: Places):
    places.take("r1", [A10G], 1)
    places.renew(box("a", "b", "d"))
    found = places.take("r2", [A10G], 2)
    assert found is not None
    assert found[0].gpus == ("b", "d")
    assert places.take("r3", [L4], 1) is None


def test_what_is_not_there_any_more_is_not_given_again(places: Places):
    places.take("r1", [A10G], 2)
    places.take("r2", [L4], 1)
    places.renew(box("b"))
    assert places.release("r1")
    assert places.release("r2")
    assert places.take("r3", [A10G], 2) is None
    found = places.take("r3", [A10G], 1)
    assert found is not None
    assert found[0].gpus == ("b",)


def test_gpus_are_shared_from_the_first_on_and_for_good():
    places = Places(NO_MACHINES)
    assert not places.shared
    places.renew(BOX)
    assert places.shared
    places.renew(NO_MACHINES)
    assert places.shared


def test_a_gpu_that_returns_is_still_whose_it_was(places: Places):
    places.take("r1", [A10G], 2)
    places.renew(box("b"))
    places.renew(box("a", "b", "d"))
    found = places.take("r2", [A10G], 1)
    assert found is not None
    assert found[0].gpus == ("d",)


def test_a_gpu_that_returns_is_still_whose_it_was_before_the_restart():
    places = Places(box("b", "d"))
    places.reserve("r1", A10G, ["a", "b"])
    places.reserve("r2", A10G, ["b"])  # what no record should say
    places.renew(box("a", "b", "d"))
    found = places.take("r3", [A10G], 1)
    assert found is not None
    assert found[0].gpus == ("d",)
    places.release("r2")
    assert places.take("r4", [A10G], 1) is None
    places.release("r1")
    assert places.take("r4", [A10G], 2) is not None


def test_a_gpu_that_is_called_something_else_is_the_same_one(places: Places):
    places.take("r1", [A10G], 1)
    renamed = Spot("n1", "NVIDIA A10G")
    places.renew(
        Inventory(
            machines=(
                Machine(
                    name="n1", cpu=8.0, memory_bytes=1, gpus=(Gpu(id="a", type="NVIDIA A10G"),)
                ),
            )
        )
    )
    assert places.take("r2", [renamed], 1) is None
    places.release("r1")
    assert places.take("r2", [renamed], 1) is not None
