import pytest

from autoscaler.replay.peers import Hpa, Keda, Knative
from loadtests.scaling.step import LOAD, SERVICE_S, arrivals, modelled


def test_the_step_keeps_its_load_in_flight():
    moments = arrivals(10.0, 20.0)
    assert moments == sorted(moments)
    assert sum(at_s < 10 for at_s in moments) == 20
    assert sum(15 <= at_s < 15 + SERVICE_S for at_s in moments) == LOAD


@pytest.mark.parametrize(("make", "within_s"), [(Knative, 8.0), (Hpa, 37.5), (Keda, 30.5)])
def test_every_model_wants_the_right_count_within_its_own_clocks(make, within_s):
    after_s, wanted = modelled(make, 95.0)
    assert 0 < after_s <= within_s
    assert wanted >= 5
