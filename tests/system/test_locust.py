"""Load tests with locust against a running installation: what they say is what happened."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tree import ROOT
from tests.system.conftest import DEADLINE_S, Up, clean_environ, installation, wait_until
from tests.system.service import api, deploy, ready_count, scaling, wait_state, workload
from tests.system.soak import metric

LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests/locustfile.py")]
SETTINGS = ["gateway.server_timing=true", "gateway.access_log=off"]
QUICK = {"SAMPLE_SERVICE_S": "0.005", "SAMPLE_TOKEN_S": "0.005"}
NOWHERE = ["--host", "http://127.0.0.1:1"]
TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:17:{second:02}.{tenth}000000,{100 * tenth + 1},{tenth + 1}\n"
    for second in range(10)
    for tenth in range(4)
)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


@pytest.fixture(scope="module")
def ready(up: Up) -> str:
    """A workload with one replica that is there."""
    workload_id = deploy(up, "ready", group={"replicaCount": 1}, **QUICK)
    wait_until(lambda: ready_count(up, workload_id) == 1, what="a ready replica")
    return workload_id


def invoke_url(up: Up, workload_id: str) -> str:
    return str(workload(up, workload_id)["endpoint"])


@dataclass
class Done:
    """A load test that has ended."""

    code: int
    output: str
    results: dict[str, Any]
    """Our numbers."""
    stats: list[dict[str, Any]]
    """locust's own."""
    page: str

    @property
    def verdict(self) -> str:
        found = re.search(r'<p class="verdict \w+">([^<]*)</p>', self.page)
        assert found is not None
        return found[1]

    def count(self, kind: str) -> int:
        """How many of a type of request, or of its parts, ended."""
        return sum(row["count"] for row in self.results["requests"] if row["type"] == kind)


def load_test(directory: Path, *words: str, environ: dict[str, str]) -> Done:
    """Run locust until it ends."""
    started = start(directory, *words, environ=environ)
    output, _ = started.communicate(timeout=DEADLINE_S)
    return ended(directory, started.returncode, output)


