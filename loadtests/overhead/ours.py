"""Our gateway as it runs in production: a store with real records, one worker, defaults on."""

import asyncio
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import controlplane
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup
from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.sections import StoreSettings
from controlplane.model.states import AccessRole, ReplicaPhase
from controlplane.model.workloads import GroupRuntime, Proton, Replica, Runtime, Workload
from controlplane.store.client import Put, Store
from controlplane.store.embedded import EmbeddedValkey
from loadtests.overhead.children import BenchError, Child, CpuTime, cpu_of, free_port
from loadtests.overhead.peers import PREFIX, WORKLOAD_ID, Target, check_job

_USER_ID = "65f0000000000000000000a1"
_TOKEN_ID = "65f0000000000000000000b1"  # noqa: S105 - an id
_ARTIFACT_ID = "65f0000000000000000000c1"
_PROTON_ID = "65f0000000000000000000d1"
_REPLICA_ID = "65f0000000000000000000e1"


def new_token() -> str:
    """A bearer token for one benchmark."""
    return secrets.token_urlsafe(32)


def records(*, token: str, application_port: int) -> list[Record]:
    """One user, its token, and one workload whose only replica is the application.

    The user is an ordinary one with a role on the workload, so that access control does its work.
    """
    now = time.time()
    spec = ArtifactSpec(
        container_groups=(
            ContainerGroup(containers=(Container(name="application", primary=True, port=80),)),
        )
    )
    runtime = Runtime(container_groups=(GroupRuntime(replica_count=1),))
    return [
        User(id=_USER_ID, username="bench", email="bench@example.com", created_at=now),
        Token(
            id=_TOKEN_ID,
            name="bench",
            digest=hashlib.sha256(token.encode()).hexdigest(),
            prefix=token[:6],
            user_id=_USER_ID,
            created_at=now,
        ),
        Workload(
            id=WORKLOAD_ID,
            name="bench",
            artifact_id=_ARTIFACT_ID,
            runtime=runtime,
            active_proton_id=_PROTON_ID,
            roles={_USER_ID: AccessRole.CONSUMER},
            creator_id=_USER_ID,
            created_at=now,
            updated_at=now,
        ),
        Proton(
            id=_PROTON_ID,
            workload_id=WORKLOAD_ID,
            artifact_id=_ARTIFACT_ID,
            spec=spec,
            runtime=runtime,
            creator_id=_USER_ID,
            created_at=now,
            updated_at=now,
        ),
        Replica(
            id=_REPLICA_ID,
            workload_id=WORKLOAD_ID,
            proton_id=_PROTON_ID,
            phase=ReplicaPhase.READY,
            host="127.0.0.1",
            port=application_port,
            created_at=now,
            started_at=now,
            ready_at=now,
        ),
    ]


async def _fill(url: str, wanted: Sequence[Record]) -> None:
    async with await Store.connect(StoreSettings(url=url), client_name="overhead") as store:
        await store.commit([Put(record) for record in wanted])


@dataclass(slots=True, kw_only=True)
class Ours:
    """One gateway worker and its store."""

    target: Target
    admin_url: str
    store: EmbeddedValkey

    def store_cpu(self) -> CpuTime:
        """CPU time of the store so far: it serves us beside the measured process."""
        if self.store.pid is None:
            raise BenchError("the store has ended")
        return cpu_of(self.store.pid)

    def stop(self) -> int:
        """End the worker in order, then the store. Returns the worker's exit code."""
        try:
            return self.target.child.stop()
        finally:
            self.store.stop_blocking()


def start_ours(
    *,
    token: str,
    application_port: int,
    core: int,
    store_core: int,
    directory: Path,
    command: Sequence[str] = (sys.executable, "-m", "gateway"),
) -> Ours:
    """Start the store on `store_core` and one gateway worker on `core`.

    Args:
        token: The only token that may invoke.
        application_port: Where the ready replica listens.
        core: The measured core.
        store_core: The core of load, application and store.
        directory: For data and logs.
        command: How the worker is started; the profiler puts itself in front.

    Raises:
        BenchError: The worker ended, or gave no good answer in time.
    """
    data = directory / "store"
    data.mkdir()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {store_core})
    store = EmbeddedValkey(data)
    try:
        url = store.start_blocking()
    finally:
        os.sched_setaffinity(0, before)
    try:
        asyncio.run(_fill(url, records(token=token, application_port=application_port)))
        port, admin_port = free_port(), free_port()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")} | {
            "TIDEGATE_STORE_URL": url,
            "TIDEGATE_GATEWAY_PORT": str(port),
            "TIDEGATE_GATEWAY_ADMIN_PORT": str(admin_port),
        }
        child = Child("tidegate", command, core=core, directory=directory, environ=environ)
        url = f"http://127.0.0.1:{port}{PREFIX}/predict"
        try:
            check_job(url, token, child)
        except BaseException:
            child.stop()
            raise
    except BaseException:
        store.stop_blocking()
        raise
    target = Target(name="tidegate", version=controlplane.__version__, url=url, child=child)
    return Ours(target=target, admin_url=f"http://127.0.0.1:{admin_port}", store=store)
