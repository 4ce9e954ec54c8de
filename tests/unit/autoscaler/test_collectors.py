"""What the collector says of one proton from what it holds."""

import msgspec
import pytest

from autoscaler.collectors import Collector
from autoscaler.core.observation import scaling_of
from controlplane.model.sections import AutoscalerSettings
from tests.fakes.replicas import proton
from tests.unit.autoscaler.core.reports_for_tests import report

SETTINGS = AutoscalerSettings()


def test_a_workload_made_a_second_ago_was_not_idle_since_the_gateway_started():
    nothing: object = None
    collector = Collector(
        nothing,  # type: ignore[arg-type]  # nothing is collected
        nothing,  # type: ignore[arg-type]
        SETTINGS,
        clock=lambda: 388.7,
        wall=lambda: 5000.0,
    )
    for second in (0, 388):
        collector.windows.observe([report(second, {})], now_s=float(second))
    made = msgspec.structs.replace(proton(), created_at=4999.0)
    seen = collector.observe(
        made, scaling_of(made, SETTINGS), [], woken=False, failure=None, now_s=388.7
    )
    assert seen.load is not None
    assert seen.load.idle_s == pytest.approx(1.0)
