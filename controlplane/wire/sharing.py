"""Who has which role on something: the contract's sharedRoles."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controlplane.model.states import EVERYBODY, AccessRole
from controlplane.wire.base import Input, Name, Shape, broken_rule

UserId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$", description="24 hexadecimal digits.")]

RecipientType = Literal["user", "group", "organization", "role"]


class SharedRoleInput(Input):
    """One recipient and its role: a user by `id` or `username`, or the organization by `id`."""

    share_recipient_type: Annotated[
        RecipientType,
        Field(
            description="`user`, or `organization`: all users. `group` and `role` are refused:"
            " there are none here."
        ),
    ]
    role: Annotated[
        Literal["OWNER", "USER", "CONSUMER", "NO_ROLE"],
        Field(description="`NO_ROLE` takes every role away, as leaving the recipient out does."),
    ]
    id: UserId | None = None
    username: Name | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.share_recipient_type in {"group", "role"}:
            raise broken_rule(
                f"there is no shareRecipientType {self.share_recipient_type} here:"
                " share with a user, or with the organization",
                "shareRecipientType",
            )
        if (self.id is None) == (self.username is None):
            raise broken_rule("give exactly one of id and username")
        if self.share_recipient_type == "organization" and self.id != EVERYBODY:
            raise broken_rule(f"the organization's id is {EVERYBODY} (orgId of account/info)", "id")
        return self


class SharedRolesInput(Input):
    """Body of PATCH sharedRoles: the whole list, not a change of it."""

    operation: Literal["updateRoles"]
    roles: Annotated[list[SharedRoleInput], Field(min_length=1, max_length=100)]


class SharedRole(Shape):
    """Somebody's role on something."""

    id: str
    name: str = Field(description="The user's name, or `Everybody`.")
    role: AccessRole
    share_recipient_type: Literal["user", "organization"]
