import pytest

from controlplane.model.states import Importance
from controlplane.wire.deployments import DeploymentInput
from controlplane.wire.workloads import (
    Empty,
    OldWorkloadInput,
    SettingsInput,
    WorkloadInput,
    WorkloadPatch,
)
from tests.unit.controlplane.wire.refusals import refused, refused_because

ARTIFACT = {
    "name": "a",
    "spec": {"containerGroups": [{"containers": [{"imageUri": "i", "port": 8000}]}]},
}


def test_a_workload_names_its_artifact_or_brings_it():
    assert WorkloadInput.model_validate({"name": "w", "artifactId": "x"}).artifact_id == "x"
    inline = WorkloadInput.model_validate({"name": "w", "artifact": ARTIFACT})
    assert inline.artifact is not None
    assert inline.importance is Importance.LOW


@pytest.mark.parametrize("both", [{}, {"artifactId": "x", "artifact": ARTIFACT}])
def test_neither_or_both_are_refused(both):
    assert "exactly one" in refused_because(WorkloadInput, {"name": "w"} | both)


def test_only_the_old_family_does_without_a_name():
    assert refused(WorkloadInput, {"artifactId": "x"}) == [("name", "Field required")]
    assert OldWorkloadInput.model_validate({"artifactId": "x"}).name is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"importance": "urgent"},
        {"useCaseId": "no-hex"},
        {"artifact_id": "x"},
        {"runtime": {"replicas": 1}},
        {"replicaCount": 1},
    ],
)
def test_bodies_that_cannot_work_are_refused(wrong):
    assert refused(WorkloadInput, {"name": "w", "artifactId": "x"} | wrong)


def test_the_body_that_the_public_python_client_sends_is_accepted():
    container = {
        "name": "main",
        "imageUri": "i",
        "primary": True,
        "port": 8080,
        "resourceRequest": {"cpu": 1, "memory": 536870912, "gpu": 0},
    }
    made = WorkloadInput.model_validate(
        {
            "name": "w",
            "importance": "low",
            "artifact": {
                "name": "w",
                "spec": {"type": "service", "containerGroups": [{"containers": [container]}]},
            },
            "runtime": {"containerGroups": [{"name": "default", "replicaCount": 1}]},
        }
    )
    assert made.artifact is not None
    primary = made.artifact.spec.to_model().primary()
    assert primary is not None
    assert primary.resources is not None
    assert primary.resources.memory_bytes == 536870912


def test_patches_refuse_what_is_not_metadata():
    assert refused(WorkloadPatch, {"runtime": {}})
    assert refused(WorkloadPatch, {"status": "stopped"})
    assert WorkloadPatch.model_validate({"description": ""}).description == ""


def test_settings_need_a_runtime():
    assert refused(SettingsInput, {}) == [("runtime", "Field required")]


def test_actions_take_an_empty_body_only():
    Empty.model_validate({})
    assert refused(Empty, {"force": True})


def test_a_deployment_needs_name_and_workload():
    assert len(refused(DeploymentInput, {})) == 2
