"""Shadow policies and forecasts on live traffic: they decide, they are compared, they never act."""

import time
from dataclasses import replace

import msgspec
import pytest

from controlplane.model.sections import AutoscalerSettings
from controlplane.model.shadows import ShadowEntry, ShadowKind, journal_name
from controlplane.model.statistics import (
    SUMMARY,
    Bucket,
    Changes,
    Level,
    Summary,
    bucket_field,
    encode,
)
from controlplane.model.workloads import Autoscaling, Proton, ScalingPolicy
from controlplane.store.client import Store
from controlplane.store.statistics import Rewrite, Statistics, version_of
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.integration.autoscaler.conftest import Launch, make_proton, until, until_stored

CONCURRENCY = "httpRequestsConcurrency"


def changed(proton: Proton, **fields: object) -> Proton:
    """The proton with another autoscaling."""
    group = proton.runtime.group()
    assert group.autoscaling is not None
    auto = msgspec.structs.replace(group.autoscaling, **fields)
    group = msgspec.structs.replace(group, autoscaling=auto)
    runtime = msgspec.structs.replace(proton.runtime, container_groups=(group,))
    return msgspec.structs.replace(proton, runtime=runtime)


async def entries(store: Store, proton: Proton, kind: ShadowKind) -> list[ShadowEntry]:
    found, _ = await store.read_journal(journal_name(kind, proton.id), limit=1000)
    return [msgspec.json.decode(entry, type=ShadowEntry) for entry in found]


async def test_a_shadow_decides_on_the_same_traffic_and_does_not_act(launch: Launch, store: Store):
    shadow = Autoscaling(
        policies=(ScalingPolicy(metric=CONCURRENCY, target=2),), min_replicas=1, max_replicas=50
    )
    proton = changed(make_proton((CONCURRENCY, 10)), shadow=shadow)
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        gateway.load(proton.id, in_flight=20)
        found: list[ShadowEntry] = []

        async def compared() -> bool:
            found[:] = await entries(store, proton, ShadowKind.POLICY)
            return any(e.decision.replicas == 10 and e.acting == 2 for e in found)

        await until_stored(compared)
        assert running.reconciler.ready(proton.id) <= 2
        entry = next(e for e in found if e.decision.replicas == 10)
        assert " / 2) = 10" in entry.decision.steps[0].note
        assert entry.decision.id
        assert entry.shadowed.peak == 10
        assert entry.acted.peak == 2


@pytest.mark.parametrize("mode", ["shadow", "act"])
async def test_a_forecast_starts_replicas_only_where_it_acts(
    launch: Launch, store: Store, settings: AutoscalerSettings, mode: str
):
    proton = changed(make_proton((CONCURRENCY, 10)), forecast=mode)
    hour = int(time.time() // 3600)
    # The same load at every hour of the last week, so that it is expected at whatever hour this is.
    await busy_week(store, proton, hour, load=35.0)
    await store.put(proton)
    # A cold start of an hour: the next hour is always near.
    running = await launch(chosen=replace(settings, schedule_lead_s=3600.0))
    await running.leading()
    async with FakeGatewayWorker(store):

        async def told() -> bool:
            return any(
                entry.decision.replicas == (4 if mode == "shadow" else 0)
                for entry in await entries(store, proton, ShadowKind.FORECAST)
            )

        if mode == "act":
            await until(lambda: running.reconciler.ready(proton.id) == 4)
            reasons = {decision.reason for decision in await running.decisions(proton)}
            assert "forecast" in reasons
        await until_stored(told)
        if mode == "shadow":
            assert running.reconciler.plans in ([], [(proton.id, 0)])


async def busy_week(store: Store, proton: Proton, hour: int, *, load: float) -> None:
    """Statistics of a week with this mean load in every hour."""
    statistics = Statistics(store)
    sets = {
        bucket_field(Level.HOUR, hour - before, proton.id): encode(
            Bucket(started=1, ended=1, load_seconds=load * 3600)
        )
        for before in range(1, 8 * 24 - 1)
    }
    sets[SUMMARY] = encode(Summary(protons=(proton.id,)))
    fields = await statistics.read_all(proton.workload_id)
    changes = Changes(sets=sets)
    rewrite = Rewrite(
        workload_id=proton.workload_id, expected=version_of(fields), changes=changes, ttl_s=3600
    )
    await statistics.write([rewrite])


async def test_trials_that_cannot_work_stop_nothing_that_acts(
    launch: Launch, store: Store, settings: AutoscalerSettings, caplog: pytest.LogCaptureFixture
):
    """Hours that are no numbers, where a forecast acts."""
    proton = changed(make_proton((CONCURRENCY, 10)), forecast="act")
    await busy_week(store, proton, int(time.time() // 3600), load=float("nan"))
    await store.put(proton)
    running = await launch(chosen=replace(settings, schedule_lead_s=3600.0))
    await running.leading()
    registry = running.autoscaler._telemetry.registry

    def faults() -> float:
        name, labels = "autoscaler_trial_faults_total", {"trial": "forecast"}
        return registry.get_sample_value(name, labels) or 0.0

    await until(lambda: faults() > 1)
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id, queued=30)
        await until(lambda: running.reconciler.ready(proton.id) == 3)
    told = [record for record in caplog.records if "a trial fails" in record.message]
    assert [(record.trial, record.proton_id) for record in told] == [("forecast", proton.id)]
