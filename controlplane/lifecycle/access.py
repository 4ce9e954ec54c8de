"""Who may do what.

    role      invoke  identity, endpoint  settings, protons, events  change, stop, delete, share
    --------  ------  ------------------  -------------------------  ---------------------------
    OWNER     yes     yes                 yes                        yes
    USER      yes     yes                 yes                        no
    CONSUMER  yes     yes                 no                         no

The same on artifacts and repositories, where USER may also run them in workloads, and CONSUMER
does not see what is inside. Whoever has no role of their own has that of `EVERYBODY`, if there is
one; who has both has the stronger. Admins are owners of everything. Deployments, protons, events
and statistics follow their workload; a repository's roles are not those of its artifacts.
"""

from typing import Final

from controlplane.lifecycle.plans import ForbiddenError
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.people import User
from controlplane.model.states import EVERYBODY, AccessRole, effective_roles
from controlplane.model.workloads import Workload

READERS: Final = frozenset({AccessRole.OWNER, AccessRole.USER})
OWNERS: Final = frozenset({AccessRole.OWNER})
ANYONE: Final = frozenset(AccessRole)

Entity = Workload | Artifact | Repository
"""What can be shared."""

_PERMISSIONS: Final[dict[AccessRole, list[str]]] = {
    AccessRole.OWNER: [
        "CAN_VIEW",
        "CAN_UPDATE",
        "CAN_DELETE",
        "CAN_SHARE",
        "CAN_MAKE_PREDICTIONS",
        "CAN_SHARE_ROLE_OWNER",
        "CAN_SHARE_ROLE_READ_WRITE",
        "CAN_SHARE_ROLE_READ_ONLY",
    ],
    AccessRole.USER: ["CAN_VIEW", "CAN_MAKE_PREDICTIONS"],
    AccessRole.CONSUMER: ["CAN_MAKE_PREDICTIONS"],
}


def role_on(user: User, entity: Entity) -> AccessRole | None:
    """The user's role on an entity; None: none."""
    if user.admin:
        return AccessRole.OWNER
    roles = effective_roles(entity.roles, entity.creator_id)
    own, of_all = roles.get(user.id), roles.get(EVERYBODY)
    if own is None or of_all is None:
        return own or of_all
    return next(role for role in AccessRole if role in {own, of_all})


def permissions(role: AccessRole | None) -> list[str]:
    """The contract's `permissions` of a role."""
    return [] if role is None else list(_PERMISSIONS[role])


def require(user: User, entity: Entity, allowed: frozenset[AccessRole]) -> AccessRole:
    """The user's role, if it is among the allowed ones.

    Raises:
        ForbiddenError: It is not; the text names the role that is needed.
    """
    role = role_on(user, entity)
    if role is not None and role in allowed:
        return role
    needed = " or ".join(sorted(allowed))
    what = type(entity).__name__.lower()
    raise ForbiddenError(f"You need the role {needed} on {what} {entity.id} for this.")
