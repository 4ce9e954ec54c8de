import pytest

from controlplane.lifecycle.status import Status, proton_status, workload_status
from controlplane.model.states import Desired, ProtonRole, ProtonState, ReplicaPhase
from controlplane.model.workloads import Replica, Scale
from tests.unit.controlplane.lifecycle import worlds


def replica(phase, number=1, **changes):
    fields = {
        "id": f"{number:024x}",
        "workload_id": "b" * 24,
        "proton_id": "c" * 24,
        "phase": phase,
        "created_at": 10.0,
    }
    return Replica(**(fields | changes))


def scale(**changes):
    fields = {
        "id": "c" * 24,
        "workload_id": "b" * 24,
        "wanted_replicas": 1,
        "ready_replicas": 1,
        "state": ProtonState.RUNNING,
        "reason": "on_target",
        "updated_at": 20.0,
    }
    return Scale(**(fields | changes))


def test_before_any_decision_nothing_is_known():
    status = proton_status(worlds.proton(), scale=None, replicas=[])
    assert status == Status(state=ProtonState.SUBMITTED, known=False)


def test_the_worst_replica_decides():
    replicas = [replica(ReplicaPhase.READY, 1), replica(ReplicaPhase.LAUNCHING, 2)]
    status = proton_status(worlds.proton(), scale=scale(wanted_replicas=2), replicas=replicas)
    assert status.state is ProtonState.LAUNCHING
    assert (status.ready_replicas, status.wanted_replicas) == (1, 2)


def test_what_capacity_leaves_of_it_is_told():
    cut = scale(wanted_replicas=2, granted_replicas=0, interrupted=True)
    status = proton_status(worlds.proton(), scale=cut, replicas=[])
    assert (status.wanted_replicas, status.granted_replicas) == (2, 0)
    assert status.state is ProtonState.INTERRUPTED


def test_it_runs_since_its_first_ready_replica():
    replicas = [
        replica(ReplicaPhase.READY, 1, ready_at=15.0, started_at=11.0),
        replica(ReplicaPhase.READY, 2, ready_at=12.0),
        replica(ReplicaPhase.READY, 3),
        replica(ReplicaPhase.DRAINING, 4, ready_at=1.0),
    ]
    status = proton_status(worlds.proton(), scale=scale(), replicas=replicas)
    assert (status.running_since, status.updated_at) == (12.0, 20.0)


@pytest.mark.parametrize(
    ("phase", "restarts", "expected"),
    [
        (ReplicaPhase.PENDING, 0, ProtonState.SUBMITTED),
        (ReplicaPhase.PENDING, 1, ProtonState.INITIALIZING),
        (ReplicaPhase.LAUNCHING, 0, ProtonState.LAUNCHING),
        (ReplicaPhase.LAUNCHING, 2, ProtonState.INITIALIZING),
        (ReplicaPhase.READY, 2, ProtonState.RUNNING),
        (ReplicaPhase.UNREADY, 2, ProtonState.LAUNCHING),
        (ReplicaPhase.FAILED, 5, ProtonState.ERRORED),
    ],
)
def test_a_replica_that_ended_and_comes_up_again_restarts_in_its_place(phase, restarts, expected):
    ended = replica(phase, restart_count=restarts)
    assert proton_status(worlds.proton(), scale=scale(), replicas=[ended]).state is expected


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (ProtonRole.ACTIVE, ProtonState.RUNNING),
        (ProtonRole.CANDIDATE, ProtonState.WARMING),
        (ProtonRole.DRAINING, ProtonState.DRAINING),
    ],
)
def test_what_a_proton_that_serves_is_called_depends_on_its_role(role, expected):
    status = proton_status(
        worlds.proton(role=role), scale=scale(), replicas=[replica(ReplicaPhase.READY)]
    )
    assert status.state is expected


def test_zero_wanted_replicas_are_suspended():
    status = proton_status(worlds.proton(), scale=scale(wanted_replicas=0), replicas=[])
    assert status.state is ProtonState.SUSPENDED
    assert status.known


def test_an_errored_proton_tells_what_to_do_with_the_end_of_its_log():
    told = scale(errored=True, message="It exits at once: fix the entrypoint.", log_tail=("boom",))
    status = proton_status(worlds.proton(), scale=told, replicas=[])
    assert status.state is ProtonState.ERRORED
    assert (status.message, status.log_tail) == (told.message, ("boom",))


def test_a_replicas_message_shows_where_the_autoscaler_has_none():
    replicas = [
        replica(ReplicaPhase.READY, 1),
        replica(ReplicaPhase.UNREADY, 2, message="The readiness check answers 500."),
    ]
    for known in (scale(), None):
        status = proton_status(worlds.proton(), scale=known, replicas=replicas)
        assert status.message == "The readiness check answers 500."


@pytest.mark.parametrize(
    ("phases", "expected"),
    [([ReplicaPhase.STOPPING], ProtonState.STOPPING), ([], ProtonState.STOPPED)],
)
def test_a_stopped_proton_has_no_trouble_to_tell_of(phases, expected):
    status = proton_status(
        worlds.proton(desired=Desired.STOPPED),
        scale=scale(errored=True, message="It crashed.", log_tail=("boom",)),
        replicas=[replica(phase, message="ended") for phase in phases],
    )
    assert (status.state, status.message, status.log_tail) == (expected, "", ())


def test_a_workload_shows_its_active_proton():
    active = Status(state=ProtonState.LAUNCHING, message="m")
    assert workload_status(worlds.workload(), active) is active


def test_a_workload_without_proton_is_stopped_or_unknown():
    stopped = worlds.workload(desired=Desired.STOPPED)
    assert workload_status(stopped, None).state is ProtonState.STOPPED
    assert workload_status(worlds.workload(), None).state is ProtonState.UNKNOWN
