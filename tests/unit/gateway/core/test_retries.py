"""May a lost request be sent again? The docstring's table, row by row."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import answers
from gateway.core import retries as module
from gateway.core.retries import IDEMPOTENT, WINDOW_S, RetryBudget, Verdict, after_loss
from tests.unit.gateway.core.tables import table

METHODS = {
    "any": [b"GET", b"POST", b"PUT", b"PATCH", b"M-SEARCH"],
    "idempotent": sorted(IDEMPOTENT),
    "not idempotent": [b"POST", b"PATCH", b"PURGE", b"get"],
}
TOUCHED = {"nothing": [False], "something": [True]}
KEPT = {"yes": [True], "no": [False], "any": [True, False]}
ROWS = table(module, first="what reached the replica")


@pytest.mark.parametrize("row", ROWS[:-2], ids=lambda row: "-".join(row).replace(" ", "-"))
def test_the_table_is_what_happens(row):
    reached, methods, kept, answer = row
    for touched, method, body_kept in product(TOUCHED[reached], METHODS[methods], KEPT[kept]):
        verdict = after_loss(
            method=method, touched=touched, body_kept=body_kept, attempts=1, max_attempts=3
        )
        assert (verdict is Verdict.AGAIN) is (answer == "again")
        if verdict is not Verdict.AGAIN:
            assert verdict is (Verdict.RESET if touched else Verdict.UNREACHABLE)


@pytest.mark.parametrize(
    ("touched", "expected"), [(False, Verdict.UNREACHABLE), (True, Verdict.RESET)]
)
@pytest.mark.parametrize("attempts", [3, 4], ids=["the-last", "beyond"])
def test_attempts_are_limited_whatever_the_rest_says(touched, expected, attempts):
    assert ROWS[-2] == ("(any, attempts used up)", "", "", "fail")
    for method, body_kept in product(METHODS["any"], KEPT["any"]):
        verdict = after_loss(
            method=method, touched=touched, body_kept=body_kept, attempts=attempts, max_attempts=3
        )
        assert verdict is expected


def test_the_last_attempt_but_one_may_be_repeated():
    verdict = after_loss(method=b"GET", touched=False, body_kept=True, attempts=2, max_attempts=3)
    assert verdict is Verdict.AGAIN


def test_verdicts_that_fail_are_codes_of_answers():
    assert Verdict.UNREACHABLE.value == answers.UNREACHABLE.code
    assert Verdict.RESET.value == answers.RESET.code


def granted(budget, *, asked, started, now_s):
    return sum(budget.take(started=started, now_s=now_s) for _ in range(asked))


def test_a_lost_replica_with_little_traffic_is_within_the_budget():
    assert ROWS[-1][0] == "(any, budget used up)"
    budget = RetryBudget(ratio=0.2, at_least=10)
    assert granted(budget, asked=50, started=3, now_s=5.0) == 10


def test_the_budget_grows_with_the_requests_of_its_window():
    budget = RetryBudget(ratio=0.2, at_least=10)
    assert granted(budget, asked=50, started=1000, now_s=0.0) == 10
    assert granted(budget, asked=50, started=1100, now_s=1.0) == 20


def test_a_new_window_has_a_budget_of_its_own():
    budget = RetryBudget(ratio=0.5, at_least=2)
    assert granted(budget, asked=5, started=10, now_s=0.0) == 2
    assert granted(budget, asked=5, started=10, now_s=WINDOW_S - 0.001) == 0
    assert granted(budget, asked=5, started=10, now_s=WINDOW_S) == 2


@given(
    ratio=st.floats(0, 2),
    at_least=st.integers(0, 20),
    arrivals=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20),
)
def test_repeats_in_a_window_never_exceed_their_share(ratio, at_least, arrivals):
    budget = RetryBudget(ratio=ratio, at_least=at_least)
    started = repeats = 0
    first = None
    for number, (requests, losses) in enumerate(arrivals):
        started += requests
        first = started if first is None and losses else first
        now_s = number * WINDOW_S / 100
        repeats += granted(budget, asked=losses, started=started, now_s=now_s)
    assert repeats <= at_least + ratio * (started - (first or 0)) + 1
