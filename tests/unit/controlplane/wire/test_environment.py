import pytest
from pydantic import TypeAdapter

from controlplane.model.artifacts import EnvVar
from controlplane.wire.containers import ContainerInput
from controlplane.wire.environment import (
    EnvironmentVar,
    EnvironmentVars,
    variable_model,
    variable_shape,
)
from tests.unit.controlplane.wire.refusals import refused, refused_because

ONE = TypeAdapter(EnvironmentVar)
ALL = TypeAdapter(EnvironmentVars)
CREDENTIAL = {"source": "dr-credential", "name": "B", "drCredentialId": "1" * 24, "key": "user"}

MODELS = [
    ({"name": "A", "value": ""}, EnvVar(name="A", value="")),
    ({"source": "string", "name": "A", "value": "x"}, EnvVar(name="A", value="x")),
    (
        CREDENTIAL,
        EnvVar(source="dr-credential", name="B", credential_id="1" * 24, key="user"),
    ),
    ({"source": "api-key"}, EnvVar(source="api-key", name="DATAROBOT_API_TOKEN")),
    ({"source": "api-key", "name": "T"}, EnvVar(source="api-key", name="T")),
]


@pytest.mark.parametrize(("body", "record"), MODELS)
def test_every_source_becomes_a_record_and_comes_out_as_it_went_in(body, record):
    assert variable_model(ONE.validate_python(body)) == record
    shown = ONE.dump_python(variable_shape(record), mode="json", by_alias=True)
    assert variable_model(ONE.validate_python(shown)) == record
    assert body.items() <= shown.items()


@pytest.mark.parametrize("name", ["PORT", "HOST", "DATAROBOT_ENDPOINT", "a.b", "Ü"])
def test_names_that_images_carry_are_accepted(name):
    ONE.validate_python({"name": name, "value": "x"})


def where(variables):
    body = {"name": "main", "imageUri": "i:1", "port": 8000, "environmentVars": variables}
    return [place.removeprefix("environmentVars.") for place, _ in refused(ContainerInput, body)]


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ([{"name": "", "value": "x"}], "0.string.name"),
        ([{"name": "A=B", "value": "x"}], "0.string.name"),
        ([{"name": "A\0", "value": "x"}], "0.string.name"),
        ([{"name": "WORKLOAD_ID", "value": "x"}], "0.string.name"),
        ([{"name": "TIDEGATE_REPLICA_ID", "value": "x"}], "0.string.name"),
        ([{"name": "A"}], "0.string.value"),
        ([{"name": "A", "value": 7}], "0.string.value"),
        ([{"name": "A", "value": "a\0b"}], "0.string.value"),
        ([{"name": "A", "value": "x", "key": "user"}], "0.string.key"),
        ([{"source": "vault", "name": "A"}], "0.source"),
        ([{"source": {"not": ["this"]}, "name": "A", "value": "x"}], "0.source"),
        ([{"source": None, "name": "A", "value": "x"}], "0.source"),
        ([5], "0"),
        ([CREDENTIAL | {"key": ""}], "0.dr-credential.key"),
        ([CREDENTIAL | {"drCredentialId": ""}], "0.dr-credential.drCredentialId"),
        ([CREDENTIAL | {"value": "x"}], "0.dr-credential.value"),
        ([CREDENTIAL | {"name": "WORKLOAD_ID"}], "0.dr-credential.name"),
        ([{"source": "dr-credential", "name": "A", "key": "k"}], "0.dr-credential.drCredentialId"),
        ([{"source": "api-key", "name": "WORKLOAD_ID"}], "0.api-key.name"),
        ([{"source": "api-key", "value": "x"}], "0.api-key.value"),
        ([{"name": "B", "value": "x"}, CREDENTIAL], "1.name"),
        ([{"source": "api-key"}, {"name": "DATAROBOT_API_TOKEN", "value": "x"}], "1.name"),
        ([{"source": "api-key"}, {"source": "api-key"}], "1.name"),
    ],
)
def test_a_wrong_variable_is_refused_where_it_stands(variables, place):
    assert where(variables) == [place]


def test_an_unknown_source_is_told_which_there_are():
    body = {"name": "main", "imageUri": "i:1", "port": 8000, "environmentVars": [{"source": "x"}]}
    assert "'string', 'dr-credential', 'api-key'" in refused_because(ContainerInput, body)


def test_names_that_differ_in_case_are_different():
    assert len(ALL.validate_python([{"name": "a", "value": "x"}, {"name": "A", "value": "x"}])) == 2
