"""What telemetry needs of the store: a secret that all share, and spans that are news."""

import asyncio

from controlplane.model.spans import GatewaySpan, SpanNews
from tests.fakes.waiting import DEADLINE_S

NEWS = SpanNews(
    worker_id="worker-1",
    spans=[
        GatewaySpan(
            workload_id="w",
            trace_id="1" * 32,
            span_id="2" * 16,
            name="GET",
            start_ns=1,
            duration_ns=2,
            attributes={"a": 1, "b": True, "c": 0.5, "d": "e"},
        )
    ],
)


async def test_everybody_gets_the_same_secret_whoever_asks_first(store, second):
    found = await asyncio.gather(*(each.secret("a") for each in (store, second) for _ in range(5)))
    assert len(set(found)) == 1
    assert len(bytes.fromhex(found[0].decode())) == 32
    assert await second.secret("b") != found[0]


async def test_spans_are_heard_by_who_listens(store, second):
    heard: list[SpanNews] = []
    listening = asyncio.create_task(second.hear_spans(heard.append))
    await second.ping()
    async with asyncio.timeout(DEADLINE_S):
        while not heard:
            await store.tell_spans(NEWS)
            await asyncio.sleep(0.01)
    assert heard[0] == NEWS
    listening.cancel()
    await asyncio.wait([listening])
