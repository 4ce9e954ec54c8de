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
    DRAINING   chosen to go while it may have requests   drained, see `replica_drain`; or kept
    STOPPING   SIGTERM was sent because it goes          the process ends, by SIGKILL if need be
    FAILED     the proton is errored                     it goes

A restart keeps the replica's id and takes another port: a late request for the old process must
not reach the new one while it starts.
"""

import asyncio
import logging
import time
from contextlib import suppress
from enum import Enum
from typing import Final, Protocol

import msgspec

from autoscaler.core.replica_crashes import Ending
from autoscaler.core.replica_drain import DrainFacts, DrainState, drain_state
from autoscaler.core.replica_launch import Launch, sized
from autoscaler.core.replica_probes import Verdict
from autoscaler.core.replica_sentences import no_free_port, no_place
from autoscaler.reconcilers.processes_attempt import Attempt, CommandError
from autoscaler.reconcilers.processes_context import HOST, Context
from autoscaler.reconcilers.processes_logs import ReplicaFiles
from autoscaler.reconcilers.processes_places import Place
from autoscaler.reconcilers.processes_spawn import ProcessGroup
from autoscaler.reconcilers.processes_usage import CpuHistory, Usage
from controlplane.model.states import LEAVING, ReplicaPhase
from controlplane.model.workloads import Replica

_log = logging.getLogger(__name__)

PORT_RETRY_S: Final = 1.0
PLACE_RETRY_S: Final = 1.0
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

    def take_place(self, runner: "ReplicaRunner") -> Place | None:
        """Where it may run, and its GPUs; None: not free yet."""

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

    Owns its attempts, files and record. `run` is its task; every other method is called on the
    event loop and returns at once.
    """

    def __init__(
        self, context: Context, siblings: Siblings, launch: Launch, replica: Replica
    ) -> None:
        self.replica = replica
        self.cpu = CpuHistory(launch.resources.cpu)
        self.files = ReplicaFiles(context.data_dir, replica.workload_id, replica.id)
        self._context = context
        self._siblings = siblings
        self._launch = launch
        self._wish = Wish.RUN
        self._nudged = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._asked_s: float | None = self._loop.time()
        """When it was asked for; None once that has become a cold start's time, or adopted."""
        self._attempt: Attempt | None = None
        self._trouble = ""  # what is wrong with its place although it runs

    # What others ask and tell.

    @property
    def leaving(self) -> bool:
        """Whether it goes, or is draining and might be kept."""
        return self._wish is not Wish.RUN or self.replica.phase in LEAVING

    @property
    def pid(self) -> int | None:
        """Main process while one runs."""
        running = self._attempt is not None and not self._attempt.process.exited
        return self._attempt.process.pid if self._attempt and running else None

    @property
    def watched_memory_bytes(self) -> int | None:
        """The memory limit that must be watched, because the kernel does not."""
        return self._attempt.watched_memory_bytes if self._attempt else None

    def leave(self, *, drain: bool) -> None:
        """It is not wanted any longer."""
        wish = Wish.DRAIN if drain else Wish.END
        if self._wish not in {Wish.END, wish}:
            self._wish = wish
            self.nudge()

    def stay(self) -> bool:
        """It is wanted after all; whether that was still possible."""
        attempt = self._attempt
        if self._wish is Wish.DRAIN and attempt is not None and not attempt.stopping:
            self._wish = Wish.RUN
            if self.replica.phase is ReplicaPhase.DRAINING:
                ready = attempt.verdict is Verdict.READY
                self._set(phase=ReplicaPhase.READY if ready else ReplicaPhase.UNREADY)
            self.nudge()
        return self._wish is Wish.RUN

    def troubled(self, why: str) -> None:
        """Something is wrong with its place although it may serve; empty: not any more."""
        if self._trouble != why:
            self._trouble = why
            if why:
                extra = {"replica_id": self.replica.id, "why": why}
                _log.warning("a replica's place is not as it was", extra=extra)
            self.nudge()

    def measured(self, usage: Usage) -> None:
        """Take in what it uses."""
        self.cpu.add(usage)
        if self._attempt is not None:
            self._attempt.used_memory(usage.memory_bytes)

    def nudge(self) -> None:
        """Look at the facts again."""
        self._nudged.set()

    def adopt(self, process: ProcessGroup) -> None:
        """Take over a process that an earlier run had started; before `run`."""
        record = self.replica
        self._asked_s = None
        self._attempt = Attempt.adopt(
            self._context,
            self._launch,
            record,
            process,
            now_s=self._loop.time(),
            nudge=self.nudge,
        )
        if record.phase is ReplicaPhase.DRAINING:
            self._wish = Wish.DRAIN
        elif record.phase is ReplicaPhase.STOPPING:
            self._wish = Wish.END
        # Written anew, so that a drain has a revision that gateways can acknowledge.
        self._context.records.save(record)

    # Life.

    async def run(self) -> None:
        """Live until not wanted any longer; cancelled: leave the process to the next run."""
        try:
            if self._attempt is not None:
                await self._see_through(self._attempt)
            while self._wish is Wish.RUN:
                if await self._turn():
                    await self._try()
        except asyncio.CancelledError:
            if self._attempt is not None:
                await self._attempt.detach()
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

    async def _try(self) -> None:
        """Start a process and see it to its end."""
        ports = self._context.ports
        port = ports.take()
        if port is None:
            self._set(phase=ReplicaPhase.PENDING, message=no_free_port(ports.first, ports.last))
            await self._pause(self._loop.time() + PORT_RETRY_S)
            return
        place = self._siblings.take_place(self)
        if place is None:
            ports.release(port)
            self._set(phase=ReplicaPhase.PENDING, message=no_place())
            await self._pause(self._loop.time() + PLACE_RETRY_S)
            return
        if place.bundle is not None:
            self._launch = sized(self._launch, place.bundle)
            self.cpu = CpuHistory(self._launch.resources.cpu)
        # Known to its siblings at once, to the store with its pid: one write less per start.
        self.replica = msgspec.structs.replace(
            self.replica,
            phase=ReplicaPhase.LAUNCHING,
            host=HOST,
            port=port,
            node=place.node,
            gpus=place.gpus,
            gpu_type=place.gpu_type,
            bundle=place.bundle.id if place.bundle is not None else self.replica.bundle,
            bundle_reason=place.reason if place.bundle is not None else self.replica.bundle_reason,
            started_at=time.time(),
            ready_at=None,
            log_path=str(self.files.output),
        )
        started_s = self._loop.time()
        try:
            attempt = await Attempt.start(
                self._context,
                self._launch,
                self.replica,
                self.files,
                now_s=started_s,
                nudge=self.nudge,
            )
        except CommandError as exc:
            ports.release(port)
            self._context.places.release(self.replica.id)
            await self._account(Ending.NEVER_READY, str(exc), started_s=started_s)
            return
        self._attempt = attempt
        self._set(pid=attempt.process.pid, process_started=attempt.process.started_at)
        await self._see_through(attempt)

    async def _see_through(self, attempt: Attempt) -> None:
        """Watch a process to its end and account for it."""
        while not attempt.process.exited:
            await self._pause(self._step(attempt, self._loop.time()))
        how, why = attempt.ending(self._loop.time())
        await attempt.release()
        self._attempt = None
        self.cpu.clear()
        self._context.places.release(self.replica.id)
        if self._wish is Wish.RUN:
            exit_code = attempt.process.exit_code
            await self._account(how, why, started_s=attempt.started_s, exit_code=exit_code)

    async def _account(
        self, how: Ending, why: str, *, started_s: float, exit_code: int | None = None
    ) -> None:
        """A process ended although it was wanted."""
        tail = await asyncio.to_thread(self.files.tail)
        _log.warning(
            "replica ended", extra={"replica_id": self.replica.id, "how": str(how), "why": why}
        )
        self._siblings.ended(how, started_s=started_s, why=why, tail=tail)
        errored = self._siblings.errored
        self._set(
            phase=ReplicaPhase.FAILED if errored else ReplicaPhase.PENDING,
            restart_count=self.replica.restart_count + (not errored),
            host=None,
            port=None,
            pid=None,
            process_started=None,
            gpus=(),
            gpu_type=None,
            ready_at=None,
            exit_code=exit_code,
            message=why,
        )

    async def _pause(self, until_s: float | None) -> None:
        """Wait for a nudge, at most until a moment of the loop's clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                await self._nudged.wait()
        self._nudged.clear()

    # One look at the facts; each returns when to look again without a nudge.

    def _step(self, attempt: Attempt, now_s: float) -> float | None:
        if attempt.stopping:
            if self._wish is not Wish.RUN:
                self._set(phase=ReplicaPhase.STOPPING)
            return attempt.insist(now_s)
        if self._wish is Wish.DRAIN and self.replica.phase in _SERVING:
            return self._drain(attempt, now_s)
        if self._wish is not Wish.RUN:
            return self._go(attempt, now_s)
        return self._watch(attempt, now_s)

    def _go(self, attempt: Attempt, now_s: float) -> float | None:
        self._set(phase=ReplicaPhase.STOPPING)
        return attempt.terminate(now_s)

    def _drain(self, attempt: Attempt, now_s: float) -> float | None:
        self._set(phase=ReplicaPhase.DRAINING, message=self._trouble or self.replica.message)
        written = self._context.records.written(self.replica.id)
        if written is not None and written.replica.phase is not ReplicaPhase.DRAINING:
            written = None
        loads = self._context.loads
        timeout_s = self._context.settings.drain_timeout_s
        facts = DrainFacts(
            revision=written.revision if written else None,
            recorded_s=written.at_s if written else None,
            acknowledged_revision=loads.acknowledged_revision,
            load=loads.in_flight.get(self.replica.id, 0),
        )
        state = drain_state(facts, now_s=now_s, drain_timeout_s=timeout_s)
        if state is DrainState.OVERDUE:
            extra = {"replica_id": self.replica.id, "load": facts.load}
            _log.warning("replica is ended at its drain deadline", extra=extra)
        if state in {DrainState.DRAINED, DrainState.OVERDUE}:
            return self._go(attempt, now_s)
        return None if facts.recorded_s is None else facts.recorded_s + timeout_s

    def _watch(self, attempt: Attempt, now_s: float) -> float | None:
        ready = self.replica.phase is ReplicaPhase.READY
        why = attempt.not_well(now_s)
        if why is not None:
            phase = ReplicaPhase.UNREADY if ready else self.replica.phase
            self._set(phase=phase, message=why)
            return attempt.terminate(now_s, why=why)
        if attempt.verdict is Verdict.READY and not ready:
            self._became_ready(attempt, now_s)
        elif attempt.verdict is Verdict.UNREADY and ready:
            self._set(phase=ReplicaPhase.UNREADY, message=attempt.why)
        elif attempt.why or ready:
            # Until something newer is known, why the last start failed is worth reading.
            self._set(message=attempt.why or self._trouble)
        return attempt.step(now_s, stayed_ready=self._siblings.stayed_ready)

    def _became_ready(self, attempt: Attempt, now_s: float) -> None:
        self._set(phase=ReplicaPhase.READY, ready_at=time.time(), message="")
        if attempt.ready_s is None:
            attempt.ready_s = now_s
            took_s = None if self._asked_s is None else now_s - self._asked_s
            self._asked_s = None
            self._siblings.became_ready(took_s)

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
