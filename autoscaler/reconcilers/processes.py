"""The process reconciler: replicas are local processes, started from the artifact's entrypoint.

    module              knows
    ------------------  ------------------------------------------------------------------
    processes           all protons; start, adoption, measuring, stop (this module)
    processes_proton    one proton: how many, victims, turns to start, failure
    processes_replica   one replica: process, probes, drain, restart, record
    processes_health    when to probe, and words for what the probes find
    processes_probe     one probe on the wire
    processes_spawn     one process group: start, end, signals
    processes_scan      which processes are ours, where they listen
    processes_usage     CPU and memory of all replicas in one sweep
    processes_cgroup    limits by the kernel
    processes_logs      files of a replica
    processes_ports     free ports
    processes_places    whose GPUs are whose
    processes_records   replica records to the store

Decisions are in `autoscaler.core.replica_*`. Replicas survive a killed autoscaler, because each
leads its own session and writes its own log; the next start finds them again (`processes_scan`),
adopts those that are still wanted and ends all others.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import randbelow
from typing import Final

import psutil

from autoscaler.core.capacity_room import Spot
from autoscaler.inventory import NO_MACHINES, Inventory
from autoscaler.reconcilers import processes_scan, processes_usage
from autoscaler.reconcilers.base import Failure, Placement, ReplicaWriter, Secrets
from autoscaler.reconcilers.processes_cgroup import CgroupTree
from autoscaler.reconcilers.processes_context import Context, Loads, Prober, Spawner
from autoscaler.reconcilers.processes_logs import ReplicaFiles, prune, prune_all
from autoscaler.reconcilers.processes_places import Places
from autoscaler.reconcilers.processes_ports import PortPool
from autoscaler.reconcilers.processes_probe import ProbeClient
from autoscaler.reconcilers.processes_proton import ProtonReplicas
from autoscaler.reconcilers.processes_records import RecordKeeper
from autoscaler.reconcilers.processes_replica import ReplicaRunner
from autoscaler.reconcilers.processes_scan import Found
from autoscaler.reconcilers.processes_spawn import LocalProcessGroup, spawn
from autoscaler.reconcilers.processes_usage import Usage
from controlplane.model.reports import OpenStreams
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import ALIVE, ReplicaPhase
from controlplane.model.workloads import Proton, Replica

_log = logging.getLogger(__name__)

SWEEP_S: Final = 1.0
"""Time between two measurements of all replicas."""

SWEEP_SHARE: Final = 0.05
"""Most of one core that measuring may take: with thousands of replicas it is done less often."""

STORE_LIMIT_S: Final = 5.0
"""How long an orderly stop waits for the store to take the last records."""


class ProcessReconciler:
    """Runs replicas as processes of this machine. Implements `base.Reconciler`."""

    def __init__(
        self,
        settings: AutoscalerSettings,
        *,
        data_dir: Path,
        writer: ReplicaWriter,
        secrets: Secrets,
        new_id: Callable[[], str],
        on_change: Callable[[], None],
        environ: Mapping[str, str] | None = None,
        prober: Prober | None = None,
        spawner: Spawner = spawn,
        cgroups: CgroupTree | None = None,
        otlp: Callable[[Replica], Mapping[str, str]] | None = None,
        inventory: Inventory = NO_MACHINES,
    ) -> None:
        """Make a reconciler; must be called on a running event loop.

        Args:
            settings: Ports, time limits, back-off.
            data_dir: The installation's data directory; replicas live below it.
            writer: Keeps the replica records.
            secrets: Knows credentials and tokens.
            new_id: Makes replica ids.
            on_change: Called when a replica changes its phase.
            environ: The environment that replicas inherit from; None: this process's.
            prober: Sends probes; None: over HTTP.
            spawner: Starts processes.
            cgroups: Where limits can be set; None: looked for at `start`.
            otlp: Variables that tell a replica where to send telemetry; None: nowhere.
            inventory: Whose GPUs are given to replicas.
        """
        self._own_prober = None if prober else ProbeClient()
        self._records = RecordKeeper(writer, self._written)
        self._context = Context(
            settings=settings,
            data_dir=data_dir.resolve(),
            environ=dict(os.environ if environ is None else environ),
            ports=PortPool(
                settings.replica_port_min,
                settings.replica_port_max,
                offset=randbelow(1 << 16),
            ),
            places=Places(inventory),
            prober=prober or self._own_prober or ProbeClient(),
            records=self._records,
            secrets=secrets,
            spawn=spawner,
            listening=processes_scan.listening,
            cgroups=cgroups or CgroupTree.find(),
            loads=Loads(),
            changed=on_change,
            otlp=otlp,
        )
        self._new_id = new_id
        self._protons: dict[str, ProtonReplicas] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self, known: Sequence[Replica], protons: Mapping[str, Proton]) -> None:
        """Adopt or end what an earlier run left; see `base.Reconciler.start`."""
        home = str(self._context.data_dir)
        found = await asyncio.to_thread(processes_scan.find_replicas, home, known)
        mine = {process.pid: process for process in found}
        adopted = set()
        for record in known:
            if self._adopt(record, protons.get(record.proton_id), mine):
                adopted.add(record.id)
            else:
                self._records.forget(record.id)
        orphans = [process for process in found if process.replica_id not in adopted]
        if adopted or orphans:
            _log.info(
                "found replicas of an earlier run",
                extra={"adopted": len(adopted), "ended_processes": len(orphans)},
            )
        if orphans:
            ending = {process.replica_id for process in orphans}
            for record in known:
                if record.id in ending and record.gpus:
                    # Nobody else may have its GPUs before it has ended.
                    spot = Spot(record.node, record.gpu_type)
                    self._context.places.reserve(record.id, spot, record.gpus)
            self._chore(self._end_orphans(orphans))
        self._chore(self._prune_all())
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    def replicas(self) -> Sequence[Replica]:
        """Everything it runs or is about to run now, in all phases."""
        return [
            runner.replica
            for proton in self._protons.values()
            for runner in proton.runners.values()
        ]

    def plan(self, proton: Proton, wanted: int, placement: Placement | None = None) -> None:
        """Aim for `wanted` replicas of the proton; see `base.Reconciler.plan`."""
        if self._stopping:
            return
        replicas = self._protons.get(proton.id)
        if replicas is None:
            replicas = self._proton(proton)
        replicas.removed = False
        replicas.aim(wanted, placement)

    def renew(self, inventory: Inventory) -> None:
        """Other GPUs to give; see `base.Reconciler.renew`."""
        self._context.places.renew(inventory)

    def remove(self, proton_id: str) -> None:
        """Drain and end all replicas of the proton. Idempotent."""
        replicas = self._protons.get(proton_id)
        if replicas is None:
            return
        replicas.removed = True
        replicas.leave(drain=True)
        self._drop_if_empty(replicas)

    def set_load(
        self,
        loads: Mapping[str, int],
        *,
        acknowledged_revision: int | None,
        streams: Mapping[str, OpenStreams] | None = None,
    ) -> None:
        """Tell what the gateways report; see `base.Reconciler.set_load`."""
        self._context.loads.in_flight = loads
        self._context.loads.streams = streams or {}
        self._context.loads.acknowledged_revision = acknowledged_revision
        for runner in self._runners():
            if runner.replica.phase is ReplicaPhase.DRAINING:
                runner.nudge()

    def cpu_percent(self, proton_id: str) -> Sequence[float | None]:
        """CPU use of each ready replica; see `base.Reconciler.cpu_percent`."""
        replicas = self._protons.get(proton_id)
        return replicas.cpu_percent() if replicas else []

    def cold_starts(self, proton_id: str) -> Sequence[float]:
        """Seconds from asked to ready of the proton's recent first starts, oldest first."""
        replicas = self._protons.get(proton_id)
        return list(replicas.cold_starts) if replicas else []

    def failure(self, proton_id: str) -> Failure | None:
        """Why the proton's replicas do not come up; None when nothing is wrong."""
        replicas = self._protons.get(proton_id)
        return replicas.failure() if replicas else None

    async def stop(self, *, end_replicas: bool) -> None:
        """End the reconciler; see `base.Reconciler.stop`."""
        self._stopping = True
        last = self.replicas()
        for proton in self._protons.values():
            proton.start_no_more()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        tasks = [task for proton in self._protons.values() for task in proton.tasks()]
        if end_replicas and tasks:
            for proton in self._protons.values():
                proton.leave(drain=False)
            limit_s = self._context.settings.stop_grace_s + STORE_LIMIT_S
            await asyncio.wait(tasks, timeout=limit_s)
        if end_replicas and self._chores:
            await asyncio.wait(self._chores, timeout=self._context.settings.stop_grace_s + 1.0)
        await _cancelled([*tasks, *self._chores])
        if end_replicas:
            home = str(self._context.data_dir)
            left = await asyncio.to_thread(processes_scan.find_replicas, home, last)
            processes_scan.kill_all(left)
        await self._records.flush(STORE_LIMIT_S)
        await self._records.close()
        if self._own_prober is not None:
            await self._own_prober.close()

    # Parts.

    def _runners(self) -> list[ReplicaRunner]:
        return [runner for proton in self._protons.values() for runner in proton.runners.values()]

    def _proton(self, proton: Proton) -> ProtonReplicas:
        replicas = ProtonReplicas(
            self._context, proton, new_id=self._new_id, on_gone=self._replica_gone
        )
        self._protons[proton.id] = replicas
        return replicas

    def _drop_if_empty(self, replicas: ProtonReplicas) -> None:
        if replicas.removed and not replicas.runners:
            self._protons.pop(replicas.proton.id, None)

    def _replica_gone(self, replicas: ProtonReplicas, runner: ReplicaRunner) -> None:
        self._drop_if_empty(replicas)
        if not self._stopping:
            self._chore(self._prune(runner.replica.workload_id))
        self._context.changed()

    def _written(self, replica: Replica) -> None:
        """The store took a record: a draining replica's deadline and revision are known now."""
        proton = self._protons.get(replica.proton_id)
        runner = proton.runners.get(replica.id) if proton else None
        if runner is not None:
            runner.nudge()

    def _chore(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _prune(self, workload_id: str) -> None:
        live = {replica.id for replica in self.replicas()}
        await asyncio.to_thread(prune, self._context.data_dir, workload_id, live)

    async def _prune_all(self) -> None:
        live = {replica.id for replica in self.replicas()}
        await asyncio.to_thread(prune_all, self._context.data_dir, live, now_s=time.time())

    # Adoption.

    def _adopt(self, record: Replica, proton: Proton | None, mine: Mapping[int, Found]) -> bool:
        """Adopt one recorded replica if its process lives and its proton is wanted."""
        found = mine.get(record.pid) if record.pid is not None else None
        if found is None or proton is None or record.phase not in ALIVE:
            return False
        same_start = processes_scan.same_start(found.started_at, record.process_started)
        leads = found.session == found.pid and found.replica_id == record.id
        if not (same_start and leads and record.port):
            return False
        replicas = self._protons.get(proton.id) or self._proton(proton)
        return replicas.adopt(record, lambda nudge: LocalProcessGroup(found.pid, None, nudge))

    async def _end_orphans(self, orphans: Sequence[Found]) -> None:
        """End processes that nobody wants any longer: SIGTERM, the grace, SIGKILL."""
        for process in orphans:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGTERM)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._context.settings.stop_grace_s
        left = orphans
        while left and loop.time() < deadline_s:
            await asyncio.sleep(0.05)
            left = [process for process in left if _lives(process)]
        processes_scan.kill_all(left)
        for process in orphans:
            self._context.places.release(process.replica_id)

    # Measuring.

    async def _sweep_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = SWEEP_S
        while True:
            await asyncio.sleep(pause_s)
            running = {runner.pid: runner for runner in self._runners() if runner.pid is not None}
            if not running:
                continue
            began_s = loop.time()
            limits = {pid: runner.watched_memory_bytes for pid, runner in running.items()}
            files = [runner.files for runner in running.values()]
            log_bytes = self._context.settings.replica_log_bytes
            try:
                usage = await asyncio.to_thread(_sweep, limits, files, log_bytes)
            except Exception:  # noqa: BLE001 - a task's root: logged, tried again
                _log.exception("measuring the replicas failed")
                continue
            for pid, measured in usage.items():
                if running[pid].pid == pid:
                    running[pid].measured(measured)
            pause_s = max(SWEEP_S, (loop.time() - began_s) / SWEEP_SHARE)


def _sweep(
    limits: Mapping[int, int | None], files: Iterable[ReplicaFiles], log_bytes: int
) -> dict[int, Usage]:
    """One measurement of all replicas, and their logs kept in bounds. Runs in a thread."""
    for replica in files:
        replica.rotate(log_bytes)
    return processes_usage.measure(limits)


def _lives(process: Found) -> bool:
    """Whether a found process has not ended; a zombie has."""
    try:
        status = psutil.Process(process.pid).status()
    except psutil.Error:
        return False
    return bool(status != psutil.STATUS_ZOMBIE)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
