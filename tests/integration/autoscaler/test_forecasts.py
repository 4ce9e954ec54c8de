"""Where one workload's statistics cannot be read, forecasts and decisions of others go on."""

import msgspec
import pytest

from autoscaler.core.forecast import HOUR_S
from autoscaler.core.observation import Scaling, scaling_of
from autoscaler.forecasts import REFRESH_S, Forecasts
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.statistics import SUMMARY, Bucket, Level, Summary, bucket_field, encode
from controlplane.model.workloads import Proton, Runtime
from controlplane.store.client import Store
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.integration.autoscaler.conftest import Launch, make_proton, until

HOUR = 500_000


def forecasting(proton: Proton) -> Proton:
    """The same, with a forecast."""
    group = proton.runtime.group()
    auto = msgspec.structs.replace(group.autoscaling, forecast="shadow")
    group = msgspec.structs.replace(group, autoscaling=auto)
    return msgspec.structs.replace(proton, runtime=Runtime(container_groups=(group,)))


def scaling(proton: Proton) -> Scaling:
    return scaling_of(proton, AutoscalerSettings())


async def keep(store: Store, proton: Proton, name: str, value: bytes) -> None:
    await store.link.call("HSET", store.keys[f"stats:{proton.workload_id}"], name, value)


async def keep_an_hour(store: Store, proton: Proton) -> None:
    """A load of 2 in the hour before."""
    hour = bucket_field(Level.HOUR, HOUR - 1, proton.id)
    await keep(store, proton, hour, encode(Bucket(load_seconds=2 * HOUR_S)))
    await keep(store, proton, SUMMARY, encode(Summary(protons=(proton.id,))))


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(lambda _: SUMMARY, id="summary"),
        pytest.param(lambda proton: bucket_field(Level.HOUR, HOUR - 2, proton.id), id="bucket"),
    ],
)
async def test_what_cannot_be_read_is_left_out_and_said_once(
    store: Store, caplog: pytest.LogCaptureFixture, field
):
    broken, well = (forecasting(make_proton(("httpRequestsConcurrency", 5))) for _ in range(2))
    now_s = [0.0]
    forecasts = Forecasts(store, clock=lambda: now_s[0], wall=lambda: HOUR * HOUR_S)

    async def look() -> list[dict[int, float]]:
        await forecasts.refresh([scaling(broken), scaling(well)])
        now_s[0] += REFRESH_S
        return [dict(forecasts._known[proton.id].past.hours) for proton in (broken, well)]

    for proton in (broken, well):
        await keep_an_hour(store, proton)
    await keep(store, broken, field(broken), b"{broken")
    for _ in range(3):
        assert await look() == [{}, {HOUR - 1: 2.0}]
    told = [record for record in caplog.records if "cannot be read" in record.message]
    assert [record.workload_id for record in told] == [broken.workload_id]
    await store.link.call("HDEL", store.keys[f"stats:{broken.workload_id}"], field(broken))
    await keep_an_hour(store, broken)
    assert await look() == [{HOUR - 1: 2.0}] * 2


async def test_broken_values_in_the_store_do_not_end_the_autoscaler(launch: Launch, store: Store):
    broken = forecasting(make_proton(("httpRequestsConcurrency", 5)))
    well = make_proton(("httpRequestsConcurrency", 5))
    await store.put(broken)
    await store.put(well)
    await keep(store, broken, SUMMARY, b"{broken")
    await store.link.call("HSET", store.keys["reports"], "w", b"99999999999999 {broken")
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        for proton, replicas in ((well, 4), (broken, 1)):
            await gateway.wake(proton.id, queued=5 * replicas)
            await until(lambda p=proton, n=replicas: running.reconciler.ready(p.id) == n)
    assert not running.task.done()
