"""Metrics of decisions, and the answers of the admin port."""

import json

import pytest

from autoscaler.admin import AdminServer
from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.steps import LoadView
from autoscaler.proton_metrics import PROTONS_SHOWN
from autoscaler.telemetry import Telemetry
from controlplane.model.decisions import Decision, Reason
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady

SCALING = Scaling(
    workload_id="w",
    proton_id="p",
    policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=10.0),),
    max_replicas=20,
)


def decided(
    telemetry: Telemetry,
    replicas: int,
    before: int,
    now_s: float,
    reason=Reason.ON_TARGET,
    *,
    load: LoadView | None = None,
    pending: int = 0,
    proton_id: str = "p",
):
    decision = Decision(
        id="",
        at=0.0,
        workload_id="w",
        proton_id=proton_id,
        replicas=replicas,
        previous_replicas=before,
        reason=reason,
    )
    observation = Observation(at=0.0, ready=before, pending=pending, load=load)
    telemetry.decided(decision, observation, SCALING, now_s=now_s)


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
    assert value(telemetry, "autoscaler_flaps_total", **ids) == 0
    decided(telemetry, 4, 5, 20.0)
    assert value(telemetry, "autoscaler_flaps_total", **ids) == 1
    decided(telemetry, 5, 4, 100.0)
    assert value(telemetry, "autoscaler_flaps_total", **ids) == 1


def test_the_numbers_of_a_proton_are_what_the_last_decision_saw(telemetry):
    ids = {"workload_id": "w", "proton_id": "p"}
    decided(telemetry, 5, 4, 0.0, load=steady(41.5, mean_panic=48), pending=1)
    shown = {
        name: value(telemetry, f"autoscaler_{name}", **ids)
        for name in ("granted_replicas", "pending_replicas", "load_stable", "load_panic")
    }
    assert shown == {
        "granted_replicas": 5, "pending_replicas": 1, "load_stable": 41.5, "load_panic": 48,
    }  # fmt: skip
    decided(telemetry, 5, 5, 1.0, Reason.NO_DATA)
    assert value(telemetry, "autoscaler_load_stable", **ids) is None


def test_time_with_too_few_and_too_many_replicas_is_counted(telemetry):
    ids = {"workload_id": "w", "proton_id": "p"}
    decided(telemetry, 5, 3, 0.0, load=steady(50))
    decided(telemetry, 5, 5, 10.0, load=steady(20))
    decided(telemetry, 5, 5, 14.0, load=steady(20))
    counted = [
        value(telemetry, f"autoscaler_{name}_seconds_total", **ids)
        for name in ("underprovisioned", "missing_replica", "overprovisioned", "wasted_replica")
    ]
    assert counted == [10, 20, 4, 12]


def test_of_too_many_protons_the_largest_are_shown(telemetry):
    for number in range(PROTONS_SHOWN + 3):
        decided(telemetry, number, number, 0.0, proton_id=f"p{number}")
    body = AdminServer(telemetry, dict).answer("/metrics")[2]
    assert value(telemetry, "autoscaler_protons_not_shown") == 3
    assert b'proton_id="p2"' not in body
    assert b'proton_id="p3"' in body


def test_a_gone_proton_leaves_no_series(telemetry):
    decided(telemetry, 3, 1, 0.0)
    telemetry.forget("p")
    telemetry.forget("p")
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
