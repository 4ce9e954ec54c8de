import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.pages import (
    STATUS_ORDER,
    cut,
    importance_rank,
    matches,
    ordered,
    status_rank,
)
from controlplane.model.states import Importance, ProtonState


def test_every_state_has_a_place_in_the_order():
    assert sorted(STATUS_ORDER) == sorted(ProtonState)
    assert status_rank(ProtonState.STOPPED) < status_rank(ProtonState.RUNNING)
    assert status_rank(ProtonState.RUNNING) < status_rank(ProtonState.ERRORED)


def test_importance_ascends_from_low():
    assert sorted(Importance, key=importance_rank) == ["low", "moderate", "high", "critical"]


@pytest.mark.parametrize("text", [None, "", "NAME", "desc", "f00", "Straße".upper()])
def test_a_search_finds_parts_of_name_description_and_id(text):
    assert matches(text, name="a name in straße", description="DESCRIBED", record_id="beef00")


def test_a_search_misses_what_is_not_there():
    assert not matches("x", name="a", description="b", record_id="c")


@given(
    keys=st.lists(st.integers(0, 3), max_size=30),
    size=st.integers(1, 7),
    descending=st.booleans(),
)
def test_pages_hold_every_item_exactly_once(keys, size, descending):
    items = list(enumerate(keys))
    found = ordered(
        items,
        "-key" if descending else "key",
        keys=lambda item, _: item[1],
        record_id=lambda item: f"{item[0]:03}",
    )
    pages = [cut(found, offset=at, limit=size) for at in range(0, len(items) + size, size)]
    together = [item for page in pages for item in page]
    assert sorted(together) == items
    assert [item[1] for item in together] == sorted(keys, reverse=descending)
