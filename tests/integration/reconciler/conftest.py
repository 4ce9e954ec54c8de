"""A process reconciler with real child processes and records in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from autoscaler.core.replica_launch import HOME_MARK
from autoscaler.reconcilers.processes import ProcessReconciler
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from tests.fakes.ports import replica_ports
from tests.fakes.replicas import PROTON_ID, KnownSecrets, RecordingWriter, ids
from tests.fakes.waiting import until


def quick(**changes: object) -> AutoscalerSettings:
    """Settings with short times."""
    first, last = replica_ports()
    values: dict[str, object] = {
        "stop_grace_s": 5.0,
        "restart_backoff_s": 0.02,
        "crash_limit": 3,
        "replica_port_min": first,
        "replica_port_max": last,
        **changes,
    }
    return AutoscalerSettings(**values)  # type: ignore[arg-type]


class Bench:
    """One reconciler and what it reports."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.writer = RecordingWriter()
        self.new_id = ids()
        self.changes = 0
        self.reconciler: ProcessReconciler
        self.running: list[ProcessReconciler] = []

    def make(self, settings: AutoscalerSettings | None = None, **parts: object) -> None:
        """A new reconciler on the same data directory and records."""
        self.reconciler = ProcessReconciler(
            settings or quick(),
            data_dir=self.data_dir,
            writer=self.writer,
            new_id=self.new_id,
            on_change=self._changed,
            **{"secrets": KnownSecrets()} | parts,  # type: ignore[arg-type]
        )
        self.running.append(self.reconciler)

    async def start(
        self, settings: AutoscalerSettings | None = None, *protons: Proton, **parts: object
    ) -> ProcessReconciler:
        """A new reconciler, started."""
        self.make(settings, **parts)
        known = list(self.writer.records.values())
        await self.reconciler.start(known, {proton.id: proton for proton in protons})
        return self.reconciler

    def _changed(self) -> None:
        self.changes += 1

    def replicas(self, *phases: ReplicaPhase) -> list[Replica]:
        """The replicas in some phases."""
        return [r for r in self.reconciler.replicas() if not phases or r.phase in phases]

    async def ready(self, count: int) -> list[Replica]:
        """Wait for ready replicas."""
        await until(lambda: len(self.replicas(ReplicaPhase.READY)) == count, what=f"{count} ready")
        return self.replicas(ReplicaPhase.READY)

    async def message(self, words: str) -> Replica:
        """Wait for a replica whose message contains some words."""

        def found() -> list[Replica]:
            return [r for r in self.reconciler.replicas() if words in r.message]

        await until(found, what=f"a message with {words!r}")
        return found()[0]

    async def sticky(self, proton_id: str = PROTON_ID) -> None:
        """Wait until the proton is given up."""

        def given_up() -> bool:
            failure = self.reconciler.failure(proton_id)
            return failure is not None and failure.sticky

        await until(given_up, what="a sticky failure")

    async def empty(self) -> None:
        """Wait until nothing is left, neither records nor processes."""
        await until(
            lambda: not self.reconciler.replicas() and not self.writer.records, what="no replicas"
        )
        await until(lambda: not marked(self.data_dir), what="no processes")


def marked(data_dir: Path) -> list[int]:
    """Living processes that carry the mark of a data directory; an oracle of its own."""
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get(HOME_MARK)
            if home == str(data_dir.resolve()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "data")
    yield made
    for reconciler in made.running:
        await reconciler.stop(end_replicas=True)
    assert marked(made.data_dir) == []
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


@pytest.fixture
def counted_descriptors() -> Callable[[], int]:
    """How many file descriptors this process has open."""
    return lambda: psutil.Process().num_fds()
