"""What all replicas of one process reconciler share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from autoscaler.core.replica_sentences import Answer, Listening
from autoscaler.reconcilers.base import Secrets
from autoscaler.reconcilers.processes_cgroup import CgroupTree
from autoscaler.reconcilers.processes_logs import ReplicaFiles
from autoscaler.reconcilers.processes_places import Places
from autoscaler.reconcilers.processes_ports import PortPool
from autoscaler.reconcilers.processes_records import RecordKeeper
from autoscaler.reconcilers.processes_spawn import ProcessGroup
from controlplane.model.artifacts import Probe
from controlplane.model.reports import OpenStreams
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import Replica

HOST: Final = "127.0.0.1"
"""Replicas are told to listen here: only the gateway on this machine may reach them."""


class Prober(Protocol):
    """Asks a replica once; see `processes_probe.ProbeClient`."""

    async def ask(self, probe: Probe, *, host: str, port: int) -> Answer:
        """One try of an HTTP probe."""

    async def accepts(self, *, host: str, port: int, limit_s: float) -> Answer:
        """Whether the port accepts a connection."""


class Spawner(Protocol):
    """Starts a process group; see `processes_spawn.spawn`."""

    async def __call__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        files: ReplicaFiles,
        on_exit: Callable[[], None],
    ) -> ProcessGroup:
        """Start it or raise OSError."""


class ListeningScan(Protocol):
    """Finds out where a replica listens; see `processes_scan.listening`. Called in a thread."""

    def __call__(self, leader: int) -> tuple[Listening, ...] | None:
        """The addresses of the leader's session; None: the system does not tell."""


@dataclass(slots=True, kw_only=True)
class Loads:
    """What the gateways last said."""

    in_flight: Mapping[str, int] = field(default_factory=dict)
    streams: Mapping[str, OpenStreams] = field(default_factory=dict)
    acknowledged_revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all replicas share; one per reconciler."""

    settings: AutoscalerSettings
    data_dir: Path
    """Absolute; also the mark by which replicas of this installation are recognised."""
    environ: Mapping[str, str]
    """The autoscaler's own environment, of which replicas inherit very little."""
    ports: PortPool
    places: Places
    prober: Prober
    records: RecordKeeper
    secrets: Secrets
    spawn: Spawner
    listening: ListeningScan
    cgroups: CgroupTree | None
    loads: Loads
    changed: Callable[[], None]
    """Something happened that the autoscaler should decide upon."""
    otlp: Callable[[Replica], Mapping[str, str]] | None = None
    """The variables that tell a replica where to send its telemetry; None: nowhere."""
