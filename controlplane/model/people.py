"""Users and their tokens."""

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
    created_at: float


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
