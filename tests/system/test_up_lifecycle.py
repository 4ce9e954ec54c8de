"""`tidegate up` as a whole: start, refusal, restarts, kills, orderly stop."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import pytest

from tests.system.conftest import (
    COMMAND,
    clean_environ,
    processes_of,
    run_cli,
    start_up,
    wait_until,
)
from tests.system.service import api, call, client, replica_processes, tally

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "autoscaler.lease_ttl_s=2",
    "conductor.lease_ttl_s=2",
    "up.stop_timeout_s=600",
]


def get(url: str) -> int:
    """Status of a GET; 0 when nobody answers."""
    try:
        return httpx2.get(url, timeout=5).status_code
    except httpx2.HTTPError:
        return 0


class House:
    """A data directory and the installation on it: who ends it need not start another."""

    def __init__(self, data_dir, *settings, token=None):
        self.data_dir = data_dir
        self.token = token
        """What the first start tells."""
        self._settings = settings
        self._up = None

    def running(self):
        """The installation, all of it; a new one where there is none any more."""
        if self._up is None or self._up.process.poll() is not None:
            up = start_up(self.data_dir, settings=self._settings).wait_ready()
            assert (up.ready["token"] is None) == (self.token is not None)
            self.token = up.ready["token"] = self.token or up.token
            self._up = up
        return self._up

    def end(self):
        if self._up is not None:
            self._up.stop()
        for process in processes_of(self.data_dir):
            process.kill()


@pytest.fixture(scope="module")
def directories():
    """Makes directories with short paths: a Unix socket's name has 108 bytes."""
    with contextlib.ExitStack() as stack:
        yield lambda: Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True)
            )
        )


@pytest.fixture(scope="module")
def house(directories):
    made = House(directories(), *SETTINGS)
    yield made
    made.end()


@pytest.fixture(scope="module")
def stopped(directories):
    """An installation that an interrupt has ended."""
    up = start_up(directories()).wait_ready()
    code = up.stop(signal.SIGINT)
    for process in processes_of(up.data_dir):
        code = code or f"{process} was left"
        process.kill()
    assert code == 0, up.tell()
    return up


@pytest.fixture(scope="module")
def restarted(stopped):
    """Where that was."""
    made = House(stopped.data_dir, "up.stop_timeout_s=1", token=stopped.token)
    yield made
    made.end()


def test_ready_means_that_the_api_and_every_gateway_worker_answer(house):
    up = house.running()
    assert get(f"{up.api_url}/readyz") == 200
    assert [get(f"{url}/readyz") for url in up.admin_urls] == [200, 200]
    info = up.run_info()
    assert info["ready"]
    assert info["pid"] == up.process.pid
    assert set(info["processes"]) == {"store", "api", "autoscaler", "gateway-0", "gateway-1"}
    assert all(os.path.exists(f"/proc/{pid}") for pid in info["processes"].values())


def test_an_orderly_stop_ends_every_process_in_order_and_leaves_no_token_in_a_file(stopped):
    up = stopped
    order = [e["process"] for e in up.events if e["event"] == "stopping"]
    assert [name.split("-")[0] for name in order] == [
        "gateway",
        "gateway",
        "autoscaler",
        "api",
        "store",
    ]
    assert up.count("killed") == 0
    assert not (up.data_dir / "run.json").exists()
    files = [path for path in up.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if up.token.encode() in path.read_bytes()]


def test_the_owner_token_is_shown_at_the_first_start_only_and_works_on(stopped, restarted):
    token, message = stopped.token, stopped.ready["message"]
    url = stopped.api_url
    assert f"export TIDEGATE_API_URL={url} TIDEGATE_TOKEN={token}" in message
    again = restarted.running()
    assert token not in again.ready["message"]
    assert "tidegate token create" in again.ready["message"]
    assert allowed(again, token)


