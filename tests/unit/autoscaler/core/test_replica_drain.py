"""The second phase of scale-in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.replica_drain import DrainFacts, DrainState, drain_state


def facts(
    revision: int | None, recorded_s: float | None, acknowledged: int | None, load: int
) -> DrainFacts:
    return DrainFacts(
        revision=revision, recorded_s=recorded_s, acknowledged_revision=acknowledged, load=load
    )


@pytest.mark.parametrize(
    ("known", "now_s", "expected"),
    [
        pytest.param(facts(None, None, 9, 0), 999, DrainState.UNRECORDED, id="store-away"),
        pytest.param(facts(5, None, 9, 0), 999, DrainState.UNRECORDED, id="no-moment-known"),
        pytest.param(facts(5, 10, None, 0), 20, DrainState.UNACKNOWLEDGED, id="no-gateway-known"),
        pytest.param(facts(5, 10, 4, 0), 20, DrainState.UNACKNOWLEDGED, id="a-gateway-is-behind"),
        pytest.param(facts(5, 10, 5, 1), 20, DrainState.BUSY, id="in-flight"),
        pytest.param(facts(5, 10, 5, 0), 20, DrainState.DRAINED, id="known-and-idle"),
        pytest.param(facts(5, 10, 9, 0), 20, DrainState.DRAINED, id="known-for-long"),
        pytest.param(facts(5, 10, 9, 7), 69.9, DrainState.BUSY, id="just-before-the-deadline"),
        pytest.param(facts(5, 10, 9, 7), 70, DrainState.OVERDUE, id="deadline"),
        pytest.param(facts(5, 10, None, 0), 70, DrainState.OVERDUE, id="deadline-no-gateways"),
    ],
)
def test_drain_state(known: DrainFacts, now_s: float, expected: DrainState):
    assert drain_state(known, now_s=now_s, drain_timeout_s=60) is expected


@given(
    revision=st.none() | st.integers(1, 5),
    acknowledged=st.none() | st.integers(1, 5),
    load=st.integers(0, 2),
)
def test_before_the_deadline_only_an_acknowledged_idle_replica_may_end(
    revision, acknowledged, load
):
    state = drain_state(facts(revision, 0, acknowledged, load), now_s=1, drain_timeout_s=60)
    safe = revision is not None and acknowledged is not None and acknowledged >= revision
    assert (state is DrainState.DRAINED) == (safe and load == 0)
