"""Gateway workers and replicas in a simulation: who waits where, and who serves whom.

The rules are the gateway's own (`gateway.core.balancing`, `gateway.net.dispatcher`): a worker sends
to the less loaded of two random ready replicas that has a free slot of its share of the limit;
where none has, the request waits, first come first served, at most `hold_timeout_s`, and at most
`queue_limit` of them. A freed slot goes to the oldest of the worker whose request held it.

One thing is coarser: all requests are of one caller, so nobody takes turns.
"""

import random
from collections import deque
from collections.abc import Callable
from heapq import heappush
from typing import Final

from autoscaler.core.replica_victims import Candidate, choose_returning, choose_victims
from autoscaler.replay.outcome import Outcome, Row, bucket
from autoscaler.replay.simulated import (
    DRAINED,
    EXPIRE,
    FINISH,
    READY,
    Event,
    SimulatedReplica,
    SimulatedWorker,
)
from autoscaler.replay.world import World
from controlplane.model.states import ReplicaPhase

KEPT_STARTS: Final = 20
"""Start-up times that are remembered."""


class Fleet:
    """All gateway workers and replicas of one workload."""

    def __init__(
        self,
        world: World,
        outcome: Outcome,
        *,
        seed: int,
        on_wait: Callable[[SimulatedWorker, float], None],
    ) -> None:
        """Begin with `world.initial` ready replicas.

        Args:
            world: Limits and distributions.
            outcome: What is counted.
            seed: Of balancing and of start-up times.
            on_wait: Called when a request begins to wait in a worker.
        """
        self.world = world
        self.outcome = outcome
        self.events: list[Event] = []
        self.row = Row(0.0, outcome.timeline.step_s)
        self.workers = [SimulatedWorker(i) for i in range(world.workers)]
        self.ready: list[SimulatedReplica] = []
        self.starting: dict[int, SimulatedReplica] = {}
        self.draining: dict[int, SimulatedReplica] = {}
        self.working = 0
        self.ready_seconds = 0.0
        self.inside = 0
        self.inside_seconds = 0.0
        self.replicas_changed = False
        self.start_ups_s: deque[float] = deque(maxlen=KEPT_STARTS)
        self._share = max(1, -(-world.replica_limit // world.workers))
        self._concurrency = world.concurrency or 1 << 60
        self._changed_s = 0.0
        self._sequence = 0
        self._numbers = 0
        self._on_wait = on_wait
        self._random = random.Random(seed).random  # noqa: S311 - a simulation
        self._start_ups = random.Random(seed + 1)  # noqa: S311 - a simulation
        for _ in range(world.initial):
            self._become_ready(self._new(0.0), 0.0)

    # -- requests ---------------------------------------------------------------------------------

    def arrive(self, now_s: float, service_s: float) -> None:
        """A request comes to one of the workers."""
        workers = self.workers
        worker = workers[int(self._random() * len(workers))] if len(workers) > 1 else workers[0]
        worker.advance(now_s)
        worker.started += 1
        self.row.arrivals += 1
        if not worker.queue:
            replica = self._choose(worker.index)
            if replica is not None:
                self._send(worker, replica, now_s, now_s, service_s)
                return
        queue = worker.queue
        if len(queue) >= self.world.queue_limit:
            worker.refused += 1
            self.outcome.queue_full += 1
            self.row.refused += 1
            return
        if not self.ready:
            self.outcome.cold += 1
            self.row.cold += 1
        queue.append((now_s, service_s))
        if not worker.expires:
            worker.expires = True
            self.push(now_s + self.world.hold_timeout_s, EXPIRE, worker)
        waiting = sum(len(w.queue) for w in workers) if len(workers) > 1 else len(queue)
        self.row.max_queued = max(self.row.max_queued, waiting)
        self._on_wait(worker, now_s)

    def finish(self, now_s: float, replica: SimulatedReplica, index: int) -> None:
        """A replica has answered a request of one worker."""
        if replica.phase is ReplicaPhase.STOPPING:
            return  # it was cut off before
        worker = self.workers[index]
        worker.advance(now_s)
        worker.in_flight -= 1
        replica.flying[index] -= 1
        replica.working -= 1
        self.outcome.answered += 1
        if replica.inside:
            self._advance(now_s)
            self.inside -= 1
            came_s, service_s, other = replica.inside.popleft()
            self._work(replica, other, now_s, came_s, service_s)
        if replica.phase is ReplicaPhase.READY:
            if not replica.working:
                self._advance(now_s)
                self.working -= 1
            self._pump(worker, now_s)
        elif not any(replica.flying):
            self._gone(replica, now_s)

    def expire(self, now_s: float, worker: SimulatedWorker) -> None:
        """The oldest waiting requests of a worker have waited too long."""
        patience_s = self.world.hold_timeout_s
        worker.advance(now_s)
        queue = worker.queue
        while queue and queue[0][0] + patience_s <= now_s:
            queue.popleft()
            worker.refused += 1
            self.outcome.timed_out += 1
            self.row.refused += 1
        worker.expires = bool(queue)
        if queue:
            self.push(queue[0][0] + patience_s, EXPIRE, worker)

    def _choose(self, index: int) -> SimulatedReplica | None:
        ready, share = self.ready, self._share
        count = len(ready)
        if not count:
            return None
        if count == 1:
            return ready[0] if ready[0].flying[index] < share else None
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        if second >= first:
            second += 1
        one, other = ready[first], ready[second]
        best = other if other.flying[index] < one.flying[index] else one
        if best.flying[index] < share:
            return best
        free = [replica for replica in ready if replica.flying[index] < share]
        return min(free, key=lambda replica: replica.flying[index]) if free else None

    def _pump(self, worker: SimulatedWorker, now_s: float) -> None:
        queue = worker.queue
        while queue:
            replica = self._choose(worker.index)
            if replica is None:
                return
            worker.advance(now_s)
            came_s, service_s = queue.popleft()
            self._send(worker, replica, now_s, came_s, service_s)

    def _send(
        self,
        worker: SimulatedWorker,
        replica: SimulatedReplica,
        now_s: float,
        came_s: float,
        service_s: float,
    ) -> None:
        worker.in_flight += 1
        replica.flying[worker.index] += 1
        if replica.working < self._concurrency:
            if not replica.working:
                self._advance(now_s)
                self.working += 1
            self._work(replica, worker.index, now_s, came_s, service_s)
        else:
            self._advance(now_s)
            self.inside += 1
            replica.inside.append((came_s, service_s, worker.index))

    def _work(
        self, replica: SimulatedReplica, index: int, now_s: float, came_s: float, service_s: float
    ) -> None:
        replica.working += 1
        self._sequence += 1
        heappush(self.events, (now_s + service_s, self._sequence, FINISH, replica, index))
        waited_s = now_s - came_s
        slot = bucket(waited_s) if waited_s > 0 else 0
        waits = self.row.waits
        waits[slot] = waits.get(slot, 0) + 1
        self.outcome.wait_seconds += waited_s

    # -- replicas ---------------------------------------------------------------------------------

    @property
    def staying(self) -> int:
        """Replicas that are not leaving."""
        return len(self.ready) + len(self.starting)

    def scale(self, wanted: int, now_s: float) -> None:
        """Start replicas, keep draining ones after all, or have the idlest leave."""
        missing = wanted - self.staying
        if missing > 0 and self.draining:
            missing -= self._return(missing, now_s)
        for _ in range(missing):
            replica = self._new(now_s)
            self.push(now_s + self.world.start_up(self._start_ups), READY, replica)
        if missing < 0:
            self._leave(-missing, now_s)

    def became_ready(self, now_s: float, replica: SimulatedReplica) -> None:
        """A replica's start is over, if it was not taken back."""
        if replica.phase is ReplicaPhase.LAUNCHING:
            replica.since_s = now_s
            self.start_ups_s.append(now_s - replica.created_s)
            self._become_ready(replica, now_s)
            for worker in self.workers:
                self._pump(worker, now_s)

    def drained(self, now_s: float, replica: SimulatedReplica, deadline: int) -> None:
        """The time that a leaving replica had for its requests is over: the rest is cut.

        Args:
            now_s: Now.
            replica: Perhaps one that stays after all, or has gone.
            deadline: Which of its drains this ends.
        """
        if replica.phase is not ReplicaPhase.DRAINING or deadline != replica.drains:
            return
        for worker, flying in zip(self.workers, replica.flying, strict=True):
            worker.advance(now_s)
            worker.in_flight -= flying
            self.outcome.cut += flying
        self._advance(now_s)
        self.inside -= len(replica.inside)
        self._gone(replica, now_s)

    def push(self, at_s: float, kind: int, subject: object, detail: int = 0) -> None:
        """Put an event where it belongs."""
        self._sequence += 1
        heappush(self.events, (at_s, self._sequence, kind, subject, detail))

    def settle(self, now_s: float) -> None:
        """Bring the integrals up to now, and pay for the replicas that are still there."""
        self._advance(now_s)
        for replica in [*self.ready, *self.starting.values(), *self.draining.values()]:
            self.outcome.replica_seconds += now_s - replica.created_s
        self.outcome.ready_seconds = self.ready_seconds

    def advance(self, now_s: float) -> None:
        """Bring all integrals up to now."""
        self._advance(now_s)
        for worker in self.workers:
            worker.advance(now_s)

    def _advance(self, now_s: float) -> None:
        elapsed = now_s - self._changed_s
        if elapsed > 0:
            ready = len(self.ready)
            self.ready_seconds += elapsed * ready
            self.row.ready_seconds += elapsed * ready
            self.inside_seconds += elapsed * self.inside
            self.outcome.idle_seconds += elapsed * (ready - self.working)
            self._changed_s = now_s

    def _new(self, now_s: float) -> SimulatedReplica:
        self._numbers += 1
        replica = SimulatedReplica(self._numbers, workers=len(self.workers), now_s=now_s)
        self.starting[replica.number] = replica
        self.outcome.starts += 1
        return replica

    def _become_ready(self, replica: SimulatedReplica, now_s: float) -> None:
        self._advance(now_s)
        self.starting.pop(replica.number, None)
        self.draining.pop(replica.number, None)
        replica.phase = ReplicaPhase.READY
        self.working += replica.working > 0
        self.ready.append(replica)
        self.outcome.max_ready = max(self.outcome.max_ready, len(self.ready))
        self.replicas_changed = True

    def _return(self, count: int, now_s: float) -> int:
        chosen = choose_returning(map(_candidate, self.draining.values()), count)
        for replica_id in chosen:
            self._become_ready(self.draining[int(replica_id)], now_s)
        for worker in self.workers:
            self._pump(worker, now_s)
        return len(chosen)

    def _leave(self, count: int, now_s: float) -> None:
        self._advance(now_s)
        present = [*self.starting.values(), *self.ready]
        leaving = set(choose_victims(map(_candidate, present), count))
        for replica in present:
            if replica.id not in leaving:
                continue
            if replica.phase is ReplicaPhase.READY:
                self.ready.remove(replica)
                self.working -= replica.working > 0
            replica.phase = ReplicaPhase.DRAINING
            replica.drains += 1
            self.starting.pop(replica.number, None)
            if any(replica.flying):
                self.draining[replica.number] = replica
                self.push(now_s + self.world.drain_timeout_s, DRAINED, replica, replica.drains)
            else:
                self._gone(replica, now_s)

    def _gone(self, replica: SimulatedReplica, now_s: float) -> None:
        self.draining.pop(replica.number, None)
        replica.phase = ReplicaPhase.STOPPING
        self.outcome.stops += 1
        self.outcome.replica_seconds += now_s - replica.created_s
        self.replicas_changed = True


def _candidate(replica: SimulatedReplica) -> Candidate:
    return Candidate(
        id=replica.id,
        phase=replica.phase,
        load=sum(replica.flying),
        created_at=replica.created_s,
    )
