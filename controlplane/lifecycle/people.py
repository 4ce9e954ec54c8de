"""Plans for users and their tokens.

Two rules hold over all users at once: no two have the same name, and one admin always can act.
Versions guard single records only, so a plan that such a rule depends on writes another user
back unchanged, as a witness: of two plans at the same moment one meets a newer version and is
made again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from controlplane.lifecycle.access import Entity
from controlplane.lifecycle.plans import (
    Held,
    Plan,
    Remove,
    Save,
    Stamp,
    StateError,
    UnfitError,
)
from controlplane.model.events import EventType
from controlplane.model.people import Credential, Scope, Token, User
from controlplane.model.states import AccessRole, effective_roles
from controlplane.model.workloads import Event, Workload

BATCH: Final = 500
"""Records that one commit hands over; somebody may own ten thousand."""

_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UserContent:
    """What an admin says about a new user."""

    username: str
    email: str
    first_name: str = ""
    last_name: str = ""
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEdit:
    """A change; None leaves a field as it is."""

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    admin: bool | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenContent:
    """What is said about a new token."""

    name: str
    digest: str
    prefix: str
    expires_at: float | None = None
    scope: Scope = Scope.FULL
    workload_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What a user has a part in."""

    entities: Sequence[Held[Entity]] = ()
    """Live ones on which the user has a role."""
    credentials: Sequence[Held[Credential]] = ()
    tokens: Sequence[Held[Token]] = ()


def create_user(content: UserContent, *, users: Iterable[Held[User]], stamp: Stamp) -> Plan[User]:
    """A new user, who has no token and no role yet.

    Raises:
        StateError: Somebody has this name already.
    """
    others = list(users)
    for held in others:
        if held.record.username == content.username:
            raise StateError(f"There is a user called {content.username} already.")
    user = User(
        id=stamp.new_id(),
        username=content.username,
        email=content.email,
        first_name=content.first_name,
        last_name=content.last_name,
        admin=content.admin,
        created_at=stamp.now_s,
    )
    oldest = min(others, key=lambda held: held.record.id, default=None)
    witness = () if oldest is None else (_witness(oldest),)
    return Plan(subject=user, writes=(Save(record=user, expected=0), *witness))


def edit_user(held: Held[User], edit: UserEdit, *, users: Iterable[Held[User]]) -> Plan[User]:
    """Another address, name or standing. A disabled user's tokens do not work, and come back.

    Raises:
        StateError: No admin would be left.
    """
    changes = {
        name: value
        for name in ("email", "first_name", "last_name", "admin", "disabled")
        if (value := getattr(edit, name)) is not None and value != getattr(held.record, name)
    }
    if not changes:
        return Plan(subject=held.record)
    user = msgspec.structs.replace(held.record, **changes)
    witness = () if _acts_as_admin(user) else _another_admin(held, users)
    return Plan(subject=user, writes=(Save(record=user, expected=held.version), *witness))


def delete_user(
    held: Held[User],
    *,
    users: Iterable[Held[User]],
    has: Belongings,
    heir: User | None,
    stamp: Stamp,
) -> Plan[User]:
    """Delete a user with all tokens and roles.

    Args:
        held: Who goes.
        users: All there are.
        has: What the user has a part in.
        heir: Who becomes owner of what has no other one; None: then there must be nothing.
        stamp: Who, when.

    Returns:
        A plan that removes the user; or one that only hands over as much as fits into a commit,
        and the next plan goes on.

    Raises:
        StateError: No admin would be left; or things would have no owner and there is no heir.
        UnfitError: The heir is the user, or disabled.
    """
    user = held.record
    if heir is not None and (heir.id == user.id or heir.disabled):
        raise UnfitError(f"transferTo: user {heir.id} is deleted itself, or disabled.")
    witness = _another_admin(held, users)
    if heir is None:
        _check_owned_by_others(user, has)
    writes: list[Save | Remove] = []
    events: list[Event] = []
    for entity, version in has.entities[:BATCH]:
        before = effective_roles(entity.roles, entity.creator_id)
        after = {person: role for person, role in before.items() if person != user.id}
        if heir is not None and AccessRole.OWNER not in after.values():
            after[heir.id] = AccessRole.OWNER
        changed = msgspec.structs.replace(entity, roles=after, updated_at=stamp.now_s)
        writes.append(Save(record=changed, expected=version))
        if isinstance(entity, Workload):
            events.append(
                stamp.event(entity.id, EventType.SHARING_CHANGED, before=dict(before), after=after)
            )
    if heir is not None:
        for credential, version in has.credentials[: BATCH - len(writes)]:
            owned = msgspec.structs.replace(credential, user_id=heir.id, updated_at=stamp.now_s)
            writes.append(Save(record=owned, expected=version))
    for token, version in has.tokens[: BATCH - len(writes)]:
        writes.append(Remove(kind=Token, id=token.id, expected=version))
    if len(writes) == len(has.entities) + len(has.credentials) + len(has.tokens):
        writes += [Remove(kind=User, id=user.id, expected=held.version), *witness]
    return Plan(subject=user, writes=tuple(writes), events=tuple(events))


def create_token(owner: Held[User], content: TokenContent, *, stamp: Stamp) -> Plan[Token]:
    """A token of somebody's, who is written back unchanged: deleting them meanwhile conflicts.

    Raises:
        UnfitError: It would never work.
    """
    if owner.record.disabled:
        raise UnfitError(f"User {owner.record.username} is disabled: enable them first.")
    if content.expires_at is not None and content.expires_at <= stamp.now_s:
        raise UnfitError("expiresAt: a token must expire in the future.")
    token = Token(
        id=stamp.new_id(),
        name=content.name,
        digest=content.digest,
        prefix=content.prefix,
        user_id=owner.record.id,
        created_at=stamp.now_s,
        expires_at=content.expires_at,
        scope=content.scope,
        workload_ids=content.workload_ids,
    )
    return Plan(subject=token, writes=(Save(record=token, expected=0), _witness(owner)))


def revoke_token(held: Held[Token]) -> Plan[Token]:
    """End a token now."""
    gone = Remove(kind=Token, id=held.record.id, expected=held.version)
    return Plan(subject=held.record, writes=(gone,))


def _acts_as_admin(user: User) -> bool:
    return user.admin and not user.disabled


def _witness(held: Held[User]) -> Save:
    return Save(record=held.record, expected=held.version)


def _another_admin(held: Held[User], users: Iterable[Held[User]]) -> tuple[Save, ...]:
    """The write that makes sure of another admin, where the user to change acts as one."""
    if not _acts_as_admin(held.record):
        return ()
    for other in users:
        if other.record.id != held.record.id and _acts_as_admin(other.record):
            return (_witness(other),)
    raise StateError(
        f"User {held.record.username} is the last admin who can act: make somebody else admin"
        " first."
    )


def _check_owned_by_others(user: User, has: Belongings) -> None:
    """That nothing would be left without an owner.

    Raises:
        StateError: Something would; the text names it.
    """
    alone = [
        f"{type(entity).__name__.lower()} {entity.id}"
        for entity, _ in has.entities
        if _only_owner(user, effective_roles(entity.roles, entity.creator_id))
    ]
    alone += [f"credential {held.record.id}" for held in has.credentials]
    if alone:
        more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
        raise StateError(
            f"User {user.username} is the only owner of {', '.join(alone[:_NAMED])}{more}:"
            " share them with another owner, or say in transferTo who gets them."
        )


def _only_owner(user: User, roles: Mapping[str, AccessRole]) -> bool:
    owners = {person for person, role in roles.items() if role is AccessRole.OWNER}
    return owners == {user.id}
