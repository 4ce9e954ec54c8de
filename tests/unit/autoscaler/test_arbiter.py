"""From protons, decisions and replicas to claims, and back to what may be planned."""

import dataclasses

import msgspec
import pytest

from autoscaler.arbiter import Arbiter
from autoscaler.core.capacity_room import Spot
from autoscaler.core.observation import scaling_of
from autoscaler.inventory import NO_MACHINES, Gpu, Inventory, Machine
from autoscaler.reconcilers.base import Opening, Placement
from controlplane.model.artifacts import Container, ContainerGroup, Resources
from controlplane.model.bundles import Bundle
from controlplane.model.decisions import Decision, Reason
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

BOX = Inventory(
    machines=(
        Machine(
            name="n1",
            cpu=4.0,
            memory_bytes=2**30,
            gpus=tuple(Gpu(id=f"g{n}", type="A10G") for n in range(2)),
        ),
    )
)
SPOT = Spot("n1", "A10G")
SETTINGS = AutoscalerSettings(preemption_min_run_s=0.0)
NOW_S, AT = 1000.0, 5000.0


def asking(
    name: str,
    resources: Resources,
    *,
    importance: Importance = Importance.LOW,
    least: int | None = None,
) -> Proton:
    """A proton of one container; `least`: autoscaled with this minimum."""
    made = proton(proton_id=name, resources=ContainerResources(name="main", resources=resources))
    policies = (ScalingPolicy(metric="httpRequestsConcurrency", target=5),)
    auto = Autoscaling(policies=policies, min_replicas=least or 0, max_replicas=9)
    group = msgspec.structs.replace(
        made.runtime.group(), autoscaling=None if least is None else auto
    )
    return msgspec.structs.replace(
        made, importance=importance, runtime=Runtime(container_groups=(group,))
    )


GPU = Resources(gpu=1)


def replica(name: str, owner: str, **changes: object) -> Replica:
    made = Replica(
        id=name,
        workload_id="w",
        proton_id=owner,
        phase=ReplicaPhase.READY,
        node="n1",
        gpus=("g0",),
        gpu_type="A10G",
        created_at=AT,
        started_at=AT,
    )
    return msgspec.structs.replace(made, **changes)


def decision(owner: Proton, replicas: int) -> Decision:
    return Decision(
        id="",
        at=AT,
        workload_id=owner.workload_id,
        proton_id=owner.id,
        replicas=replicas,
        previous_replicas=replicas,
        reason=Reason.ON_TARGET,
    )


class Desk:
    """An arbiter, and what it is asked."""

    def __init__(self, inventory: Inventory = BOX, settings: AutoscalerSettings = SETTINGS) -> None:
        self.arbiter = Arbiter(inventory, settings)
        self.now_s = NOW_S

    def ask(self, owner: Proton, replicas: int, *running: Replica) -> bool:
        return self.arbiter.ask(
            owner,
            scaling_of(owner, SETTINGS),
            decision(owner, replicas),
            running,
            now_s=self.now_s,
        )

    def gets(self, owner: Proton, replicas: int, *running: Replica) -> int:
        self.ask(owner, replicas, *running)
        self.arbiter.settle(now_s=self.now_s)
        verdict = self.arbiter.verdict(owner.id, decision(owner, replicas), now_s=self.now_s)
        return verdict.replicas


def test_who_asks_for_nothing_is_never_held_up():
    desk = Desk()
    owner = asking("a", Resources())
    assert not desk.ask(owner, 100)
    verdict = desk.arbiter.verdict("a", decision(owner, 100), now_s=NOW_S)
    assert (verdict.replicas, verdict.placement) == (100, None)
    assert verdict.decision == decision(owner, 100)


