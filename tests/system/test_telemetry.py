"""A real application with OpenTelemetry's own SDK behind a real gateway."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.system.conftest import COMMAND, Up, clean_environ, installation, wait_until

SERVICE = Path(__file__).with_name("instrumented.py")
PARENT = "00f067aa0ba902b7"
SETTINGS = ["autoscaler.tick_s=0.2", "up.workers=1"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def create(up: Up, name: str) -> dict[str, Any]:
    """A workload of the instrumented service, ready."""
    done = up.cli_here(
        "workload", "create", "--name", name, "--min", "1", "--max", "1", "--wait", "--json",
        "--entrypoint", f"{sys.executable} {SERVICE}", "--readiness", "/healthz",
    )  # fmt: skip
    created: dict[str, Any] = json.loads(done.stdout)
    return created


class Reader:
    """The API as somebody who looks at a workload's telemetry."""

    def __init__(self, up: Up, workload_id: str) -> None:
        self._http = httpx2.Client(
            base_url=f"{up.api_url}/api/v2/otel/workload/{workload_id}/",
            headers={"Authorization": f"Bearer {up.token}"},
            timeout=60,
        )

    def get(self, path: str, **query: str) -> Any:
        answer = self._http.get(path, params=query)
        return answer.json() if answer.status_code == 200 else None

    def lines(self, **query: str) -> dict[str, dict[str, Any]]:
        """Log lines by their message."""
        page = self.get("logs/", **query)
        return {line["message"]: line for line in page["data"]}

    def close(self) -> None:
        self._http.close()


def invoke(up: Up, workload: dict[str, Any], path: str, trace: str) -> int:
    headers = {
        "Authorization": f"Bearer {up.token}",
        "traceparent": f"00-{trace}-{PARENT}-01",
    }
    return httpx2.get(f"{workload['endpoint']}{path}", headers=headers, timeout=60).status_code


def test_one_trace_joins_client_gateway_application_and_logs(up):
    workload = create(up, "traced")
    reader = Reader(up, workload["id"])
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert invoke(up, workload, "predict", trace) == 200

    found = wait_until(
        lambda: (t := reader.get(f"traces/{trace}/")) and len(t["spans"]) == 2 and t,
        what="a trace of two spans",
    )
    gateway, application = found["spans"]
    assert gateway["parentSpanId"] == PARENT
    assert gateway["serviceName"] == "tidegate-gateway"
    assert application["parentSpanId"] == gateway["spanId"]
    assert application["serviceName"] == f"workload-{workload['id']}"
    assert application["resource"]["attributes"]["workload_id"] == workload["id"]
    assert gateway["duration"] >= application["duration"] > 0
    assert gateway["attributes"]["http.response.status_code"] == 200

    joined = {"by OTLP": "warning", "by JSON": "error"}
    lines = wait_until(
        lambda: (found := reader.lines(traceId=trace)).keys() >= joined.keys() and found,
        what="lines of the trace",
    )
    assert {message: line["level"] for message, line in lines.items()} == joined
    assert {line["spanId"] for line in lines.values()} == {application["spanId"]}
    assert lines["by JSON"]["attributes"] == {"user": 7}

    everything = wait_until(
        lambda: (found := reader.lines()).keys() >= {"by text"} and found, what="plain lines"
    )
    assert everything["by text"]["level"] == "info"
    assert everything["WARNING: about to listen"]["level"] == "warning"
    replica = everything["by text"]["resource"]["replica_id"]
    assert replica == application["resource"]["attributes"]["replica_id"]
    proton = application["resource"]["attributes"]["proton_id"]
    narrowed = reader.lines(searchKeys="proton_id", searchValues=proton, includes="by")
    assert narrowed.keys() == {"by OTLP", "by JSON", "by text"}

    values = wait_until(
        lambda: (v := reader.get("metrics/values/")) and v["metricAggregations"] and v,
        what="a metric",
    )
    assert [(v["otelName"], v["aggregatedValue"]) for v in values["metricAggregations"]] == [
        ("served", 1)
    ]
    platform = {v["otelName"]: v for v in reader.get("metrics/autocollectedValues/")["data"]}
    assert platform["replicas.ready"]["currentValue"] == 1
    assert platform["memory.usage"]["currentValue"] > 0
    wait_until(
        lambda: (
            {
                v["otelName"]: v["currentValue"]
                for v in reader.get("metrics/autocollectedValues/")["data"]
            }["requests.total"]
            == 1
        ),
        what="the request is counted",
    )
    reader.close()

    # The same from the command line.
    shown = up.cli_here("traces", "traced", trace).stdout
    assert "work (workload-" in shown
    assert "by JSON" in shown
    assert trace in up.cli_here("traces", "traced").stdout
    assert "by JSON" in up.cli_here("logs", "traced", "--level", "error").stdout
    assert "by OTLP" not in up.cli_here("logs", "traced", "--level", "error").stdout
    assert "by OTLP" in up.cli_here("logs", "traced", "--trace", trace, "--since", "5m").stdout
    [line] = up.cli_here("logs", "traced", "--search", "by text", "--json").stdout.splitlines()
    assert json.loads(line)["resource"]["replica_id"] == replica
    local = up.cli_here("logs", "traced", "--local").stdout
    assert "by text" in local
    assert "by OTLP" not in local


