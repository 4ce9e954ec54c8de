import gzip
import json

import pytest

from controlplane.model.sections import TelemetrySettings
from controlplane.telemetry import intake as intake_module
from controlplane.telemetry.intake import Intake
from controlplane.telemetry.otlp import JSON, PROTOBUF, OtlpError, Signal

RATE = 1024 * 1024


class Kept:
    """An archive that only remembers."""

    def __init__(self):
        self.batches = []

    def submit(self, batch):
        self.batches.append(batch)
        return True


@pytest.fixture
def intake(monkeypatch):
    monkeypatch.setattr(intake_module.time, "monotonic", lambda: 100.0)
    return Intake(archive=Kept(), secret=b"", settings=TelemetrySettings(workload_bytes_per_s=RATE))


def spent(intake):
    return 10 * RATE - intake.rates.left("w", 100.0)


def take(intake, body, *, encoding="", kind=JSON):
    return intake.take(Signal.LOGS, "w", body, encoding=encoding, kind=kind)


def lines(count, resource_length):
    attribute = {"key": "k", "value": {"stringValue": "x" * resource_length}}
    records = [{"body": {"stringValue": "a"}}] * count
    group = {"resource": {"attributes": [attribute]}, "scopeLogs": [{"logRecords": records}]}
    return json.dumps({"resourceLogs": [group]}).encode()


def test_what_is_written_is_charged_where_it_is_more_than_what_came(intake):
    take(intake, gzip.compress(lines(100, 10_000)), encoding="gzip")
    [batch] = intake.archive.batches
    assert batch.size > 100 * 10_000
    assert spent(intake) == batch.size


def test_what_came_is_charged_inflated(intake):
    body = b'{"resourceLogs": []' + b" " * 100_000 + b"}"
    take(intake, gzip.compress(body), encoding="gzip")
    assert spent(intake) == intake.archive.batches[0].size == len(body)


def test_a_request_that_would_grow_too_large_is_refused(intake):
    body = lines(1000, 60_000)
    with pytest.raises(OtlpError, match="smaller batches") as caught:
        take(intake, body)
    assert caught.value.status == 413
    assert intake.archive.batches == []
    assert spent(intake) == len(body)


@pytest.mark.parametrize(
    ("body", "encoding", "kind", "charge"),
    [
        pytest.param(b"[" * 5000, "", JSON, 5000, id="no JSON"),
        pytest.param(gzip.compress(b"\xff" * 5000), "gzip", PROTOBUF, 5000, id="no protobuf"),
        pytest.param(b"x" * 5000, "gzip", PROTOBUF, 5000, id="no gzip"),
        pytest.param(b" " * (3 * RATE), "", JSON, 3 * RATE, id="large JSON"),
        pytest.param(gzip.compress(b" " * 3 * RATE), "gzip", JSON, 2 * RATE, id="packed JSON"),
    ],
)
def test_a_refused_body_is_charged(intake, body, encoding, kind, charge):
    with pytest.raises(OtlpError):
        take(intake, body, encoding=encoding, kind=kind)
    assert spent(intake) == charge


def test_who_spent_too_much_while_a_request_waited_is_refused_before_it_is_decoded(intake):
    intake.rates.spend("w", 11 * RATE, 100.0)
    with pytest.raises(OtlpError) as caught:
        take(intake, b"not even JSON")
    assert caught.value.status == 429
