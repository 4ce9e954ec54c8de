import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controlplane.lifecycle.rules import METRICS
from controlplane.model.workloads import Autoscaling, ScalingPolicy
from controlplane.wire.autoscaling import (
    WAKING_METRIC,
    AutoscalingInput,
    AutoscalingShape,
    OldAutoscalingShape,
    ShadowInput,
)
from tests.unit.controlplane.wire.refusals import refused, refused_because

CONCURRENCY = {"scalingMetric": "httpRequestsConcurrency", "target": 10}
CPU = {"scalingMetric": "cpuAverageUtilization", "target": 70}


def scaling(*policies, **fields):
    return {"policies": list(policies), **fields}


def bounds(body):
    made = AutoscalingInput.model_validate(body).to_model()
    return made.min_replicas, made.max_replicas


# -- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            scaling(CONCURRENCY, minReplicaCount=0, maxReplicaCount=5), (0, 5), id="current-form"
        ),
        pytest.param(scaling(CONCURRENCY), (0, 1), id="defaults"),
        pytest.param(scaling(CPU), (1, 1), id="defaults-where-zero-is-impossible"),
        pytest.param(scaling(CONCURRENCY, CPU), (1, 1), id="defaults-of-a-mixture"),
        pytest.param(scaling(CONCURRENCY, minReplicaCount=3), (3, 3), id="only-a-minimum"),
        pytest.param(
            scaling(CONCURRENCY | {"minCount": 0, "maxCount": 4}), (0, 4), id="legacy-form"
        ),
        pytest.param(
            scaling(
                CONCURRENCY | {"minCount": 2, "maxCount": 4}, CPU | {"minCount": 1, "maxCount": 9}
            ),
            (1, 9),
            id="legacy-min-of-mins-max-of-maxes",
        ),
        pytest.param(
            scaling(
                CONCURRENCY | {"minCount": 0, "maxCount": 4}, minReplicaCount=1, maxReplicaCount=2
            ),
            (1, 2),
            id="stated-bounds-beat-legacy-ones",
        ),
    ],
)
def test_bounds_of_every_generation_are_understood(body, expected):
    assert bounds(body) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (scaling(), "autoscaling needs at least one policy"),
        (scaling(CONCURRENCY, minReplicaCount=3, maxReplicaCount=2), "exceeds the largest"),
        (scaling(CONCURRENCY | {"minCount": 0, "maxCount": 0}), "must be at least 1"),
        (scaling(CPU, minReplicaCount=0, maxReplicaCount=2), "cpuAverageUtilization cannot wake"),
        (
            scaling(CONCURRENCY, CPU, minReplicaCount=0, maxReplicaCount=2),
            "cpuAverageUtilization cannot wake",
        ),
        *[
            (
                scaling({"scalingMetric": metric, "target": 1, "minCount": 0, "maxCount": 2}),
                f"{metric} cannot wake",
            )
            for metric in METRICS[1:]
        ],
    ],
)
def test_bounds_that_cannot_work_are_refused(body, why):
    assert why in refused_because(AutoscalingInput, body)


@pytest.mark.parametrize(
    "body",
    [
        scaling(CONCURRENCY, maxReplicaCount=0),
        scaling(CONCURRENCY, minReplicaCount=-1),
        scaling(CONCURRENCY, cooldownPeriodMinutes=-1),
        scaling(CONCURRENCY, cooldownPeriodMinutes=43_201),
        scaling(CONCURRENCY | {"target": 0}),
        scaling(CONCURRENCY | {"target": -1}),
        scaling(CONCURRENCY | {"target": float("nan")}),
        scaling(CONCURRENCY | {"target": None}),
        scaling({"scalingMetric": "httpRequestsConcurrency"}),
        scaling(CONCURRENCY | {"weight": 1}),
        scaling(CONCURRENCY, stepSize=1),
    ],
)
def test_fields_that_cannot_work_are_refused(body):
    assert refused(AutoscalingInput, body)


@pytest.mark.parametrize("metric", ["", "a b", "ä", "x" * 201, None, 7])
def test_a_metric_that_is_no_name_is_refused(metric):
    body = scaling({"scalingMetric": metric, "target": 1})
    assert refused(AutoscalingInput, body)[0][0] == "policies.0.scalingMetric"


