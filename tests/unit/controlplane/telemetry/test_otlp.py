import gzip
import json
import zlib

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from controlplane.telemetry import levels, otlp, otlp_records
from controlplane.telemetry.otlp import JSON, PROTOBUF, OtlpError, Signal
from controlplane.telemetry.otlp_records import MAX_RECORDS

NOW_NS = 1_795_000_000_000_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def read(signal, body, *, encoding="", kind=PROTOBUF):
    raw = body if isinstance(body, bytes) else body.SerializeToString()
    plain = otlp.inflate(raw, encoding, kind=kind)
    return otlp.read(signal, plain, kind=kind, now_ns=NOW_NS)


def pair(key, **value):
    return KeyValue(key=key, value=AnyValue(**value))


def one_log(**fields):
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.append(pair("service.name", string_value="app"))
    scoped = group.scope_logs.add()
    record = scoped.log_records.add(**fields)
    return request, record


def one_span(**fields):
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(pair("service.name", string_value="app"))
    wanted = {
        "trace_id": bytes.fromhex(TRACE),
        "span_id": bytes.fromhex(SPAN),
        "name": "work",
        "start_time_unix_nano": NOW_NS - 1000,
        "end_time_unix_nano": NOW_NS,
    }
    return request, group.scope_spans.add().spans.add(**(wanted | fields))


# -- logs


def test_a_log_record_keeps_its_level_body_ids_and_attributes():
    request, record = one_log(time_unix_nano=NOW_NS - 5, severity_number=17)
    record.body.string_value = "it failed"
    record.trace_id, record.span_id = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
    record.attributes.append(pair("user", int_value=7))
    record.attributes.append(pair("exception.stacktrace", string_value="Traceback"))
    [found] = read(Signal.LOGS, request).logs
    assert (found.time_ns, found.severity, found.message) == (NOW_NS - 5, 17, "it failed")
    assert (found.trace_id, found.span_id) == (TRACE, SPAN)
    assert found.attributes == {"user": 7}
    assert found.stacktrace == "Traceback"
    assert found.resource == {"service.name": "app"}


@pytest.mark.parametrize(
    ("number", "text", "severity"),
    [(0, "", levels.INFO), (0, "WARN", levels.WARNING), (99, "", levels.INFO), (24, "", 24)],
)
def test_a_log_record_without_a_number_says_its_level_in_words(number, text, severity):
    request, record = one_log(severity_text=text)
    record.severity_number = number
    assert read(Signal.LOGS, request).logs[0].severity == severity


@pytest.mark.parametrize("time_ns", [0, 1, NOW_NS + 2 * 3600 * 10**9, 2**64 - 1])
def test_times_that_cannot_be_are_the_time_of_arrival(time_ns):
    request, _ = one_log(time_unix_nano=time_ns)
    assert read(Signal.LOGS, request).logs[0].time_ns == NOW_NS
    spans, _ = one_span(start_time_unix_nano=time_ns, end_time_unix_nano=2**64 - 1)
    [span] = read(Signal.TRACES, spans).spans
    assert span.start_ns == NOW_NS
    assert span.duration_ns <= 3600 * 10**9


def test_bodies_that_are_no_texts_are_shown_as_json():
    request, record = one_log()
    record.body.kvlist_value.values.append(pair("a", bool_value=True))
    assert read(Signal.LOGS, request).logs[0].message == '{"a":true}'


def test_ids_of_the_wrong_length_are_none():
    request, _ = one_log(trace_id=b"short", span_id=bytes(8))
    found = read(Signal.LOGS, request).logs[0]
    assert (found.trace_id, found.span_id) == ("", "")


# -- values


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"string_value": "a"}, "a"),
        ({"bool_value": False}, False),
        ({"int_value": -(2**53)}, -(2**53)),
        ({"int_value": 2**60}, str(2**60)),
        ({"double_value": 0.5}, 0.5),
        ({"double_value": float("inf")}, "inf"),
        ({"bytes_value": b"\x00"}, "AA=="),
        ({}, None),
    ],
)
def test_any_value_has_a_json_form(value, plain):
    assert otlp_records.plain(AnyValue(**value)) == plain


def test_values_that_nest_too_deep_end():
    value = AnyValue(string_value="deep")
    for _ in range(40):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    assert "deep" not in json.dumps(otlp_records.plain(value))


# -- spans


def test_a_span_keeps_what_it_says():
    request, span = one_span(kind=3, parent_span_id=bytes.fromhex(SPAN[::-1]))
    span.status.code, span.status.message = 2, "broken"
    event = span.events.add(name="exception", time_unix_nano=NOW_NS)
    event.attributes.append(pair("exception.type", string_value="ValueError"))
    span.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN))
    [found] = read(Signal.TRACES, request).spans
    assert (found.trace_id, found.span_id, found.parent_span_id) == (TRACE, SPAN, SPAN[::-1])
    assert (found.kind, found.status, found.status_message) == ("client", "error", "broken")
    assert (found.service, found.start_ns, found.duration_ns) == ("app", NOW_NS - 1000, 1000)
    assert found.events[0]["attributes"] == {"exception.type": "ValueError"}
    assert found.links[0] == {"traceId": TRACE, "spanId": SPAN, "attributes": {}}


