"""GPUs shared by importance on one machine: real processes, a real store, GPUs that nobody has."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from autoscaler.inventory import Inventory, read_inventory
from autoscaler.process import Autoscaler
from autoscaler.reconcilers.base import ReplicaWriter, Secrets
from autoscaler.reconcilers.processes import ProcessReconciler
from controlplane.model.artifacts import ArtifactSpec, ContainerGroup, Resources
from controlplane.model.bundles import Bundle
from controlplane.model.decisions import Reason
from controlplane.model.grants import Refusal
from controlplane.model.nodes import Node
from controlplane.model.sections import AutoscalerSettings, StoreSettings
from controlplane.model.states import Importance, ProtonState, ReplicaPhase
from controlplane.model.workloads import (
    ContainerResources,
    GroupRuntime,
    Proton,
    Replica,
    Runtime,
    Scale,
)
from controlplane.sealing import KeyFile
from controlplane.store.client import Store
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.fakes.ports import replica_ports
from tests.fakes.reconciler import FakeReconciler
from tests.fakes.replicas import container
from tests.fakes.waiting import until
from tests.integration.autoscaler.conftest import Launch, Running, ids, make_proton, until_stored

CONCURRENCY = "httpRequestsConcurrency"
TWO_GPUS = """
nodes:
  - name: box
    cpu_count: 4
    memory_mb: 8192
    gpus:
      - type: NVIDIA A10G
        count: 2
        memory_mb: 24576
"""


@pytest.fixture
def two_gpus(tmp_path: Path) -> Inventory:
    """A machine with two GPUs, as a file says."""
    path = tmp_path / "nodes.yaml"
    path.write_text(TWO_GPUS)
    return read_inventory(path)


@pytest.fixture
def settings(tmp_path: Path) -> AutoscalerSettings:
    """Seconds instead of minutes."""
    first, last = replica_ports()
    return AutoscalerSettings(
        admin_port=0,
        tick_s=0.1,
        stable_window_s=1.0,
        panic_window_ratio=0.5,
        scale_down_delay_s=0.0,
        cooldown_s=0.5,
        report_max_age_s=5.0,
        quality_age_s=60.0,
        lease_ttl_s=10.0,
        preemption_min_run_s=0.0,
        preemption_pause_s=0.2,
        inventory_file=str(tmp_path / "nodes.yaml"),
        replica_port_min=first,
        replica_port_max=last,
    )


def gpu_proton(importance: Importance) -> Proton:
    """A service whose replicas need one GPU each, with one replica per five requests."""
    proton = make_proton((CONCURRENCY, 5), max_replicas=2)
    group = msgspec.structs.replace(
        proton.runtime.group(),
        containers=(ContainerResources(name="main", resources=Resources(gpu=1)),),
    )
    return msgspec.structs.replace(
        proton,
        importance=importance,
        spec=ArtifactSpec(container_groups=(ContainerGroup(containers=(container(),)),)),
        runtime=Runtime(container_groups=(group,)),
    )


Started = tuple[Running, list[ProcessReconciler]]


@pytest.fixture
async def started(
    store_url: str, settings: AutoscalerSettings, two_gpus: Inventory, tmp_path: Path
) -> AsyncIterator[Started]:
    """An autoscaler that starts processes, and its reconcilers."""
    reconcilers: list[ProcessReconciler] = []

    def make(
        writer: ReplicaWriter, secrets: Secrets, on_change: Callable[[], None]
    ) -> ProcessReconciler:
        reconcilers.append(
            ProcessReconciler(
                settings,
                data_dir=tmp_path / "data",
                writer=writer,
                secrets=secrets,
                new_id=ids.new,
                on_change=on_change,
                inventory=two_gpus,
            )
        )
        return reconcilers[-1]

    connecting = Store.connect(StoreSettings(url=store_url), client_name="test-autoscaler")
    async with await connecting as store:
        autoscaler = Autoscaler(
            store,
            settings,
            make,
            keys=KeyFile(tmp_path / "credentials.key"),
            api_url="http://api.test",
            new_id=ids.new,
            clock=asyncio.get_running_loop().time,
            wall=time.time,
            inventory=two_gpus,
        )
        no_fakes: list[FakeReconciler] = []
        running = Running(autoscaler, store, no_fakes, asyncio.create_task(autoscaler.run()))
        yield running, reconcilers
        await running.stop()


def visible(pid: int) -> str | None:
    """The GPUs that a living process is told of."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).environ().get("CUDA_VISIBLE_DEVICES")
    return None


