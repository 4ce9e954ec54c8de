"""A full gateway: the least important workloads are refused first."""

import json

import pytest

from controlplane.model.states import AccessRole, Importance
from tests.integration.gateway import records
from tests.integration.gateway.records import OTHER_PROTON_ID
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.wire import Wire

OTHER_WORKLOAD_ID = "65f0000000000000000000f2"
IMPORTANCES = list(Importance)


async def filled(rig: Rig, count: int) -> list[Wire]:
    """Requests of a critical workload that wait for a replica."""
    await rig.commit(records.proton(importance=Importance.CRITICAL))
    clients = []
    for n in range(count):
        client = await rig.client()
        client.send(request())
        await rig.counted(queued=n + 1)
        clients.append(client)
    return clients


async def other(rig: Rig, importance: Importance) -> None:
    """A second workload, with a replica that answers at once."""
    await rig.commit(
        records.workload(
            OTHER_WORKLOAD_ID,
            active_proton_id=OTHER_PROTON_ID,
            roles={records.USER_ID: AccessRole.CONSUMER},
        ),
        records.proton(OTHER_PROTON_ID, workload_id=OTHER_WORKLOAD_ID, importance=importance),
    )


@pytest.mark.parametrize(
    ("live", "served"),
    [
        pytest.param(15, IMPORTANCES, id="below-80-percent"),
        pytest.param(16, IMPORTANCES[1:], id="at-80-percent-low-goes"),
        pytest.param(18, IMPORTANCES[2:], id="at-90-percent-moderate-goes"),
        pytest.param(19, IMPORTANCES[3:], id="at-95-percent-high-goes"),
        pytest.param(20, [], id="at-100-percent-critical-goes"),
    ],
)
async def test_the_least_important_go_first(rig: Rig, live: int, served: list[Importance]) -> None:
    await rig.start(max_exchanges=20)
    await filled(rig, live)
    await other(rig, Importance.LOW)
    await rig.replica(answering(OK), workload_id=OTHER_WORKLOAD_ID, proton_id=OTHER_PROTON_ID)
    found = []
    for importance in IMPORTANCES:  # each change applies at once
        await other(rig, importance)
        answer = await rig.ask(workload=OTHER_WORKLOAD_ID)
        if answer.status == 200:
            found.append(importance)
        else:
            assert (answer.status, answer.get("x-tidegate-error")) == (503, "overloaded")
            assert 1 <= int(answer.get("retry-after") or "") <= 5
            assert json.loads(answer.body)["code"] == "overloaded"
    assert found == served


async def test_an_idle_worker_refuses_nobody(rig: Rig) -> None:
    await rig.start(max_exchanges=1)
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200


async def test_refused_requests_are_counted_and_need_no_replicas(rig: Rig) -> None:
    await rig.start(max_exchanges=2)
    await filled(rig, 2)
    assert (await rig.ask()).status == 503
    load = await rig.counted(started=3, queued=2, finished={"refused": 1})
    assert sum(load.starts_by_minute.values()) == 2
    await rig.replica(answering(OK))
    await rig.counted(started=3, queued=0, in_flight=0, finished={"2xx": 2, "refused": 1})
    assert (await rig.ask()).status == 200, "there is room again"


async def test_the_memory_of_waiting_requests_is_limited_too(rig: Rig) -> None:
    await rig.start(max_queued_bytes=100_000, replay_bytes=30_000)
    held = []
    for n in range(2):
        held.append(await rig.client())
        held[n].send(request("POST", "/", body=b"x" * 25_000))
        await rig.counted(queued=n + 1)
    incomplete = await rig.client()
    incomplete.send(request("POST", "/", "Content-Length: 1000000"))
    refused = await incomplete.answer()
    assert refused.get("x-tidegate-error") == "overloaded", "of its body 30,000 bytes would be kept"
    held.append(await rig.client())
    held[2].send(request("POST", "/", body=b"x" * 25_000))
    await rig.counted(queued=3)
    assert (await rig.ask("POST", "/", body=b"x" * 25_000)).status == 503
    held.pop().reset()
    await rig.counted(queued=2)
    held.append(await rig.client())
    held[2].send(request("POST", "/", body=b"x" * 25_000))
    await rig.counted(queued=3)
    assert (await rig.gateway.metrics())["gateway_queued_request_bytes"] > 75_000
    await rig.replica(answering(OK))
    for client in held:
        assert (await client.answer()).status == 200
    metrics = await rig.gateway.metrics()
    assert (metrics["gateway_queued_request_bytes"], metrics["gateway_exchanges"]) == (0, 0)
