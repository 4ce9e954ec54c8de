"""Telemetry through the API: who may send and read, in which form, with which errors."""

import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from prometheus_client.parser import text_string_to_metric_families

from controlplane import accounts
from controlplane.api.services import Services
from controlplane.model.people import Scope, Token
from controlplane.model.sections import TelemetrySettings
from controlplane.model.states import AccessRole
from controlplane.model.workloads import Workload
from controlplane.telemetry import keys
from controlplane.telemetry.archive import Archive
from controlplane.telemetry.intake import Intake
from tests.integration.api.conftest import Api

LOGS = "/api/v2/otel/v1/logs"
TRACES = "/api/v2/otel/v1/traces"
METRICS = "/api/v2/otel/v1/metrics"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
async def archive(api: Api, tmp_path: Path) -> AsyncIterator[Archive]:
    """The API's own, running."""
    made = Archive(tmp_path, max_bytes=64 * 1024 * 1024)
    made.start()
    api.services.intake = Intake(
        archive=made,
        secret=await api.store.secret(keys.SECRET),
        settings=TelemetrySettings(),
    )
    yield made
    made.stop()


def own_key(services: Services, workload_id: str) -> dict[str, str]:
    """What a replica of a workload sends."""
    assert services.intake is not None
    return {
        "X-DataRobot-Api-Key": keys.ingest_key(services.intake.secret, workload_id),
        "X-DataRobot-Entity-Id": f"workload-{workload_id}",
    }


def log_lines(*messages: str, **fields: object) -> dict[str, object]:
    """A request with some lines, a second apart, the first of them the oldest."""
    now_ns = time.time_ns() - 60 * 10**9
    records = [
        {
            "timeUnixNano": str(now_ns + index * 10**9),
            "severityNumber": 9,
            "body": {"stringValue": message},
        }
        | fields
        for index, message in enumerate(messages)
    ]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


async def send(api: Api, archive: Archive, workload_id: str, body: object, path: str = LOGS):
    """Send as a replica does, and wait until it is kept."""
    headers = own_key(api.services, workload_id)
    answer = await api.client(None).post(path, json=body, headers=headers)
    assert archive.flush()
    return answer


# -- sending and reading


async def test_lines_that_a_replica_sends_are_read_newest_first(api, archive):
    workload = (await api.workload())["id"]
    answer = await send(api, archive, workload, log_lines("one", "two", "three"))
    assert (answer.status_code, answer.json()) == (200, {})
    page = (await api.owner.get(f"/api/v2/otel/workload/{workload}/logs/")).json()
    assert [line["message"] for line in page["data"]] == ["three", "two", "one"]
    assert (page["count"], page["next"], page["previous"]) == (3, None, None)
    assert page["data"][0]["level"] == "info"
    assert page["data"][0]["timestamp"].endswith("+00:00")


