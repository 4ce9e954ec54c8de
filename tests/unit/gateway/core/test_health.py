"""How long a failing endpoint is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.health import MAX_EJECT_S, eject_for_s


@pytest.mark.parametrize(
    ("failures", "expected_s"),
    [
        pytest.param(1, 1.0, id="one-failure-is-enough"),
        pytest.param(2, 2.0, id="doubles"),
        pytest.param(5, 16.0, id="and-again"),
        pytest.param(6, MAX_EJECT_S, id="up-to-the-limit"),
        pytest.param(10_000, MAX_EJECT_S, id="without-overflow"),
    ],
)
def test_ejections_grow_with_failures_in_a_row(failures, expected_s):
    assert eject_for_s(failures, base_s=1.0) == expected_s


@given(failures=st.integers(1, 100), base_s=st.floats(0.001, 60))
def test_another_failure_never_shortens_the_ejection(failures, base_s):
    assert eject_for_s(failures, base_s=base_s) <= eject_for_s(failures + 1, base_s=base_s)
    assert eject_for_s(failures, base_s=base_s) <= MAX_EJECT_S
