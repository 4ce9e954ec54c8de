"""Decisions in words."""

import pytest

from autoscaler.core.explain import next_change
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.replica_waits import Waits
from autoscaler.core.schedules import Scheduled
from autoscaler.core.steps import Idleness, Zero
from controlplane.model.reports import OpenStreams
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady

ASKED = Scaling(
    workload_id="w",
    proton_id="p",
    policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=10),),
    max_replicas=8,
)
QUIET = Idleness(zero=Zero.KEEP, remaining_s=11.2)
FORBIDDEN = Idleness(zero=Zero.FORBIDDEN)


@pytest.mark.parametrize(
    ("load", "replicas", "floor", "standing", "expected"),
    [
        pytest.param(
            steady(29),
            3,
            1,
            (FORBIDDEN, 0),
            "2 more in flight -> 4; 9 fewer in flight -> 2",
            id="both",
        ),
        pytest.param(
            steady(0), 1, 0, (QUIET, 0), "11 more in flight -> 2; to 0 in 12 s if quiet", id="quiet"
        ),
        pytest.param(
            steady(4), 1, 0, (QUIET, 0), "7 more in flight -> 2; to 0 after 12 s idle", id="busy"
        ),
        pytest.param(steady(0), 0, 0, (Idleness(zero=Zero.STAY), 0), "1 request -> 1", id="zero"),
        pytest.param(
            steady(50),
            8,
            8,
            (FORBIDDEN, 0),
            "at the maximum of 8; no lower than 8",
            id="bounds-are-one",
        ),
        pytest.param(
            steady(29),
            3,
            1,
            (FORBIDDEN, 41.5),
            "2 more in flight -> 4; no lower for 42 s",
            id="held",
        ),
        pytest.param(
            steady(45), 3, 1, (FORBIDDEN, 0), "25 fewer in flight -> 2", id="load-above-the-count"
        ),
        pytest.param(
            steady(5), 3, 1, (FORBIDDEN, 0), "26 more in flight -> 4", id="count-above-load"
        ),
        pytest.param(
            None,
            3,
            1,
            (FORBIDDEN, 0),
            "no lower before all gateway workers have reported for a whole window",
            id="no-data",
        ),
        pytest.param(
            steady(29, coverage_ratio=0.5),
            3,
            1,
            (FORBIDDEN, 0),
            "2 more in flight -> 4; "
            "no lower before all gateway workers have reported for a whole window",
            id="thin-data",
        ),
        pytest.param(None, 1, 1, (FORBIDDEN, 0), "no lower than 1", id="at-the-minimum"),
    ],
)
def test_next_change(load, replicas, floor, standing, expected):
    idleness, hold_s = standing
    text = next_change(
        ASKED,
        Observation(at=0, load=load),
        replicas=replicas,
        floor=floor,
        idleness=idleness,
        hold_s=hold_s,
    )
    assert text == expected


def why(*policies: tuple[str, float], replicas: int = 3, hold_s: float = 0, **seen: object) -> str:
    made = tuple(ScalingPolicy(metric=metric, target=target) for metric, target in policies)
    return next_change(
        Scaling(workload_id="w", proton_id="p", policies=made, max_replicas=8),
        Observation(at=0, **seen),  # type: ignore[arg-type]
        replicas=replicas,
        floor=1,
        idleness=FORBIDDEN,
        hold_s=hold_s,
    )


CPU, HOURLY = ("cpuAverageUtilization", 70.0), ("httpRequestsPerHour", 100.0)


def test_without_a_load_policy_neither_load_nor_its_reports_are_mentioned():
    used = {"ready": 3, "cpu_percent": (55.0, 61.0, 67.0)}
    expected = "CPU above 77% (now 61%) -> 4; CPU below 46.7% (now 61%) -> 2"
    assert why(CPU, load=steady(9), **used) == expected
    assert why(CPU, load=None, **used) == expected
    assert why(HOURLY, per_hour=290.0) == (
        "11 more requests an hour -> 4; 90 fewer requests an hour -> 2"
    )


def test_more_takes_any_policy_and_less_takes_all():
    text = why(
        *(("httpRequestsConcurrency", 10), CPU, HOURLY),
        load=steady(29),
        per_hour=250.0,
        cpu_percent=(70.0,) * 3,
    )
    assert text == (
        "2 more in flight or CPU above 77% (now 70%) or 51 more requests an hour -> 4; "
        "9 fewer in flight and CPU below 46.7% (now 70%) and 50 fewer requests an hour -> 2"
    )


def test_ways_to_other_counts_are_told_apart_and_end_at_the_maximum():
    used = (70.0,) * 7
    assert why(CPU, HOURLY, replicas=7, per_hour=690.0, cpu_percent=used).startswith(
        "CPU above 77% (now 70%) or 11 more requests an hour -> 8; "
    )
    wide = (("httpRequestsPerHour", 1.0), CPU)
    many = why(*wide, replicas=3, per_hour=3.0, cpu_percent=(70.0,) * 3)
    assert many.startswith("1 more requests an hour or CPU above 77% (now 70%) -> 4; ")


def test_what_is_not_known_keeps_the_count_and_is_named():
    assert why(("x", 1)) == "no lower while x is not known"
    assert why(CPU, HOURLY).endswith(
        "no lower while cpuAverageUtilization and httpRequestsPerHour are not known"
    )
    assert why(CPU, cpu_percent=(61.0,) * 3, hold_s=4.2).endswith("; no lower for 5 s")


def test_what_a_schedule_brings_next_is_said():
    night = Scheduled(low=1, high=8, following="from 08:00 between 5 and 20")
    assert why(HOURLY, per_hour=90.0, replicas=1, scheduled=night) == (
        "11 more requests an hour -> 2; no lower than 1; from 08:00 between 5 and 20"
    )


def test_the_last_replica_of_a_metric_that_keeps_one_has_no_way_down():
    assert why(CPU, replicas=1, cpu_percent=(61.0,)) == (
        "CPU above 77% (now 61%) -> 2; no lower than 1"
    )


def told(seen, *, replicas=2, floor=1):
    return next_change(ASKED, seen, replicas=replicas, floor=floor, idleness=FORBIDDEN, hold_s=0)


def test_streams_that_hold_the_count_up_are_named():
    old = OpenStreams(open=1, silent_s=7200, client="10.0.0.7", protocol="websocket")
    seen = Observation(at=0, ready=2, load=steady(12), streams=old)
    expected = "9 more in flight -> 3; 2 fewer in flight -> 1; held up by "
    assert told(seen) == expected + "1 WebSocket, silent for 2 h, from 10.0.0.7"
    assert "held up" not in told(seen, floor=2)


def test_streams_that_keep_a_replica_from_leaving_are_named():
    old = OpenStreams(open=2, silent_s=70, client="10.0.0.7", protocol="websocket")
    seen = Observation(at=0, ready=2, load=steady(12), leaving_streams=old)
    expected = "what leaves waits for 2 WebSockets, the longest silent for 1 min, from 10.0.0.7"
    assert told(seen).endswith(expected)


def test_replicas_that_do_not_serve_are_told_apart():
    seen = Observation(at=0, ready=1, pending=2, load=steady(12), waits=Waits(pulling=2))
    assert told(seen).endswith("not serving: 2 pulling its image")
