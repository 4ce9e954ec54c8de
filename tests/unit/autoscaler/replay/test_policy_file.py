"""Policy files: what clients send, and what surrounds it."""

import json

import pytest

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.policy_file import load_policy, policy_of

AUTOSCALING = {
    "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 4}],
    "minReplicaCount": 0,
    "maxReplicaCount": 20,
    "cooldownPeriodMinutes": 2,
}


def test_the_autoscaling_object_alone_is_a_policy():
    found = policy_of(AUTOSCALING, name="p")
    assert found.autoscaling.max_replicas == 20
    assert found.autoscaling.cooldown_s == 120
    assert found.replica_limit == 8, "twice the target"
    assert found.target == 4


def test_limit_and_settings_may_surround_it(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "autoscaling: {policies: [{scalingMetric: httpRequestsInFlight, target: 3}],"
        " minReplicaCount: 1}\nconcurrencyLimitPerReplica: 5\n"
        "settings: {autoscaler: {tick_s: 0.5}}\n"
    )
    found = load_policy(path)
    assert found.replica_limit == 5
    assert found.settings.autoscaler.tick_s == 0.5


def test_json_is_read_too(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(AUTOSCALING))
    assert load_policy(path).autoscaling.max_replicas == 20


def test_a_policy_without_a_load_target_has_the_platforms_limit():
    policies = [{"scalingMetric": "httpRequestsPerHour", "target": 100}]
    found = policy_of({"policies": policies, "minReplicaCount": 1}, name="p")
    assert found.replica_limit == 1024
    assert found.target is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param([1], "expected an object", id="list"),
        pytest.param({"policies": []}, "autoscaling", id="no-policy"),
        pytest.param({**AUTOSCALING, "enabled": False}, "not enabled", id="off"),
        pytest.param(
            {**AUTOSCALING, "maxReplicaCount": "many"}, "maxReplicaCount", id="names-the-field"
        ),
        pytest.param({"autoscaling": AUTOSCALING, "other": 1}, "'other'", id="unknown-key"),
        pytest.param(
            {**AUTOSCALING, "maxReplicaCont": 5}, "did you mean 'maxReplicaCount'", id="misspelt"
        ),
        pytest.param({"autoscaling": None}, "autoscaling: expected an object", id="nothing"),
        pytest.param(
            {"autoscaling": AUTOSCALING, "concurrencyLimitPerReplica": 0},
            "concurrencyLimitPerReplica",
            id="limit",
        ),
        pytest.param({"autoscaling": AUTOSCALING, "settings": 1}, "settings", id="settings"),
        pytest.param(
            {"autoscaling": AUTOSCALING, "settings": {"autoscaler": {"tik_s": 1}}},
            "tik_s",
            id="unknown-setting",
        ),
    ],
)
def test_what_is_wrong_is_named(content, said):
    with pytest.raises(ReplayError, match=said) as caught:
        policy_of(content, name="p.yaml")
    assert caught.value.message.startswith("p.yaml")


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(ReplayError, match="cannot read"):
        load_policy(tmp_path / "gone")
    path = tmp_path / "bad"
    path.write_text("{")
    with pytest.raises(ReplayError, match="neither JSON nor YAML"):
        load_policy(path)
    path.write_bytes(b"a" * (2**20 + 1))
    with pytest.raises(ReplayError, match="larger than"):
        load_policy(path)
