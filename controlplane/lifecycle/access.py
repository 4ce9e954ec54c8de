"""Who may do what.

    role      invoke  identity, endpoint  settings, protons, events  change, stop, delete
    --------  ------  ------------------  -------------------------  --------------------
    OWNER     yes     yes                 yes                        yes
    USER      yes     yes                 yes                        no
    CONSUMER  yes     yes                 no                         no

Admins are owners of everything. Artifacts and repositories belong to their creator; a deployment
follows its workload.
"""

from typing import Final

from controlplane.lifecycle.plans import ForbiddenError
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.people import User
from controlplane.model.states import AccessRole
from controlplane.model.workloads import Workload

READERS: Final = frozenset({AccessRole.OWNER, AccessRole.USER})
OWNERS: Final = frozenset({AccessRole.OWNER})
ANYONE: Final = frozenset(AccessRole)

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


def role_on(user: User, entity: Workload | Artifact | Repository) -> AccessRole | None:
    """The user's role on an entity; None: none."""
    if user.admin:
        return AccessRole.OWNER
    if isinstance(entity, Workload):
        return entity.roles.get(user.id)
    return AccessRole.OWNER if entity.creator_id == user.id else None


def permissions(role: AccessRole | None) -> list[str]:
    """The contract's `permissions` of a role."""
    return [] if role is None else list(_PERMISSIONS[role])


def require(
    user: User, entity: Workload | Artifact | Repository, allowed: frozenset[AccessRole]
) -> AccessRole:
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
