"""States: the table in the docstring is the truth, and the worst state wins."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model import states
from controlplane.model.states import (
    ALIVE,
    IMPORTANCE_ORDER,
    LEAVING,
    ROUTABLE,
    SEVERITY,
    Desired,
    Importance,
    ProtonRole,
    ProtonState,
    ReplicaPhase,
    proton_state,
)

PHASES = st.lists(st.sampled_from(ReplicaPhase), max_size=6)


def documented() -> dict[str, str]:
    """Phase to what the gateway does, from the module's docstring."""
    rows = [line.split() for line in (states.__doc__ or "").splitlines()]
    return {row[0]: row[-1] for row in rows if row and row[0] in list(ReplicaPhase)}


def test_the_docstring_has_every_phase():
    assert set(documented()) == set(ReplicaPhase)


@pytest.mark.parametrize("phase", ReplicaPhase)
def test_the_gateway_routes_to_what_the_docstring_says(phase):
    assert (phase in ROUTABLE) is (documented()[phase] == "routes")


@pytest.mark.parametrize("phase", ReplicaPhase)
def test_a_process_exists_in_every_phase_but_before_the_start_and_after_the_end(phase):
    gone = {ReplicaPhase.PENDING, ReplicaPhase.INTERRUPTED, ReplicaPhase.FAILED}
    assert (phase in ALIVE) is (phase not in gone)


def test_replicas_that_leave_are_alive_and_get_nothing_new():
    assert LEAVING < ALIVE
    assert not LEAVING & ROUTABLE


def test_importance_ascends():
    assert IMPORTANCE_ORDER == (
        Importance.LOW,
        Importance.MODERATE,
        Importance.HIGH,
        Importance.CRITICAL,
    )


