"""Requests that wait for a proton which gets no traffic any more are answered by another one."""

import pytest

from controlplane.model.states import Desired
from controlplane.model.traffic import Affinity, AffinityKind, Traffic
from controlplane.model.workloads import Proton
from tests.integration.gateway import records
from tests.integration.gateway.records import OTHER_PROTON_ID, PROTON_ID
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.wire import Wire

pytestmark = uvloop_only  # nothing here depends on the loop


async def beside(rig: Rig, *, weight: int, other: int) -> None:
    """A second proton, with weights for both."""
    await rig.commit(records.proton(weight=weight), records.proton(OTHER_PROTON_ID, weight=other))


async def held(rig: Rig, *requests: bytes) -> list[Wire]:
    """Clients whose requests wait for the first proton, which has no replica."""
    clients = []
    for n, data in enumerate(requests, start=1):
        client = await rig.client()
        client.send(data)
        await rig.counted(queued=n)
        clients.append(client)
    return clients


async def test_a_switch_takes_those_who_wait_along(rig: Rig) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    clients = await held(rig, request(), request("POST", "/", body=b"held"))
    await beside(rig, weight=0, other=100)
    for client in clients:
        assert (await client.answer()).body == b"ok"
    await rig.counted(started=2, queued=0, finished={"aborted": 2})
    other = (await rig.report()).protons[OTHER_PROTON_ID]
    assert (other.started, other.queued) == (2, 0)


async def test_those_who_wait_go_on_where_they_wait_again_until_there_is_a_replica(
    rig: Rig,
) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    (client,) = await held(rig, request())
    await beside(rig, weight=0, other=100)
    await rig.counted(queued=0)
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    assert (await client.answer()).status == 200


async def test_a_proton_whose_record_goes_leaves_nobody_unanswered(rig: Rig) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    (client,) = await held(rig, request())
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    await beside(rig, weight=100, other=10)
    await rig.counted(queued=1)
    await rig.delete(Proton, PROTON_ID)
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("trouble", ["errored", "stopped"])
async def test_a_proton_that_refuses_gets_nothing_while_another_one_serves(
    rig: Rig, trouble: str
) -> None:
    await rig.start()
    await beside(rig, weight=50, other=50)
    await rig.replica(answering(OK))
    if trouble == "errored":
        await rig.commit(records.scale(OTHER_PROTON_ID, errored=True))
    else:
        await rig.commit(
            records.proton(OTHER_PROTON_ID, weight=50, desired=Desired.STOPPED),
        )
    client = await rig.client()
    client.send(request() * 40)
    for _ in range(40):
        assert (await client.answer()).status == 200


async def test_what_waits_for_a_proton_that_errs_is_served_by_the_other(rig: Rig) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    (client,) = await held(rig, request())
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    await rig.commit(
        records.proton(OTHER_PROTON_ID, weight=10), records.scale(PROTON_ID, errored=True)
    )
    assert (await client.answer()).status == 200


async def test_when_all_refuse_the_one_with_the_traffic_says_why(rig: Rig) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    await rig.commit(
        records.scale(PROTON_ID, errored=True),
        records.proton(OTHER_PROTON_ID, weight=0, desired=Desired.STOPPED),
    )
    answer = await rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (503, "workload_errored")


async def test_a_pinned_request_stays_where_it_waits(rig: Rig) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    (client,) = await held(rig, request("GET", f"/?protonId={PROTON_ID}"))
    await beside(rig, weight=0, other=100)
    await rig.counted(queued=1)
    await rig.delete(Proton, PROTON_ID)
    assert (await client.answer()).status == 404


async def test_a_request_that_lost_its_replica_goes_on_to_the_other_proton(rig: Rig) -> None:
    await rig.start()
    await beside(rig, weight=100, other=0)
    dying = await rig.replica()
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    client = await rig.client()
    client.send(request())
    wire = await dying.accepted()
    await wire.head()
    await beside(rig, weight=0, other=100)
    dying.die()
    assert (await client.answer()).status == 200
    load = await rig.counted(started=1, in_flight=0, queued=0)
    assert load.finished == {"aborted": 1}


async def test_a_session_that_waits_for_its_replica_goes_on_too(rig: Rig) -> None:
    await rig.start(limit=1)
    affinity = Affinity(kind=AffinityKind.HEADER, name="x-session", ttl_s=None)
    await rig.commit(records.workload(traffic=Traffic(affinity=affinity)))
    await rig.commit(
        records.proton(weight=100, limit=1), records.proton(OTHER_PROTON_ID, weight=0, limit=1)
    )
    busy = await rig.replica()
    await rig.replica(answering(OK), proton_id=OTHER_PROTON_ID)
    first, second = await rig.client(), await rig.client()
    first.send(request("GET", "/", "X-Session: a"))
    wire = await busy.accepted()
    await wire.head()
    second.send(request("GET", "/", "X-Session: a"))
    await rig.counted(in_flight=1, queued=1)
    await rig.commit(
        records.proton(weight=0, limit=1), records.proton(OTHER_PROTON_ID, weight=100, limit=1)
    )
    assert (await second.answer()).status == 200
    wire.send(OK)
    assert (await first.answer()).status == 200
