"""Damping and schedules of one workload: what is understood, what is refused and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controlplane.model.behavior import Behavior, Schedule
from controlplane.wire.autoscaling import AutoscalingInput, AutoscalingShape, OldAutoscalingShape
from controlplane.wire.behavior import ScalingBehavior, ScalingSchedule
from tests.unit.controlplane.wire.refusals import refused, refused_because

CONCURRENCY = {"scalingMetric": "httpRequestsConcurrency", "target": 10}
CPU = {"scalingMetric": "cpuAverageUtilization", "target": 70}

WHOLE = {
    "maxScaleUpRate": 4,
    "maxScaleDownRate": 1.5,
    "maxScaleUpReplicas": 6,
    "maxScaleDownReplicas": 2,
    "scaleLimitPeriodSeconds": 30,
    "scaleUpDelaySeconds": 5,
    "scaleDownDelaySeconds": 120.5,
    "stabilizationWindowSeconds": 0,
    "panicWindowRatio": 0.05,
    "panicThreshold": 3,
    "toleranceRatio": 0.1,
    "activationScale": 2,
    "minRunTimeSeconds": 600,
}
OFFICE = {
    "cron": "0 8 * * 1-5",
    "timezone": "Europe/Vienna",
    "durationMinutes": 600,
    "minReplicaCount": 5,
    "maxReplicaCount": 20,
}


def scaling(*policies, **fields):
    return {"policies": list(policies or (CONCURRENCY,)), **fields}


def schedule(**changes):
    found = {**OFFICE, **changes}
    return {name: value for name, value in found.items() if value is not ...}


def test_every_setting_is_understood_and_answered_as_it_was_said():
    made = AutoscalingInput.model_validate(scaling(behavior=WHOLE)).to_model()
    assert made.behavior == Behavior(
        max_scale_up_rate=4,
        max_scale_down_rate=1.5,
        max_scale_up_replicas=6,
        max_scale_down_replicas=2,
        scale_limit_period_s=30,
        scale_up_delay_s=5,
        scale_down_delay_s=120.5,
        stabilization_window_s=0,
        panic_window_ratio=0.05,
        panic_threshold=3,
        tolerance_ratio=0.1,
        activation_scale=2,
        min_run_time_s=600,
    )
    assert set(made.behavior.said()) == set(Behavior.__struct_fields__)
    for shape in (AutoscalingShape, OldAutoscalingShape):
        assert shape.of(made).model_dump()["behavior"] == WHOLE


def test_a_part_of_them_is_answered_without_the_rest():
    body = {"activationScale": 3, "scaleUpDelaySeconds": None}
    made = AutoscalingInput.model_validate(scaling(behavior=body)).to_model()
    assert AutoscalingShape.of(made).model_dump()["behavior"] == {"activationScale": 3}


@pytest.mark.parametrize("said", [{}, {"behavior": None}, {"behavior": {}}, {"schedules": []}])
def test_what_nobody_set_is_not_in_answers(said):
    made = AutoscalingInput.model_validate(scaling(**said)).to_model()
    assert made.behavior is None
    assert made.schedules == ()
    assert not {"behavior", "schedules"} & set(AutoscalingShape.of(made).model_dump())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("maxScaleUpRate", 1),
        ("maxScaleUpRate", 1e7),
        ("maxScaleDownRate", 0.5),
        ("maxScaleUpReplicas", 0),
        ("maxScaleDownReplicas", 1.5),
        ("scaleLimitPeriodSeconds", 0),
        ("scaleLimitPeriodSeconds", 1801),
        ("scaleUpDelaySeconds", -1),
        ("scaleUpDelaySeconds", 3601),
        ("scaleDownDelaySeconds", 3601),
        ("stabilizationWindowSeconds", -0.1),
        ("panicWindowRatio", 0),
        ("panicWindowRatio", 1.1),
        ("panicThreshold", 1),
        ("toleranceRatio", 0.91),
        ("toleranceRatio", True),
        ("activationScale", 0),
        ("activationScale", 1001),
        ("minRunTimeSeconds", 86_401),
        ("tolerance", 0.1),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_name(field, value):
    assert refused(ScalingBehavior, {field: value})[0][0] == field


# -- schedules ----------------------------------------------------------------------------------


def test_a_schedule_is_understood_and_answered_as_it_was_said():
    made = AutoscalingInput.model_validate(scaling(schedules=[OFFICE])).to_model()
    assert made.schedules == (
        Schedule(
            cron="0 8 * * 1-5",
            timezone="Europe/Vienna",
            duration_s=36_000,
            min_replicas=5,
            max_replicas=20,
        ),
    )
    for shape in (AutoscalingShape, OldAutoscalingShape):
        assert shape.of(made).model_dump()["schedules"] == (OFFICE,)


def test_a_schedule_may_leave_out_what_it_does_not_change():
    body = schedule(timezone=..., maxReplicaCount=..., name="mornings", cron=" 0  8 * * MON-FRI ")
    (made,) = AutoscalingInput.model_validate(scaling(schedules=[body])).to_model().schedules
    assert (made.cron, made.timezone, made.name) == ("0 8 * * MON-FRI", "UTC", "mornings")
    assert made.max_replicas is None
    answered = ScalingSchedule.of(made).model_dump()
    assert answered == {
        "name": "mornings",
        "cron": "0 8 * * MON-FRI",
        "timezone": "UTC",
        "durationMinutes": 600,
        "minReplicaCount": 5,
    }


@pytest.mark.parametrize(
    ("changes", "place", "why"),
    [
        ({"cron": "0 8 * *"}, "cron", "five fields"),
        ({"cron": "0 0 8 * * *"}, "cron", "five fields"),
        ({"cron": "@daily"}, "cron", "five fields"),
        ({"cron": "60 8 * * *"}, "cron", "no valid minute"),
        ({"cron": "0 8 * * 1-9"}, "cron", "no valid day-of-week"),
        ({"cron": "0 0 31 2 *"}, "cron", "no valid day-of-month"),
        ({"cron": "0 0 30 2 MON#6"}, "cron", "no valid day-of-week"),
        ({"cron": "0 0 */20 * 1L"}, "cron", "never comes true"),
        ({"timezone": "Vienna"}, "timezone", "IANA"),
        ({"timezone": "../etc/passwd"}, "timezone", "IANA"),
        ({"timezone": ""}, "timezone", "IANA"),
        ({"timezone": "Europe"}, "timezone", "IANA"),
        ({"minReplicaCount": 30}, "minReplicaCount", "exceeds the largest (20)"),
        (
            {"minReplicaCount": ..., "maxReplicaCount": ...},
            "minReplicaCount",
            "it changes nothing",
        ),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_with_a_remedy(changes, place, why):
    (reason,) = refused(ScalingSchedule, schedule(**changes))
    assert reason[0] == place
    assert why in reason[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"durationMinutes": 0},
        {"durationMinutes": 10_081},
        {"durationMinutes": ...},
        {"cron": ...},
        {"cron": 7},
        {"cron": "0 8 * * 1," + "1," * 200 + "1"},
        {"minReplicaCount": -1},
        {"maxReplicaCount": 0},
        {"name": ""},
        {"duration": 1},
    ],
)
def test_fields_of_schedules_that_cannot_work_are_refused(changes):
    assert refused(ScalingSchedule, schedule(**changes))


@pytest.mark.parametrize(
    ("body", "place", "why"),
    [
        pytest.param(
            scaling(
                minReplicaCount=3,
                maxReplicaCount=9,
                schedules=[schedule(minReplicaCount=..., maxReplicaCount=2)],
            ),
            "schedules.0.maxReplicaCount",
            "the group's minReplicaCount (3) exceeds",
            id="below-the-groups-minimum",
        ),
        pytest.param(
            scaling(
                CPU,
                minReplicaCount=1,
                maxReplicaCount=9,
                schedules=[OFFICE, schedule(minReplicaCount=0)],
            ),
            "schedules.1.minReplicaCount",
            "cpuAverageUtilization cannot wake",
            id="to-zero-by-a-metric-that-cannot-wake",
        ),
    ],
)
def test_schedules_have_to_fit_their_group(body, place, why):
    assert refused(AutoscalingInput, body)[0][0] == place
    assert why in refused_because(AutoscalingInput, body)


def test_a_schedule_may_lower_the_maximum_and_reach_zero():
    quiet = schedule(minReplicaCount=0, maxReplicaCount=1)
    body = scaling(minReplicaCount=2, maxReplicaCount=9, schedules=[quiet])
    (made,) = AutoscalingInput.model_validate(body).to_model().schedules
    assert (made.min_replicas, made.max_replicas) == (0, 1)


def test_there_may_be_fifty_schedules_and_no_more():
    assert AutoscalingInput.model_validate(scaling(schedules=[OFFICE] * 50))
    assert refused(AutoscalingInput, scaling(schedules=[OFFICE] * 51))[0][0] == "schedules"


def test_a_zone_that_was_known_once_is_still_answered():
    lost = Schedule(cron="0 8 * * *", timezone="Atlantis/Capital", duration_s=60, max_replicas=2)
    assert ScalingSchedule.of(lost).model_dump()["timezone"] == "Atlantis/Capital"


words = st.text("0123456789*/-,#LWMONJAN ", min_size=1, max_size=12)


@given(st.lists(words, min_size=5, max_size=5))
def test_no_expression_breaks_the_reader(parts):
    places = []
    try:
        ScalingSchedule.model_validate(schedule(cron=" ".join(parts)))
    except ValidationError as exc:
        places = [error["loc"] for error in exc.errors()]
    assert places in ([], [("cron",)])
