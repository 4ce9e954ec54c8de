"""A proton's only replica fails to take one connection: nobody waits for longer than needed."""

import asyncio

import pytest

from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, ScriptedReplica, answering
from tests.integration.gateway.waiting import until_async


async def refusing(rig: Rig, count: int = 1, **settings: object) -> list[ScriptedReplica]:
    """Replicas that are said to be ready, and listen no more."""
    await rig.start(eject_s=60.0, **settings)
    replicas = [await rig.listen(answering(OK)) for _ in range(count)]
    for replica in replicas:
        replica.stop_listening()
        await rig.announce(replica)
    return replicas


async def all_ejected(rig: Rig, count: int) -> None:
    async def ejected() -> bool:
        return (await rig.gateway.metrics())["gateway_endpoints{ejected}"] == count

    await until_async(ejected)


async def test_the_only_replica_is_tried_again_long_before_its_ejection_ends(rig: Rig) -> None:
    (replica,) = await refusing(rig)
    clients = [await rig.client() for _ in range(20)]
    for client in clients:
        client.send(request("POST", "/", body=b"x"))
    await all_ejected(rig, 1)
    await rig.counted(queued=20, in_flight=0)
    await replica.start(port=replica.port)
    for client in clients:
        assert (await client.answer()).body == b"ok"
    await rig.counted(started=20, queued=0, in_flight=0, finished={"2xx": 20})


async def test_trying_costs_no_request_an_attempt(rig: Rig) -> None:
    (replica,) = await refusing(rig, max_attempts=2)
    client = await rig.client()
    client.send(request())
    await all_ejected(rig, 1)
    await asyncio.sleep(0.2)  # some looks find nobody
    await rig.counted(queued=1)
    await replica.start(port=replica.port)
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("back", [0, 1])
async def test_of_several_whichever_comes_back_serves_all(rig: Rig, back: int) -> None:
    replicas = await refusing(rig, 2)
    client = await rig.client()
    client.send(request())
    await all_ejected(rig, 2)
    await replicas[back].start(port=replicas[back].port)
    assert (await client.answer()).body == b"ok"
    for _ in range(3):
        assert (await rig.ask()).status == 200
    assert not replicas[1 - back].wires
