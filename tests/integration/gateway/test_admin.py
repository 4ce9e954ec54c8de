"""The admin port: probes for orchestrators, metrics for Prometheus."""

import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async


async def test_a_serving_worker_is_alive_and_ready(rig: Rig) -> None:
    gateway = await rig.start()
    assert await gateway.admin("/livez") == (200, "ok\n")
    status, body = await gateway.admin("/readyz")
    assert status == 200
    assert json.loads(body) == {
        "serving": True,
        "not_draining": True,
        "routes_loaded": True,
        "store_connected": True,
    }


async def test_an_unknown_page_is_404(rig: Rig) -> None:
    gateway = await rig.start()
    assert (await gateway.admin("/"))[0] == 404
    assert (await gateway.admin("/metricsx"))[0] == 404


async def test_a_query_does_not_change_the_page(rig: Rig) -> None:
    gateway = await rig.start()
    assert (await gateway.admin("/livez?verbose"))[0] == 200


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"x\r\n\r\n", b"\xff" * 100, b"x" * 200_000, b""])
async def test_nonsense_on_the_admin_port_hurts_nobody(rig: Rig, said: bytes) -> None:
    gateway = await rig.start()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
    writer.write(said)
    writer.write_eof()
    try:
        async with asyncio.timeout(10):
            assert (await gateway.admin("/livez"))[0] == 200
    finally:
        writer.close()


async def test_the_metrics_page_is_what_prometheus_reads(rig: Rig) -> None:
    gateway = await rig.start()
    await rig.replica(answering(OK))
    assert (await rig.ask()).status == 200
    _, text = await gateway.admin("/metrics")
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names), "each family comes once"
    for family in families:
        assert family.documentation, family.name
        assert family.type != "untyped", family.name
    for wanted in (
        "gateway_requests_started",
        "gateway_requests_in_flight",
        "gateway_request_duration_seconds",
        "gateway_loop_lag_seconds",
        "gateway_spans_dropped",
        "process_cpu_seconds",
    ):
        assert wanted in names
    (started,) = next(f for f in families if f.name == "gateway_requests_started").samples
    assert set(started.labels) == {"worker", "workload", "proton"}


async def test_metrics_agree_with_what_happened(rig: Rig) -> None:
    gateway = await rig.start(queue_limit=1, cold_start_timeout_s=60, report_interval_s=0.02)
    held = await rig.client()
    held.send(request("POST", "/", body=b"12345"))
    await rig.counted(queued=1)
    assert (await rig.ask()).status == 503
    replica = await rig.replica()
    wire = await replica.accepted()
    await wire.request()
    await rig.counted(in_flight=1)
    for status in (200, 204, 301, 404, 500):
        wire.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        assert (await held.answer()).status == status
        held.send(request())
        await wire.request()
    assert (await rig.ask(token="wrong")).status == 401
    load = await rig.counted(
        finished={"2xx": 2, "3xx": 1, "4xx": 1, "5xx": 1, "refused": 1}, in_flight=1
    )
    metrics = await gateway.metrics()
    assert metrics["gateway_requests_started_total"] == load.started == 7
    assert metrics["gateway_requests_in_flight"] == load.in_flight == 1
    assert metrics["gateway_requests_queued"] == load.queued == 0
    assert metrics["gateway_cold_starts_total"] == load.cold_starts == 1
    assert metrics["gateway_request_bytes_total"] == load.bytes_in == 5
    assert metrics["gateway_response_bytes_total"] == load.bytes_out > 0
    for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "refused", "aborted"):
        found = metrics[f"gateway_requests_finished_total{{{kind}}}"]
        assert found == load.finished.get(kind, 0)
    assert metrics["gateway_request_duration_seconds_count"] == 5
    assert metrics["gateway_request_duration_seconds_sum"] > 0
    assert sum(load.response_time.values()) == 5
    assert metrics["gateway_answers_total{queue_full}"] == 1
    assert metrics["gateway_answers_total{unauthenticated}"] == 1
    assert metrics["gateway_endpoints{ready}"] == 1
    assert metrics["gateway_client_connections"] == 1
    assert metrics["gateway_workloads"] == 1
    assert metrics["gateway_store_connected"] == 1
    assert metrics["gateway_draining"] == 0


async def test_histogram_buckets_add_up(rig: Rig) -> None:
    gateway = await rig.start()
    await rig.replica(answering(OK))
    for _ in range(5):
        await rig.ask()

    async def all_counted() -> bool:
        return (await gateway.metrics())["gateway_request_duration_seconds_count"] == 5

    await until_async(all_counted)
    _, text = await gateway.admin("/metrics")
    family = next(
        f
        for f in text_string_to_metric_families(text)
        if f.name == "gateway_request_duration_seconds"
    )
    buckets = [s.value for s in family.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 5
