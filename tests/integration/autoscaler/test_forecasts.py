"""What forecasts are made from: the hours of a workload, shared by its protons.

Where one workload's statistics cannot be read, forecasts and decisions of others go on.
"""

import re

import msgspec
import pytest

from autoscaler.controls import Control
from autoscaler.core.forecast import HOUR_S
from autoscaler.core.observation import Observation, scaling_of
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


def control(proton: Proton) -> Control:
    return Control(proton, scaling_of(proton, AutoscalerSettings()))


def at_next_hour(forecasts: Forecasts, proton: Proton) -> float:
    """The load that is expected of a proton just before the hour."""
    seen = Observation(at=HOUR * HOUR_S - 1.0)
    found = forecasts.expected(control(proton).scaling, seen, ())
    return found.load if found is not None else 0.0


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
        await forecasts.refresh([control(broken), control(well)])
        now_s[0] += REFRESH_S
        return [dict(forecasts._hours[proton.workload_id].loads) for proton in (broken, well)]

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


async def keep_a_week(store: Store, proton: Proton, *others: Proton) -> None:
    """A load of 12 in this hour of the last seven days, as much of each of these protons."""
    names = (proton.id, *(other.id for other in others))
    for name in names:
        for day in range(1, 8):
            hour = bucket_field(Level.HOUR, HOUR - 24 * day, name)
            bucket = Bucket(load_seconds=12 / len(names) * HOUR_S)
            await keep(store, proton, hour, encode(bucket))
    await keep(store, proton, SUMMARY, encode(Summary(protons=names)))


async def test_what_is_expected_of_a_workload_is_shared_by_the_weights_of_its_protons(store: Store):
    old = forecasting(make_proton(("httpRequestsConcurrency", 5)))
    new = msgspec.structs.replace(old, id="new", weight=0)
    await keep_a_week(store, old, new)
    forecasts = Forecasts(store, clock=lambda: 0.0, wall=lambda: HOUR * HOUR_S - 1.0)

    async def expected(*weights: int, stopped: bool = False) -> list[float]:
        protons = [
            msgspec.structs.replace(proton, weight=weight)
            for proton, weight in zip((old, new), weights, strict=False)
        ]
        controls = [control(proton) for proton in protons]
        if stopped:
            controls[-1].scaling = msgspec.structs.replace(controls[-1].scaling, stopped=True)
        await forecasts.refresh(controls)
        return [at_next_hour(forecasts, proton) for proton in protons]

    assert await expected(100) == [12.0], "what its former protons had is its own"
    assert await expected(100, 0) == [12.0, 0.0], "a candidate gets nothing yet"
    assert await expected(75, 25) == [9.0, 3.0]
    assert await expected(0, 100) == [0.0, 12.0], "after the switch"
    assert await expected(50, 50, stopped=True) == [12.0, 0.0]
    assert await expected(0, 0) == [0.0, 0.0], "only who pins them comes"


async def test_hours_are_read_once_for_all_protons_of_a_workload_and_in_two_calls_for_many(
    store: Store,
):
    protons = [forecasting(make_proton(("httpRequestsConcurrency", 5))) for _ in range(3)]
    twin = msgspec.structs.replace(protons[0], id="twin")
    await keep_a_week(store, protons[0], twin)
    for proton in protons[1:]:
        await keep_a_week(store, proton)
    forecasts = Forecasts(store, clock=lambda: 0.0, wall=lambda: HOUR * HOUR_S - 1.0)
    controls = [control(proton) for proton in (*protons, twin)]
    before = await commands(store)
    await forecasts.refresh(controls)
    after = await commands(store)
    assert after["evalsha"] - before["evalsha"] == 2
    assert after["hmget"] - before["hmget"] == 2 * 3, "of each workload its summary, and its hours"
    assert [at_next_hour(forecasts, c.proton) for c in controls] == [6.0, 12.0, 12.0, 6.0]
    forecasts.retain({protons[1].id})
    await forecasts.refresh(controls)
    assert [at_next_hour(forecasts, c.proton) for c in controls] == [6.0, 12.0, 12.0, 6.0]


async def commands(store: Store) -> dict[str, int]:
    """How many commands the server has taken, by their names."""
    found = await store.link.call("INFO", "commandstats")
    lines = re.findall(rb"cmdstat_(\w+):calls=(\d+)", found)
    return {"evalsha": 0, "hmget": 0} | {name.decode(): int(calls) for name, calls in lines}


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
