"""Users, their tokens, and the caller's own account."""

import hashlib
from typing import Annotated, Any, Final, Self

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from controlplane.model.people import Scope, Token, User
from controlplane.wire.base import (
    Flag,
    Input,
    Name,
    Number,
    Shape,
    broken_rule,
    maybe_timestamp,
    timestamp,
)

ObjectIdText = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]

LONGEST_LIFE_S: Final = 100 * 365 * 86_400
"""Of a token that expires: a century."""


class UserShape(Shape):
    """A person, as other people see them."""

    id: str
    email: str | None
    username: str
    full_name: str
    userhash: str

    @classmethod
    def of(cls, user: User) -> Self:
        """The answer's form of a user."""
        return cls(
            id=user.id,
            email=user.email,
            username=user.username,
            full_name=f"{user.first_name} {user.last_name}".strip(),
            userhash=hashlib.sha256(user.email.encode()).hexdigest()[:32],
        )


class Limits(Shape):
    """What the installation allows; 0: no limit."""

    max_concurrent_workloads: int
    max_workload_replicas: int


class AccountInfo(Shape):
    """Whose token this is."""

    uid: str
    username: str
    email: str
    first_name: str
    last_name: str
    org_id: str
    tenant_id: str | None
    admin: bool
    limits: Limits


class Version(Shape):
    """The API's version, as the public clients check it, and the server's own."""

    major: int
    minor: int
    version_string: str
    released_version: str
    server: str


Username = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$",
        description="Letters, digits and `._@+-`, at most 100. It never changes.",
    ),
]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
PersonName = Annotated[str, Field(max_length=100)]


def _written(value: object) -> object:
    """Numbers are no moments, in quotes neither: pydantic would count seconds from 1970."""
    if not isinstance(value, str) or value[4:5] != "-":
        raise broken_rule("send an RFC 3339 time with its zone, such as 2026-11-21T19:00:00Z")
    return value


_Moment = Annotated[
    AwareDatetime, BeforeValidator(_written), Field(description="RFC 3339, with its zone.")
]


class UserInput(Input):
    """Body of create."""

    username: Username
    email: Email | None = Field(None, description="Default: the username, at localhost.")
    first_name: PersonName = ""
    last_name: PersonName = ""
    admin: Flag = False


class UserPatch(Input):
    """Body of PATCH: what is absent or null stays."""

    email: Email | None = None
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    admin: Flag | None = None
    disabled: Flag | None = Field(None, description="None of the user's tokens works meanwhile.")


class UserFormatted(Shape):
    """A person, as admins see them."""

    id: str
    username: str
    email: str
    first_name: str
    last_name: str
    admin: bool
    disabled: bool
    created_at: str

    @classmethod
    def of(cls, user: User) -> Self:
        """The answer's form of a user."""
        return cls(
            id=user.id,
            username=user.username,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            admin=user.admin,
            disabled=user.disabled,
            created_at=timestamp(user.created_at),
        )


class ApiKeyInput(Input):
    """Body of create. Without an expiry the token works until it is revoked."""

    name: Name
    expires_at: _Moment | None = None
    expires_in_seconds: Annotated[Number, Field(gt=0, le=LONGEST_LIFE_S)] | None = None
    scope: Scope = Field(
        Scope.FULL,
        description="`full`: all that its user may do; `read`: GET; `invoke`: invoke URLs;"
        " `workload`: both, as replicas have it.",
    )
    workload_ids: Annotated[list[ObjectIdText], Field(max_length=100)] = Field(
        default_factory=list, description="The only workloads it works for. Empty: all."
    )
    user_id: ObjectIdText | None = Field(
        None, description="Whose token; admins may name anybody. Default: the caller."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.expires_at is not None and self.expires_in_seconds is not None:
            raise broken_rule("give expiresAt or expiresInSeconds, not both", "expiresInSeconds")
        return self


class ApiKeyFormatted(Shape):
    """A token, without its text."""

    id: str
    name: str
    prefix: str = Field(description="The first characters of its text.")
    user_id: str
    scope: Scope
    workload_ids: list[str]
    made_for_workload_id: str | None = Field(
        description="The workload whose replicas carry it; null: a person's."
    )
    expired: bool
    created_at: str
    expires_at: str | None

    @classmethod
    def of(cls, token: Token, *, now_s: float) -> Self:
        """The answer's form of a token."""
        return cls(**_token_fields(token, now_s))


class ApiKeyCreated(ApiKeyFormatted):
    """A new token, with its text: nothing keeps it, no other answer has it."""

    key: str

    @classmethod
    def with_text(cls, token: Token, text: str, *, now_s: float) -> Self:
        """The answer to its creation."""
        return cls(key=text, **_token_fields(token, now_s))


def _token_fields(token: Token, now_s: float) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "prefix": token.prefix,
        "user_id": token.user_id,
        "scope": token.scope,
        "workload_ids": list(token.workload_ids),
        "made_for_workload_id": token.made_for,
        "expired": token.expires_at is not None and token.expires_at <= now_s,
        "created_at": timestamp(token.created_at),
        "expires_at": maybe_timestamp(token.expires_at),
    }
