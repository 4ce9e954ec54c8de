"""Spans of sampled requests: one each, between the client's and the application's."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest

from controlplane.model.sections import GatewaySettings, Settings, StoreSettings, TelemetrySettings
from controlplane.model.spans import GatewaySpan, SpanNews
from controlplane.store.client import Store
from controlplane.store.errors import StoreUnavailableError
from gateway.net import spans as spans_module
from tests.integration.gateway import records
from tests.integration.gateway.gateways import InProcess
from tests.integration.gateway.rig import DEFAULTS, Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until
from tests.integration.gateway.wire import Head

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"traceparent: 00-{TRACE}-{PARENT}-01"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def heard(store: Store) -> AsyncIterator[list[GatewaySpan]]:
    """All spans that gateways tell."""
    found: list[GatewaySpan] = []
    task = asyncio.create_task(store.hear_spans(lambda news: found.extend(news.spans)))
    await asyncio.sleep(0)
    await store.ping()  # the subscription was sent before it
    yield found
    task.cancel()
    await asyncio.wait([task])


async def parent_at_the_replica(rig: Rig, *lines: str) -> str:
    """The traceparent that the application gets."""
    replica = await rig.replica(answering(OK))
    assert (await rig.ask("GET", "/a?secret=1", *lines)).status == 200
    [value] = Head(replica.wires[0].received).all("traceparent")
    return value


async def test_a_sampled_request_is_a_span_between_the_client_and_the_application(rig, heard):
    await rig.start()
    before = time.time()
    value = await parent_at_the_replica(rig, SAMPLED, "tracestate: a=b")
    match = re.fullmatch(f"00-{TRACE}-([0-9a-f]{{16}})-01", value)
    assert match
    await until(lambda: heard)
    [span] = heard
    assert (span.trace_id, span.parent_span_id) == (TRACE, PARENT)
    assert span.span_id == match[1] != PARENT
    assert span.workload_id == records.WORKLOAD_ID
    assert span.name == "GET /api/v2/endpoints/workloads/{id}/*"
    assert before - 1 < span.start_ns / 1e9 < time.time() + 1
    assert span.duration_ns > 0
    assert not span.error
    told = span.attributes
    assert told["http.response.status_code"] == 200
    assert str(told["url.path"]).endswith("/a")
    assert "secret" not in str(span)
    assert (told["tidegate.cold_start"], told["tidegate.attempts"]) == (False, 1)
    assert told["replica_id"]


async def test_other_headers_with_the_same_text_are_left_alone(rig, heard):
    await rig.start()
    replica = await rig.replica(answering(OK))
    line = SAMPLED.replace("traceparent", "TraceParent")
    await rig.ask("GET", "/", f"X-Copy: {SAMPLED}", line)
    head = Head(replica.wires[0].received)
    assert head.get("x-copy") == SAMPLED
    assert head.get("traceparent") not in SAMPLED


@pytest.mark.parametrize("lines", [[], [SAMPLED[:-1] + "0"], ["traceparent: 00-nonsense"]])
async def test_what_nobody_samples_is_no_span(rig, heard, lines):
    await rig.start()
    assert (await parent_at_the_replica(rig, *lines)).endswith("-00")
    await rig.ask("GET", "/", SAMPLED)  # the one that ends the waiting
    await until(lambda: heard)
    assert len(heard) == 1


async def test_a_share_of_the_requests_without_a_trace_is_sampled(rig, heard):
    await rig.start(trace_sample_ratio=1.0)
    value = await parent_at_the_replica(rig, "X-Request-Id: mine")
    match = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-01", value)
    assert match
    await until(lambda: heard)
    assert (heard[0].trace_id, heard[0].span_id) == match.groups()
    assert heard[0].parent_span_id == ""


async def test_a_client_that_does_not_sample_is_never_overruled(rig, heard):
    await rig.start(trace_sample_ratio=1.0)
    unsampled = SAMPLED[:-1] + "0"
    assert await parent_at_the_replica(rig, unsampled) == unsampled.partition(": ")[2]


async def test_errors_and_cold_starts_are_told(rig, heard):
    await rig.start()
    client = await rig.client()
    client.send(request("POST", "/", SAMPLED, body=b"abc"))
    await rig.replica(answering(FAILED))
    assert (await client.answer("POST")).status == 503
    await until(lambda: heard)
    [span] = heard
    assert span.error
    assert span.attributes["http.request.method"] == "POST"
    assert span.attributes["tidegate.cold_start"] is True
    assert float(span.attributes["tidegate.queued_s"]) > 0


async def test_a_refusal_is_a_span_with_its_code(rig, heard):
    await rig.start(cold_start_timeout_s=0.05)
    assert (await rig.ask("GET", "/", SAMPLED)).status == 504
    await until(lambda: heard)
    [span] = heard
    assert (span.error, span.message) == (True, "cold_start_timeout")
    assert span.attributes["error.type"] == "cold_start_timeout"
    assert "replica_id" not in span.attributes


async def test_a_repeated_request_has_one_span_and_one_parent(rig, heard):
    await rig.start()
    dying = await rig.replica()
    client = await rig.client()
    client.send(request("GET", "/", SAMPLED))
    first = await dying.accepted()
    parents = [(await first.head()).get("traceparent")]
    dying.die()
    replica = await rig.replica(answering(OK))
    assert (await client.answer("GET")).status == 200
    parents.append(Head(replica.wires[0].received).get("traceparent"))
    await until(lambda: heard)
    assert parents[0] == parents[1]
    assert [span.attributes["tidegate.attempts"] for span in heard] == [2]


async def test_without_telemetry_nothing_is_recorded(rig, store_url):
    await rig.commit(*records.world())
    gateway = InProcess(
        Settings(
            store=StoreSettings(url=store_url),
            gateway=GatewaySettings(**(DEFAULTS | {"trace_sample_ratio": 1.0})),
            telemetry=TelemetrySettings(max_bytes=0),
        )
    )
    rig._gateway = gateway
    await gateway.start()
    assert await parent_at_the_replica(rig, SAMPLED) == SAMPLED.partition(": ")[2]


async def test_what_is_left_is_told_at_the_end(rig, heard, monkeypatch):
    monkeypatch.setattr(spans_module, "TELL_S", 1000.0)
    await rig.start()
    await parent_at_the_replica(rig, SAMPLED)
    await rig.gateway.stop()
    await until(lambda: heard)


async def test_more_spans_than_can_wait_are_dropped(rig, heard, monkeypatch):
    monkeypatch.setattr(spans_module, "MAX_HELD", 1)
    monkeypatch.setattr(spans_module, "TELL_S", 1000.0)
    await rig.start()
    await rig.replica(answering(OK))
    for _ in range(3):
        await rig.ask("GET", "/", SAMPLED)
    async with asyncio.timeout(30):
        while (await rig.gateway.metrics())["gateway_spans_dropped_total"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await rig.gateway.stop()
    await until(lambda: heard)
    assert len(heard) == 1


class Away:
    """A store that does not answer."""

    available = False

    async def tell_spans(self, _: SpanNews) -> None:
        raise StoreUnavailableError("away")


async def test_spans_of_while_the_store_was_away_are_counted(monkeypatch):
    monkeypatch.setattr(spans_module, "TELL_S", 0.0)
    monkeypatch.setattr(spans_module, "MAX_TOLD", 2)
    told = spans_module.Spans(Away(), worker_id="w", ratio=0.0, wall=time.time, random=lambda: 0.0)
    for _ in range(5):
        told.keep(
            GatewaySpan(
                workload_id="w", trace_id=TRACE, span_id=PARENT, name="a", start_ns=0, duration_ns=1
            )
        )
    told.start()
    await until(lambda: told.dropped)
    assert told.dropped == 5
    await told.stop()
