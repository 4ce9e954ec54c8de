"""Restarts: the table of endings, rounds, back-off, and giving up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.replica_crashes import (
    MAX_BACKOFF_S,
    STABLE_S,
    Crashes,
    Ending,
    became_ready,
    ended,
    ending,
    gave_up,
    start_wait_s,
)


def failing(count: int, *, how: Ending = Ending.NEVER_READY, apart_s: float = 100) -> Crashes:
    """What is known after some endings in a row, each of a start of its own."""
    crashes = Crashes()
    for index in range(count):
        now_s = index * apart_s
        crashes = ended(crashes, how, started_s=now_s, now_s=now_s, backoff_s=0.5)
    return crashes


@pytest.mark.parametrize(
    ("ready_s", "how"),
    [
        (None, Ending.NEVER_READY),
        (100 - STABLE_S + 0.1, Ending.BRIEFLY_READY),
        (100 - STABLE_S, Ending.STABLE),
    ],
)
def test_how_far_a_process_had_come(ready_s: float | None, how: Ending):
    assert ending(ready_s=ready_s, ended_s=100) is how


@pytest.mark.parametrize(
    ("how", "waits_s"),
    [
        pytest.param(Ending.NEVER_READY, [0.5, 1, 2, 4, 8, 16, 30, 30], id="never-ready"),
        pytest.param(Ending.BRIEFLY_READY, [0, 0.5, 1, 2, 4, 8, 16, 30, 30], id="briefly-ready"),
        pytest.param(Ending.STABLE, [0, 0, 0], id="stable"),
    ],
)
def test_the_wait_doubles_up_to_its_limit(how: Ending, waits_s: list[float]):
    for count, wait_s in enumerate(waits_s, start=1):
        now_s = (count - 1) * 100
        assert start_wait_s(failing(count, how=how), launching=0, now_s=now_s) == wait_s


def test_the_wait_gets_shorter_as_time_passes():
    crashes = failing(1)
    assert start_wait_s(crashes, launching=0, now_s=0.3) == pytest.approx(0.2)
    assert start_wait_s(crashes, launching=0, now_s=9) == 0


def test_a_thousand_restarts_do_not_overflow():
    crashes = failing(2000)
    assert crashes.not_before_s == pytest.approx(1999 * 100 + MAX_BACKOFF_S)


@pytest.mark.parametrize(
    ("how", "failed_starts"),
    [(Ending.NEVER_READY, 3), (Ending.BRIEFLY_READY, 2), (Ending.STABLE, 0)],
)
def test_what_an_ending_does_to_the_failed_starts(how: Ending, failed_starts: int):
    crashes = ended(failing(2), how, started_s=500, now_s=501, backoff_s=0.5)
    assert crashes.failed_starts == failed_starts


def test_replicas_that_were_started_together_fail_as_one():
    crashes = ended(Crashes(), Ending.NEVER_READY, started_s=0, now_s=1, backoff_s=0.5)
    same = ended(crashes, Ending.NEVER_READY, started_s=0.5, now_s=2, backoff_s=0.5)
    assert same == crashes
    next_round = ended(crashes, Ending.NEVER_READY, started_s=1.5, now_s=2, backoff_s=0.5)
    assert next_round.failed_starts == 2


def test_becoming_ready_forgives_the_failed_starts_but_not_the_waiting():
    crashes = became_ready(failing(4))
    assert start_wait_s(crashes, launching=5, now_s=0) == 0
    again = ended(crashes, Ending.BRIEFLY_READY, started_s=500, now_s=500, backoff_s=0.5)
    assert again.failed_starts == 0
    assert start_wait_s(again, launching=0, now_s=500) == 4


@pytest.mark.parametrize(
    ("crashes", "launching", "wait_s"),
    [
        pytest.param(Crashes(), 7, 0, id="healthy-starts-in-parallel"),
        pytest.param(failing(1), 1, None, id="failing-starts-one-at-a-time"),
        pytest.param(failing(1, how=Ending.BRIEFLY_READY), 1, 0, id="it-had-been-ready"),
    ],
)
def test_whose_turn_it_is(crashes: Crashes, launching: int, wait_s: float | None):
    assert start_wait_s(crashes, launching=launching, now_s=0) == wait_s


@pytest.mark.parametrize(
    ("failed_starts", "serving", "expected"),
    [
        *((count, 0, count >= 5) for count in range(8)),
        *((count, 1, False) for count in range(8)),
    ],
)
def test_giving_up(failed_starts: int, serving: int, expected: bool):
    assert gave_up(failing(failed_starts), crash_limit=5, serving=serving) is expected


@pytest.mark.parametrize(("early_ends", "expected"), [(9, False), (10, True)])
def test_a_service_that_is_ready_for_a_moment_each_time_is_given_up_too(
    early_ends: int, expected: bool
):
    crashes = became_ready(failing(early_ends, how=Ending.BRIEFLY_READY))
    assert gave_up(crashes, crash_limit=5, serving=0) is expected
    assert not gave_up(crashes, crash_limit=5, serving=1)


@given(st.lists(st.sampled_from(Ending), max_size=50), st.floats(0, 10))
def test_no_wait_is_ever_negative_or_too_long(endings: list[Ending], backoff_s: float):
    crashes = Crashes()
    for index, how in enumerate(endings):
        crashes = ended(crashes, how, started_s=index, now_s=index, backoff_s=backoff_s)
        wait_s = start_wait_s(crashes, launching=0, now_s=index)
        assert wait_s is not None
        assert 0 <= wait_s <= MAX_BACKOFF_S
