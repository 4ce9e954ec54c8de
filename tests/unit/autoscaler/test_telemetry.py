"""Metrics of decisions, and the answers of the admin port."""

import json

import pytest

from autoscaler.telemetry import AdminServer, Telemetry
from controlplane.model.decisions import Decision, Reason


def decided(
    telemetry: Telemetry, replicas: int, before: int, now_s: float, reason=Reason.ON_TARGET
):
    decision = Decision(
        id="",
        at=0.0,
        workload_id="w",
        proton_id="p",
        replicas=replicas,
        previous_replicas=before,
        reason=reason,
    )
    telemetry.decided(decision, ready=before, now_s=now_s)


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(flap_window_s=60.0)


def test_desired_replicas_carry_the_present_reason_only(telemetry):
    decided(telemetry, 3, 1, 0.0, Reason.PANIC)
    decided(telemetry, 3, 3, 1.0)
    ids = {"workload_id": "w", "proton_id": "p"}
    assert value(telemetry, "autoscaler_desired_replicas", **ids, reason="on_target") == 3
    assert value(telemetry, "autoscaler_desired_replicas", **ids, reason="panic") is None
    assert value(telemetry, "autoscaler_ready_replicas", **ids) == 3


def test_only_changes_count_as_decisions(telemetry):
    decided(telemetry, 3, 1, 0.0)
    decided(telemetry, 3, 3, 1.0)
    assert value(telemetry, "autoscaler_decisions_total", reason="on_target") == 1


def test_a_change_of_direction_within_the_window_is_a_flap(telemetry):
    ids = {"workload_id": "w", "proton_id": "p"}
    decided(telemetry, 3, 1, 0.0)
    decided(telemetry, 5, 3, 10.0)
    assert value(telemetry, "autoscaler_flaps_total", **ids) is None
    decided(telemetry, 4, 5, 20.0)
    assert value(telemetry, "autoscaler_flaps_total", **ids) == 1
    decided(telemetry, 5, 4, 100.0)
    assert value(telemetry, "autoscaler_flaps_total", **ids) == 1


def test_a_gone_proton_leaves_no_series(telemetry):
    decided(telemetry, 3, 1, 0.0)
    telemetry.forget("w", "p")
    telemetry.forget("w", "p")
    assert b'proton_id="p"' not in AdminServer(telemetry, dict).answer("/metrics")[2]


def test_livez_answers_whatever_the_checks_say(telemetry):
    server = AdminServer(telemetry, lambda: {"decides": False})
    assert server.answer("/livez")[0] == "200 OK"


def test_readyz_names_every_check(telemetry):
    checks = {"decides": True}
    server = AdminServer(telemetry, lambda: checks)
    assert server.answer("/readyz")[0] == "200 OK"
    checks["leader_known"] = False
    status, kind, body = server.answer("/readyz")
    assert status == "503 Service Unavailable"
    assert kind == "application/json"
    assert json.loads(body) == checks


def test_metrics_are_prometheus_text(telemetry):
    decided(telemetry, 3, 1, 0.0)
    status, kind, body = AdminServer(telemetry, dict).answer("/metrics")
    assert status == "200 OK"
    assert kind.startswith("text/plain; version=0.0.4")
    assert b"autoscaler_desired_replicas{" in body
    assert b"process_cpu_seconds_total" in body


def test_other_paths_are_unknown(telemetry):
    assert AdminServer(telemetry, dict).answer("/")[0] == "404 Not Found"
