"""One replica of the process reconciler, from being wanted to being forgotten.

The runner is one task. Everything that happens (a probe's answer, the end of the process, a
report of the gateways, a wish of the proton) only nudges it; it then looks at all facts and does
the next step. So no order of events needs code of its own.

    phase      begins when                               ends with
    ---------  ----------------------------------------  ----------------------------------------
    PENDING    wanted; or its process ended by itself    its turn comes, see `replica_crashes`
    LAUNCHING  its process was started                   ready; or the process ends
    READY      the probes say so, see `replica_probes`   unready; chosen to go; or the process ends
    UNREADY    it was ready, readiness or liveness fails ready; chosen to go; or the process ends
    DRAINING   chosen to go while it could have requests drained, see `replica_drain`; or kept
    STOPPING   SIGTERM was sent because it goes          the process ends, by SIGKILL if need be
    FAILED     the proton is errored                     it goes

A restart keeps the replica's id and takes another port: a late request for the old process must
not reach the new one while it starts.
"""

import asyncio
import logging
import signal
import time
from contextlib import suppress
from enum import Enum
from typing import Final, Protocol

import msgspec

from autoscaler.core.replica_crashes import STABLE_S, Ending, ending
from autoscaler.core.replica_drain import DrainFacts, DrainState, drain_state
from autoscaler.core.replica_launch import Launch, replica_environment
from autoscaler.core.replica_probes import Health, ProbeKind, ProbePlan, Verdict, adopted
from autoscaler.core.replica_sentences import (
    command_failed,
    exited,
    memory_exceeded,
    never_ready,
    no_free_port,
    probe_gave_up,
    unresolved,
)
from autoscaler.reconcilers.processes_cgroup import Cgroup
from autoscaler.reconcilers.processes_context import HOST, Context
from autoscaler.reconcilers.processes_health import HealthWatch
from autoscaler.reconcilers.processes_logs import ReplicaFiles
from autoscaler.reconcilers.processes_spawn import ProcessGroup
from autoscaler.reconcilers.processes_usage import CpuHistory, Usage
from controlplane.model.states import LEAVING, ReplicaPhase
from controlplane.model.workloads import Replica

_log = logging.getLogger(__name__)

PORT_RETRY_S: Final = 1.0
_SERVING: Final = frozenset({ReplicaPhase.READY, ReplicaPhase.UNREADY, ReplicaPhase.DRAINING})


class Wish(Enum):
    """What the proton wants of a replica."""

    RUN = "run"
    DRAIN = "drain"
    """Go, but finish what you have."""
    END = "end"
    """Go now."""


class Siblings(Protocol):
    """The proton, as its replicas see it."""

    @property
    def errored(self) -> bool:
        """Whether the proton has been given up."""

    def start_wait_s(self, runner: "ReplicaRunner", now_s: float) -> float | None:
        """How long the replica must wait for its turn to start; None: until it is nudged."""

    def waiting(self, wait_s: float | None) -> str:
        """The sentence for a replica that waits for its turn, or that will not get one."""

    def became_ready(self, took_s: float | None) -> None:
        """A replica became ready; `took_s` since it was asked for, None for a restart."""

    def stayed_ready(self) -> None:
        """A replica has been ready for `STABLE_S`."""

    def ended(self, how: Ending, *, started_s: float, why: str, tail: tuple[str, ...]) -> None:
        """A replica's process ended by itself, or had to be ended because it was not well."""

    def gone(self, runner: "ReplicaRunner") -> None:
        """A replica has left for good."""


