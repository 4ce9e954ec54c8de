"""Users and their tokens."""

from enum import StrEnum
from typing import ClassVar

from controlplane.model.kinds import Kind, Record


class User(Record, frozen=True, kw_only=True):
    """Somebody who may hold tokens. An admin may do everything with every entity."""

    kind: ClassVar[Kind] = Kind.USER
    username: str
    email: str
    first_name: str = ""
    last_name: str = ""
    admin: bool = False
    disabled: bool = False
    """None of its tokens works."""
    created_at: float


class Scope(StrEnum):
    """What a token may be used for. Its user's roles count besides."""

    FULL = "full"
    """Everything that its user may do."""
    READ = "read"
    """GET and HEAD of the API."""
    INVOKE = "invoke"
    """Invoke URLs only."""
    WORKLOAD = "workload"
    """What replicas carry: GET and HEAD of the API, and invoke URLs."""


class Token(Record, frozen=True, kw_only=True):
    """A bearer token; only its SHA-256 is kept (256 random bits need no slow hash)."""

    kind: ClassVar[Kind] = Kind.TOKEN
    name: str
    digest: str
    """SHA-256 of the whole token text, 64 hexadecimal digits."""
    prefix: str
    """The first characters, shown in lists so that people can tell tokens apart."""
    user_id: str
    created_at: float
    expires_at: float | None = None
    scope: Scope = Scope.FULL
    workload_ids: tuple[str, ...] = ()
    """The only workloads it may be used for; empty: all."""
    made_for: str | None = None
    """The workload whose replicas carry it (`api-key` variables); None: a person's."""
    sealed: str | None = None
    """The text of a token that replicas carry, encrypted; a person's is kept nowhere."""


class Credential(Record, frozen=True, kw_only=True):
    """A secret that environments refer to by id; its values are encrypted, never readable here."""

    kind: ClassVar[Kind] = Kind.CREDENTIAL
    name: str
    description: str = ""
    type: str
    """The contract's credential type, such as `s3`, `basic`, `api_token`."""
    keys: tuple[str, ...]
    """Which values it has, in order: `awsAccessKeyId`, ..."""
    sealed: str
    """The values by key, encrypted; `controlplane.sealing` opens them."""
    user_id: str
    """Whose it is."""
    created_at: float
    updated_at: float
