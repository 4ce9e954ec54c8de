"""Users and the caller's own account."""

import hashlib
from typing import Self

from controlplane.model.people import User
from controlplane.wire.base import Shape


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
