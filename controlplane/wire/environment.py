"""Environment variables of a container: plain values, values of credentials, a token."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from controlplane.model.artifacts import EnvVar
from controlplane.wire.base import Input, broken_rule

API_KEY_NAME: Final = "DATAROBOT_API_TOKEN"
"""Of an `api-key` variable that has none."""

RESERVED_PREFIX: Final = "TIDEGATE_REPLICA_"
"""Variables by which the platform finds its own replicas again; owners may not set them."""

RESERVED: Final = frozenset({"WORKLOAD_ID"})
"""What the platform tells every replica. PORT and HOST are told too, but images carry them, so
they are accepted, and the platform's count."""


def _variable_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("an environment variable's name is not empty and has no '=' or NUL")
    if name.startswith(RESERVED_PREFIX) or name in RESERVED:
        belong = f"{', '.join(RESERVED)} and names that start with {RESERVED_PREFIX}"
        raise ValueError(f"{belong} belong to the platform")
    return name


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL characters")
    return value


VariableName = Annotated[str, AfterValidator(_variable_name)]
Text = Annotated[str, AfterValidator(_no_nul)]


class StringVar(Input):
    """An environment variable with a plain value."""

    source: Literal["string"] = "string"
    name: VariableName
    value: Text


class CredentialVar(Input):
    """A value from a stored credential."""

    source: Literal["dr-credential"]
    name: VariableName
    dr_credential_id: Annotated[str, Field(min_length=1, max_length=200)]
    key: Annotated[str, Field(min_length=1, max_length=200)]


class ApiKeyVar(Input):
    """An API token of the platform; the default name is DATAROBOT_API_TOKEN."""

    source: Literal["api-key"]
    name: VariableName | None = None


def _plain_unless_told(value: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    if isinstance(value, dict) and "source" not in value:
        return {"source": "string", **value}
    return value


EnvironmentVar = Annotated[
    StringVar | CredentialVar | ApiKeyVar,
    Field(discriminator="source"),
    BeforeValidator(_plain_unless_told),
]


def _differ(variables: Sequence[Any]) -> Sequence[Any]:
    seen = set()
    for number, variable in enumerate(variables):
        name = variable.name or API_KEY_NAME
        if name in seen:
            told = f"names of variables must differ: {name} comes twice"
            raise broken_rule(told, number, "name")
        seen.add(name)
    return variables


EnvironmentVars = Annotated[tuple[EnvironmentVar, ...], AfterValidator(_differ)]


def variable_model(variable: StringVar | CredentialVar | ApiKeyVar) -> EnvVar:
    """The record's form of a variable."""
    if isinstance(variable, StringVar):
        return EnvVar(name=variable.name, value=variable.value)
    if isinstance(variable, ApiKeyVar):
        return EnvVar(source=variable.source, name=variable.name or API_KEY_NAME)
    return EnvVar(
        source=variable.source,
        name=variable.name,
        credential_id=variable.dr_credential_id,
        key=variable.key,
    )


def variable_shape(variable: EnvVar) -> StringVar | CredentialVar | ApiKeyVar:
    """The answer's form of a variable."""
    if variable.source == "string":
        return StringVar.model_validate({"name": variable.name, "value": variable.value})
    if variable.source == "api-key":
        return ApiKeyVar.model_validate({"source": "api-key", "name": variable.name})
    return CredentialVar.model_validate(
        {
            "source": "dr-credential",
            "name": variable.name,
            "drCredentialId": variable.credential_id,
            "key": variable.key,
        }
    )