@pytest.mark.parametrize(
    ("inventory", "settings", "resources", "granted"),
    [
        pytest.param(BOX, SETTINGS, GPU, 2, id="gpus-that-are-there"),
        pytest.param(NO_MACHINES, SETTINGS, GPU, None, id="gpus-that-nobody-knows-of"),
        pytest.param(
            NO_MACHINES, AutoscalerSettings(arbitrate_gpus="always"), GPU, 0, id="gpus-always"
        ),
        pytest.param(
            NO_MACHINES, AutoscalerSettings(inventory_file="x"), GPU, 0, id="a-file-without-gpus"
        ),
        pytest.param(
            BOX, SETTINGS, Resources(cpu=3.0, memory_bytes=2**40), None, id="cpu-and-memory"
        ),
        pytest.param(
            BOX,
            AutoscalerSettings(arbitrate_cpu_memory=True),
            Resources(cpu=3.0),
            1,
            id="cpu-and-memory-exactly",
        ),
        pytest.param(BOX, SETTINGS, Resources(cpu=64.0, gpu=1), 2, id="cpu-beside-gpus"),
        pytest.param(BOX, SETTINGS, Resources(gpu=0.5), 2, id="part-of-a-gpu-is-a-whole-one"),
    ],
)
def test_what_is_arbitrated(
    inventory: Inventory, settings: AutoscalerSettings, resources: Resources, granted: int | None
):
    desk = Desk(inventory, settings)
    owner = asking("a", resources)
    assert desk.ask(owner, 3) == (granted is not None)
    assert granted is None or desk.gets(owner, 3) == granted


def test_what_old_bodies_state_in_the_artifact_counts():
    desk = Desk()
    made = proton(proton_id="a")
    containers = (Container(name="main", primary=True, resources=GPU), Container(name="side"))
    spec = msgspec.structs.replace(
        made.spec, container_groups=(ContainerGroup(containers=containers),)
    )
    assert desk.gets(msgspec.structs.replace(made, spec=spec), 3) == 2


def test_gpus_that_cannot_be_listed_are_shared_out_all_the_same():
    box = Machine(name="n1", cpu=4.0, memory_bytes=2**30)
    desk = Desk(Inventory(machines=(box,), gpus_missing=True))
    assert desk.gets(asking("a", GPU), 1) == 0


def test_a_refusal_is_written_into_the_decision():
    desk = Desk()
    top = asking("top", GPU, importance=Importance.HIGH)
    desk.ask(top, 2, replica("r1", "top"), replica("r2", "top", gpus=("g1",)))
    low = asking("low", GPU, least=0)
    assert desk.gets(low, 1) == 0
    verdict = desk.arbiter.verdict("low", decision(low, 1), now_s=NOW_S + 5)
    grant = verdict.decision.grant
    assert grant is not None
    assert (verdict.decision.reason, grant.refusal) == (Reason.CAPACITY, Refusal.HELD)
    assert grant.since == AT - 5, "5 s after the settlement at which it was refused"
    assert [holder.workload_id for holder in grant.holders] == [top.workload_id]
    assert verdict.placement == Placement()


def test_new_replicas_are_told_where_there_is_room():
    desk = Desk()
    owner = asking("a", GPU)
    desk.gets(owner, 2, replica("r1", "a"))
    verdict = desk.arbiter.verdict("a", decision(owner, 2), now_s=NOW_S)
    assert verdict.placement == Placement(openings=(Opening(spot=SPOT, gpus=1),))
    verdict = desk.arbiter.verdict("a", decision(owner, 1), now_s=NOW_S)
    assert verdict.replicas == 1, "never more than the decision, whatever was settled before"


@pytest.mark.parametrize(
    ("changes", "granted"),
    [
        pytest.param({}, 1, id="it-runs"),
        pytest.param({"phase": ReplicaPhase.DRAINING}, 1, id="it-drains"),
        pytest.param({"phase": ReplicaPhase.STOPPING}, 1, id="it-ends"),
        pytest.param({"phase": ReplicaPhase.PENDING, "gpus": ()}, 2, id="it-has-no-gpu"),
    ],
)
def test_replicas_hold_their_gpus_until_they_have_gone(changes: dict[str, object], granted: int):
    desk = Desk()
    desk.ask(asking("a", GPU), 0, replica("r1", "a", **changes))
    assert desk.gets(asking("b", GPU), 2) == granted


def test_replicas_with_cores_only_hold_them_while_they_have_a_process():
    desk = Desk(settings=AutoscalerSettings(arbitrate_cpu_memory=True))
    cores = Resources(cpu=2.0)
    running = replica("r1", "a", gpus=(), gpu_type=None)
    waiting = msgspec.structs.replace(running, id="r2", phase=ReplicaPhase.PENDING)
    desk.ask(asking("a", cores), 0, running, waiting)
    assert desk.gets(asking("b", cores), 2) == 1