def state_of(
    *phases,
    desired=Desired.RUNNING,
    wanted=1,
    errored=False,
    interrupted=False,
    role=ProtonRole.ACTIVE,
) -> ProtonState:
    return proton_state(
        desired=desired,
        wanted_replicas=wanted,
        phases=phases,
        errored=errored,
        interrupted=interrupted,
        role=role,
    )


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        pytest.param(state_of(wanted=None), ProtonState.SUBMITTED, id="nobody-decided-yet"),
        pytest.param(state_of(), ProtonState.PROVISIONING, id="decided-but-nothing-there"),
        pytest.param(state_of(wanted=0), ProtonState.SUSPENDED, id="at-zero"),
        pytest.param(state_of(interrupted=True), ProtonState.INTERRUPTED, id="all-made-room"),
        pytest.param(
            state_of(ReplicaPhase.LAUNCHING, interrupted=True),
            ProtonState.LAUNCHING,
            id="made-room-and-starts-again",
        ),
        pytest.param(
            state_of(wanted=0, interrupted=True), ProtonState.SUSPENDED, id="made-room-and-is-idle"
        ),
        pytest.param(state_of(ReplicaPhase.PENDING), ProtonState.SUBMITTED, id="waits"),
        pytest.param(state_of(ReplicaPhase.LAUNCHING), ProtonState.LAUNCHING, id="starts"),
        pytest.param(state_of(ReplicaPhase.READY), ProtonState.RUNNING, id="serves"),
        pytest.param(state_of(ReplicaPhase.UNREADY), ProtonState.LAUNCHING, id="lost-readiness"),
        pytest.param(state_of(ReplicaPhase.FAILED), ProtonState.ERRORED, id="failed"),
        pytest.param(
            state_of(ReplicaPhase.PROVISIONING), ProtonState.PROVISIONING, id="has-its-place"
        ),
        pytest.param(
            state_of(ReplicaPhase.RESTARTING), ProtonState.INITIALIZING, id="restarts-in-place"
        ),
        pytest.param(state_of(ReplicaPhase.INTERRUPTED), ProtonState.INTERRUPTED, id="made-room"),
        pytest.param(state_of(ReplicaPhase.LOST), ProtonState.UNKNOWN, id="nobody-knows"),
        pytest.param(
            state_of(ReplicaPhase.READY, role=ProtonRole.CANDIDATE),
            ProtonState.WARMING,
            id="a-candidate-that-serves-warms",
        ),
        pytest.param(
            state_of(ReplicaPhase.LAUNCHING, role=ProtonRole.CANDIDATE),
            ProtonState.LAUNCHING,
            id="a-candidate-on-its-way-does-not-warm-yet",
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, role=ProtonRole.DRAINING),
            ProtonState.DRAINING,
            id="a-replaced-one-that-serves-drains",
        ),
        pytest.param(
            state_of(ReplicaPhase.FAILED, role=ProtonRole.DRAINING),
            ProtonState.ERRORED,
            id="a-replaced-one-may-fail",
        ),
        pytest.param(
            state_of(role=ProtonRole.DRAINING, desired=Desired.STOPPED),
            ProtonState.TERMINATED,
            id="a-replaced-one-ends-for-good",
        ),
        pytest.param(
            state_of(role=None, desired=Desired.STOPPED),
            ProtonState.TERMINATED,
            id="one-without-a-role-ends-for-good",
        ),
        pytest.param(
            state_of(ReplicaPhase.DRAINING, role=ProtonRole.DRAINING, desired=Desired.STOPPED),
            ProtonState.STOPPING,
            id="a-replaced-one-stops-first",
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, ReplicaPhase.FAILED),
            ProtonState.ERRORED,
            id="the-worst-replica-decides",
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, ReplicaPhase.LAUNCHING),
            ProtonState.LAUNCHING,
            id="growing",
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, ReplicaPhase.DRAINING),
            ProtonState.RUNNING,
            id="one-that-leaves-worsens-nothing",
        ),
        pytest.param(
            state_of(ReplicaPhase.DRAINING, ReplicaPhase.STOPPING, wanted=0),
            ProtonState.SUSPENDED,
            id="going-to-zero",
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, wanted=0), ProtonState.RUNNING, id="zero-but-still-there"
        ),
        pytest.param(
            state_of(ReplicaPhase.STOPPING), ProtonState.PROVISIONING, id="the-last-one-is-replaced"
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, errored=True), ProtonState.ERRORED, id="given-up"
        ),
        pytest.param(
            state_of(ReplicaPhase.READY, desired=Desired.STOPPED, errored=True),
            ProtonState.STOPPING,
            id="stop-asked-and-still-alive",
        ),
        pytest.param(
            state_of(ReplicaPhase.FAILED, desired=Desired.STOPPED, errored=True),
            ProtonState.STOPPED,
            id="stopped",
        ),
    ],
)
def test_the_state_of_a_proton(actual, expected):
    assert actual is expected


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        pytest.param(worse, better, id=f"{worse}-over-{better}")
        for worse, better in itertools.combinations(SEVERITY, 2)
    ],
)
def test_of_two_replicas_the_worse_decides(worse, better):
    phase_of = {state: phase for phase, state in states._STATE_OF_PHASE.items()}
    if worse in phase_of and better in phase_of:
        for pair in itertools.permutations([phase_of[worse], phase_of[better]]):
            assert state_of(*pair) is worse


@given(
    desired=st.sampled_from(Desired),
    wanted=st.none() | st.integers(0, 5),
    phases=PHASES,
    roles=st.tuples(st.booleans(), st.none() | st.sampled_from(ProtonRole)),
    order=st.randoms(),
)
def test_every_combination_has_a_state_and_the_order_of_replicas_does_not_matter(
    desired, wanted, phases, roles, order
):
    errored, role = roles
    shuffled = phases.copy()
    order.shuffle(shuffled)
    first, again = (
        proton_state(
            desired=desired, wanted_replicas=wanted, phases=each, errored=errored, role=role
        )
        for each in (iter(phases), shuffled)
    )
    assert first is again
    ended = {ProtonState.STOPPED, ProtonState.STOPPING, ProtonState.TERMINATED}
    assert (first in ended) is (desired is Desired.STOPPED)
