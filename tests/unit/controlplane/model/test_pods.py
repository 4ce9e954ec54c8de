"""From pods to phases, and through them to the contract's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model import pods
from controlplane.model.pods import HOPELESS, ContainerFacts, PodFacts, PodPhase, phase_of
from controlplane.model.states import SEVERITY, Desired, ProtonState, ReplicaPhase, proton_state

READY = ContainerFacts(ready=True)
LATE = ContainerFacts()
PULLING = ContainerFacts(waiting_for="ContainerCreating")
AGAIN = ContainerFacts(restarts=2)
NO_IMAGE = ContainerFacts(waiting_for="ImagePullBackOff")
CRASHING = ContainerFacts(waiting_for="CrashLoopBackOff", restarts=7)


def pending(*containers: ContainerFacts, **facts: object) -> PodFacts:
    return PodFacts(phase=PodPhase.PENDING, containers=containers, **facts)


def running(*containers: ContainerFacts, **facts: object) -> PodFacts:
    return PodFacts(phase=PodPhase.RUNNING, node="n", containers=containers, **facts)


@pytest.mark.parametrize(
    ("pod", "phase", "word"),
    [
        pytest.param(pending(), "pending", "submitted", id="no-node"),
        pytest.param(pending(node="n"), "provisioning", "provisioning", id="node-prepares"),
        pytest.param(
            pending(PULLING, node="n", prepared=True), "launching", "launching", id="image-pull"
        ),
        pytest.param(pending(NO_IMAGE, node="n"), "failed", "errored", id="no-such-image"),
        pytest.param(running(LATE), "launching", "launching", id="not-ready-yet"),
        pytest.param(running(READY, LATE), "launching", "launching", id="sidecar-not-ready"),
        pytest.param(running(), "launching", "launching", id="no-containers-told"),
        pytest.param(running(READY, READY), "ready", "running", id="all-ready"),
        pytest.param(running(READY, NO_IMAGE), "failed", "errored", id="sidecar-without-image"),
        pytest.param(running(CRASHING), "failed", "errored", id="crash-loop"),
        pytest.param(running(AGAIN), "restarting", "initializing", id="restarts-in-place"),
        pytest.param(
            running(READY, AGAIN, was_ready=True), "restarting", "initializing", id="one-restarts"
        ),
        pytest.param(
            running(LATE, was_ready=True), "unready", "launching", id="lost-its-readiness"
        ),
        pytest.param(
            PodFacts(phase=PodPhase.SUCCEEDED, node="n"), "failed", "errored", id="ended-with-0"
        ),
        pytest.param(PodFacts(phase=PodPhase.FAILED), "failed", "errored", id="failed"),
        pytest.param(PodFacts(phase=PodPhase.UNKNOWN, node="n"), "lost", "unknown", id="silent"),
        pytest.param(
            PodFacts(phase=PodPhase.FAILED, displaced=True, deleting=True),
            "interrupted",
            "interrupted",
            id="preempted",
        ),
        pytest.param(
            running(READY, draining=True), "draining", "provisioning", id="chosen-for-removal"
        ),
        pytest.param(running(READY, deleting=True), "stopping", "provisioning", id="deleted"),
    ],
)
def test_the_phase_of_a_pod_and_what_a_proton_of_it_shows(pod, phase, word):
    found = phase_of(pod)
    assert found is ReplicaPhase(phase)
    shown = proton_state(desired=Desired.RUNNING, wanted_replicas=1, phases=[found], errored=False)
    assert shown is ProtonState(word)


@pytest.mark.parametrize("reason", sorted(HOPELESS))
def test_what_only_people_can_mend_is_failed_wherever_it_is(reason):
    sidecar = ContainerFacts(waiting_for=reason)
    assert phase_of(running(READY, sidecar)) is ReplicaPhase.FAILED
    assert phase_of(pending(sidecar)) is ReplicaPhase.FAILED


def test_every_phase_of_the_table_is_reached_and_in_the_docstring():
    words = {line.split()[-1] for line in (pods.__doc__ or "").splitlines() if "  " in line.strip()}
    assert set(ReplicaPhase) <= words


CONTAINERS = st.builds(
    ContainerFacts,
    ready=st.booleans(),
    waiting_for=st.sampled_from(["", "ContainerCreating", *sorted(HOPELESS)]),
    restarts=st.integers(0, 3),
)


@given(
    first=st.lists(CONTAINERS, min_size=1, max_size=3),
    more=CONTAINERS,
    was_ready=st.booleans(),
)
def test_another_container_never_makes_a_running_pod_look_better(first, more, was_ready):
    def rank(containers: list[ContainerFacts]) -> int:
        phase = phase_of(running(*containers, was_ready=was_ready))
        state = proton_state(
            desired=Desired.RUNNING, wanted_replicas=1, phases=[phase], errored=False
        )
        return SEVERITY.index(state)

    assert rank([*first, more]) <= rank(first)