@pytest.mark.parametrize(("least", "left"), [(0, 2), (1, 1), (2, 0)])
def test_a_minimum_is_a_floor(least: int, left: int):
    desk = Desk()
    desk.ask(asking("auto", GPU, least=least), 2)
    assert desk.gets(asking("top", GPU, importance=Importance.HIGH, least=0), 2) == left


def test_a_fixed_count_is_its_own_floor():
    desk = Desk()
    fixed = asking("fixed", GPU)
    fixed = msgspec.structs.replace(
        fixed,
        runtime=Runtime(
            container_groups=(msgspec.structs.replace(fixed.runtime.group(), replica_count=2),)
        ),
    )
    desk.ask(fixed, 2)
    assert desk.gets(asking("top", GPU, importance=Importance.HIGH, least=0), 2) == 0
    assert desk.gets(asking("top", GPU, importance=Importance.HIGH, least=1), 2) == 1


def test_how_long_a_replica_runs_does_not_follow_the_wall_clock_afterwards():
    desk = Desk(settings=AutoscalerSettings(preemption_min_run_s=60.0))
    low = asking("low", GPU)
    two = (replica("r1", "low", started_at=AT - 50), replica("r2", "low", started_at=None))
    desk.ask(low, 2, *two)
    top = asking("top", GPU, importance=Importance.HIGH)
    assert desk.gets(top, 1) == 0
    verdict = desk.arbiter.verdict("top", decision(top, 1), now_s=NOW_S)
    grant = verdict.decision.grant
    assert grant is not None
    assert (grant.refusal, grant.until) == (Refusal.MIN_RUN, AT + 10)
    desk.now_s += 5  # while the wall clock stands still
    desk.ask(low, 2, *two)
    assert desk.arbiter.settle(now_s=desk.now_s) == set()


def test_replicas_of_an_earlier_term_have_their_places_before_anybody_asks():
    desk = Desk()
    low = asking("low", GPU)
    two = (replica("r1", "low"), replica("r2", "low", gpus=("g1",)))
    desk.arbiter.open(low, two, at=AT, now_s=NOW_S)
    desk.arbiter.open(asking("n", Resources()), (replica("r3", "n"),), at=AT, now_s=NOW_S)
    assert desk.gets(asking("b", GPU), 1) == 0


def test_what_runs_already_is_kept_until_capacity_has_been_shared_out():
    desk = Desk()
    low = asking("low", GPU)
    desk.ask(low, 2, replica("r1", "low"))
    verdict = desk.arbiter.verdict("low", decision(low, 2), now_s=NOW_S)
    grant = verdict.decision.grant
    assert grant is not None, "fewer than decided, so the record says so"
    assert (verdict.replicas, grant.granted, grant.refusal) == (1, 1, Refusal.UNSETTLED)
    assert (grant.position, grant.since) == (0, AT)
    assert grant.note == (
        "1 of 2 have room for 1 GPU each: what there is has not been shared out since it asked"
    )


def test_who_is_gone_keeps_its_places_until_its_replicas_have_gone():
    desk = Desk()
    low = asking("low", GPU)
    two = (replica("r1", "low"), replica("r2", "low", gpus=("g1",)))
    assert desk.gets(low, 2, *two) == 2
    other = asking("b", GPU)
    desk.arbiter.leave("low", two[:1], at=AT, now_s=NOW_S)
    assert desk.gets(other, 2) == 1
    desk.arbiter.leave("low", (), at=AT, now_s=NOW_S)
    assert desk.gets(other, 2) == 2
    desk.arbiter.leave("never seen", (), at=AT, now_s=NOW_S)


def more(gpus: int) -> Inventory:
    """The box with so many GPUs."""
    box = BOX.machines[0]
    ids = tuple(Gpu(id=f"g{n}", type="A10G") for n in range(gpus))
    return Inventory(
        machines=(Machine(name=box.name, cpu=box.cpu, memory_bytes=box.memory_bytes, gpus=ids),)
    )


