"""Thousands of decisions that the real loop recorded in the real store come out again bit for bit.

Every policy, alone and together, with schedules, forecasts, behaviors, shadows, replacements
and grants, over minutes of restless load on a clock of the test's own.
"""

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from autoscaler.core import basis as bases
from autoscaler.core.again import differences
from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.leadership import Leadership
from autoscaler.loop import DecisionLoop
from autoscaler.news import News
from autoscaler.reconcilers.base import Failure, Placement
from autoscaler.replay.replay_command import read
from autoscaler.telemetry import Telemetry
from autoscaler.version import code_version
from controlplane.model.artifacts import Resources
from controlplane.model.behavior import Behavior, Schedule
from controlplane.model.decisions import Decision, Reason
from controlplane.model.reports import LoadReport, OpenStreams, ProtonLoad
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import LEAVING, Importance, ReplicaPhase
from controlplane.model.statistics import SUMMARY, Bucket, Level, Summary, bucket_field, encode
from controlplane.model.workloads import ContainerResources, Proton, Replica, Runtime, Scale
from controlplane.store.client import Store
from controlplane.store.watch import Mirror
from controlplane.wire.journals import DecisionRecord
from tests.integration.autoscaler.conftest import ids, make_proton, until

ROUNDS = 140
STEP_S = 3.0
AT = datetime(2026, 3, 2, 7, 59, tzinfo=UTC).timestamp()
"""A Monday, a minute before the office opens."""
BOX = Inventory(
    machines=(
        Machine(
            name="box",
            cpu=64.0,
            memory_bytes=2**36,
            gpus=tuple(Gpu(id=f"g{number}", type="NVIDIA L4") for number in range(5)),
        ),
    )
)
LOAD, FLIGHT = ("httpRequestsConcurrency", 4.0), ("httpRequestsInFlight", 5.0)
HOURLY, CPU = ("httpRequestsPerHour", 400.0), ("cpuAverageUtilization", 60.0)
QUEUE = ("gpuRequestQueueDepth", 4.0)
OFFICE = Schedule(cron="0 8 * * 1-5", duration_s=90.0, min_replicas=4, max_replicas=12)
PATIENT = Behavior(
    max_scale_up_rate=1.5,
    max_scale_down_rate=1.4,
    max_scale_up_replicas=3,
    max_scale_down_replicas=2,
    scale_limit_period_s=7.0,
    scale_up_delay_s=2.0,
    scale_down_delay_s=5.0,
    stabilization_window_s=3.0,
    panic_window_ratio=0.3,
    panic_threshold=1.7,
    tolerance_ratio=0.15,
    activation_scale=2,
    min_run_time_s=15.0,
)
KINDS: Mapping[str, tuple[tuple[tuple[str, float], ...], dict[str, object]]] = {
    "concurrency": ((LOAD,), {}),
    "in-flight": ((FLIGHT,), {}),
    "per-hour": ((HOURLY,), {}),
    "cpu": ((CPU,), {}),
    "scraped": ((QUEUE,), {}),
    "together": ((LOAD, HOURLY, CPU, QUEUE), {}),
    "schedule": ((LOAD,), {"schedules": (OFFICE,)}),
    "forecast": ((LOAD,), {"forecast": "act"}),
    "behavior": ((LOAD, CPU), {"behavior": PATIENT}),
    "gpus": ((LOAD,), {}),
}
EACH = 4


