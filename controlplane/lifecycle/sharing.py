"""Plans for sharing: who has which role on a workload, an artifact or a repository."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from controlplane.lifecycle.plans import Held, Plan, Save, Stamp, UnfitError
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.events import EventType
from controlplane.model.people import User
from controlplane.model.states import EVERYBODY, AccessRole, effective_roles
from controlplane.model.workloads import Event, Workload

E = TypeVar("E", Workload, Artifact, Repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One line of a sharing request. The recipient is all users, or one, by id or username."""

    everybody: bool = False
    user_id: str | None = None
    username: str | None = None
    role: AccessRole | None
    """None takes every role away."""


def resolve(grants: Sequence[Grant], users: Iterable[User]) -> dict[str, AccessRole]:
    """Whom a request names, with their roles.

    Args:
        grants: The request's lines.
        users: All there are.

    Raises:
        UnfitError: Somebody does not exist or is named twice, or all users would be owners; the
            text names the line.
    """
    by_id = {user.id: user for user in users}
    by_name = {user.username: user for user in by_id.values()}
    roles: dict[str, AccessRole | None] = {}
    for number, grant in enumerate(grants):
        if grant.everybody:
            recipient = EVERYBODY
            if grant.role is AccessRole.OWNER:
                raise UnfitError(
                    f"roles.{number}.role: an owner is a user; the organization can be USER or"
                    " CONSUMER."
                )
        else:
            user = by_id.get(grant.user_id or "") or by_name.get(grant.username or "")
            if user is None:
                field = "username" if grant.user_id is None else "id"
                named = grant.user_id or grant.username
                raise UnfitError(f"roles.{number}.{field}: there is no user {named!r}.")
            recipient = user.id
        if recipient in roles:
            raise UnfitError(f"roles.{number}: this recipient is named twice; name each once.")
        roles[recipient] = grant.role
    return {recipient: role for recipient, role in roles.items() if role is not None}


def share(held: Held[E], roles: Mapping[str, AccessRole], *, stamp: Stamp) -> Plan[E]:
    """Replace the whole list of roles; whoever is not in it has none from now on.

    Returns:
        A plan without writes when they are so already.

    Raises:
        UnfitError: Nobody would be owner.
    """
    entity = held.record
    if AccessRole.OWNER not in roles.values():
        what = type(entity).__name__.lower()
        raise UnfitError(
            f"roles: {what} {entity.id} needs at least one user with the role OWNER; the list"
            " replaces all roles, so name those who keep theirs, too."
        )
    before = effective_roles(entity.roles, entity.creator_id)
    if before == roles:
        return Plan(subject=entity)
    shared = msgspec.structs.replace(entity, roles=dict(roles), updated_at=stamp.now_s)
    events: tuple[Event, ...] = ()
    if isinstance(shared, Workload):
        events = (
            stamp.event(
                shared.id, EventType.SHARING_CHANGED, before=dict(before), after=dict(roles)
            ),
        )
    return Plan(subject=shared, writes=(Save(record=shared, expected=held.version),), events=events)
