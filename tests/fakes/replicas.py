"""What tests of reconcilers need: protons to run, and a replica writer that remembers."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence

from autoscaler.reconcilers.base import SecretError
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, EnvVar, Probe
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import ContainerResources, GroupRuntime, Proton, Replica, Runtime

WORKLOAD_ID = "a" * 24
PROTON_ID = "b" * 24
SAMPLE = (sys.executable, "-m", "controlplane.demo.service")
HEALTHZ = Probe(path="/healthz", initial_delay_s=0, period_s=1, timeout_s=5)


def container(
    entrypoint: Sequence[str] | None = SAMPLE,
    *,
    environment: Mapping[str, str] | None = None,
    readiness: Probe | None = HEALTHZ,
    liveness: Probe | None = None,
    startup: Probe | None = None,
    port: int | None = None,
) -> Container:
    """A primary container."""
    variables = {"PYTHONPATH": ":".join(filter(None, sys.path)), **(environment or {})}
    return Container(
        name="main",
        primary=True,
        port=port,
        image_uri="registry.example/sample:1",
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        environment=tuple(EnvVar(name=name, value=value) for name, value in variables.items()),
        readiness_probe=readiness,
        liveness_probe=liveness,
        startup_probe=startup,
    )


def proton(
    primary: Container | None = None,
    *,
    proton_id: str = PROTON_ID,
    workload_id: str = WORKLOAD_ID,
    resources: ContainerResources | None = None,
) -> Proton:
    """A proton that runs one container."""
    group = ContainerGroup(containers=(primary or container(),))
    return Proton(
        id=proton_id,
        workload_id=workload_id,
        artifact_id="c" * 24,
        spec=ArtifactSpec(container_groups=(group,)),
        runtime=Runtime(
            container_groups=(GroupRuntime(containers=(resources,) if resources else ()),)
        ),
        creator_id="d" * 24,
        created_at=0,
        updated_at=0,
    )


class RecordingWriter:
    """A replica writer that keeps everything in memory, and can be told to be away."""

    def __init__(self) -> None:
        self.records: dict[str, Replica] = {}
        self.revision = 0
        self.history: list[Replica] = []
        self.available = asyncio.Event()
        self.available.set()
        self.failures = 0
        """How many of the next calls fail with an error."""

    async def save(self, replica: Replica) -> int:
        await self._reach()
        self.revision += 1
        self.records[replica.id] = replica
        self.history.append(replica)
        return self.revision

    async def forget(self, replica_id: str) -> None:
        await self._reach()
        self.revision += 1
        self.records.pop(replica_id, None)

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        await self.available.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the store is away")

    def phases(self) -> list[ReplicaPhase]:
        """Phases of all records, in order of their creation."""
        return [replica.phase for replica in self.records.values()]


def ids() -> Callable[[], str]:
    """Makes ids that sort by age."""
    count = 0

    def new_id() -> str:
        nonlocal count
        count += 1
        return f"{count:024x}"

    return new_id


class KnownSecrets:
    """Knows some values; implements `Secrets`."""

    def __init__(self, **values: str) -> None:
        self.values = values

    async def variables(self, workload_id: str, container: Container) -> dict[str, str]:
        """The values of the variables that have none of their own.

        Raises:
            SecretError: One of them is not known.
        """
        wanted = [v.name or "" for v in container.environment if v.value is None]
        for name in wanted:
            if name not in self.values:
                raise SecretError(f"Variable {name} comes from nowhere.")
        return {name: self.values[name] for name in wanted}