def test_a_failing_request_is_an_error_in_the_trace(up):
    workload = create(up, "failing")
    reader = Reader(up, workload["id"])
    trace = "5bf92f3577b34da6a3ce929d0e0e4737"
    assert invoke(up, workload, "fail", trace) == 500
    found = wait_until(
        lambda: (t := reader.get(f"traces/{trace}/")) and len(t["spans"]) == 2 and t,
        what="a trace of two spans",
    )
    assert found["errorSpansCount"] == 2
    application = found["spans"][1]
    assert application["statusCode"] == "error"
    assert application["events"][0]["attributes"]["exception.type"] == "ValueError"
    assert "this is what failed" in application["statusMessage"]
    [listed] = reader.get("traces/", status="error")["data"]
    assert listed["errorSpansCount"] == 2
    reader.close()


@pytest.mark.parametrize("name", ["api", "gateway-0"])
def test_telemetry_survives_the_death_of_a_process(up, name):
    workload = create(up, f"lasting-{name}")
    reader = Reader(up, workload["id"])
    trace = "6bf92f3577b34da6a3ce929d0e0e4738"
    assert invoke(up, workload, "a", trace) == 200
    wait_until(
        lambda: reader.lines().keys() >= {"by text", "by OTLP", "by JSON"}, what="first lines"
    )
    before = up.pids[name]
    up.kill(name)
    wait_until(lambda: up.pids.get(name) not in {None, before}, what=f"{name} is back")

    def again() -> bool:
        try:
            return invoke(up, workload, "b", trace[::-1]) == 200
        except httpx2.HTTPError:
            return False

    wait_until(again, what="it serves again")

    def texts() -> int:
        try:
            page = reader.get("logs/", includes="by text", limit="1000")
        except httpx2.HTTPError:
            return 0
        return len(page["data"]) if page else 0

    wait_until(lambda: texts() >= 2, what="lines of both requests")
    page = reader.get("logs/", includes="about to listen")
    assert len(page["data"]) == 1, "no line is read twice"
    assert reader.get(f"traces/{trace}/") is not None
    reader.close()


def test_logs_follow_new_lines_through_the_api(up):
    workload = create(up, "chatty")
    environ = {"TIDEGATE_API_URL": up.api_url, "TIDEGATE_TOKEN": up.token}
    process = subprocess.Popen(
        [*COMMAND, "logs", "chatty", "-f", "--level", "error"],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environ(**environ),
    )
    assert process.stdout is not None
    with process.stdout as stream:
        assert invoke(up, workload, "a", "7bf92f3577b34da6a3ce929d0e0e4739") == 200
        line = stream.readline()
        assert "error" in line
        assert "by JSON" in line
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
