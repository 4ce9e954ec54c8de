"""Ids in the shape that the contract's clients check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.ids import is_object_id, object_id


@given(now_s=st.floats(0, 2**33), machine=st.binary(min_size=5, max_size=9), counter=st.integers(0))
def test_every_id_is_well_formed(now_s, machine, counter):
    assert is_object_id(object_id(now_s=now_s, machine=machine, counter=counter))


def test_an_id_is_time_then_machine_then_counter():
    text = object_id(now_s=0x01020304 + 0.9, machine=b"\xaa\xbb\xcc\xdd\xee", counter=0x070809)
    assert text == "01020304aabbccddee070809"


def test_the_counter_wraps():
    assert object_id(now_s=0, machine=bytes(5), counter=0x1000001).endswith("000001")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("0" * 23, id="short"),
        pytest.param("0" * 25, id="long"),
        pytest.param("A" * 24, id="upper-case"),
        pytest.param("g" + "0" * 23, id="no-digit"),
        pytest.param("0" * 24 + "\n", id="trailing-line-break"),
        pytest.param("\u0660" * 24, id="other-scripts-digits"),
    ],
)
def test_other_texts_are_no_ids(text):
    assert not is_object_id(text)
