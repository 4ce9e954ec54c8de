import json
import subprocess
import sys

import pytest

from tests.architecture.tree import ROOT
from tests.fakes.tools import require_tool

pytestmark = pytest.mark.xdist_group("system")


def _run(*arguments):
    require_tool("wrk", "apt-get install wrk")
    told = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.mark.slow
def test_overhead_measures_us_and_the_peers_without_one_error(tmp_path):
    file = tmp_path / "result.json"
    told = _run(
        *("loadtests.overhead", "--rounds", "1", "--seconds", "1", "--json", str(file)),
        *("--cases", "json-64,websocket", "--peers", "nginx,haproxy"),
    )
    result = json.loads(file.read_text())
    assert {"machine", "versions", "cases", "ratio"} <= set(result)
    main, websocket = result["cases"]
    assert (main["name"], websocket["name"]) == ("json-64", "websocket")
    measured = {found["name"]: found for found in main["results"]}
    assert {"tidegate", "nginx"} <= set(measured)
    assert all(r["count"] > 0 and r["cpu_us"]["median"] > 0 for r in measured.values())
    assert set(result["ratio"]) == set(measured) - {"tidegate"}
    assert all(isinstance(value, float) for value in result["ratio"].values())
    assert {"tidegate", "nginx", "python"} <= set(result["versions"])
    assert set(result["missing"]) == {"nginx", "haproxy"} - set(measured)
    assert "CPU per request against nginx" in told


def test_the_cost_of_workloads_is_measured_by_their_number(tmp_path):
    file = tmp_path / "result.json"
    _run(
        *("loadtests.overhead.routes", "--rounds", "1", "--seconds", "1", "--json", str(file)),
        *("--sizes", "10,1500"),
    )
    result = json.loads(file.read_text())
    assert [size["workloads"] for size in result["sizes"]] == [10, 1500]
    assert all(size["cpu_us"]["median"] > 0 for size in result["sizes"])
    assert all(size["rss_bytes"] > 0 and size["start_s"] > 0 for size in result["sizes"])