@pytest.mark.parametrize(
    "metric", ["gpuCacheUtilization", "gpuRequestQueueDepth", "vllm:kv_cache_usage_perc"]
)
def test_metrics_of_nim_containers_are_names_like_others(metric):
    body = scaling({"scalingMetric": metric, "target": 0.8})
    made = AutoscalingInput.model_validate(body).to_model()
    assert made.policies == (ScalingPolicy(metric=metric, target=0.8),)
    assert (made.min_replicas, made.max_replicas) == (1, 1)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (scaling(), "policies"),
        (scaling(CONCURRENCY, minReplicaCount=3, maxReplicaCount=2), "minReplicaCount"),
        (scaling(CONCURRENCY | {"minCount": 3, "maxCount": 2}), "policies"),
        (scaling(CPU, minReplicaCount=0, maxReplicaCount=2), "minReplicaCount"),
        (scaling(CPU | {"minCount": 0}), "policies"),
        (scaling(CONCURRENCY | {"minCount": 0, "maxCount": 0}), "policies"),
    ],
)
def test_a_broken_rule_points_to_the_field_that_is_to_blame(body, place):
    assert refused(AutoscalingInput, body)[0][0] == place


def test_switched_off_autoscaling_may_be_empty():
    assert AutoscalingInput.model_validate({"enabled": False}).to_model() == Autoscaling(
        enabled=False, min_replicas=1, max_replicas=1
    )


@pytest.mark.parametrize(("minutes", "seconds"), [(None, None), (0, 0), (5, 300), (0.05, 3)])
def test_the_cooldown_is_kept_in_seconds(minutes, seconds):
    body = scaling(CONCURRENCY, cooldownPeriodMinutes=minutes)
    assert AutoscalingInput.model_validate(body).to_model().cooldown_s == seconds


@given(
    low=st.integers(0, 20),
    high=st.integers(1, 20),
    legacy=st.booleans(),
    metric=st.sampled_from(METRICS),
)
def test_accepted_bounds_are_always_possible(low, high, legacy, metric):
    policy = {"scalingMetric": metric, "target": 1}
    body = (
        scaling(policy | {"minCount": low, "maxCount": high})
        if legacy
        else scaling(policy, minReplicaCount=low, maxReplicaCount=high)
    )
    if low > high or (low == 0 and metric != WAKING_METRIC):
        assert refused(AutoscalingInput, body)
    else:
        assert bounds(body) == (low, high)


# -- what is only tried out -----------------------------------------------------------------------


def test_a_shadow_is_a_scaling_of_its_own():
    shadow = {"policies": [{"scalingMetric": WAKING_METRIC, "target": 2}], "maxReplicaCount": 9}
    body = {
        "policies": [{"scalingMetric": WAKING_METRIC, "target": 5}],
        "maxReplicaCount": 4,
        "shadow": shadow,
    }
    made = AutoscalingInput.model_validate(body).to_model()
    assert made.shadow == ShadowInput.model_validate(shadow).to_model()
    for shape in (AutoscalingShape, OldAutoscalingShape):
        told = shape.of(made).model_dump()
        assert told["shadow"]["maxReplicaCount"] == 9
        assert "shadow" not in told["shadow"]
    assert "shadow" not in AutoscalingShape.of(made.shadow).model_dump()


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        pytest.param({}, "shadow", id="it-starts-in-shadow"),
        pytest.param({"mode": "act"}, "act", id="acts-where-the-owner-says-so"),
        pytest.param({"mode": "off"}, None, id="off"),
        pytest.param(None, None, id="null-is-off"),
    ],
)
def test_modes_of_a_forecast(said, mode):
    body = {"policies": [{"scalingMetric": WAKING_METRIC, "target": 5}], "forecast": said}
    made = AutoscalingInput.model_validate(body).to_model()
    assert made.forecast == mode
    told = AutoscalingShape.of(made).model_dump()
    assert told.get("forecast") == ({"mode": mode} if mode else None)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"forecast": {"mode": "always"}}, id="another-mode"),
        pytest.param({"shadow": {"policies": []}}, id="a-shadow-without-policies"),
        pytest.param(
            {"shadow": {"policies": [{"scalingMetric": "x", "target": 1}], "shadow": None}},
            id="a-shadow-in-a-shadow",
        ),
    ],
)
def test_what_cannot_be_tried_out_is_refused(extra):
    body = {"policies": [{"scalingMetric": WAKING_METRIC, "target": 5}], **extra}
    with pytest.raises(ValidationError):
        AutoscalingInput.model_validate(body)


def test_a_shadow_s_description_names_where_its_decisions_are():
    told = AutoscalingInput.model_json_schema()["properties"]["shadow"]["description"]
    assert "`shadowDecisions`" in told