def allowed(up, token):
    """Whether the API takes the token."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{up.api_url}/api/v2/workloads", headers=headers).status_code == 200


def test_a_second_up_on_the_same_directory_is_refused_and_names_the_first(house):
    up = house.running()
    second = run_cli("up", "--data-dir", str(up.data_dir), "--port", "0", "--api-port", "0")
    assert second.returncode == 1
    assert f"pid {up.process.pid}" in second.stderr
    assert str(up.data_dir) in second.stderr
    assert "--data-dir" in second.stderr
    assert get(f"{up.api_url}/readyz") == 200


def test_whatever_is_killed_is_started_again_alone_and_all_is_ready_again(house):
    up = house.running()
    died, restarts = up.count("died"), up.count("restarted")
    for count, name in enumerate(["gateway-0", "autoscaler", "api", "store"], start=1):
        before = up.pids
        up.kill(name)
        told = up.wait_event("died", count=died + count)
        assert told["process"] == name
        assert re.search(rf"^{name} was killed by SIGKILL; restart in [0-9.]+ s", told["message"])
        up.wait_event("restarted", count=restarts + count)
        wait_until(
            lambda name=name, old=before[name]: up.pids.get(name) not in {None, old},
            what="a new pid",
        )
        for url in [up.api_url, *up.admin_urls, up.ready["autoscaler_admin_url"]]:
            wait_until(lambda url=url: get(f"{url}/readyz") == 200, what=f"{url} ready")
        assert {k: v for k, v in up.pids.items() if k != name} == {
            k: v for k, v in before.items() if k != name
        }
        assert up.count("died") == died + count, up.tell()


def test_a_port_stolen_later_is_a_crash_loop_of_one_process_only(house):
    up = house.running()
    died, url = up.count("died"), up.ready["autoscaler_admin_url"]
    host, port = url.removeprefix("http://").split(":")
    others = {name: pid for name, pid in up.pids.items() if name != "autoscaler"}
    thief = socket.socket()
    try:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        up.kill("autoscaler", signal.SIGSTOP)
        up.kill("autoscaler")

        def stolen() -> bool:
            try:
                thief.bind((host, int(port)))
            except OSError:
                return False
            return True

        wait_until(stolen, what="the port")
        thief.listen()
        up.wait_event("died", count=died + 3)
    finally:
        thief.close()
    wait_until(lambda: get(f"{url}/readyz") == 200, what="ready again")
    assert {name: pid for name, pid in up.pids.items() if name != "autoscaler"} == others


def test_children_of_a_killed_supervisor_end_by_themselves_and_the_next_start_works(house):
    up = house.running()
    created = up.cli_here("token", "create", "--name", "kept").stdout.strip()
    up.process.kill()
    up.wait()
    wait_until(lambda: processes_of(up.data_dir) == [], what="children ended")
    again = house.running()
    assert again.process.pid != up.process.pid
    assert allowed(again, up.token)
    assert allowed(again, created)


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_start_brings_everything_back(house):
    """Started again at once: the first one's children may still be there."""
    up = house.running()
    created = up.cli_here(
        "workload", "create", "--name", "kept", "--min", "2", "--max", "2", "--wait", "--json",
        "--readiness", "/healthz",
        "--entrypoint", f"{sys.executable} -P -m controlplane.demo.service",
    )  # fmt: skip
    workload_id = json.loads(created.stdout)["id"]
    up.cli_here("workload", "wait", "kept", "--for", "running")
    old = {process.pid for process in processes_of(up.data_dir)}
    up.process.kill()
    up.wait()

    again = house.running()
    assert api(again, "GET", f"/workloads/{workload_id}/")["name"] == "kept"
    again.cli_here("workload", "wait", "kept", "--for", "running")
    wait_until(lambda: len(replica_processes(again, workload_id)) == 2, what="exactly two replicas")

    async def answers():
        async with client(again, workload_id) as caller:
            return set(tally([await call(caller) for _ in range(10)]))

    assert asyncio.run(answers()) == {"200"}
    known = {*again.pids.values(), again.process.pid}
    known |= {process.pid for process in replica_processes(again, workload_id).values()}
    wait_until(
        lambda: not (old & {p.pid for p in processes_of(up.data_dir)}) - known, what="no orphans"
    )
    again.stop()
    wait_until(lambda: processes_of(up.data_dir) == [], what="no process left")


def test_a_second_signal_hurries(house):
    up = house.running()
    up.kill("gateway-0", signal.SIGSTOP)
    up.process.send_signal(signal.SIGTERM)
    up.wait_event("stopping")
    up.process.send_signal(signal.SIGTERM)
    assert up.wait() == 0
    assert up.count("hurry") == 1
    assert processes_of(up.data_dir) == []


def test_a_child_that_does_not_stop_is_killed_after_the_stage_s_time(restarted):
    up = restarted.running()
    up.kill("api", signal.SIGSTOP)
    assert up.stop() == 0
    assert [e["message"] for e in up.events if e["event"] == "killed"] == [
        "api did not stop, killed"
    ]
    assert processes_of(up.data_dir) == []


def test_a_stop_while_starting_leaves_nothing(tidegate_up):
    up = tidegate_up(ready=False)
    up.wait_event("starting")
    assert up.stop() == 0
    assert processes_of(up.data_dir) == []


def test_a_taken_port_is_refused_before_anything_starts(up_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_cli(
            "up", "--data-dir", str(up_dir), "--port", "0", "--admin-port", "0",
            "--api-port", str(port),
        )  # fmt: skip
    assert done.returncode == 1
    assert f"port {port} for the API is in use" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert "--api-port" in done.stderr
    assert processes_of(up_dir) == []


def test_a_directory_that_cannot_be_written_is_refused(up_dir):
    blocker = up_dir / "file"
    blocker.write_text("")
    done = run_cli("up", "--data-dir", str(blocker / "below"), "--port", "0", "--api-port", "0")
    assert done.returncode == 1
    assert str(blocker / "below") in done.stderr
    assert "--data-dir" in done.stderr


def test_an_unknown_setting_is_refused_with_a_suggestion(up_dir):
    done = run_cli("up", "--data-dir", str(up_dir), "--set", "gateway.queue_limt=3")
    assert done.returncode == 2
    assert "did you mean 'queue_limit'" in done.stderr


def test_an_external_store_that_cannot_be_reached_is_named(up_dir):
    done = subprocess.run(
        [*COMMAND, "up", "--data-dir", str(up_dir), "--port", "0", "--api-port", "0",
         "--admin-port", "0", "--store", f"unix://{up_dir}/nobody.sock"],
        capture_output=True, text=True, env=clean_environ(), timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot reach the store at unix://{up_dir}/nobody.sock" in done.stderr
    assert processes_of(up_dir) == []
