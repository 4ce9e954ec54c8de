"""Which field was meant, wherever in a body the unknown one is."""

import pytest
from pydantic import TypeAdapter, ValidationError

from controlplane.wire.artifacts import ArtifactInput
from controlplane.wire.misspelt import UNKNOWN, meant
from controlplane.wire.workloads import WorkloadInput


def container(**fields: object) -> dict[str, object]:
    spec = {"containerGroups": [{"containers": [{"imageUri": "a/b:1", "port": 8000, **fields}]}]}
    return {"name": "w", "artifact": {"name": "a", "spec": spec}}


def group(**fields: object) -> dict[str, object]:
    return {"name": "w", "artifactId": "0" * 24, "runtime": {"containerGroups": [fields]}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({"name": "w", "artifact_id": "x"}, "'artifactId'", id="in-snake-case"),
        pytest.param(container(imageUrl="x"), "'imageUri'", id="in-lists"),
        pytest.param(container(readinessProbe={"pth": "/"}), "'path'", id="in-optional-objects"),
        pytest.param(
            container(environmentVars=[{"source": "dr-credential", "drCredentialID": "x"}]),
            "'drCredentialId'",
            id="in-the-branch-that-a-field-names",
        ),
        pytest.param(group(replicas=3), "'replicaCount'", id="in-settings"),
        pytest.param(group(colour="blue"), "", id="like-none"),
    ],
)
def test_the_known_field_that_is_like_it_is_told(body, said):
    with pytest.raises(ValidationError) as caught:
        WorkloadInput.model_validate(body)
    ways = [error["loc"] for error in caught.value.errors() if error["type"] == UNKNOWN]
    hints = {meant([WorkloadInput], way) for way in ways}
    assert hints == {f", did you mean {said}?" if said else ""}


def test_of_several_shapes_all_fields_are_known():
    many = TypeAdapter(list[WorkloadInput | ArtifactInput])
    with pytest.raises(ValidationError) as caught:
        many.validate_python([{"sepc": {}}])
    ways = [error["loc"] for error in caught.value.errors() if error["type"] == UNKNOWN]
    annotation = [list[WorkloadInput | ArtifactInput]]
    assert {meant(annotation, way) for way in ways} == {", did you mean 'spec'?"}
