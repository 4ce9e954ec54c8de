"""What the API works with: the store, the watched copy of its records, settings, clock."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from controlplane.api.proton_states import ProtonStates
from controlplane.api.telemetry import Telemetry
from controlplane.catalogue import read_catalogue
from controlplane.lifecycle.plans import Held
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.bundles import Bundle
from controlplane.model.kinds import Record
from controlplane.model.nodes import Node
from controlplane.model.people import Credential, Token, User
from controlplane.model.sections import Settings
from controlplane.model.sizing import Offer
from controlplane.model.states import ReplacementStatus
from controlplane.model.workloads import Deployment, Proton, Replica, Scale, Workload
from controlplane.sealing import KeyFile, key_path
from controlplane.store.client import Store
from controlplane.store.ids import ObjectIds
from controlplane.store.walks import Walks
from controlplane.store.watch import Change, Mirror
from controlplane.telemetry.gate import Gate
from controlplane.telemetry.intake import Intake

KINDS: Final[tuple[type[Record], ...]] = (
    User,
    Token,
    Credential,
    Repository,
    Artifact,
    Workload,
    Proton,
    Deployment,
    Replica,
    Scale,
    Node,
)
"""What the API's mirror follows: everything."""

R = TypeVar("R", bound=Record)
K = TypeVar("K", bound=Hashable)


class Index(Generic[R, K]):
    """Records of one kind in the mirror, grouped by a key; kept up to date as they change."""

    def __init__(self, mirror: Mirror, cls: type[R], key: Callable[[R], K]) -> None:
        self._cls = cls
        self._key = key
        self._groups: dict[K, dict[str, R]] = {}
        self._keys: dict[str, K] = {}
        for record in mirror.all(cls).values():
            self._add(record)
        mirror.subscribe(self._changed)

    def __getitem__(self, key: K) -> Mapping[str, R]:
        """Id to record of one group; empty where there is none."""
        return self._groups.get(key, {})

    def keys(self) -> Set[K]:
        """Keys with at least one record."""
        return self._groups.keys()

    def _changed(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.cls is self._cls:
                self._drop(change.id)
                if isinstance(change.record, self._cls):
                    self._add(change.record)

    def _add(self, record: R) -> None:
        key = self._key(record)
        self._keys[record.id] = key
        self._groups.setdefault(key, {})[record.id] = record

    def _drop(self, record_id: str) -> None:
        if record_id not in self._keys:
            return
        key = self._keys.pop(record_id)
        group = self._groups[key]
        del group[record_id]
        if not group:
            del self._groups[key]


@dataclass(slots=True, kw_only=True)
class Services:
    """One API process. Build it when the mirror has started."""

    store: Store
    mirror: Mirror
    settings: Settings
    ids: ObjectIds = field(default_factory=ObjectIds)
    telemetry: Telemetry = field(default_factory=Telemetry)
    intake: Intake | None = None
    """Telemetry of applications; None: none is kept."""
    otlp_gate: Gate = field(default_factory=Gate)
    otlp_reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Queries of telemetry that run at a time, each in a thread."""
    starts: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a workload starts, where their number is limited."""
    clock: Callable[[], float] = time.time
    """Epoch seconds."""
    keys: KeyFile = field(init=False)
    """What encrypts credentials."""
    bundles: tuple[Bundle, ...] = field(init=False)
    """The catalogue of sizes."""
    walks: Walks = field(init=False)
    """Lists that clients page through."""
    tokens: Index[Token, str] = field(init=False)
    """By digest."""
    replicas: Index[Replica, str] = field(init=False)
    """By proton."""
    states: ProtonStates = field(init=False)
    """Of protons."""
    protons: Index[Proton, str] = field(init=False)
    """By workload."""
    deployments: Index[Deployment, str] = field(init=False)
    """By workload."""
    workloads: Index[Workload, str] = field(init=False)
    """By artifact."""
    replacing: Index[Workload, bool] = field(init=False)
    """By whether there is a replacement to carry on, or to take off."""
    artifacts: Index[Artifact, str | None] = field(init=False)
    """By repository."""

    def __post_init__(self) -> None:
        """Build the indexes and export the state of the store."""
        self.keys = KeyFile(key_path(self.settings))
        self.bundles = read_catalogue(self.settings.api.bundles_file)
        self.walks = Walks(self.store)
        self.tokens = Index(self.mirror, Token, lambda r: r.digest)
        self.replicas = Index(self.mirror, Replica, lambda r: r.proton_id)
        self.states = ProtonStates(self.mirror, self.replicas)
        self.protons = Index(self.mirror, Proton, lambda r: r.workload_id)
        self.deployments = Index(self.mirror, Deployment, lambda r: r.workload_id)
        self.workloads = Index(self.mirror, Workload, lambda r: r.artifact_id)
        self.replacing = Index(self.mirror, Workload, _is_replacing)
        self.artifacts = Index(self.mirror, Artifact, lambda r: r.repository_id)
        self.telemetry.watch_store(
            lambda: self.store.available and self.mirror.healthy,
            lambda: self.store.unreadable.count,
        )
        if self.intake is not None:
            self.telemetry.watch_archive(self.intake.archive)

    def held(self, cls: type[R], record_id: str) -> Held[R] | None:
        """A record with its version; None when there is none."""
        record = self.mirror.get(cls, record_id)
        return None if record is None else Held(record, self.mirror.version(cls, record_id))

    def offer(self) -> Offer:
        """What there is for replicas: the catalogue, and the nodes that the autoscaler knows."""
        return Offer(bundles=self.bundles, nodes=tuple(self.mirror.all(Node).values()))

    def live_workloads(self) -> list[Workload]:
        """All workloads that were not deleted."""
        return [w for w in self.mirror.all(Workload).values() if w.deleted_at is None]


def _is_replacing(workload: Workload) -> bool:
    replacement = workload.replacement
    return replacement is not None and replacement.status is not ReplacementStatus.ERRORED
