"""What an owner says of damping and schedules reaches the replicas."""

import msgspec

from autoscaler.core.again import differences
from autoscaler.core.basis import decode
from controlplane.model.behavior import Behavior, Schedule
from controlplane.model.decisions import Reason
from controlplane.model.workloads import Proton
from controlplane.store.client import Store
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.integration.autoscaler.conftest import Launch, make_proton, until, until_stored

CONCURRENCY = "httpRequestsConcurrency"
ALWAYS = Schedule(
    name="always", cron="0 0 * * *", duration_s=7 * 86_400.0, min_replicas=2, max_replicas=3
)
"""Begins every day and holds for a week."""


def saying(proton: Proton, **fields: object) -> Proton:
    """The same proton with more in its autoscaling."""
    group = proton.runtime.group()
    auto = msgspec.structs.replace(group.autoscaling, **fields)
    group = msgspec.structs.replace(group, autoscaling=auto)
    runtime = msgspec.structs.replace(proton.runtime, container_groups=(group,))
    return msgspec.structs.replace(proton, runtime=runtime)


async def test_a_schedule_starts_replicas_without_a_request_and_lets_them_go(
    launch: Launch, store: Store
):
    proton = make_proton((CONCURRENCY, 5))
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store):
        await running.scale(proton)
        assert running.reconciler.replicas() == []
        await store.put(saying(proton, schedules=(ALWAYS,)))
        await until(lambda: running.reconciler.ready(proton.id) == 2)
        await store.put(proton)
        await until(lambda: running.reconciler.replicas() == [])
    decisions = await running.decisions(proton)
    scheduled = next(d for d in decisions if d.reason is Reason.SCHEDULED)
    assert scheduled.replicas == 2
    assert "by 'always' until" in scheduled.steps[-1].note
    assert differences(scheduled, decode(scheduled.basis))[1] == []


async def test_a_workload_that_wakes_for_several_keeps_them_for_their_least_time(
    launch: Launch, store: Store
):
    behavior = Behavior(activation_scale=3, min_run_time_s=3600.0)
    proton = saying(make_proton((CONCURRENCY, 5)), behavior=behavior)
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=1)
        await until(lambda: running.reconciler.ready(proton.id) == 3)
        gateway.load(proton.id)

        async def held() -> bool:
            return (await running.scale(proton)).reason == Reason.MIN_RUN_TIME

        await until_stored(held)
        assert running.reconciler.ready(proton.id) == 3
        await store.put(saying(proton, behavior=None))
        await until(lambda: running.reconciler.replicas() == [])
