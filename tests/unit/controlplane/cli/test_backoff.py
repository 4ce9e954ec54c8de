from hypothesis import given
from hypothesis import strategies as st

from controlplane.cli.backoff import (
    FIRST_DELAY_S,
    MAX_DELAY_S,
    STEADY_AFTER_S,
    RestartState,
    next_restart,
)


def delays(count: int, ran_s: float = 0.0) -> list[float]:
    state, found = RestartState(), []
    for _ in range(count):
        delay, state = next_restart(state, ran_s=ran_s)
        found.append(delay)
    return found


def test_quick_deaths_wait_twice_as_long_each_time_up_to_the_bound():
    assert delays(9) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


def test_a_death_after_steady_work_is_restarted_at_once_again():
    _, state = next_restart(RestartState(quick_deaths=9), ran_s=STEADY_AFTER_S)
    assert state == RestartState(quick_deaths=1)
    assert delays(3, ran_s=STEADY_AFTER_S) == [FIRST_DELAY_S] * 3


@given(quick=st.integers(0, 10**9), ran_s=st.floats(0, 1e9))
def test_a_delay_is_always_within_its_bounds(quick, ran_s):
    delay, state = next_restart(RestartState(quick_deaths=quick), ran_s=ran_s)
    assert FIRST_DELAY_S <= delay <= MAX_DELAY_S
    assert state.quick_deaths >= 1
