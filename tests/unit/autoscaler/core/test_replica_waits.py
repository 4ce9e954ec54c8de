"""Replicas that do not serve, told apart."""

import itertools

import pytest

from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.plan import decide
from autoscaler.core.replica_waits import NOTHING_WAITS, Waits, in_numbers, in_words, waits_of
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import LEAVING, ReplicaPhase
from controlplane.model.workloads import Replica, ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady


def replica(phase, *, started=True, restarts=0):
    return Replica(
        id="r",
        workload_id="w",
        proton_id="p",
        phase=phase,
        created_at=0,
        started_at=1.0 if started else None,
        restart_count=restarts,
    )


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(replica(ReplicaPhase.PENDING), Waits(unplaced=1), id="pending"),
        pytest.param(replica(ReplicaPhase.PROVISIONING), Waits(preparing=1), id="provisioning"),
        pytest.param(replica(ReplicaPhase.LAUNCHING), Waits(starting=1), id="launching"),
        pytest.param(replica(ReplicaPhase.LAUNCHING, started=False), Waits(pulling=1), id="image"),
        pytest.param(replica(ReplicaPhase.UNREADY), Waits(unready=1), id="unready"),
        pytest.param(replica(ReplicaPhase.RESTARTING), Waits(crashing=1), id="restarting"),
        pytest.param(replica(ReplicaPhase.PENDING, restarts=1), Waits(crashing=1), id="back-off"),
        pytest.param(replica(ReplicaPhase.LAUNCHING, restarts=1), Waits(crashing=1), id="again"),
        pytest.param(replica(ReplicaPhase.INTERRUPTED), Waits(displaced=1), id="interrupted"),
        pytest.param(replica(ReplicaPhase.LOST), Waits(lost=1), id="lost"),
        pytest.param(replica(ReplicaPhase.READY, restarts=3), NOTHING_WAITS, id="ready"),
        pytest.param(replica(ReplicaPhase.DRAINING), NOTHING_WAITS, id="draining"),
        pytest.param(replica(ReplicaPhase.STOPPING), NOTHING_WAITS, id="stopping"),
        pytest.param(replica(ReplicaPhase.FAILED), NOTHING_WAITS, id="failed"),
    ],
)
def test_what_a_replica_waits_for(one, expected):
    assert waits_of([one]) == expected


def test_every_phase_that_neither_serves_nor_leaves_is_counted_once():
    silent = {ReplicaPhase.READY, ReplicaPhase.FAILED, *LEAVING}
    for phase, restarts in itertools.product(ReplicaPhase, (0, 1)):
        waits = waits_of([replica(phase, restarts=restarts)])
        assert waits.total == (phase not in silent), phase


def test_words_and_numbers():
    waits = Waits(starting=2, crashing=1)
    assert in_words(waits) == "1 crashing, 2 starting"
    assert in_numbers(waits) == {"starting": 2, "crashing": 1}
    assert in_words(NOTHING_WAITS) == ""
    assert in_numbers(NOTHING_WAITS) == {}


def busy(waits, *, ready, percent, policies=(("cpuAverageUtilization", 80),)):
    scaling = Scaling(
        workload_id="w",
        proton_id="p",
        policies=tuple(ScalingPolicy(metric=m, target=t) for m, t in policies),
        min_replicas=1,
        max_replicas=50,
        settings=AutoscalerSettings(),
    )
    seen = Observation(
        at=0.0,
        ready=ready,
        pending=waits.total,
        waits=waits,
        load=steady(ready),
        cpu_percent=(percent,) * ready,
    )
    return decide(seen, scaling, None, now_s=0.0)[0]


def test_starting_replicas_are_part_of_the_answer_and_crashing_ones_are_not():
    assert busy(Waits(starting=1), ready=3, percent=110).replicas == 4
    assert busy(Waits(crashing=1), ready=3, percent=110).replicas == 5
    assert busy(Waits(unready=1), ready=3, percent=110).replicas == 5


def test_the_record_tells_them_apart():
    decision = busy(Waits(pulling=2, crashing=1), ready=3, percent=60)
    assert decision.inputs["pending"] == 3
    assert decision.inputs["pulling"] == 2
    assert decision.inputs["crashing"] == 1
    assert decision.next.endswith("not serving: 1 crashing, 2 pulling its image")


@pytest.mark.parametrize("kind", ["unplaced", "pulling", "starting", "crashing"])
def test_nothing_runs_away_while_nobody_becomes_ready(kind):
    """20 requests a second, 1 s each, wait for minutes: 20 are wanted, not 20 times as many."""
    scaling = Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=1),),
        max_replicas=1000,
        settings=AutoscalerSettings(),
    )
    state = None
    for second in range(1, 180):
        asked = state.wanted if state is not None else 0
        waits = Waits(**{kind: asked})
        queued = 20 * second
        load = steady(
            0,
            queued=queued,
            mean_stable=float(queued),
            mean_panic=float(queued),
            demand_stable=20.0,
            demand_panic=20.0,
            demand_now=20.0,
        )
        seen = Observation(at=0.0, pending=asked, waits=waits, load=load, woken=second == 1)
        decision, state = decide(seen, scaling, state, now_s=float(second))
        assert decision.replicas == 20
