"""A replica that has just been started runs on for a while."""

import pytest

from autoscaler.core.replica_age import is_young, young_among
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica


def replica(
    phase: ReplicaPhase = ReplicaPhase.READY, *, made: float = 0.0, ready: float | None = None
) -> Replica:
    return Replica(
        id="r",
        workload_id="w",
        proton_id="p",
        phase=phase,
        created_at=made,
        ready_at=ready,
    )


@pytest.mark.parametrize(
    ("found", "young"),
    [
        pytest.param(replica(ready=41.0), True, id="ready-lately"),
        pytest.param(replica(ready=40.0), False, id="ready-for-long-enough"),
        pytest.param(replica(ReplicaPhase.UNREADY, ready=60.0), True, id="not-ready-now"),
        pytest.param(replica(ReplicaPhase.LAUNCHING, made=41.0), True, id="about-to-be-ready"),
        pytest.param(replica(ReplicaPhase.LAUNCHING, made=40.0), False, id="for-too-long"),
        pytest.param(replica(ReplicaPhase.PROVISIONING, made=99.0), True, id="has-its-place"),
        pytest.param(replica(ready=101.0), False, id="the-clock-was-set-back-since"),
        pytest.param(
            replica(ReplicaPhase.LAUNCHING, made=9000.0), False, id="it-was-set-back-by-far"
        ),
    ],
)
def test_young(found, young):
    assert is_young(found, at=100.0, min_run_s=60.0) is young
    assert not is_young(found, at=100.0, min_run_s=0.0)


@pytest.mark.parametrize(
    "phase",
    sorted(
        set(ReplicaPhase)
        - {
            ReplicaPhase.READY,
            ReplicaPhase.UNREADY,
            ReplicaPhase.LAUNCHING,
            ReplicaPhase.PROVISIONING,
        }
    ),
)
def test_what_does_not_run_may_go(phase):
    assert not is_young(replica(phase, made=99.0), at=100.0, min_run_s=60.0)


def test_the_young_are_counted():
    found = [replica(ready=90.0), replica(ready=10.0), replica(ReplicaPhase.LAUNCHING, made=95.0)]
    assert young_among(found, at=100.0, min_run_s=60.0) == 2
    assert young_among(found, at=100.0, min_run_s=0.0) == 0