@pytest.mark.parametrize("ids", [{"trace_id": b""}, {"span_id": bytes(8)}, {"trace_id": b"1" * 15}])
def test_a_span_without_valid_ids_is_rejected_and_the_others_are_kept(ids):
    request, _ = one_span(**ids)
    other, _ = one_span()
    request.MergeFrom(other)
    taken = read(Signal.TRACES, request)
    assert (len(taken.spans), taken.rejected) == (1, 1)
    assert "id" in taken.reason


def test_a_span_that_ends_before_it_begins_has_no_duration():
    request, _ = one_span(end_time_unix_nano=5)
    assert read(Signal.TRACES, request).spans[0].duration_ns == 0


def test_more_records_than_are_taken_are_counted():
    request, _ = one_span()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    request.resource_spans[0].scope_spans[0].spans.extend([span] * MAX_RECORDS)
    taken = read(Signal.TRACES, request)
    assert (len(taken.spans), taken.rejected) == (MAX_RECORDS, 1)


# -- metrics


def test_points_of_every_kind_are_kept():
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    counter = metrics.add(name="c", unit="1", description="how many")
    counter.sum.is_monotonic, counter.sum.aggregation_temporality = True, 1
    counter.sum.data_points.add(time_unix_nano=NOW_NS, as_int=3, start_time_unix_nano=NOW_NS - 9)
    metrics.add(name="u").sum.data_points.add(as_int=-1)
    metrics.add(name="g").gauge.data_points.add(as_double=float("nan"))
    metrics.add(name="e").gauge.data_points.add()
    histogram = metrics.add(name="h").histogram.data_points.add(count=2, sum=0.5)
    histogram.explicit_bounds.append(1.0)
    histogram.bucket_counts.extend([2, 0])
    metrics.add(name="x").exponential_histogram.data_points.add(count=1, sum=2.0)
    metrics.add(name="s").summary.data_points.add(count=2**63, sum=2.0)
    metrics.add(name="nothing")
    points = {point.name: point for point in read(Signal.METRICS, request).points}
    assert (points["c"].type, points["c"].value, points["c"].delta) == ("counter", 3, True)
    assert points["c"].start_ns == NOW_NS - 9
    assert (points["u"].type, points["u"].value) == ("upDownCounter", -1)
    assert points["g"].value is None
    assert points["e"].value is None
    assert (points["h"].count, points["h"].value) == (2, 0.5)
    assert (points["h"].bounds, points["h"].counts) == ([1.0], [2, 0])
    assert points["x"].type == "histogram"
    assert points["s"].count == 2**53
    assert "nothing" not in points


@pytest.mark.parametrize(
    ("bounds", "counts", "kept"),
    [
        ([], [1], ([], [1])),
        ([], [], ([], [])),
        ([1.0], [1, 2, 3, 4], ([], [])),
        ([1.0, 2.0], [1], ([], [])),
        ([float("inf")], [1, 2], ([], [])),
        ([float("nan")], [1, 2], ([], [])),
    ],
)
def test_buckets_that_do_not_fit_their_bounds_are_not_kept(bounds, counts, kept):
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
    metric.histogram.data_points.add(explicit_bounds=bounds, bucket_counts=counts)
    [point] = read(Signal.METRICS, request).points
    assert (point.bounds, point.counts) == kept


def test_texts_of_a_metric_are_cut_and_shared():
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(unit="u" * 1000)
    metric.name = "n" * 100_000
    metric.gauge.data_points.add()
    metric.gauge.data_points.add()
    first, second = read(Signal.METRICS, request).points
    assert first.unit == "u" * 63
    assert len(first.name) < 70_000
    assert first.name is second.name


def test_more_points_than_are_taken_are_counted():
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="g")
    for _ in range(MAX_RECORDS + 2):
        metric.gauge.data_points.add()
    taken = read(Signal.METRICS, request)
    assert (len(taken.points), taken.rejected) == (MAX_RECORDS, 2)


def test_lines_of_one_sender_share_its_resource():
    request, record = one_log()
    scoped = request.resource_logs[0].scope_logs[0]
    scoped.scope.name = "scope"
    scoped.log_records.append(record)
    first, second = read(Signal.LOGS, request).logs
    assert first.resource is second.resource
    assert first.resource == {"service.name": "app", "otel.scope.name": "scope"}


def test_a_service_name_in_a_span_is_bounded():
    request, _ = one_span()
    request.resource_spans[0].resource.attributes[0].value.string_value = "s" * 1000
    assert read(Signal.TRACES, request).spans[0].service == "s" * 255


# -- encodings


