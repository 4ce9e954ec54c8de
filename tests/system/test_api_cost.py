import json
import subprocess
import sys

import pytest

from loadtests.api.calls import CALLS
from tests.architecture.tree import ROOT

pytestmark = pytest.mark.xdist_group("system")


@pytest.mark.slow
def test_what_the_api_costs_is_measured_by_the_number_of_workloads(tmp_path):
    file = tmp_path / "result.json"
    told = subprocess.run(
        [
            *(sys.executable, "-m", "loadtests.api", "--workloads", "150"),
            *("--seconds", "0.05", "--json", str(file)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    result = json.loads(file.read_text())
    assert [size["workloads"] for size in result["sizes"]] == [100, 150]
    for size in result["sizes"]:
        assert set(size["calls"]) == {call.name for call in CALLS}
        assert all(found["count"] > 0 and found["cpu_ms"] > 0 for found in size["calls"].values())
        assert size["rss_bytes"] > 0
        assert size["start_s"] > 0
    assert "get one" in told.stdout
