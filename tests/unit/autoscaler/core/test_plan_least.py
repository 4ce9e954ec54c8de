"""Protons that take part in a replacement have replicas whatever their own load says."""

import pytest

from controlplane.model.decisions import Reason
from tests.unit.autoscaler.core.test_plan import QUIET, once, scaling, seen


@pytest.mark.parametrize(
    ("observation", "asked", "current", "replicas", "reason"),
    [
        pytest.param(
            seen(load=QUIET),
            scaling(least=3),
            0,
            3,
            Reason.AT_MIN,
            id="a-candidate-takes-the-load-of-others-over-and-has-none-yet",
        ),
        pytest.param(
            seen(load=QUIET, ready=3),
            scaling(least=3),
            3,
            3,
            Reason.AT_MIN,
            id="it-does-not-go-to-zero",
        ),
        pytest.param(
            seen(ready=0),
            scaling(least=1),
            0,
            1,
            Reason.AT_MIN,
            id="it-starts-without-a-report",
        ),
        pytest.param(
            seen(load=QUIET, ready=3),
            scaling(least=3, least_until=1e9),
            3,
            0,
            Reason.IDLE,
            id="it-does-once-that-is-over",
        ),
        pytest.param(
            seen(load=QUIET),
            scaling(least=9, max_replicas=2),
            0,
            2,
            Reason.AT_MIN,
            id="no-more-than-the-maximum",
        ),
    ],
)
def test_a_part_in_a_replacement(observation, asked, current, replicas, reason):
    decision = once(observation, asked, current=current)
    assert (decision.replicas, decision.reason) == (replicas, reason)
