"""`tidegate demo` from its start to its exit code."""

import json
import re
import subprocess
from pathlib import Path

from tests.system.conftest import COMMAND, clean_environ, processes_of, run_cli


def test_the_demo_shows_zero_to_many_to_zero_without_a_failed_request(tmp_path):
    summary_file = tmp_path / "summary.json"
    done = subprocess.run(
        [*COMMAND, "demo", "--seconds", "25", "--json", str(summary_file), "--out",
         str(tmp_path / "out")],
        capture_output=True, text=True, env=clean_environ(), timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(summary_file.read_text())
    assert summary["ok"]
    assert summary["failed"] == 0
    assert summary["requests"] == summary["started"] == summary["finished"]
    assert summary["max_ready_replicas"] >= 3
    assert summary["final_replicas"] == 0
    assert summary["cold_start_s"] > 1.0
    assert summary["decisions"] > 3
    assert 0 < summary["p50_ms"] <= summary["p95_ms"]
    assert (tmp_path / "out" / "timeline.png").read_bytes().startswith(b"\x89PNG")
    html = (tmp_path / "out" / "timeline.html").read_text()
    assert "Every request was answered" in html
    # Where it lived is removed, and nothing of it runs any more.
    found = re.search(r"an installation in (\S+):", done.stdout)
    assert found
    assert not Path(found[1]).exists()
    assert processes_of(Path(found[1])) == []


def test_lengths_outside_the_bounds_are_refused():
    assert run_cli("demo", "--seconds", "10").returncode == 2
    assert run_cli("demo", "--seconds", "91").returncode == 2