async def test_pages_hold_still_while_lines_come_in(api, archive):
    workload = (await api.workload())["id"]
    await send(api, archive, workload, log_lines("1", "2", "3", "4", "5"))
    seen = []
    url = f"/api/v2/otel/workload/{workload}/logs?limit=2"
    while url:
        page = (await api.owner.get(url)).json()
        seen += [line["message"] for line in page["data"]]
        url = page["next"]
        late = log_lines("late")
        record = late["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
        record["timeUnixNano"] = str(time.time_ns() + 10**9)
        await send(api, archive, workload, late)
    assert seen == ["5", "4", "3", "2", "1"]
    page = (await api.owner.get(f"/api/v2/otel/workload/{workload}/logs?limit=2&offset=2")).json()
    assert page["previous"] is not None
    assert page["previous"].startswith("http://api.test:8081/api/v2/otel/workload/")


async def test_what_becomes_of_telemetry_is_counted(make_api, tmp_path):
    archive = Archive(tmp_path, max_bytes=64 * 1024 * 1024, min_free_bytes=2**62)
    archive.start()
    try:
        api = await make_api(
            intake=Intake(archive=archive, secret=b"s", settings=TelemetrySettings())
        )
        workload = (await api.workload())["id"]
        await send(api, archive, workload, log_lines("1", "2", "3"))
        page = (await api.owner.get("/metrics")).text
    finally:
        archive.stop()
    found = {f.name: f for f in text_string_to_metric_families(page)}
    for name, value in (("batches_written", 0), ("records_dropped", 3), ("records_evicted", 0)):
        family = found[f"api_telemetry_{name}"]
        assert (family.type, [sample.value for sample in family.samples]) == ("counter", [value])
        assert family.documentation


async def test_a_page_of_long_lines_ends_early_and_the_next_goes_on(api, archive):
    workload = (await api.workload())["id"]
    long = "x" * 65_000
    for part in range(4):  # a request may have 2 MiB of JSON
        body = log_lines(*(f"{part} {n} {long}" for n in range(25)))
        assert (await send(api, archive, workload, body)).status_code == 200
    seen, sizes = [], []
    url = f"/api/v2/otel/workload/{workload}/logs?limit=1000"
    while url:
        answer = await api.owner.get(url)
        page = answer.json()
        assert page["count"] == len(page["data"]) > 0
        sizes.append(len(answer.content))
        seen += [line["message"][:4] for line in page["data"]]
        url = page["next"]
    assert len(seen) == len(set(seen)) == 100
    assert len(sizes) == 2
    assert max(sizes) < 5 * 1024 * 1024


async def test_filters_of_lines_work_together(api, archive):
    workload = (await api.workload())["id"]
    await send(api, archive, workload, log_lines("started", "it works"))
    await send(
        api,
        archive,
        workload,
        log_lines("it failed", severityNumber=17, traceId=TRACE, spanId=SPAN),
    )
    for query, found in (
        ({"level": "warn"}, ["it failed"]),
        ({"level": "debug"}, ["it failed", "it works", "started"]),
        ({"includes": "it"}, ["it failed", "it works"]),
        ({"includes": ["it", "works"]}, ["it works"]),
        ({"excludes": "it"}, ["started"]),
        ({"traceId": TRACE.upper()}, ["it failed"]),
        ({"spanId": SPAN}, ["it failed"]),
        ({"searchKeys": "level", "searchValues": "ERROR"}, ["it failed"]),
        ({"searchKeys": "nothing", "searchValues": "x"}, []),
        ({"startTime": "2099-01-01T00:00:00Z"}, []),
        ({"endTime": "1999-01-01"}, []),
        ({"startTime": "0001-01-01T00:00:00Z", "level": "error"}, ["it failed"]),
        ({"startTime": "2024-05-01T10:00:00.123456789Z", "level": "error"}, ["it failed"]),
    ):
        page = await api.owner.get(f"/api/v2/otel/workload/{workload}/logs/", params=query)
        assert page.status_code == 200, page.text
        lines = sorted(line["message"] for line in page.json()["data"])
        assert lines == found, query


def one_span(**fields: object) -> dict[str, object]:
    now_ns = time.time_ns()
    told = {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "work",
        "kind": 2,
        "startTimeUnixNano": str(now_ns - 5000),
        "endTimeUnixNano": str(now_ns),
        "status": {"code": 2, "message": "no"},
        "events": [{"name": "exception", "timeUnixNano": str(now_ns)}],
        "links": [{"traceId": TRACE, "spanId": SPAN}],
    } | fields
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [told]}]}]}


