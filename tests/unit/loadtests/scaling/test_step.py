import pytest

from loadtests.scaling.step import LOAD, MODELS, SERVICE_S, arrivals, modelled


def test_the_step_keeps_its_load_in_flight():
    moments = arrivals(10.0, 20.0)
    assert moments == sorted(moments)
    assert sum(at_s < 10 for at_s in moments) == 20
    assert sum(15 <= at_s < 15 + SERVICE_S for at_s in moments) == LOAD


@pytest.mark.parametrize(
    ("name", "within_s"),
    [("Tidegate", 1.0), ("Knative KPA", 8.0), ("HPA on load", 37.5), ("KEDA HTTP add-on", 30.5)],
)
def test_every_model_wants_the_right_count_within_its_own_clocks(name, within_s):
    after_s, wanted = modelled(MODELS[name], 95.0)
    assert 0 < after_s <= within_s
    assert wanted >= 5