class ReplicaRunner:
    """One replica.

    Owns its process, port, files, cgroup and record. `run` is its task; every other method is
    called on the event loop and returns at once.
    """

    def __init__(
        self, context: Context, siblings: Siblings, launch: Launch, replica: Replica
    ) -> None:
        # For as long as the replica is wanted.
        self.replica = replica
        self.cpu = CpuHistory(launch.resources.cpu)
        self.files = ReplicaFiles(context.data_dir, replica.workload_id, replica.id)
        self._context = context
        self._siblings = siblings
        self._launch = launch
        self._settings = context.settings
        self._wish = Wish.RUN
        self._nudged = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._asked_s: float | None = self._loop.time()
        # For one process.
        self._process: ProcessGroup | None = None
        self._health: HealthWatch | None = None
        self._cgroup: Cgroup | None = None
        self._started_s = 0.0
        self._ready_s: float | None = None
        self._stable = False
        self._kill_s: float | None = None
        self._stopping = False
        self._ended_why: str | None = None

    # What others ask.

    @property
    def leaving(self) -> bool:
        """Whether it goes, or is draining and might be kept."""
        return self._wish is not Wish.RUN or self.replica.phase in LEAVING

    @property
    def pid(self) -> int | None:
        """Main process while one runs."""
        return self._process.pid if self._process and not self._process.exited else None

    @property
    def watched_memory_bytes(self) -> int | None:
        """The memory limit that must be watched, because the kernel does not."""
        enforced = self._cgroup is not None and self._cgroup.memory
        return None if enforced else self._launch.resources.memory_bytes

    def leave(self, *, drain: bool) -> None:
        """It is not wanted any longer."""
        wish = Wish.DRAIN if drain else Wish.END
        if self._wish is Wish.END or self._wish is wish:
            return
        self._wish = wish
        self.nudge()

    def stay(self) -> bool:
        """It is wanted after all; whether that was still possible."""
        if self._wish is Wish.DRAIN and not self._stopping:
            self._wish = Wish.RUN
            if self.replica.phase is ReplicaPhase.DRAINING:
                self._set(phase=self._standing())
            self.nudge()
        return self._wish is Wish.RUN

    def measured(self, usage: Usage) -> None:
        """Take in what it uses."""
        self.cpu.add(usage)
        limit_bytes = self.watched_memory_bytes
        if limit_bytes is not None and usage.memory_bytes > limit_bytes and self._process:
            self._ended_why = memory_exceeded(usage.memory_bytes, limit_bytes)
            self._process.signal(signal.SIGKILL)

    def nudge(self) -> None:
        """Look at the facts again."""
        self._nudged.set()

    # Life.

    def adopt(self, process: ProcessGroup) -> None:
        """Take over a process that an earlier run had started; before `run`."""
        record = self.replica
        age_s = max(0.0, time.time() - process.started_at)
        self._asked_s = None
        self._started_s = self._loop.time() - age_s
        if record.ready_at is not None:
            self._ready_s = self._loop.time() - max(0.0, time.time() - record.ready_at)
        self._cgroup = self._make_cgroup()
        health = adopted(
            started_s=self._started_s,
            ready=record.phase is ReplicaPhase.READY,
            was_ready=record.ready_at is not None,
        )
        self._begin(process, record.port or 0, health)
        if record.phase is ReplicaPhase.DRAINING:
            self._wish = Wish.DRAIN
        elif record.phase is ReplicaPhase.STOPPING:
            self._wish = Wish.END
        # Written anew, so that a drain has a revision that gateways can acknowledge.
        self._context.records.save(record)

    async def run(self) -> None:
        """Live until not wanted any longer; cancelled: leave the process to the next run."""
        try:
            if self._process is not None:
                await self._until_ended(self._process)
            while self._wish is Wish.RUN:
                if await self._turn():
                    await self._attempt()
        except asyncio.CancelledError:
            await self._detach()
            raise
        # From here on nothing can make it stay.
        self._wish = Wish.END
        await asyncio.to_thread(self.files.close)
        self._context.records.forget(self.replica.id)
        self._siblings.gone(self)

    async def _turn(self) -> bool:
        """Wait for permission to start; False: look again, something has changed."""
        if self._siblings.errored:
            self._set(phase=ReplicaPhase.FAILED, message=self._siblings.waiting(None))
            await self._pause(None)
            return False
        now_s = self._loop.time()
        wait_s = self._siblings.start_wait_s(self, now_s)
        if wait_s == 0.0:
            return True
        self._set(phase=ReplicaPhase.PENDING, message=self._siblings.waiting(wait_s))
        await self._pause(None if wait_s is None else now_s + wait_s)
        return False

    async def _attempt(self) -> None:
        """Start the process once and see it to its end."""
        port = self._context.ports.take()
        if port is None:
            first, last = self._context.ports.first, self._context.ports.last
            self._set(phase=ReplicaPhase.PENDING, message=no_free_port(first, last))
            await self._pause(self._loop.time() + PORT_RETRY_S)
            return
        self._started_s = self._loop.time()
        # Known to its siblings at once, to the store with its pid: one write less per start.
        self.replica = msgspec.structs.replace(
            self.replica,
            phase=ReplicaPhase.LAUNCHING,
            host=HOST,
            port=port,
            started_at=time.time(),
            ready_at=None,
            log_path=str(self.files.output),
        )
        process = await self._spawn(port)
        if process is not None:
            self._set(pid=process.pid, process_started=process.started_at)
            self._begin(process, port, Health(started_s=self._started_s))
            await self._until_ended(process)

    async def _spawn(self, port: int) -> ProcessGroup | None:
        """The new process; None: it could not be started, which is dealt with."""
        environment = replica_environment(
            self._launch,
            inherited=self._context.environ,
            port=port,
            host=HOST,
            workload_id=self.replica.workload_id,
            replica_id=self.replica.id,
            home=str(self._context.data_dir),
        )
        try:
            process = await self._context.spawn(
                self._launch.argv, environment, self.files, self.nudge
            )
        except (OSError, ValueError) as exc:
            # ValueError: a NUL byte in the command or in a variable.
            error = getattr(exc, "strerror", None) or str(exc)
            path = environment.get("PATH", "")
            await self._failed(command_failed(self._launch.argv, error=error, path=path))
            return None
        self._cgroup = self._make_cgroup()
        if self._cgroup is not None:
            with suppress(OSError):
                self._cgroup.add(process.pid)
        _log.info(
            "replica started",
            extra={
                "replica_id": self.replica.id,
                "workload_id": self.replica.workload_id,
                "pid": process.pid,
                "port": port,
                **self._enforcement(),
            },
        )
        return process

    def _begin(self, process: ProcessGroup, port: int, health: Health) -> None:
        """Watch a process that runs."""
        self._process = process
        self._health = HealthWatch(
            plan=ProbePlan.of(self._launch.container),
            health=health,
            pid=process.pid,
            port=port,
            container_port=self._launch.container.port,
            prober=self._context.prober,
            listening=self._context.listening,
            nudge=self.nudge,
        )

    async def _until_ended(self, process: ProcessGroup) -> None:
        while not process.exited:
            next_s = self._step(process, self._loop.time())
            await self._pause(next_s)
        await self._conclude(process)

    async def _pause(self, until_s: float | None) -> None:
        """Wait for a nudge, at most until a moment of the loop's clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                await self._nudged.wait()
        self._nudged.clear()

    # One look at the facts; each returns when to look again without a nudge.

    def _step(self, process: ProcessGroup, now_s: float) -> float | None:
        if self._stopping:
            return self._insist(process, now_s)
        if self._wish is Wish.DRAIN and self.replica.phase in _SERVING:
            return self._drain(process, now_s)
        if self._wish is not Wish.RUN:
            return self._go(process, now_s)
        return self._watch(process, now_s)

    def _drain(self, process: ProcessGroup, now_s: float) -> float | None:
        if self.replica.phase is not ReplicaPhase.DRAINING:
            self._set(phase=ReplicaPhase.DRAINING)
        written = self._context.records.written(self.replica.id)
        if written is not None and written.replica.phase is not ReplicaPhase.DRAINING:
            written = None
        timeout_s = self._settings.drain_timeout_s
        facts = DrainFacts(
            revision=written.revision if written else None,
            recorded_s=written.at_s if written else None,
            acknowledged_revision=self._context.loads.acknowledged_revision,
            load=self._context.loads.in_flight.get(self.replica.id, 0),
        )
        state = drain_state(facts, now_s=now_s, drain_timeout_s=timeout_s)
        if state is DrainState.DRAINED or state is DrainState.OVERDUE:
            if state is DrainState.OVERDUE:
                _log.warning(
                    "replica is ended with requests in flight",
                    extra={"replica_id": self.replica.id, "load": facts.load},
                )
            return self._go(process, now_s)
        return None if facts.recorded_s is None else facts.recorded_s + timeout_s

    def _go(self, process: ProcessGroup, now_s: float) -> float | None:
        self._set(phase=ReplicaPhase.STOPPING)
        return self._terminate(process, now_s)

    def _terminate(self, process: ProcessGroup, now_s: float) -> float | None:
        self._stopping = True
        self._kill_s = now_s + self._settings.stop_grace_s
        process.signal(signal.SIGTERM)
        return self._kill_s

    def _insist(self, process: ProcessGroup, now_s: float) -> float | None:
        if self._wish is not Wish.RUN and self.replica.phase is not ReplicaPhase.STOPPING:
            self._set(phase=ReplicaPhase.STOPPING)
        if self._kill_s is not None and now_s >= self._kill_s:
            self._kill_s = None
            process.signal(signal.SIGKILL)
        return self._kill_s

    def _watch(self, process: ProcessGroup, now_s: float) -> float | None:
        assert self._health is not None  # noqa: S101 - set with the process
        why = self._not_well(self._health, now_s)
        if why is not None:
            self._ended_why = why
            if self.replica.phase is ReplicaPhase.READY:
                self._set(phase=ReplicaPhase.UNREADY, message=why)
            return self._terminate(process, now_s)
        if self._health.health.verdict is Verdict.READY and not self._is_ready():
            self._became_ready(now_s)
        elif self._health.health.verdict is Verdict.UNREADY and self._is_ready():
            self._set(phase=ReplicaPhase.UNREADY)
        # Until it is ready, or something newer is known, why the last start failed is worth reading.
        if self._health.why or self._is_ready():
            self._set(message=self._health.why)
        moments = [self._health.step(now_s)]
        if self._ready_s is None:
            moments.append(self._started_s + self._settings.start_timeout_s)
        elif not self._stable:
            if now_s >= self._ready_s + STABLE_S:
                self._stable = True
                self._siblings.stayed_ready()
            else:
                moments.append(self._ready_s + STABLE_S)
        return min((moment for moment in moments if moment is not None), default=None)

    def _not_well(self, watch: HealthWatch, now_s: float) -> str | None:
        """Why the process has to be ended; None: it may go on."""
        if watch.health.verdict is Verdict.DEAD:
            kind = watch.health.dead_by or ProbeKind.LIVENESS
            probe = ProbePlan.of(self._launch.container).probe(kind)
            return probe_gave_up(kind, probe.failure_threshold if probe else 0, watch.why)
        timeout_s = self._settings.start_timeout_s
        if self._ready_s is None and now_s >= self._started_s + timeout_s:
            return never_ready(timeout_s, watch.why)
        return None

    def _is_ready(self) -> bool:
        return self.replica.phase is ReplicaPhase.READY

    def _standing(self) -> ReplicaPhase:
        """Phase of a process that is not to go."""
        ready = self._health is not None and self._health.health.verdict is Verdict.READY
        return ReplicaPhase.READY if ready else ReplicaPhase.UNREADY

    def _became_ready(self, now_s: float) -> None:
        first = self._ready_s is None
        if first:
            self._ready_s = now_s
        self._set(phase=ReplicaPhase.READY, ready_at=time.time(), message="")
        if first:
            took_s = None if self._asked_s is None else now_s - self._asked_s
            self._asked_s = None
            self._siblings.became_ready(took_s)

    # The end of a process.

    async def _conclude(self, process: ProcessGroup) -> None:
        ran_s = self._loop.time() - self._started_s
        exit_code = process.exit_code
        why = self._ended_why
        if self._cgroup is not None and self._cgroup.ran_out_of_memory():
            limit_bytes = self._launch.resources.memory_bytes or 0
            why = memory_exceeded(limit_bytes, limit_bytes)
        if why is None:
            why = exited(exit_code, ran_s=ran_s, was_ready=self._ready_s is not None)
        if self._wish is Wish.RUN:
            await self._failed(why, exit_code=exit_code)
        else:
            await self._release()

    async def _failed(self, why: str, *, exit_code: int | None = None) -> None:
        """Account for a process that ended although it was wanted."""
        how = ending(ready_s=self._ready_s, ended_s=self._loop.time())
        started_s = self._started_s
        await self._release()
        if self._launch.unresolved:
            why = f"{why} {unresolved(self._launch.unresolved)}"
        tail = await asyncio.to_thread(self.files.tail)
        _log.warning(
            "replica ended", extra={"replica_id": self.replica.id, "why": why, "how": str(how)}
        )
        self._siblings.ended(how, started_s=started_s, why=why, tail=tail)
        errored = self._siblings.errored
        self._set(
            phase=ReplicaPhase.FAILED if errored else ReplicaPhase.PENDING,
            restart_count=self.replica.restart_count + (0 if errored else 1),
            host=None,
            port=None,
            pid=None,
            process_started=None,
            ready_at=None,
            exit_code=exit_code,
            message=why,
        )

    async def _release(self) -> None:
        """Give back what belonged to the process."""
        if self._health is not None:
            await self._health.close()
        if self._cgroup is not None:
            self._cgroup.remove()
        if self.replica.port is not None:
            self._context.ports.release(self.replica.port)
        self.cpu.clear()
        self._process = self._health = self._cgroup = None
        self._ready_s = self._kill_s = self._ended_why = None
        self._stable = self._stopping = False

    async def _detach(self) -> None:
        """Leave the process alone, to be adopted by the next run."""
        if self._health is not None:
            await self._health.close()
        if self._process is not None:
            self._process.detach()

    # Small things.

    def _make_cgroup(self) -> Cgroup | None:
        if self._context.cgroups is None:
            return None
        return self._context.cgroups.make(self.replica.id, self._launch.resources)

    def _enforcement(self) -> dict[str, str]:
        """How the limits that the owner asked for are held, for the log."""
        said: dict[str, str] = {}
        if self._launch.resources.memory_bytes is not None:
            said["memory_limit"] = "watched" if self.watched_memory_bytes else "cgroup"
        if self._launch.resources.cpu is not None:
            by_kernel = self._cgroup is not None and self._cgroup.cpu
            said["cpu_limit"] = "cgroup" if by_kernel else "not enforced"
        return said

    def _set(self, **changes: object) -> None:
        """Change the record; have it written and tell the autoscaler, if it is a change."""
        after = msgspec.structs.replace(self.replica, **changes)
        if after == self.replica:
            return
        moved = after.phase is not self.replica.phase
        self.replica = after
        self._context.records.save(after)
        if moved:
            self._context.changed()