async def test_a_trace_is_listed_and_read_with_its_spans(api, archive):
    workload = (await api.workload())["id"]
    await send(api, archive, workload, one_span(), TRACES)
    await send(
        api, archive, workload, one_span(spanId="1" * 16, parentSpanId=SPAN, name="inner"), TRACES
    )
    base = f"/api/v2/otel/workload/{workload}/traces"
    [trace] = (await api.owner.get(f"{base}/?status=error&sortBy=duration")).json()["data"]
    assert trace["traceId"] == TRACE
    assert (trace["rootSpanName"], trace["rootServiceName"]) == ("work", "app")
    assert (trace["spansCount"], trace["errorSpansCount"]) == (2, 2)
    assert trace["duration"] >= 5000
    detail = (await api.owner.get(f"{base}/{TRACE.upper()}/")).json()
    assert [span["name"] for span in detail["spans"]] == ["work", "inner"]
    assert detail["spans"][1]["parentSpanId"] == SPAN
    assert detail["spans"][0]["parentSpanId"] is None
    assert detail["spans"][0]["statusMessage"] == "no"
    assert detail["spanCount"] == detail["totalCount"] == 2
    first = (await api.owner.get(f"{base}/{TRACE}?limit=1")).json()
    second = (await api.owner.get(first["next"])).json()
    assert [span["name"] for span in first["spans"] + second["spans"]] == ["work", "inner"]
    missing = await api.owner.get(f"{base}/{'0' * 32}")
    assert missing.status_code == 404
    assert (await api.owner.get(f"{base}/nonsense")).status_code == 404


async def test_metrics_are_listed_and_added_up(api, archive):
    workload = (await api.workload())["id"]
    now_ns = str(time.time_ns())
    points = [{"timeUnixNano": now_ns, "startTimeUnixNano": now_ns, "asInt": "3"}]
    metrics = [{"name": "served", "unit": "1", "sum": {"isMonotonic": True, "dataPoints": points}}]
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
    await send(api, archive, workload, body, METRICS)
    base = f"/api/v2/otel/workload/{workload}/metrics"
    for path in (f"{base}/", f"{base}/summary/", f"{base}?search=erv&metricType=counter"):
        [metric] = (await api.owner.get(path)).json()["data"]
        assert (metric["otelName"], metric["metricType"], metric["units"]) == (
            "served",
            "counter",
            "1",
        )
    assert (await api.owner.get(f"{base}?search=no")).json()["data"] == []
    values = (await api.owner.get(f"{base}/values/?histogramBuckets=true")).json()
    assert values["metricAggregations"][0]["aggregatedValue"] == 3
    own = (await api.owner.get(f"{base}/autocollectedValues/")).json()
    told = {value["otelName"]: value["currentValue"] for value in own["data"]}
    assert told["requests.total"] == 0
    assert told["memory.usage"] is None


async def test_histograms_whose_buckets_do_not_fit_are_answered_without_them(api, archive):
    workload = (await api.workload())["id"]
    point = {"timeUnixNano": str(time.time_ns()), "count": "1", "sum": 2.0}
    named = {"attributes": [{"key": "a", "value": {"stringValue": "b"}}]}
    told = {
        "alone": [point | {"bucketCounts": ["1"]}, point | named],
        "odd": [point | {"bucketCounts": ["1", "0", "0", "0"], "explicitBounds": [1.0]}],
        "endless": [point | {"bucketCounts": ["1", "0"], "explicitBounds": ["Infinity"]}],
    }
    metrics = [{"name": name, "histogram": {"dataPoints": told[name]}} for name in told]
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
    assert (await send(api, archive, workload, body, METRICS)).json() == {}
    path = f"/api/v2/otel/workload/{workload}/metrics/values/?histogramBuckets=true"
    answer = await api.owner.get(path)
    assert answer.status_code == 200
    found = {value["otelName"]: value for value in answer.json()["metricAggregations"]}
    assert [found[name]["aggregatedValue"] for name in told] == [2.0, 2.0, 2.0]
    assert found["odd"]["buckets"] is found["endless"]["buckets"] is None
    assert [bucket["count"] for bucket in found["alone"]["buckets"]] == [1]


async def test_without_telemetry_there_is_none(api):
    workload = (await api.workload())["id"]
    base = f"/api/v2/otel/workload/{workload}"
    for path in ("logs", "traces", "metrics"):
        assert (await api.owner.get(f"{base}/{path}/")).json()["data"] == []
    refused = await api.client(None).post(LOGS, json={}, headers={"X-DataRobot-Api-Key": "x"})
    assert refused.status_code == 403
    assert "telemetry.max_bytes" in refused.json()["message"]


# -- who may read


