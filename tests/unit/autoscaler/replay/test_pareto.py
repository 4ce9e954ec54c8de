import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.replay.pareto import at, front, nearest_to_ideal, swapped

COSTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=12)


def same(item):
    return item


def test_what_another_beats_in_everything_is_not_on_the_front():
    assert front([(1, 5), (2, 4), (3, 4), (5, 1), (6, 6)], same) == [(1, 5), (2, 4), (5, 1)]


def test_of_equals_the_first_stays():
    items = [("a", 1, 1), ("b", 1, 1)]
    assert front(items, lambda item: item[1:]) == [("a", 1, 1)]


@given(COSTS)
def test_everything_is_on_the_front_or_beaten_by_it(items):
    best = front(items, same)
    assert len(set(best)) == len(best)
    for item in items:
        assert any(all(b <= c for b, c in zip(one, item, strict=True)) for one in best)


@given(COSTS)
def test_nothing_on_the_front_beats_another_of_it(items):
    best = front(items, same)
    for one in best:
        for other in best:
            beats = all(a <= b for a, b in zip(one, other, strict=True))
            assert one == other or not beats


def test_the_recommended_one_is_nearest_to_the_best_of_each():
    assert nearest_to_ideal([(0, 100), (2, 10), (10, 0)], same) == (2, 10)


def test_a_cost_that_is_the_same_for_all_does_not_matter():
    assert nearest_to_ideal([(3, 7), (2, 7)], same) == (2, 7)


@pytest.mark.parametrize(
    ("x", "want"), [(1, 10), (2, 6), (3, 2), (4, 1), (0.9, None), (5.1, None), (5, 0)]
)
def test_a_front_is_straight_between_its_points(x, want):
    assert at([(3, 2), (1, 10), (5, 0)], x) == want


def test_an_empty_front_says_nothing():
    assert at([], 1) is None


def test_a_single_point_says_only_its_own():
    assert at([(2, 7)], 2) == 7


def test_a_front_can_be_read_the_other_way():
    assert at(swapped([(1, 10), (3, 2)]), 6) == 2
