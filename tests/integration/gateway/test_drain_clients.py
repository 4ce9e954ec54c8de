"""What clients notice of a worker that ends in order: as little as possible."""

import asyncio

from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.wire import DEADLINE_S


async def test_a_connection_that_is_new_may_send_its_first_request_during_the_drain(
    rig: Rig,
) -> None:
    gateway = await rig.start()
    await rig.replica(answering(OK))
    idle, new = await rig.client(), await rig.client()
    idle.send(request())
    assert (await idle.answer()).body == b"ok"
    gateway.request_stop()
    assert await idle.ended() == "eof"

    new.send(request())
    answer = await new.answer()

    assert answer.body == b"ok"
    assert answer.get("connection") == "close"
    assert await new.ended() == "eof"
    await gateway.stop()


async def test_a_request_that_crosses_with_the_end_of_its_connection_never_counts(
    rig: Rig,
) -> None:
    gateway = await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    client.send(request())
    assert (await client.answer()).body == b"ok"
    gateway.request_stop()
    assert await client.ended() == "eof"
    client.send(request())
    await gateway.stop()
    (load,) = (await rig.report()).protons.values()
    assert (load.started, load.finished) == (1, {"2xx": 1})


async def test_a_connection_that_never_has_a_request_does_not_hold_the_drain_up(rig: Rig) -> None:
    gateway = await rig.start(drain_timeout_s=600)
    client = await rig.client()
    gateway.request_stop()
    assert await client.ended() == "eof"
    assert gateway.task is not None
    async with asyncio.timeout(DEADLINE_S):
        await gateway.task


async def test_a_client_in_full_swing_is_told_by_an_answer(rig: Rig) -> None:
    gateway = await rig.start()
    await rig.replica(answering(OK))
    client = await rig.client()
    answers = 0
    told = None
    while told is None:
        client.send(request())
        told = (await client.answer()).get("connection")
        answers += 1
        if answers == 1:
            gateway.request_stop()
    assert told == "close"
    assert await client.ended() == "eof"
    await gateway.stop()
    (load,) = (await rig.report()).protons.values()
    assert (load.started, load.finished) == (answers, {"2xx": answers})
