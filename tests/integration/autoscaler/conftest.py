"""A whole autoscaler over a real store, with a reconciler and gateway workers that behave."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from autoscaler.inventory import NO_MACHINES, Inventory
from autoscaler.process import Autoscaler
from autoscaler.reconcilers.base import ReplicaWriter, Secrets
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.decisions import Decision
from controlplane.model.sections import AutoscalerSettings, StoreSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import (
    Autoscaling,
    Event,
    GroupRuntime,
    Proton,
    Runtime,
    Scale,
    ScalingPolicy,
)
from controlplane.sealing import KeyFile
from controlplane.store.client import Store
from controlplane.store.ids import ObjectIds
from tests.fakes.reconciler import FakeReconciler, World

PATIENCE_S = 20.0
"""How long a test waits for something that should come in milliseconds: machines are loaded."""

ids = ObjectIds()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def until_stored(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the store says so."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def make_proton(
    *policies: tuple[str, float],
    min_replicas: int = 0,
    max_replicas: int = 10,
    cooldown_s: float | None = None,
    replica_count: int | None = None,
    proton_id: str | None = None,
) -> Proton:
    """A proton with this scaling; without policies a fixed count."""
    auto = Autoscaling(
        policies=tuple(ScalingPolicy(metric=m, target=t) for m, t in policies),
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        cooldown_s=cooldown_s,
    )
    group = GroupRuntime(replica_count=replica_count, autoscaling=auto if policies else None)
    return Proton(
        id=proton_id or ids.new(),
        workload_id=ids.new(),
        artifact_id=ids.new(),
        desired=Desired.RUNNING,
        spec=ArtifactSpec(),
        runtime=Runtime(container_groups=(group,)),
        creator_id=ids.new(),
        created_at=time.time(),
        updated_at=time.time(),
    )


@dataclass
class Running:
    """One autoscaler under test."""

    autoscaler: Autoscaler
    store: Store
    reconcilers: list[FakeReconciler]
    task: asyncio.Task[None] = field(repr=False)

    @property
    def reconciler(self) -> FakeReconciler:
        """The present term's."""
        return self.reconcilers[-1]

    async def leading(self) -> None:
        """Wait until it decides."""
        await until(lambda: self.autoscaler.leading and self.reconcilers != [])
        await until(lambda: self.reconciler.started)

    async def stop(self) -> None:
        """SIGTERM."""
        self.autoscaler.stop()
        async with asyncio.timeout(PATIENCE_S):
            await self.task

    async def kill(self) -> None:
        """kill -9, as far as a task can: nothing is given back, nothing is said."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def scale(self, proton: Proton) -> Scale:
        """The record, once there is one."""
        found: list[Scale] = []

        async def there() -> bool:
            versioned = await self.store.get(Scale, proton.id)
            found[:] = [versioned.record] if versioned is not None else []
            return bool(found)

        await until_stored(there)
        return found[0]

    async def decisions(self, proton: Proton) -> list[Decision]:
        """The journal, oldest first."""
        entries, _ = await self.store.read_journal(f"decisions:{proton.id}", limit=1000)
        return [msgspec.json.decode(entry, type=Decision) for entry in reversed(entries)]

    async def events(self, proton: Proton) -> list[str]:
        """Event types, oldest first."""
        entries, _ = await self.store.read_journal(f"events:{proton.workload_id}", limit=1000)
        return [msgspec.json.decode(entry, type=Event).type for entry in reversed(entries)]


Launch = Callable[..., Awaitable[Running]]


@pytest.fixture
def settings() -> AutoscalerSettings:
    """Seconds instead of minutes."""
    return AutoscalerSettings(
        admin_port=0,
        tick_s=0.05,
        stable_window_s=0.6,
        panic_window_ratio=0.5,
        scale_down_delay_s=0.0,
        cooldown_s=0.5,
        report_max_age_s=0.5,
        lease_ttl_s=1.0,
    )


@pytest.fixture
async def launch(
    store_url: str, settings: AutoscalerSettings, tmp_path: Path
) -> AsyncIterator[Launch]:
    """Start autoscalers, each with a connection of its own; all are ended."""
    begun: list[Running] = []
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *,
            world: World | None = None,
            start_s: float = 0.01,
            url: str = store_url,
            chosen: AutoscalerSettings = settings,
            store_class: type[Store] = Store,
            inventory: Inventory = NO_MACHINES,
            find_inventory: Callable[[], Inventory] | None = None,
        ) -> Running:
            store = await stack.enter_async_context(
                await store_class.connect(StoreSettings(url=url), client_name="test-autoscaler")
            )
            reconcilers: list[FakeReconciler] = []

            def make(
                writer: ReplicaWriter, _: Secrets, on_change: Callable[[], None]
            ) -> FakeReconciler:
                made = FakeReconciler(writer, on_change, world=world, start_s=start_s)
                reconcilers.append(made)
                return made

            autoscaler = Autoscaler(
                store,
                chosen,
                make,
                keys=KeyFile(tmp_path / "credentials.key"),
                api_url="http://api.test",
                new_id=ids.new,
                clock=asyncio.get_running_loop().time,
                wall=time.time,
                inventory=inventory,
                find_inventory=find_inventory,
                look_every_s=0.02,
            )
            task = asyncio.create_task(autoscaler.run())
            running = Running(autoscaler, store, reconcilers, task)
            begun.append(running)
            return running

        yield start
        for running in begun:
            if not running.task.done():
                await running.kill()
            for reconciler in running.reconcilers:
                if reconciler.stopped is None:
                    await reconciler.stop(end_replicas=False)
