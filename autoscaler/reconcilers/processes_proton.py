"""The replicas of one proton: how many, which go, whose turn it is to start, what went wrong."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from autoscaler.core.capacity_room import Spot
from autoscaler.core.observation import min_run_time_s
from autoscaler.core.replica_age import is_young
from autoscaler.core.replica_crashes import (
    Crashes,
    Ending,
    became_ready,
    ended,
    gave_up,
    start_wait_s,
)
from autoscaler.core.replica_launch import Launch, NothingToRunError, launch_of, sized
from autoscaler.core.replica_sentences import gave_up as gave_up_sentence
from autoscaler.core.replica_sentences import gpu_gone, next_start
from autoscaler.core.replica_victims import Candidate, choose_returning, choose_victims
from autoscaler.core.streams import NO_STREAMS
from autoscaler.reconcilers.base import Failure, Opening, Placement
from autoscaler.reconcilers.processes_context import Context
from autoscaler.reconcilers.processes_places import Place
from autoscaler.reconcilers.processes_replica import ReplicaRunner
from autoscaler.reconcilers.processes_spawn import ProcessGroup
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Replica

COLD_STARTS_KEPT: Final = 50

START_BATCH: Final = 100
"""Replicas that begin at once; a batch takes the event loop about 15 ms."""

START_PAUSE_S: Final = 0.05
"""Between batches, for everything else of the autoscaler: 2,000 replicas a second at most."""


class ProtonReplicas:
    """All replicas of one proton.

    Owned by the reconciler, called on the event loop only. It is the `Siblings` of its runners:
    they ask it for their turn and tell it how their processes fare.
    """

    def __init__(
        self,
        context: Context,
        proton: Proton,
        *,
        new_id: Callable[[], str],
        on_gone: Callable[["ProtonReplicas", ReplicaRunner], None],
    ) -> None:
        self.proton = proton
        self.runners: dict[str, ReplicaRunner] = {}
        self.cold_starts: deque[float] = deque(maxlen=COLD_STARTS_KEPT)
        self.removed = False
        self._context = context
        self._new_id = new_id
        self._on_gone = on_gone
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._crashes = Crashes()
        self._why = ""
        self._tail: tuple[str, ...] = ()
        self._placement: Placement | None = None
        self._openings: list[Opening] = []
        """Granted places for new replicas that nobody has taken yet."""
        self._missing = 0
        """Replicas of the aim that have not begun: they come in batches."""
        self._next_batch: asyncio.TimerHandle | None = None
        self._nudging = False
        self._launch: Launch | None = None
        self._nothing_to_run = ""
        try:
            self._launch = launch_of(proton)
        except NothingToRunError as exc:
            self._nothing_to_run = str(exc)

    # What the reconciler asks.

    def aim(self, wanted: int, placement: Placement | None = None) -> None:
        """Start, keep or let go replicas until `wanted` are there that do not leave."""
        if self._launch is None:
            return
        self._missing = 0
        self._placement = placement
        self._openings = list(placement.openings) if placement is not None else []
        lost = placement.lost if placement is not None else {}
        victims = self._victims(placement) if placement is not None else frozenset()
        for replica_id, runner in self.runners.items():
            if replica_id in victims:
                runner.leave(drain=True)
            gone, spot = lost.get(replica_id), (runner.replica.gpu_type, runner.replica.node)
            runner.troubled(gpu_gone(gone, *spot, leaves=runner.leaving) if gone else "")
        sound = [runner for replica_id, runner in self.runners.items() if replica_id not in lost]
        staying = [runner for runner in sound if not runner.leaving]
        if len(staying) > wanted:
            for replica_id in choose_victims(map(self._candidate, staying), len(staying) - wanted):
                self.runners[replica_id].leave(drain=True)
            return
        missing = wanted - len(staying)
        kept = [runner for runner in sound if runner.replica.id not in victims]
        for replica_id in choose_returning(map(self._candidate, kept), missing):
            missing -= self.runners[replica_id].stay()
        self._missing = missing
        if self._next_batch is None:
            self._start_batch(self._launch)
        if self._openings:
            self._nudge()

    def adopt(self, record: Replica, find: Callable[[Callable[[], None]], ProcessGroup]) -> bool:
        """Take over a replica that an earlier run had started; False: it has just ended.

        Args:
            record: Its record.
            find: Makes the process group from the callback for its end; ProcessLookupError when
                it has ended.
        """
        if self._launch is None:
            return False
        launch = self._launch
        for bundle in self.proton.runtime.group().bundles:
            if bundle.id == record.bundle:
                launch = sized(launch, bundle)
        runner = ReplicaRunner(self._context, self, launch, record)
        try:
            process = find(runner.nudge)
        except ProcessLookupError:
            return False
        if record.port is not None:
            self._context.ports.reserve(record.port)
        if record.gpus:
            spot = Spot(record.node, record.gpu_type)
            self._context.places.reserve(record.id, spot, record.gpus)
        runner.adopt(process)
        self._begin(runner)
        return True

    def leave(self, *, drain: bool) -> None:
        """All replicas go."""
        self.start_no_more()
        for runner in self.runners.values():
            runner.leave(drain=drain)

    def start_no_more(self) -> None:
        """Nothing begins until the next `aim`."""
        self._missing = 0
        if self._next_batch is not None:
            self._next_batch.cancel()
            self._next_batch = None

    def failure(self) -> Failure | None:
        """Why replicas do not come up; None when nothing is wrong."""
        if self._nothing_to_run:
            return Failure(message=self._nothing_to_run, sticky=True)
        if self.errored:
            return Failure(message=self.waiting(None), log_tail=self._tail, sticky=True)
        waiting = [
            runner.replica.message
            for runner in self.runners.values()
            if not runner.leaving
            and runner.replica.phase in {ReplicaPhase.PENDING, ReplicaPhase.LAUNCHING}
        ]
        if self._crashes.early_ends and waiting:
            now_s = asyncio.get_running_loop().time()
            wait_s = start_wait_s(self._crashes, launching=0, now_s=now_s)
            return Failure(message=self.waiting(wait_s), log_tail=self._tail)
        message = next(filter(None, waiting), "")
        return Failure(message=message) if message else None

    def cpu_percent(self) -> list[float | None]:
        """CPU use of each ready replica."""
        return [
            runner.cpu.percent()
            for runner in self.runners.values()
            if runner.replica.phase is ReplicaPhase.READY
        ]

    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks of all replicas."""
        return list(self._tasks.values())

    # What the replicas ask and tell.

    @property
    def errored(self) -> bool:
        """Whether the proton has been given up: too many failed starts, and nobody serves."""
        if not self._crashes.early_ends:
            return False  # all of many replicas ask: they are counted only where it matters
        limit = self._context.settings.crash_limit
        return gave_up(self._crashes, crash_limit=limit, serving=self._count(ReplicaPhase.READY))

    def take_place(self, runner: ReplicaRunner) -> Place | None:
        """Where it may run, and its GPUs; None: not free yet."""
        if self._placement is None:
            return Place(node=runner.replica.node)
        for opening in self._openings:
            found = self._context.places.take(runner.replica.id, [opening.spot], opening.gpus)
            if found is not None:
                self._openings.remove(opening)
                return replace(found[0], bundle=opening.bundle, reason=opening.reason)
        return None

    def start_wait_s(self, runner: ReplicaRunner, now_s: float) -> float | None:
        """How long a replica must wait for its turn to start."""
        failing = self._crashes.failed_starts > 0
        launching = self._count(ReplicaPhase.LAUNCHING, but=runner) if failing else 0
        return start_wait_s(self._crashes, launching=launching, now_s=now_s)

    def waiting(self, wait_s: float | None) -> str:
        """The sentence for a replica that waits for its turn, or that will not get one."""
        failed_starts = self._crashes.failed_starts
        if self.errored:
            early_ends = self._crashes.early_ends
            return gave_up_sentence(self._why, failed_starts=failed_starts, early_ends=early_ends)
        limit = self._context.settings.crash_limit
        return next_start(self._why, failed_starts=failed_starts, crash_limit=limit, wait_s=wait_s)

    def became_ready(self, took_s: float | None) -> None:
        """A replica became ready."""
        if took_s is not None:
            self.cold_starts.append(took_s)
        self._crashes = became_ready(self._crashes)
        self._nudge()

    def stayed_ready(self) -> None:
        """A replica has been ready long enough to forget what was before."""
        self._crashes = Crashes()
        self._nudge()

    def ended(self, how: Ending, *, started_s: float, why: str, tail: tuple[str, ...]) -> None:
        """A replica's process ended although it was wanted."""
        self._why = why
        self._tail = tail
        self._crashes = ended(
            self._crashes,
            how,
            started_s=started_s,
            now_s=asyncio.get_running_loop().time(),
            backoff_s=self._context.settings.restart_backoff_s,
        )
        self._nudge()

    def gone(self, runner: ReplicaRunner) -> None:
        """A replica has left for good."""
        del self.runners[runner.replica.id]
        self._nudge()
        self._on_gone(self, runner)

    # Parts.

    def _victims(self, placement: Placement) -> frozenset[str]:
        """Who must leave: as granted, and those with lost GPUs that others may be started for."""
        broken = [
            self._candidate(runner)
            for replica_id, runner in self.runners.items()
            if replica_id in placement.lost
            and replica_id not in placement.victims
            and not runner.leaving
        ]
        return placement.victims.union(choose_victims(broken, len(broken) - placement.lost_stay))

    def _start_batch(self, launch: Launch) -> None:
        self._next_batch = None
        for _ in range(min(self._missing, START_BATCH)):
            self._missing -= 1
            self._create(launch)
        if self._missing > 0:
            loop = asyncio.get_running_loop()
            self._next_batch = loop.call_later(START_PAUSE_S, self._start_batch, launch)

    def _create(self, launch: Launch) -> None:
        replica = Replica(
            id=self._new_id(),
            workload_id=self.proton.workload_id,
            proton_id=self.proton.id,
            phase=ReplicaPhase.PENDING,
            created_at=time.time(),
        )
        self._begin(ReplicaRunner(self._context, self, launch, replica))

    def _begin(self, runner: ReplicaRunner) -> None:
        replica_id = runner.replica.id
        self.runners[replica_id] = runner
        task = asyncio.create_task(runner.run(), name=f"replica-{replica_id}")
        self._tasks[replica_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(replica_id))

    def _candidate(self, runner: ReplicaRunner) -> Candidate:
        replica = runner.replica
        loads = self._context.loads
        streams = loads.streams.get(replica.id, NO_STREAMS)
        return Candidate(
            id=replica.id,
            phase=replica.phase,
            load=loads.in_flight.get(replica.id, 0),
            streams=streams.open,
            active_streams=streams.active,
            created_at=replica.created_at,
            young=is_young(
                replica,
                at=time.time(),
                min_run_s=min_run_time_s(self.proton, self._context.settings),
            ),
        )

    def _count(self, phase: ReplicaPhase, *, but: ReplicaRunner | None = None) -> int:
        return sum(
            runner.replica.phase is phase and not runner.leaving and runner is not but
            for runner in self.runners.values()
        )

    def _nudge(self) -> None:
        """What one replica did may be what another one waits for.

        Told once in a turn of the event loop: many become ready in the same one.
        """
        if not self._nudging:
            self._nudging = True
            asyncio.get_running_loop().call_soon(self._nudge_waiting)

    def _nudge_waiting(self) -> None:
        self._nudging = False
        for runner in self.runners.values():
            phase = runner.replica.phase
            if phase is ReplicaPhase.PENDING or phase is ReplicaPhase.FAILED:
                runner.nudge()
