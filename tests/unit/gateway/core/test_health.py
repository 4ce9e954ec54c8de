"""When a failing endpoint is left alone, for how long, and how it comes back."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import health as module
from gateway.core.health import MAX_EJECT_S, MAX_STRIKES, Health, Sign, after_sign, eject_for_s
from tests.unit.gateway.core.tables import table

ROWS = {row[0].split()[0]: row[1:] for row in table(module, first="what happened")}


def test_the_table_has_every_sign():
    assert list(ROWS) == [sign.name for sign in Sign]


@pytest.mark.parametrize(("sign", "health"), list(product(Sign, Health)))
def test_the_table_is_what_happens(sign, health):
    said = ROWS[sign.name][health]
    expected = (Health.READY, 1) if said == "a strike" else (Health[said], 0)
    assert after_sign(health, sign, strikes=0) == expected


def test_the_third_strike_in_a_row_ejects():
    health, strikes = Health.READY, 0
    for number in range(1, MAX_STRIKES):
        health, strikes = after_sign(health, Sign.NO_ANSWER, strikes=strikes)
        assert (health, strikes) == (Health.READY, number)
    assert after_sign(health, Sign.NO_ANSWER, strikes=strikes) == (Health.EJECTED, 0)


def test_the_only_endpoint_gets_no_strikes():
    health, strikes = Health.READY, 0
    for _ in range(2 * MAX_STRIKES):
        health, strikes = after_sign(health, Sign.NO_ANSWER, strikes=strikes, alone=True)
    assert (health, strikes) == (Health.READY, 0)
    refused = after_sign(health, Sign.CONNECT_FAILED, strikes=0, alone=True)
    assert refused == (Health.EJECTED, 0), "what takes no connection serves nobody"


def test_an_answer_between_strikes_forgives_them():
    health, strikes = after_sign(Health.READY, Sign.NO_ANSWER, strikes=1)
    assert after_sign(health, Sign.ANSWERED, strikes=strikes) == (Health.READY, 0)


@pytest.mark.parametrize("sign", [Sign.KEPT_LOST, Sign.TIME_OVER])
def test_what_says_nothing_forgives_nothing(sign):
    assert after_sign(Health.READY, sign, strikes=2) == (Health.READY, 2)


@given(signs=st.lists(st.sampled_from(Sign)))
def test_only_answers_and_time_end_an_ejection(signs):
    health, strikes = Health.EJECTED, 0
    for sign in signs:
        before = health
        health, strikes = after_sign(health, sign, strikes=strikes)
        assert 0 <= strikes < MAX_STRIKES
        if before is Health.EJECTED and health is not Health.EJECTED:
            assert sign in {Sign.ANSWERED, Sign.TIME_OVER}


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
