"""May a lost request be sent again? The docstring's table, row by row."""

from itertools import product

import pytest

from gateway.core import answers
from gateway.core import retries as module
from gateway.core.retries import IDEMPOTENT, Verdict, after_loss
from tests.unit.gateway.core.tables import table

METHODS = {
    "any": [b"GET", b"POST", b"PUT", b"PATCH", b"M-SEARCH"],
    "idempotent": sorted(IDEMPOTENT),
    "not idempotent": [b"POST", b"PATCH", b"PURGE", b"get"],
}
TOUCHED = {"nothing": [False], "something": [True]}
KEPT = {"yes": [True], "no": [False], "any": [True, False]}
ROWS = table(module, first="what reached the replica")


@pytest.mark.parametrize("row", ROWS[:-1], ids=lambda row: "-".join(row).replace(" ", "-"))
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
    assert ROWS[-1] == ("(any, attempts used up)", "", "", "fail")
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
