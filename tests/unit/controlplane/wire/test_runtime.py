import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.artifacts import Resources
from controlplane.model.workloads import Autoscaling, GroupRuntime, Runtime, ScalingPolicy
from controlplane.wire.families import Family
from controlplane.wire.runtime import (
    METRICS,
    AutoscalingInput,
    GroupRuntimeInput,
    RuntimeInput,
    runtime_shape,
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


def test_an_unknown_metric_is_refused_with_the_known_ones():
    told = refused_because(
        AutoscalingInput, scaling({"scalingMetric": "gpuCacheUtilization", "target": 1})
    )
    assert all(metric in told for metric in METRICS)


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
    if low > high or (low == 0 and metric != METRICS[0]):
        assert refused(AutoscalingInput, body)
    else:
        assert bounds(body) == (low, high)


# -- groups -----------------------------------------------------------------------------------


def test_a_count_and_enabled_autoscaling_exclude_each_other():
    body = {"replicaCount": 2, "autoscaling": scaling(CONCURRENCY)}
    assert "exclude each other" in refused_because(GroupRuntimeInput, body)


def test_a_count_with_autoscaling_switched_off_is_fixed():
    body = {"replicaCount": 2, "autoscaling": scaling(CONCURRENCY, enabled=False)}
    made = GroupRuntimeInput.model_validate(body).to_model()
    assert (made.replica_count, made.autoscaling.enabled) == (2, False)


def test_sizes_take_strings_and_keep_bytes():
    made = GroupRuntimeInput.model_validate(
        {
            "containers": [
                {
                    "name": "main",
                    "resourceAllocation": {
                        "cpu": 0.5,
                        "memory": "512MB",
                        "gpu": 1,
                        "gpuMemory": "8Gi",
                    },
                },
                {"name": "side"},
            ],
            "concurrencyLimitPerReplica": 4,
        }
    ).to_model()
    assert made.containers[0].resources == Resources(
        cpu=0.5, memory_bytes=512_000_000, gpu=1, gpu_memory_bytes=8 * 1024**3
    )
    assert made.containers[1].resources == Resources()
    assert made.concurrency_limit == 4


@pytest.mark.parametrize(
    "body",
    [
        {"replicaCount": 0},
        {"replicaCount": 10**30},
        {"name": ""},
        {"bundleSelectionPolicy": "cheapest"},
        {"concurrencyLimitPerReplica": 0},
        {"containers": [{"name": "a"}, {"name": "a"}]},
        {"containers": [{"resourceAllocation": {"cpu": 1}}]},
        {"containers": [{"name": "a", "resourceAllocation": {"cpu": -1}}]},
        {"containers": [{"name": "a", "resourceAllocation": {"memory": "lots"}}]},
        {"replicas": 2},
    ],
)
def test_groups_that_cannot_work_are_refused(body):
    assert refused(GroupRuntimeInput, body)


# -- whole runtimes ---------------------------------------------------------------------------


def test_the_flat_form_of_v241_is_one_group():
    body = {"replicaCount": 3, "resourceBundles": ["cpu.small"]}
    assert RuntimeInput.model_validate(body).to_model() == Runtime(
        container_groups=(GroupRuntime(replica_count=3, resource_bundles=("cpu.small",)),)
    )
    flat = {"autoscaling": scaling(CONCURRENCY | {"minCount": 0, "maxCount": 3})}
    made = RuntimeInput.model_validate(flat).to_model().group().autoscaling
    assert made == Autoscaling(
        policies=(ScalingPolicy(metric=METRICS[0], target=10),), min_replicas=0, max_replicas=3
    )


def test_the_flat_form_follows_the_same_rules():
    body = {"replicaCount": 3, "autoscaling": scaling(CONCURRENCY)}
    assert "exclude each other" in refused(RuntimeInput, body)[0][1]


def test_two_forms_that_disagree_are_refused():
    body = {"replicaCount": 3, "containerGroups": [{"replicaCount": 2}]}
    assert "say it once" in refused_because(RuntimeInput, body)


def test_an_empty_runtime_says_nothing():
    assert RuntimeInput.model_validate({}).to_model() == Runtime()


def test_more_than_one_group_is_refused():
    groups = [{"name": "a"}, {"name": "b"}]
    assert refused(RuntimeInput, {"containerGroups": groups})[0][0] == "containerGroups"


BODIES = [
    {"containerGroups": [{"replicaCount": 2}]},
    {"containerGroups": [{"autoscaling": scaling(CONCURRENCY, maxReplicaCount=4)}]},
    {
        "containerGroups": [
            {
                "autoscaling": scaling(CPU, enabled=False),
                "replicaCount": 2,
                "resourceBundles": ["cpu.small"],
                "concurrencyLimitPerReplica": 3,
            }
        ]
    },
    {
        "containerGroups": [
            {"containers": [{"name": "a", "resourceAllocation": {"cpu": 1, "memory": 5}}]}
        ],
        "enclaves": ["e"],
        "enclaveSelectionPolicy": "manual",
    },
]


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("body", BODIES)
def test_what_goes_out_comes_in_again_unchanged(body, family):
    made = RuntimeInput.model_validate(body).to_model()
    shown = runtime_shape(made, family).model_dump(mode="json")
    again = RuntimeInput.model_validate(shown).to_model()
    assert runtime_shape(again, family).model_dump(mode="json") == shown


def test_answers_have_the_current_form():
    made = RuntimeInput.model_validate(
        {
            "containerGroups": [
                {
                    "autoscaling": scaling(
                        CONCURRENCY | {"minCount": 0, "maxCount": 4, "priority": 1},
                        cooldownPeriodMinutes=2,
                    )
                }
            ]
        }
    ).to_model()
    (group,) = runtime_shape(made, Family.NEW).model_dump(mode="json")["containerGroups"]
    assert group["replicaCount"] is None
    assert group["autoscaling"] == {
        "enabled": True,
        "policies": [CONCURRENCY],
        "minReplicaCount": 0,
        "maxReplicaCount": 4,
        "cooldownPeriodMinutes": 2,
    }


def test_the_old_family_also_answers_at_the_top():
    runtime = Runtime(container_groups=(GroupRuntime(replica_count=2),))
    shown = runtime_shape(runtime, Family.OLD).model_dump(mode="json")
    assert (shown["replicaCount"], shown["autoscaling"]) == (2, None)
    assert "replicaCount" not in runtime_shape(runtime, Family.NEW).model_dump(mode="json")