async def test_consumers_and_strangers_read_nothing(api, archive):
    workload = (await api.workload())["id"]
    await send(api, archive, workload, log_lines("secret"))
    user, client = await api.person("reader")
    paths = ("logs", "traces", f"traces/{TRACE}", "metrics", "metrics/values",
             "metrics/autocollectedValues")  # fmt: skip
    for role in (None, AccessRole.CONSUMER):
        await _share(api, workload, user.id, role)
        for path in paths:
            answer = await client.get(f"/api/v2/otel/workload/{workload}/{path}")
            assert answer.status_code == 403, (role, path)
    await _share(api, workload, user.id, AccessRole.USER)
    page = await client.get(f"/api/v2/otel/workload/{workload}/logs")
    assert page.json()["data"][0]["message"] == "secret"


async def _share(api: Api, workload_id: str, user_id: str, role: AccessRole | None) -> None:
    record = api.services.mirror.get(Workload, workload_id)
    assert record is not None
    roles = dict(record.roles)
    if role is not None:
        roles[user_id] = role
    await api.write(msgspec.structs.replace(record, roles=roles))


async def test_what_is_not_there_is_404_and_other_entities_are_422(api, archive):
    for entity in ("0" * 24, "nonsense"):
        assert (await api.owner.get(f"/api/v2/otel/workload/{entity}/logs")).status_code == 404
    refused = await api.owner.get(f"/api/v2/otel/deployment/{'0' * 24}/logs")
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["path", "entityType"]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=1001", "limit"),
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("level=loud", "level"),
        ("startTime=soon", "startTime"),
        ("unknown=1", "unknown"),
        ("includes=" + "&includes=".join("abcdefghijk"), "includes"),
        ("searchKeys=a", "query"),
    ],
)
async def test_wrong_parameters_are_named(api, archive, query, where):
    workload = (await api.workload())["id"]
    answer = await api.owner.get(f"/api/v2/otel/workload/{workload}/logs?{query}")
    assert answer.status_code == 422, answer.text
    assert where in str(answer.json()["detail"][0]["loc"])


# -- who may send


async def test_a_key_writes_for_its_own_workload_only(api, archive):
    mine, other = (await api.workload())["id"], (await api.workload())["id"]
    headers = own_key(api.services, mine)
    client = api.client(None)
    for entity, status in ((other, 403), (mine, 200), (None, 200)):
        sent = {"X-DataRobot-Api-Key": headers["X-DataRobot-Api-Key"]}
        if entity is not None:
            sent["X-DataRobot-Entity-Id"] = f"workload-{entity}"
        answer = await client.post(LOGS, json=log_lines("hello"), headers=sent)
        assert answer.status_code == status, entity
    assert archive.flush()
    page = (await api.owner.get(f"/api/v2/otel/workload/{other}/logs")).json()
    assert page["data"] == []


async def test_a_key_opens_nothing_else(api, archive):
    workload = (await api.workload())["id"]
    key = own_key(api.services, workload)["X-DataRobot-Api-Key"]
    client = api.client(key)
    for path in (f"workloads/{workload}", f"otel/workload/{workload}/logs", "account/info"):
        assert (await client.get(f"/api/v2/{path}")).status_code == 401


async def test_owners_may_send_with_their_token_and_others_may_not(api, archive):
    workload = (await api.workload())["id"]
    entity = {"X-DataRobot-Entity-Id": f"workload-{workload}"}
    assert (await api.owner.post(LOGS, json={}, headers=entity)).status_code == 200
    unnamed = await api.owner.post(LOGS, json={})
    assert unnamed.status_code == 400
    assert "X-DataRobot-Entity-Id" in unnamed.json()["message"]
    odd = await api.owner.post(LOGS, json={}, headers={"X-DataRobot-Entity-Id": "deployment-1"})
    assert odd.status_code == 400
    user, client = await api.person("user")
    assert (await client.post(LOGS, json={}, headers=entity)).status_code == 403
    await _share(api, workload, user.id, AccessRole.USER)
    assert (await client.post(LOGS, json={}, headers=entity)).status_code == 403
    gone = {"X-DataRobot-Entity-Id": f"workload-{'0' * 24}"}
    assert (await api.owner.post(LOGS, json={}, headers=gone)).status_code == 403