def start(directory: Path, *words: str, environ: dict[str, str]) -> "subprocess.Popen[str]":
    saved = ["--results", str(directory / "results"), "--json-file", str(directory / "stats")]
    return subprocess.Popen(
        [*LOCUST, "--headless", "--only-summary", *saved, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environ(**environ),
        cwd=directory,  # it finds its modules wherever it is started
    )


def ended(directory: Path, code: int, output: str) -> Done:
    stats, results = directory / "stats.json", directory / "results"
    assert stats.exists(), output
    return Done(
        code=code,
        output=output,
        results=json.loads((results / "results.json").read_text()),
        stats=json.loads(stats.read_text()),
        page=(results / "index.html").read_text(),
    )


def known(up: Up) -> dict[str, str]:
    """The environment of somebody who pasted the line that `tidegate up` prints."""
    return {"TIDEGATE_TOKEN": up.token, "TIDEGATE_API_URL": up.api_url}


def check_numbers(done: Done, *, cut: int = 0) -> None:
    """The page has the numbers that locust has; an interrupt cuts at most so many requests."""
    assert {(row["type"], row["name"]): (row["count"], row["failed"]) for row in
            done.results["requests"]} == {
        (entry["method"], entry["name"]): (entry["num_requests"], entry["num_failures"])
        for entry in done.stats
    }  # fmt: skip
    by_second = sum(second["ended"] for second in done.results["seconds"])
    assert by_second == done.results["ended"]
    assert done.results["started"] - by_second == done.results["unfinished"] <= cut


@pytest.mark.parametrize(
    ("user", "kinds"),
    [
        ("JsonUser", {"POST"}),
        ("StreamUser", {"GET", "FIRST", "GAP"}),
        ("WebSocketUser", {"WS", "OPEN", "ECHO"}),
        ("MixedUser", {"POST", "GET", "FIRST", "GAP", "WS", "OPEN", "ECHO"}),
    ],
)
def test_every_kind_of_user_is_answered_and_counted(
    up: Up, ready: str, tmp_path: Path, user: str, kinds: set[str]
) -> None:
    before = metric(up, "gateway_requests_started_total", ready)
    words = [user, "--host", invoke_url(up, ready), "--users", "4", "--run-time", "3"]
    done = load_test(tmp_path, *words, "--mix", "json=2,stream=1,websocket=1", environ=known(up))
    assert done.code == 0, done.output
    check_numbers(done)
    assert {row["type"] for row in done.results["requests"]} == kinds
    assert done.results["failed"] == 0
    assert done.verdict.startswith("Finished after ")
    assert metric(up, "gateway_requests_started_total", ready) - before == done.results["started"]
    assert done.count("FIRST") == done.count("GET")
    # 64 tokens and the end mark; 10 messages.
    assert done.count("GAP") == 64 * done.count("GET")
    assert done.count("OPEN") * 10 == done.count("ECHO") == 10 * done.count("WS")
    assert {sample["ready"] for sample in done.results["replicas"]} == {1}


def test_a_replayed_trace_sends_every_request_once_with_its_lengths(
    up: Up, ready: str, tmp_path: Path
) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    shape = ["--shape", "replay", "--trace", "trace.csv", "--trace-speed", "4"]
    host = ["--host", invoke_url(up, ready)]
    done = load_test(tmp_path, "StreamUser", *host, *shape, environ=known(up))
    check_numbers(done)
    assert done.code == 0, done.output
    assert done.results["started"] == 40
    # The first piece of each, and the end mark after the last token.
    assert done.count("GAP") == sum(tenth + 1 for tenth in range(4)) * 10
    assert done.results["lateness_ms"]["max"] is not None
    assert done.results["length_s"] >= 9.3 / 4
    assert "Open loop" in done.page


def test_a_constant_rate_is_sent_whatever_the_answers_are(up: Up, tmp_path: Path) -> None:
    workload_id = deploy(up, "stopped", group={"replicaCount": 1}, **QUICK)
    url = invoke_url(up, workload_id)
    api(up, "POST", f"/workloads/{workload_id}/stop", code=202)
    wait_state(up, workload_id, "stopped")
    words = ["JsonUser", "--host", url, "--shape", "rate", "--rate", "20", "--run-time", "3"]
    done = load_test(tmp_path, *words, "--token", up.token, environ={})
    check_numbers(done)
    assert done.code == 1
    assert done.results["errors"] == {"503 workload_stopped": 60}
    assert done.results["started"] == 60
    assert "60 of 60 requests failed." in done.verdict
    assert "503 workload_stopped" in done.page
    assert up.token not in done.page + json.dumps(done.results)


def test_waiting_for_a_free_user_is_part_of_a_requests_time(
    up: Up, ready: str, tmp_path: Path
) -> None:
    # One user, 40 requests due within 2 s, each of which takes at least 20 times 5 ms: the last is
    # due at 1.95 s and sent after 39 others.
    words = ["StreamUser", "--host", invoke_url(up, ready), "--stream-path", "/stream?tokens=20"]
    words += ["--shape", "rate", "--rate", "20", "--users", "1", "--run-time", "2"]
    done = load_test(tmp_path, *words, environ=known(up))
    check_numbers(done)
    assert done.results["started"] == 40
    assert done.results["lateness_ms"]["max"] >= 3_900 - 1_950
    (whole,) = (row for row in done.results["requests"] if row["type"] == "GET")
    assert whole["ms"]["max"] >= 4_000 - 1_950
    (first,) = (row for row in done.results["requests"] if row["type"] == "FIRST")
    assert first["ms"]["max"] >= 3_900 - 1_950


def test_cold_starts_are_seen(up: Up, tmp_path: Path) -> None:
    workload_id = deploy(up, "cold", group=scaling(0, 1), SAMPLE_STARTUP_S="0.5", **QUICK)
    wait_state(up, workload_id, "suspended")
    words = ["JsonUser", "--host", invoke_url(up, workload_id), "--users", "3", "--run-time", "4"]
    done = load_test(tmp_path, *words, environ=known(up))
    check_numbers(done)
    assert done.results["cold_starts"] == 3
    assert done.results["failed"] == 0
    assert "held for a cold start" in done.page


def test_an_interrupted_run_writes_its_page_and_says_so(up: Up, ready: str, tmp_path: Path) -> None:
    words = ["JsonUser", "--host", invoke_url(up, ready), "--users", "2", "--run-time", "600"]
    before = metric(up, "gateway_requests_started_total", ready)
    started = start(tmp_path, *words, environ=known(up))
    wait_until(
        lambda: metric(up, "gateway_requests_started_total", ready) > before + 10, what="requests"
    )
    started.send_signal(signal.SIGINT)
    try:
        output, _ = started.communicate(timeout=DEADLINE_S)
    finally:
        started.kill()  # whatever has become of it
    done = ended(tmp_path, started.returncode, output)
    check_numbers(done, cut=2)  # one of each user
    assert re.match(r"Interrupted after \d+ of 600 s", done.verdict)


def test_a_killed_run_leaves_a_page_that_says_what_was_known(
    up: Up, ready: str, tmp_path: Path
) -> None:
    words = ["JsonUser", "--host", invoke_url(up, ready), "--users", "2", "--run-time", "600"]
    started = start(tmp_path, *words, environ=known(up))
    page = tmp_path / "results" / "index.html"
    wait_until(page.exists, what="a page")
    started.kill()
    started.communicate(timeout=DEADLINE_S)
    assert "Running, " in page.read_text()
    assert json.loads((page.parent / "results.json").read_text())["ended"] > 0


def test_after_a_login_a_name_is_enough(up: Up, ready: str, tmp_path: Path) -> None:
    home = str(tmp_path / "config")
    up.cli("login", "--url", up.api_url, "--token", up.token, XDG_CONFIG_HOME=home)
    assert workload(up, ready)["name"] == "ready"
    words = ["JsonUser", "--workload", "ready", "--run-time", "2"]
    done = load_test(tmp_path, *words, environ={"XDG_CONFIG_HOME": home})
    assert done.code == 0, done.output
    check_numbers(done)
    assert done.results["url"] == invoke_url(up, ready).rstrip("/")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--shape", "replay"], "error: --shape replay and --trace FILE belong together"),
        (["--shape", "replay", "--trace", "none.csv", *NOWHERE], "error: none.csv: cannot be read"),
        (["--workload", "nobody"], "error: --workload nobody: no workload is called 'nobody'"),
        ([], "error: no URL: give --host INVOKE_URL or --workload NAME"),
        (["--master"], "error: one process only"),
    ],
)
def test_what_cannot_be_is_refused_before_a_request_is_sent(
    up: Up, tmp_path: Path, words: list[str], says: str
) -> None:
    started = start(tmp_path, *words, environ=known(up))
    output, _ = started.communicate(timeout=DEADLINE_S)
    assert started.returncode == 2
    assert says in output
    assert "Traceback" not in output