def test_gpus_that_are_added_are_given_to_who_waits_for_them():
    desk = Desk()
    owner = asking("a", GPU)
    assert desk.gets(owner, 3) == 2
    desk.arbiter.renew(more(4))
    assert desk.gets(owner, 3) == 3
    desk.arbiter.renew(more(1))
    assert desk.gets(owner, 3) == 1


def test_the_first_gpus_that_are_found_are_shared_out_from_then_on():
    settings = AutoscalerSettings(arbitrate_cpu_memory=True)
    desk = Desk(more(0), settings)
    owner = asking("a", Resources(cpu=1.0, gpu=1))
    assert desk.gets(owner, 3) == 3, "nobody knows of GPUs: only cores count"
    desk.arbiter.renew(more(2))
    assert desk.gets(owner, 3) == 2
    desk.arbiter.renew(more(0))
    assert desk.gets(owner, 3) == 0


def sized_gpu(name: str, label: str, gpus: int = 1) -> Bundle:
    return Bundle(
        id=name,
        name=name,
        cpu_count=1,
        memory_bytes=2**20,
        gpu_count=gpus,
        gpu_maker="nvidia",
        gpu_type_label=label,
    )


FIRST, SECOND = sized_gpu("first", "a10g"), sized_gpu("second", "l4", gpus=2)
MIXED = Inventory(
    machines=(
        Machine(
            name="n1",
            cpu=4.0,
            memory_bytes=2**30,
            gpus=(
                Gpu(id="g0", type="A10G"),
                *(Gpu(id=f"h{number}", type="L4") for number in range(3)),
            ),
        ),
    )
)


def choosing(name: str, *bundles: Bundle, importance: Importance = Importance.LOW) -> Proton:
    """A proton whose owner named these bundles."""
    made = asking(name, Resources(), importance=importance)
    group = msgspec.structs.replace(
        made.runtime.group(), resource_bundles=tuple(b.id for b in bundles), bundles=bundles
    )
    return msgspec.structs.replace(made, runtime=Runtime(container_groups=(group,)))


def openings(desk: Desk, owner: Proton, replicas: int, *running: Replica) -> tuple[Opening, ...]:
    desk.gets(owner, replicas, *running)
    verdict = desk.arbiter.verdict(owner.id, decision(owner, replicas), now_s=NOW_S)
    assert verdict.placement is not None
    return verdict.placement.openings


def test_each_new_replica_is_told_which_bundle_has_room_and_why_not_an_earlier_one():
    assert openings(Desk(MIXED), choosing("a", FIRST, SECOND), 3) == (
        Opening(spot=Spot("n1", "A10G"), gpus=1, bundle=FIRST),
        Opening(
            spot=Spot("n1", "L4"), gpus=2, bundle=SECOND, reason="first: others have all of it"
        ),
    )


def test_only_the_bundle_counts_that_is_the_only_one_named():
    desk = Desk(MIXED)
    owner = choosing("a", FIRST)
    assert openings(desk, owner, 3) == (Opening(spot=Spot("n1", "A10G"), gpus=1, bundle=FIRST),)
    assert desk.gets(owner, 3) == 1


def test_a_running_replica_holds_what_its_own_bundle_takes():
    desk = Desk(MIXED)
    mine = replica("r1", "a", gpus=("h0", "h1"), gpu_type="L4", bundle="second")
    [opening] = openings(desk, choosing("a", FIRST, SECOND), 3, mine)
    assert opening.bundle == FIRST
    assert desk.gets(choosing("b", SECOND), 1) == 0
    desk.arbiter.leave("a", (mine,), at=AT, now_s=NOW_S)
    assert desk.gets(choosing("b", SECOND), 1) == 0
    desk.arbiter.leave("a", (), at=AT, now_s=NOW_S)
    assert desk.gets(choosing("b", SECOND), 1) == 1


def test_who_has_a_first_choice_that_nobody_shares_out_is_not_held_up():
    cores = Bundle(id="cores", name="cores", cpu_count=1, memory_bytes=2**20)
    assert not Desk(MIXED).ask(choosing("a", cores, FIRST), 9)


def placed(desk: Desk, owner: Proton, replicas: int, *running: Replica) -> Placement:
    """Where its replicas may be, after a settlement."""
    desk.gets(owner, replicas, *running)
    verdict = desk.arbiter.verdict(owner.id, decision(owner, replicas), now_s=NOW_S)
    assert verdict.placement is not None
    return verdict.placement


