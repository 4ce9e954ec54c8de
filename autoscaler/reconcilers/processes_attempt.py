"""One process of a replica: started or adopted, watched, asked to end, and accounted for.

A replica makes one attempt after the other. Everything that belongs to the process and not to the
replica lives here and ends with it: health, port, cgroup, grace period, the reason of its end.
"""

import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from autoscaler.core.replica_crashes import STABLE_S, Ending, ending
from autoscaler.core.replica_launch import Launch, replica_environment
from autoscaler.core.replica_probes import Health, ProbeKind, ProbePlan, Verdict, adopted
from autoscaler.core.replica_sentences import (
    command_failed,
    exited,
    memory_exceeded,
    never_ready,
    probe_gave_up,
)
from autoscaler.reconcilers.base import SecretError
from autoscaler.reconcilers.processes_cgroup import Cgroup
from autoscaler.reconcilers.processes_context import HOST, Context
from autoscaler.reconcilers.processes_health import HealthWatch
from autoscaler.reconcilers.processes_logs import ReplicaFiles
from autoscaler.reconcilers.processes_spawn import ProcessGroup
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica

_log = logging.getLogger(__name__)


class CommandError(Exception):
    """The process could not be started; the message is a sentence for the owner."""


class Attempt:
    """One process.

    Called on the event loop by its runner only. Moments are on the loop's monotonic clock.
    """

    def __init__(
        self,
        context: Context,
        launch: Launch,
        record: Replica,
        *,
        process: ProcessGroup,
        health: Health,
        nudge: Callable[[], None],
    ) -> None:
        self.process = process
        self.started_s = health.started_s
        self.ready_s: float | None = None
        """Since when it has been ready for the first time; None: never."""
        self.stopping = False
        self._context = context
        self._launch = launch
        self._port = record.port or 0
        self._plan = ProbePlan.of(launch.container)
        self._stable = False
        self._kill_s: float | None = None
        self._ended_why: str | None = None
        self._cgroup: Cgroup | None = None
        if context.cgroups is not None:
            self._cgroup = context.cgroups.make(record.id, launch.resources)
        self._watch = HealthWatch(
            plan=self._plan,
            health=health,
            pid=process.pid,
            port=self._port,
            container_port=launch.container.port,
            prober=context.prober,
            listening=context.listening,
            nudge=nudge,
        )

    @classmethod
    async def start(
        cls,
        context: Context,
        launch: Launch,
        record: Replica,
        files: ReplicaFiles,
        *,
        now_s: float,
        nudge: Callable[[], None],
    ) -> "Attempt":
        """Start a process for a record that has a port.

        Raises:
            CommandError: It cannot be started.
        """
        try:
            told = await context.secrets.variables(record.workload_id, launch.container)
        except SecretError as exc:
            raise CommandError(str(exc)) from exc
        environment = replica_environment(
            launch,
            inherited=context.environ,
            port=record.port or 0,
            host=HOST,
            workload_id=record.workload_id,
            replica_id=record.id,
            home=str(context.data_dir),
            told=told,
            otlp=context.otlp(record) if context.otlp is not None else None,
            gpus=record.gpus if context.places.shared else None,
        )
        try:
            process = await context.spawn(launch.argv, environment, files, nudge)
        except (OSError, ValueError) as exc:
            # ValueError: a NUL byte in the command or in a variable.
            error = getattr(exc, "strerror", None) or str(exc)
            path = environment.get("PATH", "")
            raise CommandError(command_failed(launch.argv, error=error, path=path)) from exc
        health = Health(started_s=now_s)
        attempt = cls(context, launch, record, process=process, health=health, nudge=nudge)
        if attempt._cgroup is not None:
            with suppress(OSError):
                attempt._cgroup.add(process.pid)
        extra = {"replica_id": record.id, "workload_id": record.workload_id, "pid": process.pid}
        _log.info("replica started", extra={**extra, **attempt._enforcement()})
        return attempt

    @classmethod
    def adopt(
        cls,
        context: Context,
        launch: Launch,
        record: Replica,
        process: ProcessGroup,
        *,
        now_s: float,
        nudge: Callable[[], None],
    ) -> "Attempt":
        """Take over a process that an earlier run had started."""
        wall_s = time.time()
        health = adopted(
            started_s=now_s - max(0.0, wall_s - process.started_at),
            ready=record.phase is ReplicaPhase.READY,
            was_ready=record.ready_at is not None,
        )
        attempt = cls(context, launch, record, process=process, health=health, nudge=nudge)
        if record.ready_at is not None:
            attempt.ready_s = now_s - max(0.0, wall_s - record.ready_at)
        return attempt

    # How it fares.

    @property
    def verdict(self) -> Verdict:
        """What its probes say."""
        return self._watch.health.verdict

    @property
    def why(self) -> str:
        """What is wrong with it at present; empty while nothing is known to be."""
        return self._watch.why

    @property
    def watched_memory_bytes(self) -> int | None:
        """The memory limit that must be watched, because the kernel does not."""
        enforced = self._cgroup is not None and self._cgroup.memory
        return None if enforced else self._launch.resources.memory_bytes

    def not_well(self, now_s: float) -> str | None:
        """Why it has to be ended; None: it may go on."""
        if self.verdict is Verdict.DEAD:
            kind = self._watch.health.dead_by or ProbeKind.LIVENESS
            probe = self._plan.probe(kind)
            return probe_gave_up(kind, probe.failure_threshold if probe else 0, self.why)
        timeout_s = self._context.settings.start_timeout_s
        if self.ready_s is None and now_s >= self.started_s + timeout_s:
            return never_ready(timeout_s, self.why)
        return None

    def step(self, now_s: float, *, stayed_ready: Callable[[], None]) -> float | None:
        """Begin the probes that are due.

        Returns:
            When to look again if nothing happens.
        """
        moments = [self._watch.step(now_s)]
        if self.ready_s is None:
            moments.append(self.started_s + self._context.settings.start_timeout_s)
        elif not self._stable:
            if now_s >= self.ready_s + STABLE_S:
                self._stable = True
                stayed_ready()
            else:
                moments.append(self.ready_s + STABLE_S)
        return min((moment for moment in moments if moment is not None), default=None)

    # Its end.

    def terminate(self, now_s: float, *, why: str | None = None) -> float:
        """Ask it to end, and begin the grace period; `why` if it is ended for not being well.

        Returns:
            When the grace period is over.
        """
        self._ended_why = why
        self.stopping = True
        self._kill_s = now_s + self._context.settings.stop_grace_s
        self.process.signal(signal.SIGTERM)
        return self._kill_s

    def insist(self, now_s: float) -> float | None:
        """Kill it when the grace period is over; returns when that will be."""
        if self._kill_s is not None and now_s >= self._kill_s:
            self._kill_s = None
            self.process.signal(signal.SIGKILL)
        return self._kill_s

    def used_memory(self, used_bytes: int) -> None:
        """Take in how much memory it uses; too much ends it."""
        limit_bytes = self.watched_memory_bytes
        if limit_bytes is not None and used_bytes > limit_bytes:
            self._ended_why = memory_exceeded(used_bytes, limit_bytes)
            self.process.signal(signal.SIGKILL)

    def ending(self, now_s: float) -> tuple[Ending, str]:
        """How far the ended process had come, and why it ended."""
        how = ending(ready_s=self.ready_s, ended_s=now_s)
        limit_bytes = self._launch.resources.memory_bytes
        if self._cgroup is not None and limit_bytes and self._cgroup.ran_out_of_memory():
            return how, memory_exceeded(limit_bytes, limit_bytes)
        if self._ended_why is not None:
            return how, self._ended_why
        ran_s = now_s - self.started_s
        return how, exited(self.process.exit_code, ran_s=ran_s, was_ready=self.ready_s is not None)

    async def release(self) -> None:
        """The process has ended: give back what belonged to it."""
        await self._watch.close()
        if self._cgroup is not None:
            self._cgroup.remove()
        self._context.ports.release(self._port)

    async def detach(self) -> None:
        """Leave the process alone, to be adopted by the next run."""
        await self._watch.close()
        self.process.detach()

    def _enforcement(self) -> dict[str, str]:
        """How the limits that the owner asked for are held, for the log."""
        said: dict[str, str] = {}
        if self._launch.resources.memory_bytes is not None:
            said["memory_limit"] = "watched" if self.watched_memory_bytes else "cgroup"
        if self._launch.resources.cpu is not None:
            by_kernel = self._cgroup is not None and self._cgroup.cpu
            said["cpu_limit"] = "cgroup" if by_kernel else "not enforced"
        return said
