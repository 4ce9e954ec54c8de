"""A workload's behavior is made of settings by the same names; a schedule has a name for people."""

import dataclasses

import msgspec
import pytest

from controlplane.model.behavior import Behavior, Schedule
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import Autoscaling

MORNING = Schedule(cron="0 8 * * *", timezone="Europe/Vienna", duration_s=60, min_replicas=2)


def test_every_field_is_a_setting_of_the_platform():
    settings = {field.name for field in dataclasses.fields(AutoscalerSettings)}
    assert set(Behavior.__struct_fields__) <= settings


def test_only_what_was_said_counts():
    assert Behavior().said() == {}
    said = Behavior(scale_up_delay_s=0.0, activation_scale=2).said()
    assert said == {"scale_up_delay_s": 0.0, "activation_scale": 2}


@pytest.mark.parametrize(("name", "label"), [(None, "0 8 * * * Europe/Vienna"), ("day", "day")])
def test_a_schedule_is_called_by_its_name_or_its_expression(name, label):
    assert msgspec.structs.replace(MORNING, name=name).label == label


def test_autoscaling_is_the_same_after_json():
    auto = Autoscaling(behavior=Behavior(tolerance_ratio=0.2), schedules=(MORNING,))
    assert msgspec.json.decode(msgspec.json.encode(auto), type=Autoscaling) == auto


def test_a_record_from_before_there_was_any_of_it_is_read():
    old = b'{"enabled":true,"policies":[],"min_replicas":1,"max_replicas":3,"cooldown_s":null}'
    assert msgspec.json.decode(old, type=Autoscaling) == Autoscaling(min_replicas=1, max_replicas=3)


@pytest.mark.parametrize(
    ("low", "high", "most"),
    [
        pytest.param(2, None, 5, id="the-groups"),
        pytest.param(9, None, 9, id="a-schedules-minimum"),
        pytest.param(1, 12, 12, id="a-schedules-maximum"),
        pytest.param(0, None, 5, id="a-minimum-of-none"),
    ],
)
def test_the_most_that_is_ever_allowed(low, high, most):
    schedule = msgspec.structs.replace(MORNING, min_replicas=low, max_replicas=high)
    assert Autoscaling(max_replicas=5, schedules=(schedule,)).most() == most
    assert Autoscaling(max_replicas=5).most() == 5