@pytest.mark.parametrize("scope", [Scope.READ, Scope.INVOKE])
async def test_tokens_with_a_narrow_scope_send_nothing(api, archive, scope):
    workload = (await api.workload())["id"]
    token, text = await accounts.create_token(api.store, name="narrow")
    await api.write(msgspec.structs.replace(token, scope=scope))
    entity = {"X-DataRobot-Entity-Id": f"workload-{workload}"}
    assert isinstance(token, Token)
    assert (await api.client(text).post(LOGS, json={}, headers=entity)).status_code == 403


@pytest.mark.parametrize("key", [None, "tg_wrong", "tgi_wrong", f"tgi_{'0' * 24}_{'0' * 64}"])
async def test_without_a_valid_key_nothing_is_taken(api, archive, key):
    headers = {} if key is None else {"X-DataRobot-Api-Key": key}
    answer = await api.client(None).post(LOGS, json=log_lines("a"), headers=headers)
    assert answer.status_code == 401
    assert answer.json()["message"]


async def test_a_deleted_workloads_key_ends(api, archive):
    workload = (await api.workload())["id"]
    await api.owner.delete(f"/api/v2/workloads/{workload}")
    assert (await send(api, archive, workload, {})).status_code == 403


# -- in which form


async def test_protobuf_and_gzip_are_answered_in_kind(api, archive):
    workload = (await api.workload())["id"]
    headers = own_key(api.services, workload) | PROTOBUF
    client = api.client(None)
    answer = await client.post(LOGS, content=b"", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert ExportLogsServiceResponse.FromString(answer.content)
    packed = headers | {"Content-Encoding": "gzip"}
    answer = await client.post(LOGS, content=gzip.compress(b""), headers=packed)
    assert answer.status_code == 200
    broken = await client.post(LOGS + "/", content=b"\xff\xff", headers=headers)
    assert broken.status_code == 400
    assert broken.headers["content-type"] == "application/x-protobuf"
    assert b"OTLP" in broken.content


async def test_a_span_that_is_rejected_is_told_as_partial_success(api, archive):
    workload = (await api.workload())["id"]
    answer = await send(api, archive, workload, one_span(traceId="00"), TRACES)
    assert answer.status_code == 200
    told = answer.json()["partialSuccess"]
    assert told["rejectedSpans"] == "1"
    assert told["errorMessage"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        pytest.param({"Content-Type": "text/plain"}, b"", 415, id="text"),
        pytest.param({"Content-Type": "application/json"}, b"[", 400, id="broken JSON"),
        pytest.param(PROTOBUF | {"Content-Encoding": "br"}, b"", 415, id="brotli"),
        pytest.param(PROTOBUF, bytes(5_000_000), 413, id="large"),
        pytest.param(
            PROTOBUF | {"Content-Encoding": "gzip"},
            gzip.compress(bytes(20_000_000)),
            413,
            id="a bomb",
        ),
    ],
)
async def test_what_cannot_be_read_is_refused_in_otlps_form(api, archive, headers, content, status):
    workload = (await api.workload())["id"]
    sent = own_key(api.services, workload) | headers
    answer = await api.client(None).post(TRACES, content=content, headers=sent)
    assert answer.status_code == status
    if headers["Content-Type"] == "application/json":
        assert json.loads(answer.content)["message"]
    else:
        assert answer.content[:1] == b"\x12"


async def test_who_sends_too_much_is_told_to_wait_and_others_are_not(api, archive):
    noisy, quiet = (await api.workload())["id"], (await api.workload())["id"]
    intake = api.services.intake
    intake.rates.spend(noisy, 100 * intake.settings.workload_bytes_per_s, time.monotonic())
    refused = await send(api, archive, noisy, log_lines("a"))
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (await send(api, archive, quiet, log_lines("a"))).status_code == 200


async def test_when_too_much_waits_senders_are_told_to_come_again(api, archive):
    workload = (await api.workload())["id"]
    archive.stop()
    refused = await api.client(None).post(
        LOGS, json=log_lines("a"), headers=own_key(api.services, workload)
    )
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
