"""Decisions in words."""

import pytest

from autoscaler.core.explain import next_change
from autoscaler.core.idle import Idleness, Zero
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.replica_waits import Waits
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
        pytest.param(steady(50), 8, 8, (FORBIDDEN, 0), "at the maximum of 8", id="bounds-are-one"),
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
        pytest.param(None, 1, 1, (FORBIDDEN, 0), "", id="nothing-to-say"),
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


def test_without_a_load_policy_load_is_not_mentioned():
    asked = Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric="x", target=1),),
        max_replicas=8,
    )
    text = next_change(
        asked,
        Observation(at=0, load=steady(9)),
        replicas=3,
        floor=1,
        idleness=FORBIDDEN,
        hold_s=0,
    )
    assert text == ""


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
