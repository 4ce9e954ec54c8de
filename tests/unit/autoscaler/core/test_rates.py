"""How far a count may move in one decision, and in a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.notes import said
from autoscaler.core.rates import limited, remembered
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings

FEW = AutoscalerSettings(
    max_scale_down_rate=9,
    max_scale_up_replicas=3,
    max_scale_down_replicas=2,
    scale_limit_period_s=60,
)
BOTH = AutoscalerSettings(
    max_scale_up_rate=2,
    max_scale_up_replicas=9,
    max_scale_down_rate=2,
    max_scale_down_replicas=9,
)


@pytest.mark.parametrize(
    ("settings", "wish", "counts", "expected", "note"),
    [
        pytest.param(FEW, 7, ((0, 4),), 7, "7 wanted", id="up-to-the-limit"),
        pytest.param(FEW, 8, ((0, 4),), 7, "8 wanted, at most 4 + 3 in 60 s", id="and-no-more"),
        pytest.param(
            FEW, 8, ((0, 2), (9, 4)), 5, "8 wanted, at most 2 + 3 in 60 s", id="over-the-period"
        ),
        pytest.param(
            FEW, 8, ((0, 0), (9, 4)), 4, "8 wanted, at most 0 + 3 in 60 s", id="never-turned-around"
        ),
        pytest.param(FEW, 2, ((0, 4),), 2, "2 wanted", id="down-to-the-limit"),
        pytest.param(FEW, 1, ((0, 4),), 2, "1 wanted, no less than 4 - 2 in 60 s", id="no-further"),
        pytest.param(
            FEW, 2, ((0, 5), (9, 4)), 3, "2 wanted, no less than 5 - 2 in 60 s", id="since-the-peak"
        ),
        pytest.param(
            BOTH, 20, ((0, 4),), 8, "20 wanted, at most 2 x 4 ready at once", id="a-rate-is-less"
        ),
        pytest.param(
            BOTH, 0, ((0, 4),), 2, "0 wanted, at most 4 ready / 2 at once", id="and-down-as-well"
        ),
        pytest.param(BOTH, 4, ((0, 4),), 4, "4 wanted", id="nothing-to-do"),
    ],
)
def test_limits(settings, wish, counts, expected, note):
    count, reason, why = limited(wish, ready=4, current=4, counts=counts, settings=settings)
    assert (count, said(why)) == (expected, note)
    moved = {count < wish: Reason.SCALE_UP_LIMITED, count > wish: Reason.SCALE_DOWN_LIMITED}
    assert reason is moved.get(True, Reason.ON_TARGET)


def test_one_direction_alone_may_be_limited():
    up = AutoscalerSettings(max_scale_up_replicas=1, max_scale_down_rate=2)
    assert limited(9, ready=4, current=4, counts=((0, 4),), settings=up)[0] == 5
    assert limited(2, ready=4, current=4, counts=((0, 4),), settings=up)[0] == 2


def test_nothing_is_remembered_without_limits():
    plain = AutoscalerSettings()
    assert remembered(((0, 4),), current=5, settings=plain, now_s=1.0) == ()


def test_counts_are_remembered_for_the_period():
    counts = ()
    for now_s, current in [(0, 2), (1, 2), (10, 4), (50, 3), (69, 3)]:
        counts = remembered(counts, current=current, settings=FEW, now_s=now_s)
    assert counts == ((0, 2), (10, 4), (50, 3))
    assert remembered(counts, current=3, settings=FEW, now_s=70) == ((10, 4), (50, 3))
    assert remembered(counts, current=3, settings=FEW, now_s=500) == ((50, 3),)


@given(
    wishes=st.lists(st.integers(0, 100), min_size=1, max_size=80),
    start=st.integers(1, 50),
)
def test_no_minute_moves_further_than_the_limits(wishes, start):
    settings = AutoscalerSettings(
        max_scale_up_rate=1000,
        max_scale_down_rate=1000,
        max_scale_up_replicas=3,
        max_scale_down_replicas=2,
        scale_limit_period_s=5,
    )
    counts, current, history = (), start, [start] * 6
    for second, wish in enumerate(wishes):
        counts = remembered(counts, current=current, settings=settings, now_s=float(second))
        current = limited(wish, ready=current, current=current, counts=counts, settings=settings)[0]
        history.append(current)
        lately = history[-6:]
        assert current - min(lately) <= 3
        assert max(lately) - current <= 2