def test_json_has_hexadecimal_ids():
    body = {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": TRACE.upper(),
                                "spanId": SPAN,
                                "name": "work",
                                "kind": 2,
                                "startTimeUnixNano": str(NOW_NS - 10),
                                "endTimeUnixNano": str(NOW_NS),
                                "unknownField": 1,
                            },
                            {"traceId": "not hexadecimal", "spanId": SPAN, "name": "bad"},
                        ]
                    }
                ]
            }
        ]
    }
    taken = read(Signal.TRACES, json.dumps(body).encode(), kind=JSON)
    assert [(s.trace_id, s.span_id, s.kind) for s in taken.spans] == [(TRACE, SPAN, "server")]
    assert taken.rejected == 1


def test_gzip_is_read():
    request, _ = one_span()
    body = gzip.compress(request.SerializeToString())
    assert len(read(Signal.TRACES, body, encoding="GZIP").spans) == 1


@pytest.mark.parametrize(
    ("body", "encoding", "kind", "status"),
    [
        pytest.param(b"\xff\xff\xff", "", PROTOBUF, 400, id="no protobuf"),
        pytest.param(b"{", "", JSON, 400, id="no JSON"),
        pytest.param(b"[]", "", JSON, 400, id="a list"),
        pytest.param(b'"text"', "", JSON, 400, id="a text"),
        pytest.param(b'{"resourceSpans": 5}', "", JSON, 400, id="a number for a list"),
        pytest.param(
            b'{"resourceSpans": [{"scopeSpans": "a"}]}', "", JSON, 400, id="a text inside"
        ),
        pytest.param(b'{"resourceSpans": [{"\\ud800": 1}]}', "", JSON, 400, id="lone surrogate"),
        pytest.param(b'{"resourceSpans":' * 3000, "", JSON, 400, id="endless"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, "", JSON, 400, id="deep"),
        pytest.param(b"plain", "gzip", PROTOBUF, 400, id="no gzip"),
        pytest.param(gzip.compress(b"abc" * 100)[:-9], "gzip", PROTOBUF, 400, id="cut gzip"),
        pytest.param(zlib.compress(b"abc"), "deflate", PROTOBUF, 415, id="deflate"),
        pytest.param(b"", "br", PROTOBUF, 415, id="brotli"),
        pytest.param(gzip.compress(bytes(20_000_000)), "gzip", PROTOBUF, 413, id="a bomb"),
        pytest.param(b" " * 2_100_000, "", JSON, 413, id="large JSON"),
        pytest.param(gzip.compress(b" " * 2_100_000), "gzip", JSON, 413, id="large packed JSON"),
    ],
)
def test_what_cannot_be_read_is_refused(body, encoding, kind, status):
    with pytest.raises(OtlpError) as caught:
        read(Signal.TRACES, body, encoding=encoding, kind=kind)
    assert caught.value.status == status
    assert str(caught.value)


def test_a_sender_of_too_much_json_is_told_of_protobuf():
    with pytest.raises(OtlpError, match="send protobuf, or smaller batches"):
        read(Signal.LOGS, b" " * 2_100_000, kind=JSON)
    assert otlp.inflate(b" " * 2_100_000, "", kind=PROTOBUF)


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize(("body", "kind"), [(b"", PROTOBUF), (b"", JSON), (b"{}", JSON)])
def test_an_empty_request_is_fine(signal, body, kind):
    taken = read(signal, body, kind=kind)
    assert (taken.logs, taken.spans, taken.points, taken.rejected) == ([], [], [], 0)


# -- answers


@pytest.mark.parametrize(
    ("signal", "cls", "field"),
    [
        (Signal.LOGS, ExportLogsServiceResponse, "rejected_log_records"),
        (Signal.TRACES, ExportTraceServiceResponse, "rejected_spans"),
        (Signal.METRICS, ExportMetricsServiceResponse, "rejected_data_points"),
    ],
)
def test_a_partial_success_says_how_much_was_rejected_and_why(signal, cls, field):
    told = cls.FromString(otlp.answer(signal, rejected=3, reason="why", kind=PROTOBUF))
    assert getattr(told.partial_success, field) == 3
    assert told.partial_success.error_message == "why"
    as_json = json.loads(otlp.answer(signal, rejected=3, reason="why", kind=JSON))
    assert as_json["partialSuccess"]["errorMessage"] == "why"


def test_a_whole_success_is_empty():
    assert otlp.answer(Signal.LOGS, rejected=0, reason="", kind=PROTOBUF) == b""
    assert otlp.answer(Signal.LOGS, rejected=0, reason="", kind=JSON) == b"{}"


@pytest.mark.parametrize("text", ["short", "a" * 500, "ü" * 20_000])
def test_errors_are_status_messages(text):
    # Field 2 of google.rpc.Status is its message; field 2 of this one is a text as well.
    raw = otlp.error(text, kind=PROTOBUF)
    assert FileDescriptorProto.FromString(raw).package == text
    assert json.loads(otlp.error(text, kind=JSON)) == {"message": text}
