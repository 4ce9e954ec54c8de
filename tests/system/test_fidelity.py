"""The simulator tells what really happens: the demo on a real system, and in the simulator."""

import pytest

from loadtests.fidelity.__main__ import both, table
from loadtests.fidelity.agreement import compare


@pytest.mark.parametrize(
    "seconds", [20.0, pytest.param(60.0, marks=[pytest.mark.slow, pytest.mark.timeout(240)])]
)
def test_replicas_and_waiting_agree_within_the_stated_bounds(seconds):
    real, simulated, _ = both(seconds)
    measures = compare(real, simulated)
    assert all(measure.holds for measure in measures), "\n" + table(measures)