async def test_the_less_important_give_way_through_a_drain_and_come_back(
    started: Started, store: Store
):
    running, reconcilers = started
    low, top = gpu_proton(Importance.LOW), gpu_proton(Importance.CRITICAL)
    await store.put(low)
    await store.put(top)
    await until(lambda: reconcilers)
    shared: list[tuple[str, ...]] = []

    def ready(proton: Proton) -> list[str]:
        """Ids of the GPUs of its ready replicas; looks at everybody's by the way."""
        present = reconcilers[-1].replicas()
        gpus = [gpu for replica in present if replica.pid for gpu in replica.gpus]
        if len(set(gpus)) < len(gpus):
            shared.append(tuple(gpus))
        mine = [r for r in present if r.proton_id == proton.id and r.phase is ReplicaPhase.READY]
        for replica in mine:
            assert replica.pid is None or visible(replica.pid) in {None, ",".join(replica.gpus)}
        return [gpu for replica in mine for gpu in replica.gpus]

    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(low.id, queued=10)
        await until(lambda: len(ready(low)) == 2, what="low on both GPUs")
        gateway.load(low.id, in_flight=10)
        assert sorted(ready(low)) == ["box-gpu-0", "box-gpu-1"]

        await gateway.wake(top.id, queued=10)
        await until(lambda: len(ready(top)) == 2, what="critical on both GPUs")
        assert ready(low) == []
        gateway.load(top.id, in_flight=10)

        scale: list[Scale] = []

        async def told() -> bool:
            scale[:] = [await running.scale(low)]
            return scale[0].granted_replicas == 0 and "held by workload" in scale[0].message

        await until_stored(told)
        assert scale[0].reason == Reason.CAPACITY
        assert scale[0].state is ProtonState.INTERRUPTED

        async def explained() -> bool:
            *_, last = await running.decisions(low)
            return last.grant is not None and last.grant.refusal is Refusal.HELD

        await until_stored(explained)
        *_, last = await running.decisions(low)
        assert last.steps[-1].name == "capacity"
        assert last.replicas == 2, "what it should have stays as it is"
        grant = last.grant
        assert grant is not None
        assert (grant.granted, grant.gave_way_to) == (0, top.workload_id)
        assert [holder.workload_id for holder in grant.holders] == [top.workload_id]
        assert grant.since <= last.at

        gateway.load(top.id)
        await until(lambda: len(ready(low)) == 2, what="low is back on both GPUs")
        assert ready(top) == []
        assert shared == []
    events = await running.events(low)
    assert "Replicas Preempted" in events
    assert events[-1] == "Capacity Granted"


async def test_who_finds_its_first_bundle_taken_runs_on_the_next_one_and_says_so(
    started: Started, store: Store
):
    running, reconcilers = started
    pair, single = (
        Bundle(id=name, name=name, cpu_count=1, memory_bytes=2**30, gpu_count=gpus)
        for name, gpus in (("pair", 2), ("single", 1))
    )
    one_each = GroupRuntime(replica_count=1, resource_bundles=("single",), bundles=(single,))
    choosing = GroupRuntime(
        replica_count=1, resource_bundles=("pair", "single"), bundles=(pair, single)
    )
    first, second = (
        msgspec.structs.replace(
            gpu_proton(Importance.LOW), runtime=Runtime(container_groups=(group,))
        )
        for group in (one_each, choosing)
    )

    def ready(proton: Proton) -> list[Replica]:
        present = reconcilers[-1].replicas() if reconcilers else ()
        mine = [replica for replica in present if replica.proton_id == proton.id]
        return [replica for replica in mine if replica.phase is ReplicaPhase.READY]

    await store.put(first)
    await until(lambda: ready(first), what="one of two GPUs is taken")
    await store.put(second)
    await until(lambda: ready(second), what="the second bundle has room")
    [replica] = ready(second)
    assert (replica.bundle, len(replica.gpus)) == ("single", 1)
    assert replica.pid is not None
    assert visible(replica.pid) == replica.gpus[0]

    async def told() -> bool:
        scale = await running.scale(second)
        return (scale.bundle, scale.bundle_reason) == ("single", "pair: others have all of it")

    await until_stored(told)


async def test_a_wake_up_gets_its_share_without_waiting_for_a_tick(
    launch: Launch, store: Store, two_gpus: Inventory, settings: AutoscalerSettings
):
    patient = dataclasses.replace(settings, tick_s=3600.0)
    running = await launch(chosen=patient, inventory=two_gpus)
    await running.leading()
    low, top = gpu_proton(Importance.LOW), gpu_proton(Importance.CRITICAL)
    async with FakeGatewayWorker(store) as gateway:
        for proton in (low, top):
            await store.put(proton)
            await running.scale(proton)
        await gateway.wake(low.id, queued=10)
        await until(lambda: running.reconciler.ready(low.id) == 2)
        placement = running.reconciler.placements[low.id]
        assert placement is not None
        assert [opening.gpus for opening in placement.openings] == [1, 1]
        await gateway.wake(top.id, queued=5)
        await until(lambda: (low.id, 1) in running.reconciler.plans, what="low gives way")


async def test_a_gpu_that_is_added_to_the_file_is_given_to_who_waits_for_it(
    launch: Launch, store: Store, two_gpus: Inventory, settings: AutoscalerSettings
):
    path = Path(settings.inventory_file or "")
    proton = gpu_proton(Importance.LOW)
    group = msgspec.structs.replace(proton.runtime.group(), autoscaling=None, replica_count=3)
    proton = msgspec.structs.replace(proton, runtime=Runtime(container_groups=(group,)))
    await store.put(proton)
    faults = [RuntimeError("nobody thought of this")]

    def find() -> Inventory:
        if faults:
            raise faults.pop()
        return read_inventory(path)

    running = await launch(chosen=settings, inventory=two_gpus, find_inventory=find)
    await running.leading()
    await until(lambda: (proton.id, 2) in running.reconciler.plans, what="two of three")
    assert (proton.id, 3) not in running.reconciler.plans
    path.write_text(TWO_GPUS.replace("count: 2", "count: 3"))
    await until(lambda: (proton.id, 3) in running.reconciler.plans, what="the third")
    assert running.reconciler.inventory == read_inventory(path)

    async def told() -> bool:
        nodes = await store.list(Node)
        return [gpus.count for node in nodes for gpus in node.record.gpus] == [3]

    await until_stored(told)
