"""Routes of users, for admins. An extension of the API."""

from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query
from pydantic import Field

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import Cursor, NewPage, Page, Sorting, matches, page_of
from controlplane.api.writes import carry_out
from controlplane.lifecycle import people as rules
from controlplane.lifecycle.plans import (
    ForbiddenError,
    Held,
    NotFoundError,
    Plan,
    Remove,
    UnfitError,
)
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.people import Credential, Token, User
from controlplane.model.states import effective_roles
from controlplane.model.workloads import Workload
from controlplane.wire.base import Input
from controlplane.wire.people import (
    ObjectIdText,
    UserFormatted,
    UserInput,
    UserPatch,
)

router: Final = APIRouter(tags=["users"], responses=RESPONSES)

E = TypeVar("E", Workload, Artifact, Repository)
Owned = TypeVar("Owned", Credential, Token)


class UserQuery(Cursor, NewPage):
    """Query of the user list."""

    search: Annotated[str, Field(max_length=100)] | None = None
    order_by: Annotated[str, Field(pattern="^-?(username|createdAt)$")] = "createdAt"


class DeletionQuery(Input):
    """Query of a user's deletion."""

    transfer_to: ObjectIdText | None = None


_USERS: Final = Sorting[User](
    keys={"username": lambda user: user.username, "createdAt": lambda user: user.created_at},
    fixed=frozenset({"username", "createdAt"}),
)


@router.post("/users", status_code=201, response_model=UserFormatted)
async def create_user(call: PlainCall, body: UserInput) -> UserFormatted:
    """Create a user (admins only). An extension. `POST /account/apiKeys` then makes a token."""
    _require_admin(call)
    content = rules.UserContent(
        username=body.username,
        email=body.email
        or (body.username if "@" in body.username else f"{body.username}@localhost"),
        first_name=body.first_name,
        last_name=body.last_name,
        admin=body.admin,
    )
    outcome = await carry_out(
        call, lambda: rules.create_user(content, users=_users(call), stamp=call.stamp())
    )
    call.tag(outcome.version)
    return UserFormatted.of(outcome.record)


@router.get("/users", response_model=Page[UserFormatted])
async def list_users(call: ListCall, query: Annotated[UserQuery, Query()]) -> dict[str, Any]:
    """All users (admins only). An extension."""
    _require_admin(call)
    found = [
        user
        for user in call.services.mirror.all(User).values()
        if matches(query.search, name=user.username, description=user.email, record_id=user.id)
    ]
    return await page_of(call, query, found, sorting=_USERS, view=UserFormatted.of)


@router.get("/users/{user_id}", response_model=UserFormatted)
async def get_user(call: PlainCall, user_id: str) -> UserFormatted:
    """One user (admins only). An extension."""
    _require_admin(call)
    held = _user(call, user_id)
    call.tag(held.version)
    return UserFormatted.of(held.record)


@router.patch("/users/{user_id}", response_model=UserFormatted)
async def edit_user(call: PlainCall, user_id: str, body: UserPatch) -> UserFormatted:
    """Change, disable, or make admin (admins only). An extension.

    A disabled user's tokens stop working within a second, everywhere, and work again when the
    user is enabled.
    """
    _require_admin(call)
    edit = rules.UserEdit(
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
        admin=body.admin,
        disabled=body.disabled,
    )

    def plan() -> Plan[User]:
        held = _user(call, user_id)
        call.check_if_match(held)
        return rules.edit_user(held, edit, users=_users(call))

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return UserFormatted.of(outcome.record)


@router.delete("/users/{user_id}", status_code=204)
async def delete_user(
    call: ListCall, user_id: str, query: Annotated[DeletionQuery, Query()]
) -> None:
    """Delete a user with all tokens and roles (admins only). An extension.

    `transferTo` names the user who becomes owner of what has no other one; without it there must
    be nothing like that.
    """
    _require_admin(call)
    left = True

    def plan() -> Plan[User]:
        nonlocal left
        held = _user(call, user_id)
        call.check_if_match(held)
        made = rules.delete_user(
            held,
            users=_users(call),
            has=_belongings(call, user_id),
            heir=None if query.transfer_to is None else _named(call, query.transfer_to),
            stamp=call.stamp(),
        )
        left = not any(isinstance(write, Remove) and write.kind is User for write in made.writes)
        return made

    while left:  # ten thousand things do not fit into one commit
        await carry_out(call, plan)


def _require_admin(call: Call) -> None:
    if not call.user.admin:
        raise ForbiddenError("Only admins may see and change users.")


def _users(call: Call) -> list[Held[User]]:
    mirror = call.services.mirror
    return [Held(user, mirror.version(User, user.id)) for user in mirror.all(User).values()]


def _user(call: Call, user_id: str) -> Held[User]:
    held = call.services.held(User, user_id)
    if held is None:
        raise NotFoundError(f"There is no user {user_id}.")
    return held


def _named(call: Call, user_id: str) -> User:
    user = call.services.mirror.get(User, user_id)
    if user is None:
        raise UnfitError(f"transferTo: there is no user {user_id}.")
    return user


def _belongings(call: Call, user_id: str) -> rules.Belongings:
    return rules.Belongings(
        entities=[
            *_shared(call, Workload, user_id),
            *_shared(call, Artifact, user_id),
            *_shared(call, Repository, user_id),
        ],
        credentials=_owned(call, Credential, user_id),
        tokens=_owned(call, Token, user_id),
    )


def _shared(call: Call, cls: type[E], user_id: str) -> list[Held[E]]:
    mirror = call.services.mirror
    return [
        Held(record, mirror.version(cls, record.id))
        for record in mirror.all(cls).values()
        if record.deleted_at is None and user_id in effective_roles(record.roles, record.creator_id)
    ]


def _owned(call: Call, cls: type[Owned], user_id: str) -> list[Held[Owned]]:
    mirror = call.services.mirror
    return [
        Held(record, mirror.version(cls, record.id))
        for record in mirror.all(cls).values()
        if record.user_id == user_id
    ]
