import pytest

from controlplane.model.artifacts import ArtifactSpec
from controlplane.wire.artifacts import ArtifactInput, ArtifactPatch, SpecInput
from tests.unit.controlplane.wire.refusals import refused

GROUPS = [{"containers": [{"imageUri": "i", "port": 8000}]}]
BODY = {"name": "a", "spec": {"containerGroups": GROUPS}}


def test_a_small_body_is_enough():
    made = ArtifactInput.model_validate(BODY)
    assert (made.name, made.type, made.description) == ("a", "service", "")
    primary = made.spec.to_model().primary()
    assert primary is not None
    assert primary.port == 8000


@pytest.mark.parametrize(
    "body",
    [
        {"spec": {}},
        {"name": "a"},
        {"name": "", "spec": {}},
        {"name": "x" * 5001, "spec": {}},
        BODY | {"status": "ready"},
        BODY | {"type": "model"},
        BODY | {"version": 1},
        {"name": "a", "spec": {"containerGroups": GROUPS * 2}},
        {"name": "a", "spec": {"containers": []}},
        {"name": "a", "spec": {"a2a_enabled": True}},
    ],
)
def test_bodies_that_cannot_work_are_refused(body):
    assert refused(ArtifactInput, body)


def test_the_status_of_a_body_is_accepted_in_every_generations_words():
    for status in ("draft", "locked", "registered", None):
        ArtifactInput.model_validate(BODY | {"status": status})


def test_generic_is_service():
    assert ArtifactInput.model_validate(BODY | {"type": "generic"}).type == "service"


def test_storage_goes_with_nim_only():
    spec = {"storage": {"mode": "dedicatedPvc", "pvcSize": "10Gi"}}
    ((where, why),) = refused(ArtifactInput, {"name": "a", "spec": spec})
    assert (where, "nim only" in why) == ("spec.storage", True)
    made = ArtifactInput.model_validate({"name": "a", "type": "nim", "spec": spec})
    assert made.spec.to_model().storage == {"mode": "dedicatedPvc", "pvcSize": "10Gi"}


@pytest.mark.parametrize(
    "storage",
    [{"mode": "nimCache", "pvcSize": "10Gi"}, {"pvcSize": "10GB"}, {"mode": "tape"}],
)
def test_storage_that_cannot_work_is_refused(storage):
    assert refused(ArtifactInput, {"name": "a", "type": "nim", "spec": {"storage": storage}})


def test_a2a_goes_with_agents_only():
    spec = {"a2aEnabled": True}
    ((where, why),) = refused(ArtifactInput, {"name": "a", "spec": spec})
    assert (where, "agent only" in why) == ("spec.a2aEnabled", True)
    off = {"a2aEnabled": False}
    assert ArtifactInput.model_validate({"name": "a", "spec": off}).spec.a2a_enabled is False
    made = ArtifactInput.model_validate({"name": "a", "type": "agent", "spec": spec})
    assert made.spec.to_model().a2a_enabled is True


def test_a_partial_spec_keeps_what_it_does_not_name():
    base = ArtifactSpec(
        container_groups=SpecInput.model_validate({"containerGroups": GROUPS})
        .to_model()
        .container_groups,
        template_id="t",
    )
    assert SpecInput.model_validate({"type": "service"}).to_model(base) == base
    emptied = SpecInput.model_validate({"containerGroups": []}).to_model(base)
    assert emptied == ArtifactSpec(template_id="t")
    assert SpecInput.model_validate({"templateId": None}).to_model(base).template_id is None


def test_a_patch_may_say_nothing_and_refuses_what_it_does_not_know():
    assert ArtifactPatch.model_validate({}).name is None
    assert refused(ArtifactPatch, {"type": "nim"})
    assert refused(ArtifactPatch, {"name": ""})
