"""Stores with many workloads: the records that the API would have made for as many requests."""

import hashlib
import time
from typing import Final

from controlplane.model.artifacts import (
    Artifact,
    ArtifactSpec,
    Container,
    ContainerGroup,
    Repository,
)
from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.states import AccessRole, Importance, ProtonState
from controlplane.model.workloads import GroupRuntime, Proton, Runtime, Scale, Workload

OWNER: Final = "65f0000000000000000000a1"
_RUNTIME: Final = Runtime(container_groups=(GroupRuntime(replica_count=1),))
_SPEC: Final = ArtifactSpec(
    container_groups=(
        ContainerGroup(
            containers=(Container(name="main", primary=True, port=8000, image_uri="example/a:1"),)
        ),
    )
)
_TEAMS: Final = ("payments", "search", "fraud", "billing", "support")
_STATES: Final = (ProtonState.RUNNING, ProtonState.RUNNING, ProtonState.SUSPENDED)
_IMPORTANCE: Final = tuple(Importance)


def workload_id(number: int) -> str:
    """Id of the workload with this number, from 1."""
    return f"65f1{number:020x}"


def records(count: int, *, token: str) -> list[Record]:
    """An owner with a token, and so many workloads with all that belongs to them."""
    now = time.time()
    found: list[Record] = [
        User(id=OWNER, username="bench", email="bench@example.com", created_at=now),
        Token(
            id="65f0000000000000000000b1",
            name="bench",
            digest=hashlib.sha256(token.encode()).hexdigest(),
            prefix=token[:6],
            user_id=OWNER,
            created_at=now,
        ),
    ]
    for number in range(1, count + 1):
        found += _one(number, now)
    return found


def _one(number: int, now: float) -> list[Record]:
    workload, proton = workload_id(number), f"65f2{number:020x}"
    artifact, repository = f"65f3{number:020x}", f"65f4{number:020x}"
    name = f"{_TEAMS[number % len(_TEAMS)]} service {number}"
    made = now - 100_000 + number
    roles = {OWNER: AccessRole.OWNER}
    return [
        Repository(
            id=repository,
            name=name,
            type="service",
            roles=roles,
            creator_id=OWNER,
            created_at=made,
            updated_at=made,
        ),
        Artifact(
            id=artifact,
            name=name,
            spec=_SPEC,
            repository_id=repository,
            roles=roles,
            creator_id=OWNER,
            created_at=made,
            updated_at=made,
        ),
        Workload(
            id=workload,
            name=name,
            description=f"What {_TEAMS[number % len(_TEAMS)]} runs.",
            importance=_IMPORTANCE[number % len(_IMPORTANCE)],
            artifact_id=artifact,
            runtime=_RUNTIME,
            active_proton_id=proton,
            roles=roles,
            creator_id=OWNER,
            created_at=made,
            updated_at=made,
        ),
        Proton(
            id=proton,
            workload_id=workload,
            artifact_id=artifact,
            spec=_SPEC,
            runtime=_RUNTIME,
            creator_id=OWNER,
            created_at=made,
            updated_at=made,
        ),
        Scale(
            id=proton,
            workload_id=workload,
            wanted_replicas=1,
            ready_replicas=1,
            state=_STATES[number % len(_STATES)],
            reason="fixed",
            updated_at=made,
        ),
    ]
