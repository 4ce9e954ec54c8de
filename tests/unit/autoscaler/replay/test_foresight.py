"""What a forecast is made from in a simulation."""

import pytest

from autoscaler.core.forecast import HOUR_S
from autoscaler.core.observation import Scaling
from autoscaler.core.steps import LoadView
from autoscaler.replay.foresight import MARGIN_S, Foresight
from controlplane.model.workloads import ScalingPolicy

MONDAY = 4 * 86_400.0
"""The epoch was a Thursday."""
SCALING = Scaling(
    workload_id="w",
    proton_id="p",
    policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=2.0),),
    max_replicas=10,
)


def days(count, *, start_ups_s=()):
    """A load of 6 from 10 to 11 o'clock; what is expected at every minute of the last day."""
    foresight, integral, found = Foresight(), 0.0, {}
    for minute in range(count * 1440):
        busy = 10 * 60 <= minute % 1440 < 11 * 60
        expected = foresight.expected(
            SCALING,
            LoadView(mean_stable=6.0 * busy),
            load_seconds=integral,
            start_ups_s=start_ups_s,
            at=MONDAY + minute * 60.0,
            now_s=minute * 60.0,
        )
        integral += 6.0 * 60.0 * busy
        if minute >= (count - 1) * 1440:
            found[minute % 1440] = expected.replicas if expected is not None else 0
    return found


def test_what_came_every_day_is_expected_one_start_before_its_hour():
    found = days(3, start_ups_s=[300.0])
    first = min(minute for minute, replicas in found.items() if replicas == 3)
    assert first * 60.0 == pytest.approx(10 * HOUR_S - 300.0 - MARGIN_S, abs=60.0)


def test_one_day_is_no_habit():
    assert set(days(2).values()) == {0}
