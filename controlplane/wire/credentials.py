"""Credentials: their values come in and never go out.

`VALUES` are the fields of all types; which of them a type has is `model.credentials.TYPES`.
"""

import json
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field

from controlplane.model.credentials import TYPES
from controlplane.model.people import Credential
from controlplane.wire.base import Input, Name, Shape, timestamp

MAX_VALUE: Final = 65_536
"""Longest value, characters: a JSON key of a service account has about 2,300."""


def _known(value: str) -> str:
    if value not in TYPES:
        raise ValueError(f"is none of {', '.join(TYPES)}")
    return value


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL characters: it becomes an environment variable")
    return value


def _text(value: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    return json.dumps(value) if isinstance(value, dict) else value


CredentialType = Annotated[
    str,
    AfterValidator(_known),
    Field(json_schema_extra={"enum": list(TYPES)}),
]
Secret = Annotated[
    str,
    Field(min_length=1, max_length=MAX_VALUE, json_schema_extra={"writeOnly": True}),
    AfterValidator(_no_nul),
]
KeyDocument = Annotated[
    Secret,
    BeforeValidator(_text, json_schema_input_type=dict[str, Any] | str),
]
"""Google's key file: an object, or its text."""


class CredentialValues(Input):
    """The values of all types; the API checks which of them a type has."""

    aws_access_key_id: Secret | None = None
    aws_secret_access_key: Secret | None = None
    aws_session_token: Secret | None = None
    user: Secret | None = None
    password: Secret | None = None
    api_token: Secret | None = None
    token: Secret | None = None
    refresh_token: Secret | None = None
    gcp_key: KeyDocument | None = None
    azure_connection_string: Secret | None = None
    azure_tenant_id: Secret | None = None
    client_id: Secret | None = None
    client_secret: Secret | None = None
    databricks_access_token: Secret | None = None
    private_key_str: Secret | None = None
    passphrase: Secret | None = None

    def values(self) -> dict[str, str | None]:
        """What the client sent, by the client's names; None: takes an optional value away."""
        sent = self.model_dump(by_alias=True, exclude_unset=True)
        return {name: value for name, value in sent.items() if name in VALUES}


VALUES: Final = frozenset(
    field.alias or name for name, field in CredentialValues.model_fields.items()
)
"""Their names in JSON, and in `key` of a `dr-credential` variable."""


class CredentialInput(CredentialValues):
    """Body of create: a type and its values."""

    name: Name
    description: str | None = None
    credential_type: CredentialType


class CredentialPatch(CredentialValues):
    """Body of PATCH: what is absent stays; null takes an optional value away."""

    name: Name | None = None
    description: str | None = None
    credential_type: CredentialType | None = Field(
        None, description="Cannot change; accepted when it is the same."
    )


class CredentialFormatted(Shape):
    """One credential, without its values."""

    id: str = Field(description="An extension: the same as `credentialId`.")
    credential_id: str
    name: str
    description: str
    credential_type: str
    keys: list[str] = Field(description="An extension: the values that it has.")
    creation_date: str
    updated_at: str

    @classmethod
    def of(cls, credential: Credential) -> Self:
        """The answer's form of a credential."""
        return cls(
            id=credential.id,
            credential_id=credential.id,
            name=credential.name,
            description=credential.description,
            credential_type=credential.type,
            keys=list(credential.keys),
            creation_date=timestamp(credential.created_at),
            updated_at=timestamp(credential.updated_at),
        )
