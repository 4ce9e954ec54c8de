"""Decisions and arbitration together: nobody runs more than decided, and who runs less is told."""

import random
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.arbiter import Arbiter, Verdict
from autoscaler.controls import Decided
from autoscaler.core.again import differences
from autoscaler.core.basis import Basis
from autoscaler.core.observation import DecisionState, Observation, scaling_of
from autoscaler.inventory import Gpu, Inventory, Machine
from autoscaler.settlement import SETTLEMENTS, Settlement
from controlplane.model.artifacts import Resources
from controlplane.model.decisions import Reason
from controlplane.model.grants import Refusal
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Importance, ReplicaPhase
from controlplane.model.workloads import (
    Autoscaling,
    ContainerResources,
    Proton,
    Replica,
    Runtime,
    ScalingPolicy,
)
from tests.fakes.replicas import proton
from tests.unit.autoscaler.core.reports_for_tests import steady

SETTINGS = AutoscalerSettings(
    preemption_min_run_s=4.0,
    preemption_pause_s=3.0,
    stable_window_s=5.0,
    stabilization_window_s=0.0,
    scale_down_delay_s=0.0,
    max_scale_down_rate=2.0,
    cooldown_s=2.0,
)
TARGET = 5.0


def inventory(*gpus: int) -> Inventory:
    """Nodes with so many GPUs each."""
    return Inventory(
        machines=tuple(
            Machine(
                name=f"n{number}",
                cpu=64.0,
                memory_bytes=2**36,
                gpus=tuple(Gpu(id=f"n{number}-{gpu}", type="A10G") for gpu in range(count)),
            )
            for number, count in enumerate(gpus)
        )
    )


def service(
    name: str, *, gpus: int = 1, importance: Importance = Importance.LOW, bounds: tuple[int, int]
) -> Proton:
    """A proton of replicas with GPUs, one for each five requests."""
    resources = ContainerResources(name="main", resources=Resources(gpu=gpus))
    made = proton(proton_id=name, workload_id=f"w-{name}", resources=resources)
    policies = (ScalingPolicy(metric="httpRequestsConcurrency", target=TARGET),)
    auto = Autoscaling(policies=policies, min_replicas=bounds[0], max_replicas=bounds[1])
    group = msgspec.structs.replace(made.runtime.group(), autoscaling=auto)
    return msgspec.structs.replace(
        made, importance=importance, runtime=Runtime(container_groups=(group,))
    )


