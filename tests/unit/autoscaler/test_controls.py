"""What of a proton's replicas asks for another decision."""

import msgspec
import pytest

from autoscaler.controls import look_different
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica

ONE = Replica(
    id="r1", workload_id="w", proton_id="p", phase=ReplicaPhase.READY, created_at=1.0, message=""
)
OTHER = msgspec.structs.replace(ONE, id="r2")


def changed(**changes: object) -> Replica:
    return msgspec.structs.replace(ONE, **changes)


@pytest.mark.parametrize(
    ("now", "different"),
    [
        pytest.param([ONE, OTHER], False, id="the-very-records"),
        pytest.param([changed(), OTHER], False, id="equal-records"),
        pytest.param([changed(created_at=2.0), OTHER], False, id="what-does-not-matter"),
        pytest.param([ONE], True, id="one-less"),
        pytest.param([ONE, OTHER, OTHER], True, id="one-more"),
        pytest.param([OTHER, OTHER], True, id="another"),
        pytest.param([changed(phase=ReplicaPhase.DRAINING), OTHER], True, id="phase"),
        pytest.param([changed(message="exits at once"), OTHER], True, id="message"),
    ],
)
def test_a_change_that_matters_asks_for_a_decision(now, different):
    assert look_different([ONE, OTHER], now) is different
