"""The table of `idle`, row by row."""

import itertools

import pytest

from autoscaler.core.idle import idleness
from autoscaler.core.steps import Idleness, Zero
from tests.unit.autoscaler.core.reports_for_tests import steady

QUIET = steady(0, idle_s=20)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({"current": 0}, Idleness(zero=Zero.STAY), id="at-zero-and-quiet"),
        pytest.param({"current": 0, "load": None}, Idleness(zero=Zero.STAY), id="at-zero-unknown"),
        pytest.param({"current": 0, "woken": True}, Idleness(zero=Zero.WAKE), id="woken"),
        pytest.param(
            {"current": 0, "load": steady(1)}, Idleness(zero=Zero.WAKE), id="load-at-zero"
        ),
        pytest.param(
            {"current": 0, "allowed": False, "load": steady(1)},
            Idleness(zero=Zero.WAKE),
            id="waking-needs-no-permission",
        ),
        pytest.param({"allowed": False}, Idleness(zero=Zero.FORBIDDEN), id="bounds-forbid"),
        pytest.param(
            {"load": steady(1)}, Idleness(zero=Zero.KEEP, remaining_s=20), id="load-starts-it-anew"
        ),
        pytest.param(
            {"woken": True}, Idleness(zero=Zero.KEEP, remaining_s=20), id="so-does-a-wake-up"
        ),
        pytest.param({"load": None}, Idleness(zero=Zero.KEEP), id="silence-proves-nothing"),
        pytest.param(
            {"load": steady(0, idle_s=99, coverage_ratio=0.99)},
            Idleness(zero=Zero.KEEP),
            id="nor-do-some-of-the-workers",
        ),
        pytest.param(
            {"load": steady(0, idle_s=19.5)},
            Idleness(zero=Zero.KEEP, remaining_s=0.5),
            id="the-cooldown-runs",
        ),
        pytest.param({"doubtful": True}, Idleness(zero=Zero.KEEP), id="nor-do-numbers-in-doubt"),
        pytest.param({}, Idleness(zero=Zero.GO), id="the-cooldown-is-over"),
    ],
)
def test_idleness(arguments, expected):
    defaults = {"allowed": True, "current": 3, "load": QUIET, "woken": False, "cooldown_s": 20.0}
    assert idleness(**{**defaults, **arguments}) == expected


def test_zero_is_reached_only_by_proof():
    views = [
        None,
        steady(2),
        *(steady(0, idle_s=s, coverage_ratio=c) for s in (0, 25) for c in (0.5, 1)),
    ]
    for allowed, current, load, woken in itertools.product(
        (True, False), (0, 1, 5), views, (True, False)
    ):
        found = idleness(allowed=allowed, current=current, load=load, woken=woken, cooldown_s=20)
        if found.zero is Zero.GO:
            assert allowed
            assert not woken
            assert load is not None
            assert load.load == 0
            assert load.idle_s >= 20
            assert load.coverage_ratio == 1
