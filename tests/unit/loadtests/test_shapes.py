import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.shapes import Course, Shape, users_at


def course(shape, **changes):
    return Course(**{"shape": shape, "users": 100, "base_users": 10, "run_s": 100.0, **changes})


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        pytest.param("steady", {}, {0: 100, 99.9: 100}, id="steady"),
        pytest.param("steady", {"spawn_per_s": 5}, {0: 1, 1: 6, 50: 100}, id="steady-spawning"),
        pytest.param("ramp", {}, {0: 1, 50: 51, 99.9: 100}, id="ramp"),
        pytest.param("ramp", {"users": 1}, {0: 1, 50: 1}, id="ramp-of-one"),
        pytest.param(
            "spike", {}, {0: 10, 39.9: 10, 40: 100, 59.9: 100, 60: 10, 99: 10}, id="spike"
        ),
        pytest.param("diurnal", {}, {0: 10, 25: 55, 50: 100, 75: 55, 99.9: 10}, id="diurnal"),
        pytest.param("diurnal", {"period_s": 20.0}, {0: 10, 10: 100, 20: 10, 30: 100}, id="days"),
        pytest.param("diurnal", {"base_users": 0}, {0: 0, 50: 100}, id="diurnal-from-nobody"),
        pytest.param("rate", {}, {0: 100, 99: 100}, id="rate"),
        pytest.param("replay", {"run_s": None}, {0: 100, 1e9: 100}, id="replay-has-no-end"),
    ],
)
def test_users_over_time(shape, changes, expected):
    found = course(Shape(shape), **changes)
    assert {at_s: users_at(found, at_s) for at_s in expected} == expected


@given(
    shape=st.sampled_from(Shape),
    users=st.integers(1, 10_000),
    base=st.integers(0, 10_000),
    at_s=st.floats(0, 200),
)
def test_users_are_never_more_than_all_and_none_after_the_end(shape, users, base, at_s):
    found = users_at(course(shape, users=users, base_users=min(base, users)), at_s)
    if at_s >= 100:
        assert found is None
    else:
        assert found is not None
        assert 0 <= found <= users


def test_only_a_rate_and_a_replay_are_open_loops():
    assert {shape for shape in Shape if shape.is_open} == {Shape.RATE, Shape.REPLAY}
