import pytest

from controlplane.model.artifacts import Resources
from controlplane.model.workloads import Autoscaling, GroupRuntime, Runtime, ScalingPolicy
from controlplane.wire.families import Family
from controlplane.wire.runtime import (
    GroupRuntimeInput,
    RuntimeInput,
    runtime_shape,
)
from tests.unit.controlplane.wire.refusals import refused, refused_because

CONCURRENCY = {"scalingMetric": "httpRequestsConcurrency", "target": 10}
CPU = {"scalingMetric": "cpuAverageUtilization", "target": 70}


def scaling(*policies, **fields):
    return {"policies": list(policies), **fields}


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
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=10),),
        min_replicas=0,
        max_replicas=3,
    )


def test_the_flat_form_follows_the_same_rules():
    body = {"replicaCount": 3, "autoscaling": scaling(CONCURRENCY)}
    assert refused(RuntimeInput, body) == [
        ("replicaCount", "replicaCount and enabled autoscaling exclude each other: leave one out")
    ]


def test_two_forms_that_disagree_are_refused():
    body = {"replicaCount": 3, "containerGroups": [{"replicaCount": 2}]}
    assert "say it once" in refused_because(RuntimeInput, body)


def test_an_empty_runtime_says_nothing():
    assert RuntimeInput.model_validate({}).to_model() == Runtime()


def test_more_than_one_group_is_refused():
    groups = [{"name": "a"}, {"name": "b"}]
    assert refused(RuntimeInput, {"containerGroups": groups})[0][0] == "containerGroups"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"enclaveSelectionPolicy": "manual"}, "enclaves"),
        ({"enclaveSelectionPolicy": "manual", "enclaves": []}, "enclaves"),
        ({"enclaveSelectionPolicy": "nearest"}, "enclaveSelectionPolicy"),
        ({"enclaves": ["a", "b", "a"]}, "enclaves.2"),
        ({"enclaves": [""]}, "enclaves.0"),
        ({"enclaves": ["e"] * 101}, "enclaves"),
        ({"resourceBundles": ["a", "a"]}, "resourceBundles.1"),
        (
            {"containerGroups": [{"resourceBundles": ["a", "a"]}]},
            "containerGroups.0.resourceBundles.1",
        ),
        ({"containerGroups": [{"resourceBundles": [""]}]}, "containerGroups.0.resourceBundles.0"),
        (
            {"containerGroups": [{"containers": [{"name": "a"}, {"name": "a"}]}]},
            "containerGroups.0.containers.1.name",
        ),
        (
            {"containerGroups": [{"replicaCount": 1, "autoscaling": scaling(CONCURRENCY)}]},
            "containerGroups.0.replicaCount",
        ),
        (
            {"containerGroups": [{"autoscaling": {"policies": [CPU] * 21}}]},
            "containerGroups.0.autoscaling.policies",
        ),
    ],
)
def test_what_cannot_be_in_a_runtime_is_refused_where_it_stands(body, place):
    assert [where for where, _ in refused(RuntimeInput, body)] == [place]


def test_enclaves_may_be_left_to_the_platform():
    body = {"enclaveSelectionPolicy": "availability", "enclaves": ["a", "b"]}
    made = RuntimeInput.model_validate(body).to_model()
    assert (made.enclave_selection_policy, made.enclaves) == ("availability", ("a", "b"))


BODIES = [
    {"containerGroups": [{"replicaCount": 2}]},
    {"containerGroups": [{"autoscaling": scaling(CONCURRENCY, maxReplicaCount=4)}]},
    {"containerGroups": [{"autoscaling": scaling(CPU | {"priority": 1}, CONCURRENCY)}]},
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


def test_a_cooldown_that_nobody_set_is_null():
    made = RuntimeInput.model_validate(
        {"containerGroups": [{"autoscaling": scaling(CONCURRENCY)}]}
    ).to_model()
    (group,) = runtime_shape(made, Family.NEW).model_dump(mode="json")["containerGroups"]
    assert group["autoscaling"]["cooldownPeriodMinutes"] is None


def test_policies_carry_their_bounds_in_the_old_family_only():
    body = scaling(CONCURRENCY | {"priority": 3}, minReplicaCount=1, maxReplicaCount=4)
    made = RuntimeInput.model_validate({"containerGroups": [{"autoscaling": body}]}).to_model()
    old = runtime_shape(made, Family.OLD).model_dump(mode="json")
    expected = [CONCURRENCY | {"minCount": 1, "maxCount": 4, "priority": 3}]
    assert old["autoscaling"]["policies"] == expected
    assert old["containerGroups"][0]["autoscaling"]["policies"] == expected
    new = runtime_shape(made, Family.NEW).model_dump(mode="json")
    assert new["containerGroups"][0]["autoscaling"]["policies"] == [CONCURRENCY]


def test_the_old_family_also_answers_at_the_top():
    runtime = Runtime(container_groups=(GroupRuntime(replica_count=2),))
    shown = runtime_shape(runtime, Family.OLD).model_dump(mode="json")
    assert (shown["replicaCount"], shown["autoscaling"]) == (2, None)
    assert "replicaCount" not in runtime_shape(runtime, Family.NEW).model_dump(mode="json")
