"""Records for lifecycle tests, with everything but the interesting part filled in."""

import itertools

from controlplane.lifecycle.plans import Held, Stamp
from controlplane.lifecycle.workloads import Present
from controlplane.model.artifacts import (
    Artifact,
    ArtifactSpec,
    Container,
    ContainerGroup,
    Repository,
)
from controlplane.model.people import User
from controlplane.model.states import AccessRole, Desired, ProtonRole, ProtonState
from controlplane.model.workloads import Proton, Runtime, Workload

OWNER = "f" * 24
NOW = 1_000.0

SPEC = ArtifactSpec(
    container_groups=(
        ContainerGroup(
            containers=(Container(name="main", primary=True, port=8000, image_uri="i:1"),)
        ),
    )
)


def stamp(*, at: float = NOW) -> Stamp:
    """Counting ids from 1."""
    numbers = itertools.count(1)
    return Stamp(actor_id=OWNER, now_s=at, new_id=lambda: f"{next(numbers):024x}")


def user(user_id: str = OWNER, *, admin: bool = False) -> User:
    """Somebody."""
    return User(id=user_id, username="u", email="u@test", admin=admin, created_at=1.0)


def artifact(**changes: object) -> Artifact:
    """A complete draft."""
    fields: dict[str, object] = {
        "id": "a" * 24,
        "name": "an artifact",
        "repository_id": "e" * 24,
        "spec": SPEC,
        "creator_id": OWNER,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Artifact(**(fields | changes))


def repository(**changes: object) -> Repository:
    """Its repository."""
    fields: dict[str, object] = {
        "id": "e" * 24,
        "name": "a repository",
        "creator_id": OWNER,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Repository(**(fields | changes))


def workload(**changes: object) -> Workload:
    """A running workload."""
    fields: dict[str, object] = {
        "id": "b" * 24,
        "name": "a workload",
        "artifact_id": "a" * 24,
        "runtime": Runtime(),
        "active_proton_id": "c" * 24,
        "roles": {OWNER: AccessRole.OWNER},
        "creator_id": OWNER,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Workload(**(fields | changes))


def proton(**changes: object) -> Proton:
    """Its proton."""
    fields: dict[str, object] = {
        "id": "c" * 24,
        "workload_id": "b" * 24,
        "artifact_id": "a" * 24,
        "role": ProtonRole.ACTIVE,
        "spec": SPEC,
        "runtime": Runtime(),
        "creator_id": OWNER,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Proton(**(fields | changes))


def present(
    state: ProtonState = ProtonState.RUNNING,
    *,
    of: Workload | None = None,
    runs: Proton | None = None,
    what: Artifact | None = None,
    without_proton: bool = False,
) -> Present:
    """A workload in a state: versions are 5 (workload), 6 (proton), 7 (artifact)."""
    stopped = state in {ProtonState.STOPPED, ProtonState.STOPPING}
    desired = Desired.STOPPED if stopped else Desired.RUNNING
    return Present(
        workload=Held(of or workload(desired=desired), 5),
        proton=None if without_proton else Held(runs or proton(desired=desired), 6),
        artifact=Held(what or artifact(), 7),
        state=state,
    )