def ids(*names: str, model: str = "A10G") -> Inventory:
    """The box with these GPUs."""
    [box] = BOX.machines
    return Inventory(
        machines=(dataclasses.replace(box, gpus=tuple(Gpu(id=n, type=model) for n in names)),)
    )


def test_a_replica_whose_gpu_is_gone_is_replaced_where_there_is_room():
    desk = Desk(ids("g0", "g1", "g2"))
    owner = asking("a", GPU)
    both = (replica("r1", "a"), replica("r2", "a", gpus=("g1",)))
    assert placed(desk, owner, 2, *both) == Placement()
    desk.arbiter.renew(ids("g1", "g2"))
    found = placed(desk, owner, 2, *both)
    assert found.openings == (Opening(spot=SPOT, gpus=1),)
    assert (found.lost, found.lost_stay, found.victims) == ({"r1": ("g0",)}, 0, frozenset())
    assert desk.gets(owner, 2, *both) == 2


def test_a_replica_whose_gpu_is_gone_may_stay_where_there_is_no_room_for_another_one():
    desk = Desk()
    owner = asking("a", GPU)
    both = (replica("r1", "a"), replica("r2", "a", gpus=("g1",)))
    desk.arbiter.renew(ids("g1"))
    found = placed(desk, owner, 2, *both)
    assert (found.openings, found.lost_stay) == ((), 1)
    assert placed(desk, owner, 1, *both).lost_stay == 0, "the count falls: it goes first"
    assert desk.gets(owner, 1, *both) == 1
    desk.arbiter.renew(BOX)
    assert placed(desk, owner, 2, *both) == Placement(), "it is there again"


def test_the_healthy_one_stays_where_the_other_one_s_model_is_gone():
    desk = Desk(MIXED)
    owner = asking("a", GPU)
    mine = (replica("r1", "a"), replica("r2", "a", gpus=("h0",), gpu_type="L4"))
    desk.arbiter.renew(ids("h0", model="L4"))
    found = placed(desk, owner, 2, *mine)
    assert (found.lost, found.lost_stay, found.openings) == ({"r1": ("g0",)}, 1, ())
    assert desk.gets(owner, 2, *mine) == 1


@pytest.mark.parametrize("phase", [ReplicaPhase.READY, ReplicaPhase.DRAINING])
def test_what_is_left_of_it_is_its_own_until_it_has_ended(phase: ReplicaPhase):
    desk = Desk()
    pair = asking("a", Resources(gpu=2))
    mine = replica("r1", "a", gpus=("g0", "g1"), phase=phase)
    desk.arbiter.renew(ids("g1", "g2"))
    found = placed(desk, pair, 1, mine)
    assert found.openings == ()
    assert found.victims == ({"r1"} if phase is ReplicaPhase.READY else set())
    assert found.lost == {"r1": ("g0",)}
    assert desk.gets(asking("b", GPU, importance=Importance.HIGH), 1) == 1, "g2 is free"
    assert desk.gets(pair, 1) == 0
    desk.arbiter.leave("b", (), at=AT, now_s=NOW_S)
    assert placed(desk, pair, 1).openings == (Opening(spot=SPOT, gpus=2),)


def test_a_replica_of_an_earlier_term_may_have_lost_its_gpu_in_between():
    desk = Desk(ids("g1"))
    owner = asking("a", GPU)
    desk.arbiter.open(owner, (replica("r1", "a"),), at=AT, now_s=NOW_S)
    other = asking("b", GPU)
    assert desk.gets(other, 1) == 1, "what is lost is nobody's"
    desk.ask(other, 1, replica("r2", "b", gpus=("g1",)))
    assert placed(desk, owner, 1, replica("r1", "a")).lost_stay == 1


def test_a_gpu_that_is_called_something_else_is_the_same_one():
    desk = Desk()
    owner = asking("a", GPU)
    desk.arbiter.renew(ids("g0", model="NVIDIA A10G"))
    assert placed(desk, owner, 1, replica("r1", "a")) == Placement()
    assert desk.gets(asking("b", GPU), 1) == 0