@dataclass
class World:
    """Replicas on the test's clock: they take a few seconds to start, and two to leave."""

    page: int
    now_s: float = 5000.0
    chance: random.Random = field(default_factory=lambda: random.Random(11))
    found: dict[str, Replica] = field(default_factory=dict)
    turns_s: dict[str, float] = field(default_factory=dict)
    """When a replica's phase ends, by its id."""
    gone: set[str] = field(default_factory=set)

    async def start(self, known: Sequence[Replica], protons: Mapping[str, Proton]) -> None:
        """Nothing ran before."""

    def replicas(self) -> Sequence[Replica]:
        return list(self.found.values())

    def plan(self, proton: Proton, wanted: int, placement: Placement | None = None) -> None:
        mine = [r for r in self.found.values() if r.proton_id == proton.id]
        staying = [replica for replica in mine if replica.phase not in LEAVING]
        for replica in staying[wanted:]:
            self._turn(replica, ReplicaPhase.DRAINING, 2.0)
        places: list[tuple[str, ...]] = [()] * (wanted - len(staying))
        if placement is not None and placement.openings:
            taken = {gpu for replica in self.found.values() for gpu in replica.gpus}
            free = [gpu.id for gpu in BOX.machines[0].gpus if gpu.id not in taken]
            places = [(gpu,) for gpu in free[: len(placement.openings)]][: len(places)]
        for gpus in places:
            replica = Replica(
                id=ids.new(),
                workload_id=proton.workload_id,
                proton_id=proton.id,
                phase=ReplicaPhase.LAUNCHING,
                host="127.0.0.1",
                port=self.page,
                node="box",
                gpus=gpus,
                gpu_type="NVIDIA L4" if gpus else None,
                created_at=self.at,
                started_at=self.at,
            )
            self._turn(replica, ReplicaPhase.LAUNCHING, self.chance.choice([1.0, 1.0, 4.0]))

    def renew(self, inventory: Inventory) -> None:
        """It is always the same."""

    def remove(self, proton_id: str) -> None:
        self.gone.add(proton_id)

    def set_load(
        self,
        loads: Mapping[str, int],
        *,
        acknowledged_revision: int | None,
        streams: Mapping[str, OpenStreams] | None = None,
    ) -> None:
        """Drains end by themselves."""

    def cpu_percent(self, proton_id: str) -> Sequence[float | None]:
        ready = [r for r in self.found.values() if r.phase is ReplicaPhase.READY]
        wave = 50.0 + 45.0 * ((self.now_s // 17) % 2)
        return [
            None if self.chance.random() < 0.05 else wave + self.chance.uniform(-20.0, 20.0) / 3
            for replica in ready
            if replica.proton_id == proton_id
        ]

    def cold_starts(self, proton_id: str) -> Sequence[float]:
        return [1.0, 3.0, 8.0]

    def failure(self, proton_id: str) -> Failure | None:
        return None

    async def stop(self, *, end_replicas: bool) -> None:
        """Nothing to stop."""

    @property
    def at(self) -> float:
        """Epoch seconds."""
        return AT + self.now_s - 5000.0

    def pass_time(self) -> bool:
        """Replicas whose time has come turn; returns whether any did."""
        self.now_s += STEP_S
        due = [replica_id for replica_id, at_s in self.turns_s.items() if at_s <= self.now_s]
        for replica_id in due:
            del self.turns_s[replica_id]
            replica = self.found.pop(replica_id)
            if replica.phase is ReplicaPhase.LAUNCHING:
                ready = msgspec.structs.replace(replica, phase=ReplicaPhase.READY)
                self.found[replica_id] = ready
        return bool(due)

    def _turn(self, replica: Replica, phase: ReplicaPhase, after_s: float) -> None:
        self.found[replica.id] = msgspec.structs.replace(replica, phase=phase)
        self.turns_s[replica.id] = self.now_s + after_s


class Traffic:
    """Two gateway workers with restless clients; one of them is silent at times."""

    def __init__(self, protons: Sequence[Proton]) -> None:
        self.chance = random.Random(5)
        self.totals = {proton.id: ProtonLoad(workload_id=proton.workload_id) for proton in protons}

    def step(self, world: World) -> list[LoadReport]:
        """What the workers say after one more step."""
        minute = int(world.at // 60)
        for proton_id, load in self.totals.items():
            flying, queued = load.in_flight, load.queued
            if self.chance.random() < 0.8:
                calm = (world.now_s // 30) % 2 == 0
                flying = self.chance.choice([0, 0, 1, 3] if calm else [0, 2, 7, 18, 30])
                queued = 0 if calm else self.chance.choice([0, 0, 0, 5])
            came = max(0, flying + queued - load.in_flight - load.queued) + flying
            starts = dict(load.starts_by_minute)
            starts[minute] = starts.get(minute, 0) + came
            started = load.started + came
            self.totals[proton_id] = msgspec.structs.replace(
                load,
                in_flight=flying,
                queued=queued,
                started=started,
                finished={"2xx": started - flying - queued},
                load_seconds=load.load_seconds + (flying + queued) * STEP_S,
                queued_seconds=load.queued_seconds + queued * STEP_S,
                starts_by_minute=starts,
            )
        mostly = dict(self.totals)
        workers = {"w1": mostly, "w2": dict(itertools.islice(mostly.items(), 5))}
        silent = int(world.now_s) % 60 > 55
        return [
            LoadReport(
                worker_id=worker,
                sent_at=world.at,
                clock_s=world.now_s,
                revision=1,
                protons=protons,
            )
            for worker, protons in workers.items()
            if worker == "w1" or not silent
        ]


def protons() -> dict[str, list[Proton]]:
    """Of each kind some, with bounds of their own."""
    found: dict[str, list[Proton]] = {}
    importances = itertools.cycle(Importance)
    for kind, (policies, changes) in KINDS.items():
        for number in range(EACH):
            made = make_proton(
                *policies, min_replicas=number % 2, max_replicas=4 + number, cooldown_s=1.0
            )
            group = made.runtime.group()
            resources = Resources(gpu=1) if kind == "gpus" else Resources()
            shadow = group.autoscaling if number == 3 else None
            group = msgspec.structs.replace(
                group,
                autoscaling=msgspec.structs.replace(group.autoscaling, shadow=shadow, **changes),
                containers=(ContainerResources(name="main", resources=resources),),
            )
            made = msgspec.structs.replace(
                made,
                created_at=AT - 600.0 * number,
                importance=next(importances),
                least_replicas=2 if number == 2 else 0,
                least_until=AT + 40.0,
                runtime=Runtime(container_groups=(group,)),
            )
            found.setdefault(kind, []).append(made)
    return found


async def keep_a_week(store: Store, proton: Proton) -> None:
    """A load of 30 at eight o'clock of every day."""
    hour = int(AT // 3600) + 1
    bucket = encode(Bucket(load_seconds=30 * 3600.0))
    fields = [bucket_field(Level.HOUR, hour - 24 * day, proton.id) for day in range(1, 8)]
    key = store.keys[f"stats:{proton.workload_id}"]
    await store.link.call("HSET", key, SUMMARY, encode(Summary(protons=(proton.id,))))
    for name in fields:
        await store.link.call("HSET", key, name, bucket)


@contextlib.asynccontextmanager
async def metrics_page() -> AsyncIterator[int]:
    """Every replica's page, with a queue that comes and goes; yields its port."""
    chance = random.Random(2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"vllm:num_requests_waiting %d\n" % chance.choice([0, 1, 4, 9, 14])
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(page)
        writer.write(head + page)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def record(store: Store) -> dict[str, list[Decision]]:
    """Run the loop, and read what it wrote; by kind."""
    settings = AutoscalerSettings(
        tick_s=3600.0,
        stable_window_s=2.0,
        scale_down_delay_s=0.0,
        max_scale_down_rate=2.0,
        panic_window_ratio=0.5,
        stabilization_window_s=0.0,
        report_max_age_s=4.0,
        scrape_interval_s=4.0,
        preemption_min_run_s=5.0,
        preemption_pause_s=3.0,
        decision_history=5000,
    )
    made = protons()
    everybody = [proton for kind in made.values() for proton in kind]
    for proton in everybody:
        await store.put(proton)
    for proton in made["forecast"]:
        await keep_a_week(store, proton)
    leadership = Leadership(
        store, holder=ids.new(), ttl_s=3600.0, clock=asyncio.get_running_loop().time
    )
    await leadership.campaign()
    mirror = Mirror(store, [Proton, Replica, Scale])
    await mirror.start()
    news, traffic = News(), Traffic(everybody)
    async with metrics_page() as page:
        world = World(page)
        loop = DecisionLoop(
            store,
            mirror,
            leadership=leadership,
            reconciler=world,
            news=news,
            settings=settings,
            telemetry=Telemetry(flap_window_s=8.0),
            new_id=ids.new,
            clock=lambda: world.now_s,
            wall=lambda: world.at,
            inventory=BOX,
        )
        task = asyncio.create_task(loop.run())
        try:
            await until(lambda: loop.ticked_at_s is not None)
            for _ in range(ROUNDS):
                for report in traffic.step(world):
                    await store.publish_report(report, ttl_s=3600.0)
                if world.pass_time():
                    news.on_replicas()
                await loop.round()
            await loop.writer.write_all()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await mirror.stop()
    found = {}
    for kind, some in made.items():
        found[kind] = [
            msgspec.json.decode(entry, type=Decision)
            for proton in some
            for entry in (await store.read_journal(f"decisions:{proton.id}", limit=5000))[0]
        ]
    return found


async def test_thousands_of_recorded_decisions_of_all_policies_come_out_again_bit_for_bit(
    store: Store,
):
    recorded = await record(store)
    decisions = [decision for kind in recorded.values() for decision in kind]
    counts = {kind: len(some) for kind, some in recorded.items()}
    assert sum(counts.values()) > 2000, counts
    assert min(counts.values()) > 25, counts
    for decision in decisions:
        basis = bases.decode(decision.basis)
        assert differences(decision, basis)[1] == []
        assert basis.encode() == bytes(decision.basis)
        assert decision.code == code_version()
    for decision in decisions[::7]:  # as `tidegate replay` gets it
        answer = DecisionRecord.of(decision).model_dump_json(by_alias=True).encode()
        told, basis = read(answer)
        assert differences(told.decision(decision.at), basis)[1] == []
    reasons = Counter(decision.reason for decision in decisions)
    assert set(reasons) >= {
        *(Reason.ON_TARGET, Reason.PANIC, Reason.AT_MAX, Reason.IDLE, Reason.WAKE_UP),
        *(Reason.SCHEDULED, Reason.FORECAST, Reason.CAPACITY, Reason.STABILISING),
        *(Reason.SCALE_UP_LIMITED, Reason.LOW_QUALITY, Reason.AT_MIN),
    }, reasons
    refusals = {d.grant.refusal for d in recorded["gpus"] if d.grant is not None}
    assert len(refusals) > 1
    pages = [d.inputs.get(QUEUE[0]) for d in recorded["scraped"]]
    assert any(value is not None for value in pages)
