import json
import subprocess
import sys

import pytest

from tests.architecture.tree import ROOT
from tests.fakes.tools import require_tool


@pytest.mark.xdist_group("system")
def test_overhead_measures_us_and_every_peer_without_one_error(tmp_path):
    require_tool("wrk", "apt-get install wrk")
    result_file = tmp_path / "result.json"
    told = subprocess.run(
        [
            *(sys.executable, "-m", "loadtests.overhead"),
            *("--rounds", "1", "--seconds", "1", "--json", str(result_file)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    result = json.loads(result_file.read_text())
    measured = {case["name"]: case for case in result["cases"]}
    assert {"tidegate", "nginx"} <= set(measured)
    assert set(result["ratio"]) == set(measured) - {"tidegate"}
    assert all(case["requests"] > 0 and case["cpu_us"]["median"] > 0 for case in measured.values())
