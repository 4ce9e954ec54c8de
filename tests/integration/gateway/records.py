"""Records as the control plane and the autoscaler would write them."""

import hashlib
import time
from typing import Any

from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup
from controlplane.model.people import Token, User
from controlplane.model.states import AccessRole, ProtonState, ReplicaPhase
from controlplane.model.workloads import (
    Deployment,
    GroupRuntime,
    Proton,
    Replica,
    Runtime,
    Scale,
    Workload,
)

USER_ID = "65f0000000000000000000a1"
OTHER_USER_ID = "65f0000000000000000000a2"
ADMIN_ID = "65f0000000000000000000a3"
TOKEN_ID = "65f0000000000000000000b1"
ARTIFACT_ID = "65f0000000000000000000c1"
PROTON_ID = "65f0000000000000000000d1"
OTHER_PROTON_ID = "65f0000000000000000000d2"
WORKLOAD_ID = "65f0000000000000000000f1"
DEPLOYMENT_ID = "65f0000000000000000000f9"

TOKEN = "the-users-own-token"
OTHER_TOKEN = "the-other-users-token"
ADMIN_TOKEN = "the-admins-token"


def user(user_id: str = USER_ID, **fields: Any) -> User:
    return User(
        id=user_id, username=user_id, email=f"{user_id}@example.com", created_at=0, **fields
    )


def token(
    text: str = TOKEN, *, token_id: str = TOKEN_ID, user_id: str = USER_ID, **more: Any
) -> Token:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Token(
        id=token_id, name="t", digest=digest, prefix=text[:6], user_id=user_id, created_at=0, **more
    )


def workload(workload_id: str = WORKLOAD_ID, **fields: Any) -> Workload:
    fields.setdefault("roles", {USER_ID: AccessRole.CONSUMER})
    fields.setdefault("creator_id", "65f0000000000000000000ff")
    fields.setdefault("active_proton_id", PROTON_ID)
    return Workload(
        id=workload_id,
        name="w",
        artifact_id=ARTIFACT_ID,
        runtime=Runtime(),
        created_at=0,
        updated_at=0,
        **fields,
    )


def proton(
    proton_id: str = PROTON_ID,
    *,
    workload_id: str = WORKLOAD_ID,
    limit: int | None = None,
    **fields: Any,
) -> Proton:
    fields.setdefault("runtime", Runtime(container_groups=(GroupRuntime(concurrency_limit=limit),)))
    container = Container(name="c", primary=True, port=80)
    return Proton(
        id=proton_id,
        workload_id=workload_id,
        artifact_id=ARTIFACT_ID,
        spec=ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),)),
        creator_id=USER_ID,
        created_at=0,
        updated_at=0,
        **fields,
    )


def replica(replica_id: str, port: int, **fields: Any) -> Replica:
    fields.setdefault("workload_id", WORKLOAD_ID)
    fields.setdefault("proton_id", PROTON_ID)
    fields.setdefault("phase", ReplicaPhase.READY)
    return Replica(id=replica_id, host="127.0.0.1", port=port, created_at=0, **fields)


def scale(proton_id: str = PROTON_ID, **fields: Any) -> Scale:
    return Scale(
        id=proton_id,
        workload_id=WORKLOAD_ID,
        wanted_replicas=1,
        ready_replicas=0,
        state=ProtonState.RUNNING,
        reason="on_target",
        updated_at=0,
        **fields,
    )


def deployment(**fields: Any) -> Deployment:
    return Deployment(
        id=DEPLOYMENT_ID,
        name="d",
        workload_id=WORKLOAD_ID,
        creator_id=USER_ID,
        created_at=0,
        updated_at=0,
        **fields,
    )


def world(*, limit: int | None = None) -> list[Any]:
    """One workload with one proton, three people, and no replica."""
    return [
        user(),
        user(OTHER_USER_ID),
        user(ADMIN_ID, admin=True),
        token(),
        token(OTHER_TOKEN, token_id="65f0000000000000000000b2", user_id=OTHER_USER_ID),
        token(ADMIN_TOKEN, token_id="65f0000000000000000000b3", user_id=ADMIN_ID),
        workload(),
        proton(limit=limit),
    ]


def now() -> float:
    return time.time()