@dataclass
class Installation:
    """Services, GPUs and replicas: what the loop and a reconciler do, without any I/O."""

    inventory: Inventory
    protons: dict[str, Proton]
    now_s: float = 1000.0
    loads: dict[str, float] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    acted: dict[str, tuple[Decided, Verdict]] = field(default_factory=dict)
    """The last of each."""
    later: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Nothing runs."""
        self.states: dict[str, DecisionState] = {}
        self.made = 0
        self.arbiter = Arbiter(self.inventory, SETTINGS)
        self.settlement = Settlement(
            self.arbiter, act=self.act, known=self.protons.get, later=self.later.update
        )

    def mine(self, proton_id: str) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.proton_id == proton_id]

    def decide(self, proton_id: str) -> None:
        """As the loop does."""
        asked = self.protons[proton_id]
        scaling = scaling_of(asked, SETTINGS)
        staying = [r for r in self.mine(proton_id) if r.phase is ReplicaPhase.READY]
        mean = self.loads.get(proton_id, 0.0)
        load = steady(mean, idle_s=0.0 if mean else 60.0)
        basis = Basis(
            observation=Observation(at=self.now_s + 1e9, ready=len(staying), load=load),
            scaling=scaling,
            state=self.states.get(proton_id),
            now_s=self.now_s,
        )
        decision, state = basis.decide()
        self.states[proton_id] = state
        decided = Decided(
            asked, decision, basis, state, self.mine(proton_id), failure=None, heard_at_s=None
        )
        assert self.settlement.ask(decided, scaling, self.now_s)

    def act(self, decided: Decided, now_s: float, verdict: Verdict) -> None:
        """As a reconciler does: drain what is too much, start what there is room for."""
        assert now_s == self.now_s
        self.acted[decided.proton.id] = decided, verdict
        placement = verdict.placement
        assert placement is not None
        staying = [r for r in self.mine(decided.proton.id) if r.phase is ReplicaPhase.READY]
        goes = [r for r in staying if r.id in placement.victims]
        left = [r for r in staying if r.id not in placement.victims]
        goes += left[verdict.replicas :]
        for replica in goes:
            draining = msgspec.structs.replace(replica, phase=ReplicaPhase.DRAINING)
            self.replicas[replica.id] = draining
        for opening in placement.openings[: max(0, verdict.replicas - len(left))]:
            taken = {gpu for replica in self.replicas.values() for gpu in replica.gpus}
            machine = next(m for m in self.inventory.machines if m.name == opening.spot.node)
            free = [gpu.id for gpu in machine.gpus if gpu.id not in taken]
            assert len(free) >= opening.gpus, "granted, and not there"
            self.made += 1
            self.replicas[f"r{self.made}"] = Replica(
                id=f"r{self.made}",
                workload_id=decided.proton.workload_id,
                proton_id=decided.proton.id,
                phase=ReplicaPhase.READY,
                node=opening.spot.node,
                gpus=tuple(free[: opening.gpus]),
                gpu_type=opening.spot.gpu_type,
                created_at=self.now_s + 1e9,
                started_at=self.now_s + 1e9,
            )

    def round(self, *proton_ids: str) -> None:
        """Everybody, or these, are decided upon; who drained has gone by the next second."""
        self.acted.clear()
        for proton_id in proton_ids or self.protons:
            self.decide(proton_id)
        self.settlement.settle(self.decide, self.now_s)
        self.now_s += 1.0

    def gone(self) -> None:
        """Who drains has finished."""
        for replica_id, replica in list(self.replicas.items()):
            if replica.phase is ReplicaPhase.DRAINING:
                del self.replicas[replica_id]


SERVICES = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.sampled_from(list(Importance)),
        st.tuples(st.integers(0, 2), st.integers(2, 5)),
    ),
    min_size=2,
    max_size=4,
)


@settings(max_examples=60)
@given(
    nodes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    wanted=SERVICES,
    seed=st.integers(0, 2**32),
)
def test_every_decision_is_within_its_bounds_and_what_runs_within_its_grant(nodes, wanted, seed):
    chance = random.Random(seed)
    protons = {
        f"p{number}": service(f"p{number}", gpus=gpus, importance=importance, bounds=bounds)
        for number, (gpus, importance, bounds) in enumerate(wanted)
    }
    world = Installation(inventory(*nodes), protons)
    for _ in range(12):
        for name in protons:
            world.loads[name] = chance.choice([0.0, 3.0, 12.0, 40.0])
        world.round(*chance.sample(list(protons), chance.randint(1, len(protons))))
        for name, (decided, verdict) in world.acted.items():
            decision, grant = verdict.decision, verdict.decision.grant
            bounds = protons[name].runtime.group().autoscaling
            assert bounds.min_replicas <= decision.replicas <= bounds.max_replicas
            assert verdict.replicas <= decision.replicas
            assert (grant.granted if grant else decision.replicas) == verdict.replicas
            assert (decision.reason is Reason.CAPACITY) == (grant is not None)
            assert grant is None or grant.refusal is not Refusal.UNSETTLED
            assert differences(decided.basis.told(decision), decided.basis)[1] == []
        used = Counter(r.node for r in world.replicas.values() for _ in r.gpus)
        assert all(used[m.name] <= len(m.gpus) for m in world.inventory.machines)
        if chance.random() < 0.5:
            world.gone()


def test_whose_share_has_changed_is_decided_upon_with_the_load_of_this_moment():
    low = service("low", bounds=(0, 4))
    top = service("top", importance=Importance.CRITICAL, bounds=(0, 4))
    world = Installation(inventory(2), {"low": low, "top": top})
    world.loads["low"] = 10.0
    world.round("low")
    assert len(world.mine("low")) == 2
    world.now_s += 10.0
    world.loads = {"low": 20.0, "top": 5.0}
    world.round("top")
    assert set(world.acted) == {"low", "top"}
    _, verdict = world.acted["low"]
    grant = verdict.decision.grant
    assert (verdict.decision.replicas, verdict.replicas) == (4, 1)
    assert grant is not None
    assert (grant.granted, grant.refusal) == (1, Refusal.HELD)
    assert grant.note.startswith("1 of 4 have room")


def test_who_is_another_proton_by_now_is_decided_upon_anew_and_not_acted_upon():
    one, two = service("one", bounds=(1, 4)), service("two", bounds=(1, 4))
    world = Installation(inventory(4), {"one": one, "two": two})
    assert not world.settlement.awaited
    world.decide("one")
    world.decide("two")
    assert world.settlement.awaited
    world.protons["one"] = msgspec.structs.replace(one, importance=Importance.HIGH)
    world.settlement.settle(world.decide, world.now_s)
    assert set(world.acted) == {"two"}
    assert world.later == {"one"}
    assert not world.settlement.awaited


def test_who_asks_for_nothing_that_is_limited_does_not_wait():
    free = service("free", gpus=0, bounds=(1, 4))
    world = Installation(inventory(4), {"free": free})
    with pytest.raises(AssertionError):
        world.decide("free")
    assert not world.settlement.awaited


def test_a_settlement_comes_to_an_end_where_every_answer_changes_the_question():
    low = service("low", bounds=(0, 9))
    top = service("top", importance=Importance.CRITICAL, bounds=(0, 9))
    world = Installation(inventory(9), {"low": low, "top": top})
    world.loads = {"low": 30.0, "top": 5.0}
    world.round()
    world.now_s += 10.0
    calls: list[str] = []

    def restless(proton_id: str) -> None:
        calls.append(proton_id)
        world.loads["top"] += 10.0
        world.decide("top" if len(calls) % 2 else "low")

    world.loads = {"low": 45.0, "top": 25.0}
    world.decide("top")
    world.settlement.settle(restless, world.now_s)
    assert len(calls) <= SETTLEMENTS
    for decided, verdict in world.acted.values():
        grant = verdict.decision.grant
        assert verdict.replicas == (grant.granted if grant else decided.decision.replicas)
