"""One gateway worker on a store of our own, without the rest: for what `tidegate up` cannot do.

Profilers put themselves in front of the worker's command, and stores are filled with more
workloads than one would deploy one by one. The records are those that the API makes.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import controlplane
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup
from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.sections import StoreSettings
from controlplane.model.states import AccessRole, ReplicaPhase
from controlplane.model.workloads import GroupRuntime, Proton, Replica, Runtime, Workload
from controlplane.store.client import Put, Store
from controlplane.store.embedded import EmbeddedValkey
from controlplane.store.records import MAX_WRITES
from loadtests.overhead.children import Child, free_port, pinned, status_of, wait_until
from loadtests.overhead.target import Target

COMMAND: Final = (sys.executable, "-m", "gateway")
_USER_ID: Final = "65f0000000000000000000a1"
_SPEC: Final = ArtifactSpec(
    container_groups=(
        ContainerGroup(containers=(Container(name="application", primary=True, port=80),)),
    )
)
_RUNTIME: Final = Runtime(container_groups=(GroupRuntime(replica_count=1),))


def new_token() -> str:
    """A bearer token for one benchmark."""
    return secrets.token_urlsafe(32)


def workload_id(number: int) -> str:
    """Id of the workload with this number, from 1."""
    return f"65f1{number:020x}"


def prefix(number: int) -> str:
    """Where the workload with this number is invoked."""
    return f"/api/v2/endpoints/workloads/{workload_id(number)}"


def people(token: str) -> list[Record]:
    """One user with a token: an ordinary one, so that access control does its work."""
    now = time.time()
    return [
        User(id=_USER_ID, username="bench", email="bench@example.com", created_at=now),
        Token(
            id="65f0000000000000000000b1",
            name="bench",
            digest=hashlib.sha256(token.encode()).hexdigest(),
            prefix=token[:6],
            user_id=_USER_ID,
            created_at=now,
        ),
    ]


def workload(number: int, *, port: int | None) -> list[Record]:
    """A workload with its proton; `port`: where its ready replica listens, None: it has none."""
    now = time.time()
    id_, proton_id = workload_id(number), f"65f2{number:020x}"
    records: list[Record] = [
        Workload(
            id=id_,
            name=f"bench-{number}",
            artifact_id="65f0000000000000000000c1",
            runtime=_RUNTIME,
            active_proton_id=proton_id,
            roles={_USER_ID: AccessRole.CONSUMER},
            creator_id="65f0000000000000000000a2",
            created_at=now,
            updated_at=now,
        ),
        Proton(
            id=proton_id,
            workload_id=id_,
            artifact_id="65f0000000000000000000c1",
            spec=_SPEC,
            runtime=_RUNTIME,
            creator_id="65f0000000000000000000a2",
            created_at=now,
            updated_at=now,
        ),
    ]
    if port is not None:
        records.append(
            Replica(
                id=f"65f3{number:020x}",
                workload_id=id_,
                proton_id=proton_id,
                phase=ReplicaPhase.READY,
                host="127.0.0.1",
                port=port,
                created_at=now,
                started_at=now,
                ready_at=now,
            )
        )
    return records


@contextlib.contextmanager
def running_store(directory: Path, *, core: int) -> Iterator[str]:
    """A private store, until the end of the block; the value is its URL."""
    data = directory / "store"
    data.mkdir()
    with pinned(core):
        store = EmbeddedValkey(data)
        url = store.start_blocking()
    try:
        yield url
    finally:
        store.stop_blocking()


def fill(url: str, records: Sequence[Record], *, namespace: str = "tidegate") -> None:
    """Write records, as many in one commit as the store takes."""
    asyncio.run(_fill(StoreSettings(url=url, namespace=namespace), records))


async def _fill(settings: StoreSettings, records: Sequence[Record]) -> None:
    async with await Store.connect(settings, client_name="overhead") as store:
        for first in range(0, len(records), MAX_WRITES):
            await store.commit([Put(record) for record in records[first : first + MAX_WRITES]])


@contextlib.contextmanager
def running_worker(
    store_url: str,
    *,
    token: str,
    core: int,
    directory: Path,
    name: str = "tidegate",
    command: Sequence[str] = COMMAND,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Target]:
    """A gateway worker with default settings, until the end of the block.

    Args:
        store_url: A store with `people` and workload number 1.
        token: The only token that may invoke.
        core: The measured core.
        directory: For logs.
        name: Of the target.
        command: How the worker is started; profilers put themselves in front.
        settings: Further settings, as environment variables.

    Raises:
        BenchError: The worker ended, or gave no good answer in time.
    """
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")} | {
        "TIDEGATE_STORE_URL": store_url,
        "TIDEGATE_GATEWAY_PORT": str(port),
        "TIDEGATE_GATEWAY_ADMIN_PORT": "0",
        **(settings or {}),
    }
    child = Child(name, command, core=core, directory=directory, environ=environ)
    try:
        target = Target(
            name=name,
            version=controlplane.__version__,
            origin=f"http://127.0.0.1:{port}",
            process=child,
        )
        url = f"{target.origin}{prefix(1)}/predict"
        good = {"Authorization": f"Bearer {token}"}
        wait_until(lambda: status_of(url, good) == 200, child, what=f"{name} answers")
        yield target
    finally:
        child.stop()
