from controlplane.telemetry import rows
from controlplane.telemetry.records import LogRecord, MetricPoint, SpanRecord

LIMIT = 10**9


def span(**fields):
    told = {"trace_id": "t", "span_id": "s", "name": "n", "kind": "server", "service": "app"}
    return SpanRecord(**(told | {"start_ns": 1, "duration_ns": 1, "status": "ok"} | fields))


def size_of(*, logs=(), spans=(), points=(), limit=LIMIT):
    return rows.size_of(logs, spans, points, limit=limit)


def test_every_text_of_a_row_counts():
    plain = MetricPoint(time_ns=1, name="n", type="gauge")
    unit = MetricPoint(time_ns=1, name="n", type="gauge", unit="u" * 50)
    assert size_of(points=[unit]) - size_of(points=[plain]) == 50
    assert size_of(spans=[span(status_message="m" * 70)]) - size_of(spans=[span()]) == 70
    assert size_of(spans=[span(service="a" * 53)]) - size_of(spans=[span()]) == 50


def test_a_resource_counts_for_every_record_and_is_encoded_once(monkeypatch):
    encoded = []
    plain = rows.to_json
    monkeypatch.setattr(rows, "to_json", lambda value: encoded.append(value) or plain(value))
    resource = {"long": "x" * 1000}
    logs = [LogRecord(time_ns=1, severity=9, message="a", resource=resource) for _ in range(50)]
    assert size_of(logs=logs) > 50 * 1000
    assert sum(value is resource for value in encoded) == 1


def test_counting_ends_above_the_limit():
    def endless():
        while True:
            yield LogRecord(time_ns=1, severity=9, message="a" * 100)

    assert 10_000 < size_of(logs=endless(), limit=10_000) < 11_000
